"""The report's tables of accuracy, agreement and calibration, and what was measured on."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.formatting import (
    MISSING,
    drop_interval,
    interval_cell,
    megabytes,
    milliseconds,
    percent,
    points_lost,
)
from benchmarks.report.html.glossary import Definition, definitions
from benchmarks.report.html.table import (
    VARIANT,
    Cell,
    Column,
    Table,
    TableRow,
    Tone,
    grouped_by_variant,
    present,
    results_table,
    variant_row,
)
from benchmarks.report.html.verdict import needs_attention
from benchmarks.report.parity_table import sorted_rows
from benchmarks.report.runtime_names import runtime_descriptions, several_runtimes
from benchmarks.report.slowdowns import busy_notes
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row
from benchmarks.results.target import BenchmarkTarget

_TERMS = (
    "Object, photo, threshold",
    "Full precision",
    "Top-1, top-3, top-5, top-10",
    "95 % interval of top-1",
    "Agreement",
    "Drop",
    "Size",
    "Needs attention",
)


def variants_table(rows: Sequence[Row]) -> Table:
    """All shares and intervals of every variant."""
    return results_table(
        "Accuracy, agreement with full precision, size and latency of every variant",
        rows,
        {
            "Top-1": _top1,
            "Agreement": _agreement,
            "Drop, points": lambda row: Cell(points_lost(row), _lines(_compared_interval(row))),
            "Size": lambda row: megabytes(row.bytes),
            "Latency": latency_cell,
            "Top-3": lambda row: percent(row.top3),
            "Top-5": lambda row: percent(row.top5),
            "Top-10": lambda row: percent(row.top10),
        },
        terms=_terms(rows),
    )


def _terms(rows: Sequence[Row]) -> tuple[Definition, ...]:
    """What the words of the first table mean, the runtimes of these rows included."""
    return (*definitions(*_TERMS), *runtime_descriptions(rows))


def _lines(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def _top1(row: Row) -> Cell:
    if row.top1 is None:
        return Cell(MISSING, _lines(row.note or row.status), _tone(row))
    return Cell(percent(row.top1), _lines(interval_cell(row), f"{row.photos:,} photos", _note(row)))


def _note(row: Row) -> str:
    return row.note or "" if row.status == "given" else ""


def _agreement(row: Row) -> Cell:
    return Cell(percent(row.agreement), (), _tone(row))


def _tone(row: Row) -> Tone:
    return "attention" if needs_attention(row) else ""


def _compared_interval(row: Row) -> str:
    return "" if row.variant == REFERENCE_VARIANT else drop_interval(row)


def latency_cell(row: Row) -> Cell:
    """The median latency, with a warning where the machine was busy."""
    if row.latency_ms is None:
        return Cell(MISSING)
    return Cell(milliseconds(row.latency_ms.p50), busy_notes(row))


def threshold_matrix(rows: Sequence[Row]) -> Table | None:
    """Each variant on each runtime in a line, each threshold in a column.

    Returns:
        The table; None where there is only one threshold.
    """
    thresholds = sorted({row.min_photos for row in rows})
    if len(thresholds) < 2:
        return None
    by_target: dict[BenchmarkTarget, list[Row]] = {}
    for row in rows:
        by_target.setdefault(BenchmarkTarget.of(row), []).append(row)
    # One after the other as if of one threshold, so that those of one variant stand together.
    first_rows = [target_rows[0] for target_rows in by_target.values()]
    together = [row.model_copy(update={"min_photos": thresholds[0]}) for row in first_rows]
    lines = [
        _matrix_row(by_target[BenchmarkTarget.of(row)], thresholds, runtime, repeated=repeated)
        for row, runtime, repeated in grouped_by_variant(together, several=several_runtimes(rows))
    ]
    columns = [
        Column(f"≥ {threshold} photos", _objects(rows, threshold)) for threshold in thresholds
    ]
    return Table(
        "Top-1 of every variant at every threshold, and what it loses against full precision",
        (VARIANT, *columns, Column("Lowest agreement"), Column("Size"), Column("Latency")),
        tuple(lines),
        terms=_terms(rows),
    )


def _objects(rows: Sequence[Row], threshold: int) -> tuple[str, ...]:
    objects = next((row.objects for row in rows if row.min_photos == threshold), None)
    return () if objects is None else (f"{objects:,} objects",)


def _matrix_row(
    rows: Sequence[Row], thresholds: Sequence[int], runtime: str, *, repeated: bool
) -> TableRow:
    """One line; size and latency are those of the lowest threshold, which has most objects."""
    by_threshold = {row.min_photos: row for row in rows}
    agreements = [row.agreement for row in rows if row.agreement is not None]
    first = rows[0]
    lowest = percent(min(agreements) if agreements else None)
    tone: Tone = "attention" if any(needs_attention(row) for row in rows) else ""
    cells: list[Cell | str] = [
        *(_matrix_cell(by_threshold.get(threshold)) for threshold in thresholds),
        Cell(lowest, (), tone),
        megabytes(first.bytes),
        latency_cell(first),
    ]
    return variant_row(first, cells, note=_note(first) or runtime, repeated=repeated)


def _matrix_cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(MISSING, ("not measured",))
    if row.top1 is None:
        return Cell(MISSING, _lines(row.note or row.status), _tone(row))
    compared = row.variant != REFERENCE_VARIANT and row.drop_points is not None
    drop = f"drop {points_lost(row)}" if compared else interval_cell(row)
    return Cell(percent(row.top1), (drop,), _tone(row))


def fidelity_table(rows: Sequence[Row]) -> Table | None:
    """How each measured row's answers differ from full precision's, and the macro scores."""
    measured = [row for row in rows if row.status == "measured"]
    if not measured:
        return None
    return results_table(
        "Changed answers, drift of probabilities, precision, recall and F1 of every variant",
        measured,
        {
            "Lost / won": lambda row: (
                MISSING
                if row.right_to_wrong is None
                else f"{row.right_to_wrong} / {row.wrong_to_right}"
            ),
            "Drift, mean": lambda row: _small(row.drift.mean if row.drift else None),
            "Drift, 99 %": lambda row: _small(row.drift.p99 if row.drift else None),
            "Largest drift": lambda row: _small(row.max_probability_drift),
            "Precision": lambda row: percent(row.precision),
            "Recall": lambda row: percent(row.recall),
            "F1": lambda row: percent(row.f1),
            "No number": lambda row: Cell(
                str(row.invalid_answers or 0), (), "attention" if row.invalid_answers else ""
            ),
        },
        terms=definitions("Lost / won", "Drift", "Precision, recall, F1", "No number"),
    )


def _small(value: float | None) -> str:
    if value is None:
        return MISSING
    return "0" if value == 0 else f"{value:.2g}" if value >= 0.0001 else "< 0.0001"


def calibration_table(rows: Sequence[Row]) -> Table | None:
    """Calibration of each row that has one, before and after a temperature."""
    calibrated = [row for row in rows if row.calibration]
    if not calibrated:
        return None
    return results_table(
        "Expected calibration error before and after a temperature",
        calibrated,
        {
            "Calibration error": lambda row: percent(row.calibration_error),
            "With temperature": lambda row: percent(
                present(row.calibration).error_with_temperature
            ),
            "Temperature": lambda row: _hundredths(present(row.calibration).temperature),
            "Validation photos": lambda row: f"{present(row.calibration).validation_photos:,}",
        },
        terms=definitions("Calibration error", "Temperature"),
    )


def _hundredths(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def hashes(results: Results) -> list[tuple[str, str]]:
    """Of the bundle and the weights with the lowest threshold; the others are in the results."""
    custody = next((row.custody for row in sorted_rows(results) if row.custody is not None), None)
    if custody is None:
        return []
    return [("Bundle", custody.bundle_sha256), ("Weights", custody.model_sha256)]


def timing_sentence(results: Results) -> str:
    """How speed was measured."""
    settings = results.settings
    threads = "one thread" if settings.threads[0] == 1 else f"{settings.threads[0]} threads"
    if len(settings.threads) > 1:
        threads += f" (and on {', '.join(str(count) for count in settings.threads[1:])})"
    return (
        f"Speed was measured for each variant in a fresh process on {threads}: "
        f"{settings.warmup} runs to warm up, then {settings.latency_runs} timed ones."
    )


def settings_words(results: Results) -> str:
    """The options that the numbers depend on."""
    settings = results.settings
    drawn = f"{settings.limit:,} test photos drawn" if settings.limit else "all test photos"
    return (
        f"{drawn}, seed {settings.seed}; {settings.bootstrap:,} resamples for the interval of the "
        "drop"
    )
