"""What the report says on time and memory: lines with a small chart each, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.formatting import megabytes, milliseconds, percent
from benchmarks.report.html.row_charts import (
    BarSegment,
    Dot,
    Scale,
    draw_dots,
    draw_scale,
    draw_segments,
)
from benchmarks.report.html.styles import style_of, swatch
from benchmarks.report.html.table_headings import Line, headed
from benchmarks.results.row_fields import Latency
from benchmarks.results.schema import Row


@dataclass(frozen=True)
class LatencyRow:
    """Latency of one row at one number of threads, in words; `line` is its first cell."""

    line: Line
    threads: int
    p50: str
    p90: str
    p99: str
    svg: str


@dataclass(frozen=True)
class LatencyTable:
    """All of a threshold, on one scale; `foot` has its numbers."""

    rows: tuple[LatencyRow, ...]
    foot: str


def latency_tables(rows: Sequence[Row]) -> LatencyTable | None:
    """Latency at every number of threads; None where no row has any.

    Args:
        rows: Rows of one threshold.
    """
    timed = [row for row in rows if row.latency_ms or row.latency_more]
    if not timed:
        return None
    slowest = [one.p99 or one.p90 for row in timed for one in _latencies(row)]
    scale = Scale.over(slowest, zero=True)
    found = [
        _timing(row, line | ({"again": True, "place": ""} if place else {}), one, scale)
        for row, line in headed(timed)
        for place, one in enumerate(_latencies(row))
    ]
    return LatencyTable(tuple(found), draw_scale(scale, " ms"))


def _latencies(row: Row) -> tuple[Latency, ...]:
    return (*((row.latency_ms,) if row.latency_ms else ()), *row.latency_more)


def _timing(row: Row, line: Line, one: Latency, scale: Scale) -> LatencyRow:
    style = style_of(row).removeprefix("coreml-")
    dot = Dot(style, one.p50, one.p50, one.p99 or one.p90)
    return LatencyRow(
        line,
        one.threads,
        milliseconds(one.p50),
        milliseconds(one.p90),
        milliseconds(one.p99),
        draw_dots(scale, [dot]),
    )


@dataclass(frozen=True)
class MemoryRow:
    """Memory of one row in words, and its bar; `line` is its first cell."""

    line: Line
    runtime: str
    model: str
    private: str
    peak: str
    svg: str


@dataclass(frozen=True)
class MemoryTable:
    """Memory of all rows of a threshold on one scale, and how each number was read."""

    rows: tuple[MemoryRow, ...]
    foot: str
    metrics: tuple[str, ...]


def memory_tables(rows: Sequence[Row]) -> MemoryTable | None:
    """Runtime and model apart; None where no row has it.

    Args:
        rows: Rows of one threshold.
    """
    known = [row for row in rows if row.memory]
    totals = [(m.runtime_resident + m.model_resident) / 1e6 for row in known if (m := row.memory)]
    if not totals:
        return None
    scale = Scale.over([*totals, 1.0], zero=True)
    found = tuple(_memory(row, line, scale) for row, line in headed(known))
    metrics = tuple(dict.fromkeys(row.memory.metric for row in known if row.memory))
    return MemoryTable(found, draw_scale(scale, " MB"), metrics)


def _memory(row: Row, line: Line, scale: Scale) -> MemoryRow:
    memory = row.memory
    assert memory is not None  # memory_of() kept it
    runtime, model = memory.runtime_resident / 1e6, memory.model_resident / 1e6
    style = style_of(row).removeprefix("coreml-")
    pieces = (BarSegment("runtime", 0.0, runtime), BarSegment(style, runtime, runtime + model))
    return MemoryRow(
        line,
        megabytes(memory.runtime_resident),
        megabytes(memory.model_resident),
        megabytes(memory.model_private),
        megabytes(memory.peak_resident),
        draw_segments(scale, pieces),
    )


def placements_of(rows: Sequence[Row]) -> list[tuple[str, str, str, str, str, str]]:
    """(mark, variant, library, operations taken, pieces, operations left) of rows that tell."""
    found = []
    for row in rows:
        placed = row.placement
        if placed is None:
            continue
        left = ", ".join(f"{kind} × {count}" for kind, count in sorted(placed.left.items()))
        taken = f"{placed.taken} of {placed.total}"
        pieces = str(placed.partitions)
        found.append((swatch(row), row.variant, placed.delegate, taken, pieces, left or "none"))
    return found


BUSY = 0.25
"""Other work that takes more of the machine than this makes times doubtful."""


def busy_words(rows: Sequence[Row]) -> str:
    """How much of the machine other work took while times were measured; empty where untold."""
    shares = [row.busy_share for row in rows if row.busy_share is not None]
    if not shares:
        return ""
    most = max(shares)
    words = " to ".join(dict.fromkeys((percent(min(shares)), percent(most))))
    sentence = f"Other work took {words} of the processors while times were measured"
    return sentence + ("; such times are worth little." if most > BUSY else ".")
