"""The report's tables of time and memory, some with a small chart in each line."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.formatting import MISSING, megabytes, milliseconds, percent
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
from benchmarks.report.html.table import Cell, Column, Table, definitions, present, results_table
from benchmarks.report.slowdowns import is_busy
from benchmarks.results.schema import Row

CHART = Column("Chart", kind="chart")


def speed_table(rows: Sequence[Row]) -> Table | None:
    """Speed and memory of each row that was timed."""
    return results_table(
        "Latency, time from a photo to the answer, first answer and memory of every timed variant",
        [row for row in rows if row.latency_ms is not None or row.cold_load_ms is not None],
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
            "Latency", "Other work", "× float32", "End to end, from 12 MP", "First answer", "Memory"
        ),
    )


def _ratio(row: Row) -> Cell:
    ratio = row.latency_ratio
    if ratio is None:
        return Cell(MISSING)
    return Cell(f"{ratio.median:.2f}", (f"{ratio.p10:.2f}–{ratio.p90:.2f}",))


def threads_table(rows: Sequence[Row]) -> Table | None:
    """Latency at every number of threads on one scale."""
    lines = [
        row.model_copy(update={"latency_ms": latency})
        for row in rows
        for latency in (row.latency_ms, *row.latency_more)
        if latency is not None
    ]
    scale = Scale.over([0.0, *(_latency_dot(line).high for line in lines)], zero=True)
    return results_table(
        "Median, 90 % and 99 % quantile of the latency by number of threads",
        lines,
        {
            "Threads": lambda row: str(present(row.latency_ms).threads),
            CHART: lambda row: Cell(chart=draw_dots(scale, [_latency_dot(row)])),
            "Median": latency_cell,
            "90 %": lambda row: milliseconds(present(row.latency_ms).p90),
            "99 %": lambda row: milliseconds(present(row.latency_ms).p99),
        },
        scale=draw_scale(scale, " ms"),
    )


def _latency_dot(row: Row) -> Dot:
    latency = present(row.latency_ms)
    return Dot(filled_style(row), latency.p50, latency.p50, latency.p99 or latency.p90)


def memory_table(rows: Sequence[Row]) -> Table | None:
    """Memory of the runtime and of the model on one scale."""
    known = [row for row in rows if row.memory]
    scale = Scale.over([*(_memory_bar(row)[-1].high for row in known), 1.0], zero=True)
    return results_table(
        "Resident memory of the runtime and of the model, private memory, and the process's peak",
        known,
        {
            CHART: lambda row: Cell(chart=draw_segments(scale, _memory_bar(row))),
            "Runtime": lambda row: megabytes(present(row.memory).runtime_resident),
            "Model": lambda row: megabytes(present(row.memory).model_resident),
            "Of it private": lambda row: megabytes(present(row.memory).model_private),
            "Peak of process": lambda row: megabytes(present(row.memory).peak_resident),
        },
        scale=draw_scale(scale, " MB"),
        terms=definitions("Resident, private memory"),
    )


def _memory_bar(row: Row) -> tuple[BarSegment, BarSegment]:
    """What the runtime takes, then what the model adds, in MB."""
    memory = present(row.memory)
    runtime, model = memory.runtime_resident / 1e6, memory.model_resident / 1e6
    style = filled_style(row)
    return BarSegment("runtime", 0.0, runtime), BarSegment(style, runtime, runtime + model)


def memory_metrics(rows: Sequence[Row]) -> list[str]:
    """How the numbers of the memory table were read, each way once."""
    return list(dict.fromkeys(row.memory.metric for row in rows if row.memory))


def placement_table(rows: Sequence[Row]) -> Table | None:
    """Which operations an accelerator library executes."""
    placed = [row for row in rows if row.placement]
    return results_table(
        "Operations taken by an accelerator library, and those left",
        placed,
        {
            Column("Library", kind="words"): lambda row: present(row.placement).delegate,
            "Operations": lambda row: (
                f"{present(row.placement).taken} of {present(row.placement).total}"
            ),
            "Pieces": lambda row: str(present(row.placement).partitions),
            Column("Left", kind="words"): _operations_left,
        },
        terms=definitions(*{"XNNPACK"} & {present(row.placement).delegate for row in placed}),
    )


def _operations_left(row: Row) -> str:
    """Operations that the library did not take, such as `SOFTMAX × 2`; `none` if it took all."""
    left = sorted(present(row.placement).left.items())
    return ", ".join(f"{kind} × {count}" for kind, count in left) or "none"
