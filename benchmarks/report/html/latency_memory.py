"""The report's tables of time and memory, some with a small chart in each line."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.formatting import (
    MISSING,
    megabytes,
    milliseconds,
    operations_left,
    percent,
)
from benchmarks.report.html.glossary import definitions
from benchmarks.report.html.row_charts import (
    BarSegment,
    Dot,
    Scale,
    draw_dots,
    draw_scale,
    draw_segments,
)
from benchmarks.report.html.styles import filled_style
from benchmarks.report.html.summary_tables import latency_cell
from benchmarks.report.html.table import (
    VARIANT,
    Cell,
    Column,
    Table,
    TableRow,
    grouped_by_variant,
    results_table,
    variant_row,
)
from benchmarks.report.slowdowns import busy_notes, is_busy
from benchmarks.results.schema import Latency, MemoryUse, Placement, Row

CHART = Column("Chart", kind="chart")


def speed_table(rows: Sequence[Row]) -> Table | None:
    """Speed and memory of each row that was timed; None where none was."""
    timed = [row for row in rows if row.latency_ms is not None or row.cold_load_ms is not None]
    if not timed:
        return None
    return results_table(
        "Latency, time from a photo to the answer, first answer and memory of every timed variant",
        timed,
        {
            "Latency": latency_cell,
            "Other work": lambda row: Cell(
                percent(row.busy_share), (), "attention" if is_busy(row) else ""
            ),
            "90 %": lambda row: milliseconds(row.latency_ms.p90 if row.latency_ms else None),
            "99 %": lambda row: milliseconds(row.latency_ms.p99 if row.latency_ms else None),
            "× float32": _ratio,
            "End to end": lambda row: milliseconds(row.end_to_end_ms),
            "From 12 MP": lambda row: milliseconds(row.end_to_end_12mp_ms),
            "First answer": lambda row: milliseconds(row.cold_load_ms),
            "Memory": lambda row: megabytes(row.memory_bytes.value if row.memory_bytes else None),
        },
        terms=definitions(
            "Latency",
            "Other work",
            "× float32",
            "End to end, from 12 MP",
            "First answer",
            "Memory",
        ),
    )


def _ratio(row: Row) -> Cell:
    ratio = row.latency_ratio
    if ratio is None:
        return Cell(MISSING)
    return Cell(f"{ratio.median:.2f}", (f"{ratio.p10:.2f}–{ratio.p90:.2f}",))


def threads_table(rows: Sequence[Row]) -> Table | None:
    """Latency at every number of threads on one scale; None where no row has any.

    Args:
        rows: Rows of one threshold.
    """
    timed = [row for row in rows if row.latency_ms or row.latency_more]
    if not timed:
        return None
    scale = Scale.over(
        [latency.p99 or latency.p90 for row in timed for latency in _latencies(row)], zero=True
    )
    lines = [
        _threads_row(row, latency, scale, runtime=runtime, repeated=repeated or number > 0)
        for row, runtime, repeated in grouped_by_variant(timed)
        for number, latency in enumerate(_latencies(row))
    ]
    titles = ("Median", "90 %", "99 %")
    return Table(
        "Median, 90 % and 99 % quantile of the latency by number of threads",
        (VARIANT, Column("Threads"), CHART, *(Column(title) for title in titles)),
        tuple(lines),
        draw_scale(scale, " ms"),
    )


def _latencies(row: Row) -> tuple[Latency, ...]:
    return (*((row.latency_ms,) if row.latency_ms else ()), *row.latency_more)


def _threads_row(
    row: Row, latency: Latency, scale: Scale, *, runtime: str, repeated: bool
) -> TableRow:
    dot = Dot(filled_style(row), latency.p50, latency.p50, latency.p99 or latency.p90)
    cells: list[Cell | str] = [
        str(latency.threads),
        Cell(chart=draw_dots(scale, [dot])),
        Cell(milliseconds(latency.p50), busy_notes(row)),
        milliseconds(latency.p90),
        milliseconds(latency.p99),
    ]
    return variant_row(row, cells, note="" if repeated else runtime, repeated=repeated)


def memory_table(rows: Sequence[Row]) -> Table | None:
    """Memory of the runtime and of the model on one scale; None where no row has it.

    Args:
        rows: Rows of one threshold.
    """
    totals = [
        (row.memory.runtime_resident + row.memory.model_resident) / 1e6
        for row in rows
        if row.memory
    ]
    if not totals:
        return None
    scale = Scale.over([*totals, 1.0], zero=True)
    titles = ("Runtime", "Model", "Of it private", "Peak of process")
    return Table(
        "Resident memory of the runtime and of the model, private memory, and the process's peak",
        (VARIANT, CHART, *(Column(title) for title in titles)),
        tuple(
            _memory_row(row, row.memory, scale, runtime=runtime, repeated=repeated)
            for row, runtime, repeated in grouped_by_variant([row for row in rows if row.memory])
            if row.memory
        ),
        draw_scale(scale, " MB"),
        definitions("Resident, private memory"),
    )


def _memory_row(
    row: Row, memory: MemoryUse, scale: Scale, *, runtime: str, repeated: bool
) -> TableRow:
    runtime_end = memory.runtime_resident / 1e6
    model_end = runtime_end + memory.model_resident / 1e6
    bar = (
        BarSegment("runtime", 0.0, runtime_end),
        BarSegment(filled_style(row), runtime_end, model_end),
    )
    cells: list[Cell | str] = [
        Cell(chart=draw_segments(scale, bar)),
        megabytes(memory.runtime_resident),
        megabytes(memory.model_resident),
        megabytes(memory.model_private),
        megabytes(memory.peak_resident),
    ]
    return variant_row(row, cells, note=runtime, repeated=repeated)


def memory_metrics(rows: Sequence[Row]) -> list[str]:
    """How the numbers of the memory table were read, each way once."""
    return list(dict.fromkeys(row.memory.metric for row in rows if row.memory))


def placement_table(rows: Sequence[Row]) -> Table | None:
    """Which operations an accelerator library executes; None where no runtime tells."""
    placed = [row for row in rows if row.placement]
    if not placed:
        return None
    return results_table(
        "Operations taken by an accelerator library, and those left",
        placed,
        {
            Column("Library", kind="words"): lambda row: _placement(row).delegate,
            "Operations": lambda row: f"{_placement(row).taken} of {_placement(row).total}",
            "Pieces": lambda row: str(_placement(row).partitions),
            Column("Left", kind="words"): lambda row: operations_left(_placement(row)),
        },
        terms=definitions(*{"XNNPACK"} & {_placement(row).delegate for row in placed}),
    )


def _placement(row: Row) -> Placement:
    assert row.placement is not None  # the table has rows with one only
    return row.placement
