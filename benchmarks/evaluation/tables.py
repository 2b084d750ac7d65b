"""The tables of an evaluation: as CSV files, and for the page, Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.evaluation.inference import Predictions
from benchmarks.evaluation.schema import Accuracy, Evaluation, Outlook, Scores
from benchmarks.report.csv_tables import columns, picked
from benchmarks.report.formatting import MISSING, percent, points
from benchmarks.report.html.contents import markdown_document, sentence
from benchmarks.report.html.table import Cell, Table, plain_table
from benchmarks.report.markdown import table_markdown
from benchmarks.results.scores import PAPER_SCORES, SEEN_SCORES
from mobile_assets.csv_table import csv_text
from mobile_assets.labels import LabelMap

SHORT_LIST = 20
"""Objects to photograph again that Markdown lists; the CSV has all."""


def interval_cell(accuracy: Accuracy) -> Cell:
    """The share; under it its interval, such as `52.7–90.4`."""
    if not accuracy.photos:
        return Cell(MISSING)
    low, high = widest(accuracy)
    return Cell(percent(accuracy.value), (f"{100 * low:.1f}–{100 * high:.1f}",))


def widest(accuracy: Accuracy) -> tuple[float, float]:
    """The lower of the lower bounds and the upper of the upper: by photos and by objects."""
    by_objects = accuracy.ci95_objects or accuracy.ci95
    return min(accuracy.ci95[0], by_objects[0]), max(accuracy.ci95[1], by_objects[1])


_SCORES = ("Photos", "Top-1", "Top-3", "Top-5", "Top-10", "P", "R", "F1")


def _score_cells(row: Scores) -> tuple[Cell | str, ...]:
    others = (row.top3, row.top5, row.top10, row.precision, row.recall, row.f1)
    return str(row.photos), interval_cell(row.top1), *(percent(score.value) for score in others)


def run_table(evaluation: Evaluation) -> Table:
    """A row of the paper's Table 3 for every run and the ensemble."""
    rows = [(row.model, *_score_cells(row)) for row in evaluation.rows]
    return plain_table("Accuracy of every run", ("Run", *_SCORES), rows)


def collection_table(evaluation: Evaluation) -> Table:
    """A row of the paper's Table 4 for every collection."""
    return plain_table(
        f"Accuracy of {evaluation.main} by collection",
        ("Collection", "Objects", *_SCORES),
        [
            (row.collection or "no collection", str(row.objects), *_score_cells(row))
            for row in evaluation.collections
        ],
    )


def group_table(evaluation: Evaluation) -> Table:
    """Accuracy by photos per object."""
    return plain_table(
        "Accuracy by photos per object",
        ("Counted in", "Photos", "Objects", "Test photos", "Top-1"),
        [
            (g.basis, g.label, str(g.objects), str(g.top1.photos), interval_cell(g.top1))
            for g in evaluation.by_photos
        ],
    )


def paper_table(evaluation: Evaluation) -> Table:
    """The paper's own precision, recall and F1."""
    return plain_table(
        "Precision, recall and F1 as the paper computes them",
        ("Run", "paper_precision", "paper_recall", "paper_f1"),
        [
            (row.model, *(percent(getattr(row, name).value) for name in PAPER_SCORES[1:]))
            for row in evaluation.rows
        ],
    )


OUTLOOK_COLUMNS = (
    "Object", "Photos", "Held out", "Expected", "Taken for", "To take", "Gain, points"
)  # fmt: skip


def outlook_table(outlooks: Sequence[Outlook]) -> Table:
    """Objects to photograph again."""
    title = "Objects to photograph again, with the object that each is nearest to"
    return plain_table(title, OUTLOOK_COLUMNS, map(_outlook_cells, outlooks))


def _outlook_cells(outlook: Outlook) -> tuple[Cell | str, ...]:
    low, high = outlook.expected_ci95
    gain = Cell(MISSING)
    if outlook.gain is not None:
        bounds = [points(100 * bound) for bound in outlook.gain_ci95 or ()]
        gain = Cell(points(100 * outlook.gain), (" to ".join(bounds),) if bounds else ())
    return (
        outlook.object_id,
        str(outlook.photos),
        f"{outlook.right} of {outlook.held_out} right" if outlook.held_out else "none",
        Cell(percent(outlook.expected), (f"{100 * low:.0f}–{100 * high:.0f}",)),
        outlook.nearest[0].object_id if outlook.nearest else MISSING,
        str(outlook.photos_to_take),
        gain,
    )


def _bounds(field: str, title: str) -> str:
    return f"{field}.0:{title}_low {field}.1:{title}_high"


def _accuracy_columns(name: str) -> str:
    title = name.replace("top1", "accuracy")
    by_photos = _bounds(f"{name}.ci95", f"{title}_photos")
    by_objects = _bounds(f"{name}.ci95_objects", f"{title}_objects")
    return f"{name}.right:{title}_right {by_photos} {by_objects}"


_ESTIMATES = (*SEEN_SCORES[4:], *PAPER_SCORES[1:])
_SCORE_COLUMNS = columns(
    "model collection precision.value:precision recall.value:recall f1.value:f1 "
    "top1.value:accuracy top3.value:top3 top5.value:top5 top10.value:top10 "
    "objects objects_shown photos unseen_photos",
    *map(_accuracy_columns, (*SEEN_SCORES[:4], "top1_with_unseen")),
    *(f"{name}.value:{name} {_bounds(f'{name}.ci95_objects', name)}" for name in _ESTIMATES),
    "top1_with_unseen.value:accuracy_with_unseen invalid_answers",
)
_GROUP_COLUMNS = columns(
    "model basis:counted label:photos_per_object objects top1.photos:photos top1.value:accuracy",
    _bounds("top1.ci95", "accuracy_photos"),
    _bounds("top1.ci95_objects", "accuracy_objects"),
    "top3.value:top3 top5.value:top5",
)
_OUTLOOK_COLUMNS = columns(
    "object_id title collection photos training_photos held_out right expected",
    _bounds("expected_ci95", "expected"),
    "own_probability:truth_probability photos_to_take gain:estimated_gain",
    _bounds("gain_ci95", "estimated_gain"),
)


def _per_cent(values: Mapping[str, object]) -> dict[str, object]:
    """Shares, the only floats of a line, in per cent."""
    return {k: f"{100 * v:.2f}" if isinstance(v, float) else v for k, v in values.items()}


def score_csv(rows: Iterable[Scores], min_photos: int) -> str:
    """`table3.csv` and `table4.csv`: the paper's columns in per cent, then ours with bounds.

    The first columns are those of the paper's tables, by the standard definitions; the paper's own
    quantities are `paper_precision`, `paper_recall` and `paper_f1`.
    """
    lines = []
    for row in rows:
        line = {"min_photos": min_photos} | _per_cent(picked(row, _SCORE_COLUMNS))
        if row.collection is None:
            del line["collection"]
        lines.append(line)
    return csv_text(lines)


def answers_csv(answered: Predictions, model: str, labels: LabelMap) -> str:
    """`answers.csv`: every test photo with the truth and the first answer."""
    answers = answered.answers[model]
    return csv_text(
        {
            "photo": f"{photo.path.parent.name}/{photo.path.name}",
            "sha256": photo.sha256,
            "truth": photo.object_id,
            "answer": labels[int(top)].object_id if top >= 0 else "",
            "probability": f"{answers.probability[position, 0]:.6f}",
            "truth_probability": f"{answers.own[position]:.6f}",
            "rank": int(answers.rank[position]) + 1,
            "seen": int(photo.seen),
        }
        for position, (photo, top) in enumerate(zip(answered.photos, answers.top, strict=True))
    )


def outlook_csv(outlooks: Sequence[Outlook]) -> str:
    """`photograph_again.csv`: every object, the largest gain first; shares in per cent."""
    lines = []
    for outlook in outlooks:
        line = _per_cent(picked(outlook, _OUTLOOK_COLUMNS))
        if outlook.own_probability is not None:
            line["truth_probability"] = f"{outlook.own_probability:.4f}"
        for title, by in (("taken_for", "answers"), ("looks_like", "look")):
            line[title] = " ".join(
                f"{near.object_id}:{near.value:.3f}" for near in outlook.nearest if near.by == by
            )
        lines.append(line)
    return csv_text(lines)


def csv_files(evaluation: Evaluation, test: Predictions, labels: LabelMap) -> dict[str, str]:
    """The CSV files' contents by name."""
    minimum = evaluation.min_photos
    groups = (_per_cent(picked(group, _GROUP_COLUMNS)) for group in evaluation.by_photos)
    return {
        "table3.csv": score_csv(evaluation.rows, minimum),
        "table4.csv": score_csv(evaluation.collections, minimum),
        "by_photos.csv": csv_text(groups),
        "answers.csv": answers_csv(test, evaluation.main, labels),
        "photograph_again.csv": outlook_csv(evaluation.photograph_again),
    }


def markdown(evaluation: Evaluation) -> str:
    """`evaluation.md`: the tables in words."""
    return markdown_document(
        "evaluation/evaluation.md.j2",
        evaluation=evaluation,
        tested=evaluation.tested,
        tables={
            "runs": table_markdown(run_table(evaluation)),
            "collections": table_markdown(collection_table(evaluation)),
            "groups": table_markdown(group_table(evaluation)),
            "paper": table_markdown(paper_table(evaluation)),
            "again": table_markdown(outlook_table(evaluation.photograph_again[:SHORT_LIST])),
        },
        **words(evaluation),
    )


def words(evaluation: Evaluation) -> dict[str, str]:
    """Sentences: on the paper's quantities, each pair of models, and what the outlooks rest on."""
    return {
        "paper_words": sentence("paper_quantities"),
        "comparison": sentence("comparison", evaluation.comparisons),
        "curve_words": sentence("curve", evaluation.curve),
    }
