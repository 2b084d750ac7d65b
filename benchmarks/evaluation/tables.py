"""The tables of an evaluation as CSV, Markdown and rows for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from benchmarks.evaluation.inference import Predictions
from benchmarks.evaluation.schema import Accuracy, Evaluation, Outlook, PhotoGroup, Scores
from benchmarks.report.formatting import MISSING, markdown_rows, percent, points
from benchmarks.report.html.contents import markdown_document
from benchmarks.results.scores import PAPER_SCORES, SEEN_SCORES
from mobile_assets.labels import LabelMap

SHORT_LIST = 20
"""Objects to photograph again that Markdown and the terminal list; the CSV has all."""

_ACCURACIES = (*SEEN_SCORES[:4], "top1_with_unseen")
_ESTIMATES = (*SEEN_SCORES[4:], *PAPER_SCORES[1:])

SCORE_COLUMNS = (
    "model",
    "collection",
    "photos",
    "top-1",
    "top-3",
    "top-5",
    "top-10",
    "P",
    "R",
    "F1",
)


def score_cells(row: Scores, *, interval: bool = True) -> tuple[str, ...]:
    """A row of Table 3 or 4 in words, in the order of `SCORE_COLUMNS`."""
    return (
        row.model,
        "all" if row.collection is None else row.collection or "(none)",
        str(row.photos),
        with_interval(row.top1) if interval else percent(row.top1.value),
        percent(row.top3.value),
        percent(row.top5.value),
        percent(row.top10.value),
        percent(row.precision.value),
        percent(row.recall.value),
        percent(row.f1.value),
    )


def paper_cells(row: Scores) -> list[str]:
    """The paper's own precision, recall and F1."""
    scores = (row.paper_precision, row.paper_recall, row.paper_f1)
    return [percent(score.value) for score in scores]


def with_interval(accuracy: Accuracy) -> str:
    """`76.5 % (52.7–90.4)`: the wider of the two 95 % intervals at either end."""
    if not accuracy.photos:
        return MISSING
    low, high = widest(accuracy)
    return f"{percent(accuracy.value)} ({100 * low:.1f}–{100 * high:.1f})"


def widest(accuracy: Accuracy) -> tuple[float, float]:
    """The lower of the lower bounds and the upper of the upper: by photos and by objects."""
    by_objects = accuracy.ci95_objects or accuracy.ci95
    return min(accuracy.ci95[0], by_objects[0]), max(accuracy.ci95[1], by_objects[1])


def score_csv(rows: Iterable[Scores], min_photos: int) -> str:
    """`table3.csv` and `table4.csv`: the paper's columns in per cent, then ours with bounds.

    The first columns are those of the paper's tables, by the standard definitions; the paper's own
    quantities are `paper_precision`, `paper_recall` and `paper_f1`.
    """
    lines = [dict(_score_line(row, min_photos)) for row in rows]
    return _csv(lines)


def _score_line(row: Scores, min_photos: int) -> Iterable[tuple[str, object]]:
    yield from (("min_photos", min_photos), ("model", row.model))
    if row.collection is not None:
        yield "collection", row.collection
    yield from ((n, _per_cent(getattr(row, n).value)) for n in ("precision", "recall", "f1"))
    yield "accuracy", _per_cent(row.top1.value)
    yield from ((name, _per_cent(getattr(row, name).value)) for name in ("top3", "top5", "top10"))
    yield from (("objects", row.objects), ("objects_shown", row.objects_shown))
    yield from (("photos", row.photos), ("unseen_photos", row.unseen_photos))
    for name in _ACCURACIES:
        accuracy: Accuracy = getattr(row, name)
        yield name.replace("top1", "accuracy") + "_right", accuracy.right
        yield from _bounds(name.replace("top1", "accuracy") + "_photos", accuracy.ci95)
        yield from _bounds(name.replace("top1", "accuracy") + "_objects", accuracy.ci95_objects)
    for name in _ESTIMATES:
        estimate = getattr(row, name)
        yield name, _per_cent(estimate.value)
        yield from _bounds(name, estimate.ci95_objects)
    yield "accuracy_with_unseen", _per_cent(row.top1_with_unseen.value)
    yield "invalid_answers", row.invalid_answers


def _bounds(name: str, bounds: tuple[float, float] | None) -> Iterable[tuple[str, object]]:
    low, high = bounds or (None, None)
    yield f"{name}_low", "" if low is None else _per_cent(low)
    yield f"{name}_high", "" if high is None else _per_cent(high)


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def groups_csv(groups: Sequence[PhotoGroup]) -> str:
    """`by_photos.csv`: accuracy by photos per object, in per cent."""
    return _csv(
        {
            "model": group.model,
            "counted": group.basis,
            "photos_per_object": group.label,
            "objects": group.objects,
            "photos": group.top1.photos,
            "accuracy": _per_cent(group.top1.value),
            **dict(_bounds("accuracy_photos", group.top1.ci95)),
            **dict(_bounds("accuracy_objects", group.top1.ci95_objects)),
            "top3": _per_cent(group.top3.value),
            "top5": _per_cent(group.top5.value),
        }
        for group in groups
    )


def answers_csv(answered: Predictions, model: str, labels: LabelMap) -> str:
    """`answers.csv`: every test photo with the truth and the first answer."""
    answers = answered.answers[model]
    return _csv(
        {
            "photo": f"{photo.path.parent.name}/{photo.path.name}",
            "sha256": photo.sha256,
            "truth": photo.object_id,
            "answer": labels[int(top)].object_id if top >= 0 else "",
            "probability": f"{probability:.6f}",
            "truth_probability": f"{own:.6f}",
            "rank": int(rank) + 1,
            "seen": int(photo.seen),
        }
        for photo, top, probability, own, rank in zip(
            answered.photos,
            answers.top,
            answers.probability[:, 0],
            answered.own[model],
            answers.rank,
            strict=True,
        )
    )


def outlook_csv(outlooks: Sequence[Outlook]) -> str:
    """`photograph_again.csv`: every object, the largest gain first; shares in per cent."""
    return _csv(
        {
            "object_id": outlook.object_id,
            "title": outlook.title,
            "collection": outlook.collection,
            "photos": outlook.photos,
            "training_photos": outlook.training_photos,
            "held_out": outlook.held_out,
            "right": outlook.right,
            "expected": _per_cent(outlook.expected),
            **dict(_bounds("expected", outlook.expected_ci95)),
            "truth_probability": ""
            if outlook.own_probability is None
            else f"{outlook.own_probability:.4f}",
            "photos_to_take": outlook.photos_to_take,
            "estimated_gain": "" if outlook.gain is None else _per_cent(outlook.gain),
            **dict(_bounds("estimated_gain", outlook.gain_ci95)),
            "taken_for": _named(outlook, "answers"),
            "looks_like": _named(outlook, "look"),
        }
        for outlook in outlooks
    )


def _named(outlook: Outlook, by: str) -> str:
    return " ".join(
        f"{near.object_id}:{near.value:.3f}" for near in outlook.nearest if near.by == by
    )


OUTLOOK_COLUMNS = (
    "object",
    "photos",
    "held out",
    "expected",
    "taken for",
    "to take",
    "gain, points",
)


def outlook_cells(outlook: Outlook) -> tuple[str, ...]:
    """An object's outlook in words, in the order of `OUTLOOK_COLUMNS`."""
    low, high = outlook.expected_ci95
    gain = MISSING
    if outlook.gain is not None:
        gain = points(100 * outlook.gain)
        if outlook.gain_ci95 is not None:
            gain += (
                f" ({points(100 * outlook.gain_ci95[0])} to {points(100 * outlook.gain_ci95[1])})"
            )
    return (
        outlook.object_id,
        str(outlook.photos),
        f"{outlook.right} of {outlook.held_out} right" if outlook.held_out else "none",
        f"{percent(outlook.expected)} ({100 * low:.0f}–{100 * high:.0f})",
        outlook.nearest[0].object_id if outlook.nearest else MISSING,
        str(outlook.photos_to_take),
        gain,
    )


def markdown(evaluation: Evaluation) -> str:
    """`evaluation.md`: the tables in words."""
    again = evaluation.photograph_again[:SHORT_LIST]
    return markdown_document(
        "evaluation/evaluation.md.j2",
        evaluation=evaluation,
        tested=evaluation.tested,
        paper_cells=paper_cells,
        interval=with_interval,
        scores=lambda rows: markdown_rows(SCORE_COLUMNS, map(score_cells, rows)),
        again=markdown_rows(OUTLOOK_COLUMNS, map(outlook_cells, again)),
        paper_words=PAPER_WORDS,
        comparison=comparison_words(evaluation),
        curve_words=curve_words(evaluation),
    )


PAPER_WORDS = (
    "Winterbottom et al. (2022) call precision what divides an object's right answers by its "
    "photos, and recall what divides them by the answers that name the object, both weighted by "
    "photos and with unseen objects as one null class. To be set beside their Table 3 only."
)


def comparison_words(evaluation: Evaluation) -> str:
    """One sentence per pair of models."""
    sentences = []
    for comparison in evaluation.comparisons:
        bounds = comparison.ci95_objects or comparison.ci95
        interval = (
            f" (95 % interval {points(bounds[0])} to {points(bounds[1])}, the same objects drawn "
            "for both)"
            if bounds
            else ""
        )
        sentences.append(
            f"{comparison.model} against {comparison.against}: {points(comparison.points)} points"
            f"{interval}; {comparison.won} photos won, {comparison.lost} lost."
        )
    return " ".join(sentences)


def curve_words(evaluation: Evaluation) -> str:
    """What the outlooks rest on, and how far they can be trusted."""
    curve = evaluation.curve
    words = (
        f"Estimates, not measurements: from {curve.evidence_photos} held-out photos (test and "
        "validation; the latter also chose the checkpoint, so they flatter a little). An object's "
        "expected accuracy is that of objects with as many photos, which counts as "
        f"{curve.prior_photos:.1f} photos, drawn towards its own held-out photos."
    )
    if curve.slope is None:
        return (
            words + " All objects have the same number of photos, so this register cannot tell "
            "what more would bring."
        )
    words += (
        f" The gain is what going to {curve.target} photos would bring if this object followed the "
        "register's curve of accuracy by photos per object; objects with more photos are other "
        "objects, so it is a comparison, not an experiment."
    )
    bounds = curve.slope_ci95
    if bounds is not None and bounds[0] <= 0:
        words += (
            " Here the curve's interval includes no gain at all: more test photos, or objects with "
            "more photos, would be needed to tell."
        )
    return words


def _csv(lines: Iterable[dict[str, object]]) -> str:
    rows = list(lines)
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()
