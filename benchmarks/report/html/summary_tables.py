"""The report's tables of accuracy, agreement and calibration, and what was measured on."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.formatting import (
    MISSING,
    interval_cell,
    interval_words,
    megabytes,
    milliseconds,
    percent,
    points_lost,
)
from benchmarks.report.html.table import (
    VARIANT,
    Cell,
    Column,
    Definition,
    Table,
    Tone,
    definitions,
    grouped_by_variant,
    present,
    results_table,
    variant_row,
)
from benchmarks.report.html.verdict import needs_attention
from benchmarks.report.runtime_names import runtime_descriptions, several_runtimes
from benchmarks.report.slowdowns import busy_notes
from benchmarks.results.schema import REFERENCE_VARIANT, Row
from benchmarks.results.target import BenchmarkTarget


def _terms(rows: Sequence[Row]) -> tuple[Definition, ...]:
    """What the words of the first table mean, the runtimes of these rows included."""
    return (
        *definitions(
            "Object, photo, threshold", "Full precision", "Top-1, top-3, top-5, top-10",
            "95 % interval of top-1", "Agreement", "Drop", "Size", "Needs attention",
        ),
        *runtime_descriptions(rows),
    )  # fmt: skip


def variants_table(rows: Sequence[Row]) -> Table:
    """All shares and intervals of every variant; of one row or more."""
    table = results_table(
        "Accuracy, agreement with full precision, size and latency of every variant",
        rows,
        {
            "Top-1": _top1,
            "Agreement": lambda row: Cell(percent(row.agreement), (), _tone(row)),
            "Drop, points": lambda row: Cell(
                points_lost(row),
                _lines(interval_words(row.drop_ci95) if row.variant != REFERENCE_VARIANT else ""),
            ),
            "Size": lambda row: megabytes(row.bytes),
            "Latency": latency_cell,
            "Top-3": lambda row: percent(row.top3),
            "Top-5": lambda row: percent(row.top5),
            "Top-10": lambda row: percent(row.top10),
        },
        terms=_terms(rows),
    )
    return present(table)


def _lines(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


def _top1(row: Row) -> Cell:
    if row.top1 is None:
        return Cell(MISSING, _lines(row.note or row.status), _tone(row))
    return Cell(percent(row.top1), _lines(interval_cell(row), f"{row.photos:,} photos", _note(row)))


def _note(row: Row) -> str:
    return row.note or "" if row.status == "given" else ""


def _tone(*rows: Row) -> Tone:
    return "attention" if any(map(needs_attention, rows)) else ""


def latency_cell(row: Row) -> Cell:
    """The median latency, with a warning where the machine was busy."""
    if row.latency_ms is None:
        return Cell(MISSING)
    return Cell(milliseconds(row.latency_ms.p50), busy_notes(row))


def threshold_matrix(rows: Sequence[Row]) -> Table | None:
    """Each variant on each runtime in a line, each threshold in a column; None of one threshold.

    Size and latency are those of the lowest threshold, which has most objects.
    """
    objects = {row.min_photos: row.objects for row in reversed(rows)}
    thresholds = sorted(objects)
    if len(thresholds) < 2:
        return None
    by_target: dict[BenchmarkTarget, dict[int, Row]] = {}
    for row in rows:
        by_target.setdefault(BenchmarkTarget.of(row), {})[row.min_photos] = row
    # One after the other as if of one threshold, so that those of one variant stand together.
    together = [
        next(iter(own.values())).model_copy(update={"min_photos": thresholds[0]})
        for own in by_target.values()
    ]
    lines = []
    for row, runtime, repeated in grouped_by_variant(together, several=several_runtimes(rows)):
        own = by_target[BenchmarkTarget.of(row)]
        agreements = [row.agreement for row in own.values() if row.agreement is not None]
        lowest = percent(min(agreements, default=None))
        cells: list[Cell | str] = [
            *(_matrix_cell(own.get(threshold)) for threshold in thresholds),
            Cell(lowest, (), _tone(*own.values())),
            megabytes(row.bytes),
            latency_cell(row),
        ]
        lines.append(variant_row(row, cells, _note(row) or runtime, repeated=repeated))
    columns = [
        Column(f"≥ {threshold} photos", () if count is None else (f"{count:,} objects",))
        for threshold, count in sorted(objects.items())
    ]
    return Table(
        "Top-1 of every variant at every threshold, and what it loses against full precision",
        (VARIANT, *columns, Column("Lowest agreement"), Column("Size"), Column("Latency")),
        tuple(lines),
        terms=_terms(rows),
    )


def _matrix_cell(row: Row | None) -> Cell:
    if row is None:
        return Cell(MISSING, ("not measured",))
    if row.top1 is None:
        return _top1(row)
    compared = row.variant != REFERENCE_VARIANT and row.drop_points is not None
    drop = f"drop {points_lost(row)}" if compared else interval_cell(row)
    return Cell(percent(row.top1), (drop,), _tone(row))


def fidelity_table(rows: Sequence[Row]) -> Table | None:
    """How each measured row's answers differ from full precision's, and the macro scores."""
    return results_table(
        "Changed answers, drift of probabilities, precision, recall and F1 of every variant",
        [row for row in rows if row.status == "measured"],
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

    def temperature(row: Row) -> str:
        value = present(row.calibration).temperature
        return MISSING if value is None else f"{value:.2f}"

    return results_table(
        "Expected calibration error before and after a temperature",
        [row for row in rows if row.calibration],
        {
            "Calibration error": lambda row: percent(row.calibration_error),
            "With temperature": lambda row: percent(
                present(row.calibration).error_with_temperature
            ),
            "Temperature": temperature,
            "Validation photos": lambda row: f"{present(row.calibration).validation_photos:,}",
        },
        terms=definitions("Calibration error", "Temperature"),
    )
