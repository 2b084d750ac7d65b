"""The results as a Markdown document: the report's tables, for reading in a terminal or a diff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.formatting import (
    MISSING,
    interval_cell,
    interval_words,
    megabytes,
    milliseconds,
    operations_left,
    percent,
    signless,
)
from benchmarks.report.html.verdict import one_per_variant
from benchmarks.report.omissions import omissions
from benchmarks.report.paper_comparison import paper_comparisons
from benchmarks.report.parity_table import markdown_table, sorted_rows
from benchmarks.report.runtime_names import runtime_descriptions, runtime_name
from benchmarks.report.slowdowns import pace_sentence
from benchmarks.results.schema import (
    REFERENCE_VARIANT,
    FlippedAnswer,
    GateOutcome,
    Latency,
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
    runtimes = runtime_descriptions(rows)
    if runtimes:
        parts.append("\n".join(f"- {name}: {words}" for name, words in runtimes))
    left_out = omissions(results)
    if left_out:
        bullets = [f"- {what}: {words}" for what, words in left_out]
        parts.append("\n".join(["## What was left out", "", *bullets]))
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
            (*_key(gate), gate.requirement, gate.measured, "yes" if gate.passed else "**no**")
            for gate in sorted(results.gates, key=lambda gate: gate.passed)
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
        (*key, "threads", "median", "90 %", "99 %", "runs", "other work"),
        (
            (*_key(row), str(latency.threads), *_quantiles(latency), percent(row.busy_share))
            for row in rows
            for latency in (*((row.latency_ms,) if row.latency_ms else ()), *row.latency_more)
        ),
    )
    yield (
        "From photo to answer",
        (*key, "× float32", "end to end", "from 12 MP", "first answer"),
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
            (*_key(row), b.collection, str(b.photos), percent(b.top1), _shares(b.top1_ci95))
            for row in once
            for b in row.by_collection
        ),
    )
    yield (
        "By photos per object",
        (*key, "photos of the object", "photos", "top-1", "95 % CI"),
        (
            (
                *_key(row),
                str(b.photos_per_object),
                str(b.photos),
                percent(b.top1),
                _shares(b.top1_ci95),
            )
            for row in once
            for b in row.by_photos
        ),
    )
    yield (
        "What the input costs",
        (*key, "kind", "way", "points lost", "95 % CI", "top-1", "agreement", "what is done"),
        (
            (
                *(str(cost.min_photos), cost.variant, runtime_name(cost.runtime)),
                *("a phone's way" if cost.family == "resampling" else "a mistake", cost.name),
                *(MISSING if cost.drop_points is None else signless(cost.drop_points),),
                *(interval_words(cost.drop_ci95), percent(cost.top1), percent(cost.agreement)),
                cost.what,
            )
            for cost in sorted(results.preprocessing, key=_cost_order)
        ),
    )
    yield (
        "The paper beside us",
        ("min. photos", "paper", "top-1", "here", "top-1", "95 % CI", "what differs"),
        (
            (
                *(str(pair.row.min_photos), pair.paper.model, percent(pair.paper.top1)),
                *(pair.row.backbone, percent(pair.row.top1), interval_cell(pair.row)),
                "; ".join(pair.differs) or "nothing",
            )
            for pair in paper_comparisons(results)
            if pair.row.variant == REFERENCE_VARIANT
        ),
    )
    yield (
        f"Changed answers{_of_all(len(results.flipped))}",
        (*key, "photo", "object", "full precision", "variant's answer"),
        (
            (*_key(flip), flip.path, flip.object_id, _answer(flip.reference), _answer(flip.answer))
            for flip in results.flipped[:MOST_FLIPPED]
        ),
    )


def _key(record: Row | GateOutcome | FlippedAnswer) -> Cells:
    return str(record.min_photos), record.variant, runtime_name(record.runtime, record.unit)


def _cost_order(cost: PreprocessingCost) -> tuple[int, bool, float]:
    return cost.min_photos, cost.family != "resampling", -(cost.drop_points or 0.0)


def _of_all(count: int) -> str:
    return f" ({MOST_FLIPPED} of {count:,}; all in flipped.csv)" if count > MOST_FLIPPED else ""


def _answer(answer: tuple[str, float] | None) -> str:
    return "no number" if answer is None else f"{answer[0]} ({percent(answer[1])})"


def _shares(bounds: tuple[float, float]) -> str:
    return f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}"


def _fidelity(row: Row) -> Cells:
    mean, p99 = (row.drift.mean, row.drift.p99) if row.drift else (None, None)
    return (
        *(MISSING if n is None else str(n) for n in (row.right_to_wrong, row.wrong_to_right)),
        *map(_drift, (mean, p99, row.max_probability_drift)),
        *map(percent, (row.precision, row.recall, row.f1)),
    )


def _drift(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2g}"


def _calibration(row: Row) -> Cells:
    calibration = row.calibration
    assert calibration is not None  # the table has rows with one only
    temperature = calibration.temperature
    return (
        percent(row.calibration_error),
        percent(calibration.error_with_temperature),
        MISSING if temperature is None else f"{temperature:.2f}",
        str(calibration.validation_photos),
    )


def _quantiles(latency: Latency) -> Cells:
    times = (milliseconds(latency.p50), milliseconds(latency.p90), milliseconds(latency.p99))
    return *times, str(latency.runs)


def _times(row: Row) -> Cells:
    ratio = row.latency_ratio
    return (
        MISSING if ratio is None else f"{ratio.median:.2f} ({ratio.p10:.2f}–{ratio.p90:.2f})",
        milliseconds(row.end_to_end_ms),
        milliseconds(row.end_to_end_12mp_ms),
        milliseconds(row.cold_load_ms),
    )


def _memory(row: Row) -> Cells:
    memory = row.memory
    assert memory is not None  # the table has rows with it only
    numbers = (memory.runtime_resident, memory.model_resident, memory.model_private)
    return (*map(megabytes, numbers), megabytes(memory.peak_resident), memory.metric)


def _placement(row: Row) -> Cells:
    placement = row.placement
    assert placement is not None  # the table has rows with it only
    return (
        placement.delegate,
        f"{placement.taken} of {placement.total}",
        str(placement.partitions),
        operations_left(placement),
    )
