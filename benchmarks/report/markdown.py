"""The results as a Markdown document: the report's tables, for reading in a terminal or a diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.formatting import (
    MISSING,
    interval_cell,
    interval_words,
    megabytes,
    milliseconds,
    percent,
    signless,
)
from benchmarks.report.html.verdict import one_per_variant
from benchmarks.report.paper_comparison import paper_comparisons
from benchmarks.report.parity_table import markdown_table, sorted_rows
from benchmarks.report.runtime_names import runtime_name, runtime_sentences
from benchmarks.report.slowdowns import pace_sentence
from benchmarks.results.row_fields import Latency
from benchmarks.results.schema import (
    REFERENCE_VARIANT,
    FlippedAnswer,
    GateOutcome,
    PreprocessingCost,
    Results,
    Row,
)

MOST_FLIPPED = 50
"""Of more changed answers only so many are listed; `flipped.csv` has all."""

Cells = Sequence[str]


def markdown_report(results: Results) -> str:
    """The content of `results.md`: only tables that have something in them."""
    parts = [markdown_table(results).rstrip()]
    rows = sorted_rows(results)
    pace = pace_sentence(rows)
    if pace:
        parts.append(pace)
    sentences = runtime_sentences(rows)
    if sentences:
        parts.append("\n".join(f"- {sentence}" for sentence in sentences))
    for title, columns, lines in _tables(results, rows):
        cells = list(lines)
        if cells:
            parts.append(_table(title, columns, cells))
    return "\n\n".join(parts) + "\n"


def _table(title: str, columns: Cells, lines: Sequence[Cells]) -> str:
    text = [f"## {title}", "", _line(columns), "|" + " --- |" * len(columns)]
    return "\n".join([*text, *(_line(cells) for cells in lines)])


def _line(cells: Cells) -> str:
    """A line of a table; a bar in words from outside would end its cell."""
    kept = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(kept) + " |"


def _tables(results: Results, rows: Sequence[Row]) -> Iterator[tuple[str, Cells, Iterator[Cells]]]:
    key = ("min. photos", "variant", "runtime")
    yield (
        "Gates",
        (*key, "requirement", "measured", "holds"),
        (
            (*_key(one), one.requirement, one.measured, "yes" if one.passed else "**no**")
            for one in sorted(results.gates, key=lambda one: one.passed)
        ),
    )
    yield (
        "How near to full precision",
        (*key, "lost", "won", "drift, mean", "drift, 99 %", "largest", "precision", "recall", "F1"),
        ((*_key(row), *_fidelity(row)) for row in rows if row.status == "measured"),
    )
    yield (
        "Calibration",
        (*key, "calibration error", "with temperature", "temperature", "validation photos"),
        ((*_key(row), *_calibration(row)) for row in rows if row.calibration),
    )
    yield (
        "Latency",
        (*key, "threads", "median", "90 %", "99 %", "runs"),
        (
            (*_key(row), str(one.threads), *_quantiles(one), str(one.runs))
            for row in rows
            for one in (*((row.latency_ms,) if row.latency_ms else ()), *row.latency_more)
        ),
    )
    yield (
        "From photo to answer",
        (*key, "× float32", "end to end", "from 12 MP", "first answer", "other work"),
        ((*_key(row), *_times(row)) for row in rows if row.latency_ms),
    )
    yield (
        "Memory",
        (*key, "runtime", "model", "of it private", "peak", "read as"),
        ((*_key(row), *_memory(row)) for row in rows if row.memory),
    )
    yield (
        "Placement",
        (*key, "library", "operations", "pieces", "left"),
        ((*_key(row), *_placement(row)) for row in rows if row.placement),
    )
    yield from _breakdowns(results, rows, key)


def _breakdowns(
    results: Results, rows: Sequence[Row], key: Cells
) -> Iterator[tuple[str, Cells, Iterator[Cells]]]:
    once = one_per_variant(rows)
    yield (
        "By collection",
        (*key, "collection", "photos", "top-1", "95 % CI"),
        (
            (*_key(row), one.collection, str(one.photos), percent(one.top1), _shares(one.top1_ci95))
            for row in once
            for one in row.by_collection
        ),
    )
    yield (
        "By photos per object",
        (*key, "photos of the object", "photos", "top-1", "95 % CI"),
        (
            (
                *_key(row),
                str(one.photos_per_object),
                str(one.photos),
                percent(one.top1),
                _shares(one.top1_ci95),
            )
            for row in once
            for one in row.by_photos
        ),
    )
    yield (
        "What the input costs",
        (*key, "kind", "way", "points lost", "95 % CI", "top-1", "agreement", "what is done"),
        (
            (
                *(str(one.min_photos), one.variant, runtime_name(one.runtime)),
                *("a phone's way" if one.family == "resampling" else "a mistake", one.name),
                *(MISSING if one.drop_points is None else signless(one.drop_points),),
                *(interval_words(one.drop_ci95), percent(one.top1), percent(one.agreement)),
                one.what,
            )
            for one in sorted(
                results.preprocessing,
                key=lambda one: (
                    one.min_photos,
                    one.family != "resampling",
                    -(one.drop_points or 0),
                ),
            )
        ),
    )
    yield (
        "The paper beside us",
        ("min. photos", "paper", "top-1", "here", "top-1", "95 % CI", "what differs"),
        (
            (
                *(str(one.row.min_photos), one.paper.model, percent(one.paper.top1)),
                *(one.row.backbone, percent(one.row.top1), interval_cell(one.row)),
                "; ".join(one.differs) or "nothing",
            )
            for one in paper_comparisons(results)
            if one.row.variant == REFERENCE_VARIANT
        ),
    )
    yield (
        f"Changed answers{_of_all(len(results.flipped))}",
        (*key, "photo", "object", "full precision", "variant's answer"),
        (
            (*_key(one), one.path, one.object_id, _answer(one.reference), _answer(one.answer))
            for one in results.flipped[:MOST_FLIPPED]
        ),
    )


def _key(one: Row | GateOutcome | FlippedAnswer) -> Cells:
    return str(one.min_photos), one.variant, runtime_name(one.runtime, one.unit)


def _cost_order(one: PreprocessingCost) -> tuple[int, bool, float]:
    return one.min_photos, one.family != "resampling", -(one.drop_points or 0.0)


def _of_all(count: int) -> str:
    return f" ({MOST_FLIPPED} of {count:,}; all in flipped.csv)" if count > MOST_FLIPPED else ""


def _answer(answer: tuple[str, float] | None) -> str:
    return "no number" if answer is None else f"{answer[0]} ({percent(answer[1])})"


def _shares(bounds: tuple[float, float]) -> str:
    return f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}"


def _fidelity(row: Row) -> Cells:
    drift = row.drift
    return (
        MISSING if row.right_to_wrong is None else str(row.right_to_wrong),
        MISSING if row.wrong_to_right is None else str(row.wrong_to_right),
        *(
            (f"{drift.mean:.2g}", f"{drift.p99:.2g}", f"{row.max_probability_drift or 0:.2g}")
            if drift
            else (MISSING, MISSING, MISSING)
        ),
        percent(row.precision),
        percent(row.recall),
        percent(row.f1),
    )


def _calibration(row: Row) -> Cells:
    found = row.calibration
    assert found is not None  # the table has rows with one only
    temperature = MISSING if found.temperature is None else f"{found.temperature:.2f}"
    after = percent(found.error_with_temperature)
    return percent(row.calibration_error), after, temperature, str(found.validation_photos)


def _quantiles(one: Latency) -> Cells:
    return milliseconds(one.p50), milliseconds(one.p90), milliseconds(one.p99)


def _times(row: Row) -> Cells:
    ratio = row.latency_ratio
    return (
        MISSING if ratio is None else f"{ratio.median:.2f} ({ratio.p10:.2f}–{ratio.p90:.2f})",
        milliseconds(row.end_to_end_ms),
        milliseconds(row.end_to_end_12mp_ms),
        milliseconds(row.cold_load_ms),
        percent(row.busy_share),
    )


def _memory(row: Row) -> Cells:
    memory = row.memory
    assert memory is not None  # the table has rows with it only
    numbers = (memory.runtime_resident, memory.model_resident, memory.model_private)
    return (*map(megabytes, numbers), megabytes(memory.peak_resident), memory.metric)


def _placement(row: Row) -> Cells:
    placed = row.placement
    assert placed is not None  # the table has rows with it only
    left = ", ".join(f"{kind} × {count}" for kind, count in sorted(placed.left.items()))
    return (
        placed.delegate,
        f"{placed.taken} of {placed.total}",
        str(placed.partitions),
        left or "none",
    )
