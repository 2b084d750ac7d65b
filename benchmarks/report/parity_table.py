"""The table of all results for the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.report.formatting import megabytes, milliseconds, percent, points_lost
from benchmarks.report.runtime_names import several_runtimes
from benchmarks.results.schema import REFERENCE_RUNTIME, Results, Row

if TYPE_CHECKING:
    from rich.table import Table

_NAME_WIDTH = 31
"""As wide as `coreml-int8-weights · reference`; what is longer is cut."""

_SHORT_RUNTIMES = {"coreml-reference": "reference", "litert-arm64": "arm64"}
_RUNTIME_NOTES = {
    "coreml-reference": "reference: a reference execution, not Core ML itself.",
    "litert-arm64": "arm64: the phone's kernels, emulated; accuracy only.",
}


def sorted_rows(results: Results) -> list[Row]:
    """Rows by threshold; within one, as they were measured."""
    return sorted(results.rows, key=lambda row: (row.register_name, row.min_photos))


def results_table(results: Results) -> Table:
    """The results as a table for the terminal, at most 80 characters wide.

    A line stands between thresholds. Where rows must say their runtime, top-5 makes room for it.
    """
    from rich import box
    from rich.table import Table

    several = several_runtimes(results.rows)
    values: dict[str, Callable[[Row], str]] = {
        "top-1": lambda row: percent(row.top1),
        "top-5": lambda row: percent(row.top5),
        "agree": lambda row: percent(row.agreement),
        "drop": points_lost,
        "size": lambda row: megabytes(row.bytes),
        "latency": lambda row: milliseconds(row.latency_ms.p50 if row.latency_ms else None),
    }
    if several:
        del values["top-5"]
    table = Table(
        caption="\n".join(_footnotes(results)) or None,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        box=box.SIMPLE_HEAD,
    )
    table.add_column("min.", justify="right", no_wrap=True)
    table.add_column("variant", no_wrap=True, max_width=_NAME_WIDTH, overflow="ellipsis")
    for title in values:
        table.add_column(title, justify="right", no_wrap=True)
    rows = sorted_rows(results)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        last = following is None or following.min_photos != row.min_photos
        cells = (value(row) for value in values.values())
        table.add_row(str(row.min_photos), _name(row, several), *cells, end_section=last)
    return table


def _name(row: Row, several: bool) -> str:
    if row.status != "measured":
        return f"{row.variant} *"
    if not several or row.runtime == REFERENCE_RUNTIME:
        return row.variant
    runtime = _SHORT_RUNTIMES.get(row.runtime, row.runtime)
    return f"{row.variant} · {runtime} {row.unit}".rstrip()


def _footnotes(results: Results) -> list[str]:
    """What the asterisks mean, each note once; what is not the real thing is called so."""
    notes: dict[str, dict[str, None]] = {}
    for row in results.rows:
        if row.status != "measured":
            notes.setdefault(row.note or row.status, {})[row.variant] = None
    runtimes = {row.runtime for row in results.rows if row.status == "measured"}
    return [
        *(f"* {', '.join(names)}: {note}" for note, names in notes.items()),
        *(note for runtime, note in _RUNTIME_NOTES.items() if runtime in runtimes),
    ]
