"""The table of all results for the terminal and in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report.formatting import (
    MISSING,
    drop_cell,
    interval_cell,
    markdown_rows,
    megabytes,
    milliseconds,
    percent,
    points_lost,
)
from benchmarks.report.html.contents import markdown_document
from benchmarks.report.runtime_names import several_runtimes, short_runtime
from benchmarks.results.schema import REFERENCE_RUNTIME, Results, Row

if TYPE_CHECKING:
    from rich.table import Table


COLUMNS = (
    "min. photos",
    "variant",
    "photos",
    "top-1",
    "95 % CI",
    "top-3",
    "top-5",
    "top-10",
    "agreement",
    "drop (95 % CI)",
    "size",
    "latency",
    "memory",
)
"""Column titles of the terminal and Markdown tables."""

_TEXT_COLUMNS = 2
_NAME_WIDTH = 31
"""As wide as `coreml-int8-weights · reference`; what is longer is cut in the terminal only."""

_ONLY_IN_FILES = frozenset({"photos", "95 % CI", "top-3", "top-10", "memory"})
TERMINAL_TITLES = {"min. photos": "min.", "agreement": "agree", "drop (95 % CI)": "drop"}
"""Shorter column titles, so that the table fits 80 characters."""


def sorted_rows(results: Results) -> list[Row]:
    """Rows by threshold; within one, as they were measured."""
    return sorted(results.rows, key=lambda row: (row.register_name, row.min_photos))


def cells(row: Row, *, runtime: str = "") -> list[str]:
    """A row's cells under `COLUMNS`; `runtime` is added to the variant's name."""
    memory = row.memory_bytes.value if row.memory_bytes else None
    name = row.variant + (f" · {runtime}" if runtime else "")
    name += "" if row.status == "measured" else " *"
    return [
        str(row.min_photos),
        name,
        str(row.photos) if row.status in ("measured", "given") else MISSING,
        percent(row.top1),
        interval_cell(row),
        percent(row.top3),
        percent(row.top5),
        percent(row.top10),
        percent(row.agreement),
        drop_cell(row),
        megabytes(row.bytes),
        milliseconds(row.latency_ms.p50 if row.latency_ms else None),
        megabytes(memory),
    ]


def named_runtimes(results: Results) -> dict[str, str]:
    """Short names of the runtimes by variant, runtime and unit, joined by a slash.

    Empty where every variant ran on what its format usually runs on, so that none needs saying.
    """
    if not several_runtimes(results.rows):
        return {}
    return {
        _target(row): short_runtime(row.runtime, row.unit)
        for row in results.rows
        if row.status == "measured" and row.runtime != REFERENCE_RUNTIME
    }


def _target(row: Row) -> str:
    return f"{row.variant}/{row.runtime}/{row.unit}"


def footnotes(results: Results) -> list[str]:
    """What the asterisks mean: each note once, with the variants that it is about."""
    notes: dict[str, dict[str, None]] = {}
    for row in results.rows:
        if row.status != "measured":
            notes.setdefault(row.note or row.status, {})[row.variant] = None
    return [f"* {', '.join(names)}: {note}" for note, names in notes.items()]


def results_table(results: Results) -> Table:
    """The results as a table for the terminal, at most 80 characters wide.

    A line stands between thresholds. Where rows must say their runtime, top-5 makes room for it.
    """
    from rich import box
    from rich.table import Table

    runtimes = named_runtimes(results)
    left_out = _ONLY_IN_FILES | ({"top-5"} if runtimes else set())
    notes = [*footnotes(results), *runtime_footnotes(results)]
    table = Table(
        caption="\n".join(notes) or None,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        box=box.SIMPLE_HEAD,
    )
    kept = [index for index, title in enumerate(COLUMNS) if title not in left_out]
    for index in kept:
        title = TERMINAL_TITLES.get(COLUMNS[index], COLUMNS[index])
        if 0 < index < _TEXT_COLUMNS:
            table.add_column(title, no_wrap=True, max_width=_NAME_WIDTH, overflow="ellipsis")
        else:
            table.add_column(title, justify="right", no_wrap=True)
    rows = sorted_rows(results)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        last = following is None or following.min_photos != row.min_photos
        texts = cells(row, runtime=runtimes.get(_target(row), ""))
        texts[COLUMNS.index("drop (95 % CI)")] = points_lost(row)
        table.add_row(*(texts[index] for index in kept), end_section=last)
    return table


def runtime_footnotes(results: Results) -> list[str]:
    """What is not the real thing is called so under a table that names it shortly."""
    runtimes = {row.runtime for row in results.rows if row.status == "measured"}
    notes = {
        "coreml-reference": "reference: a reference execution, not Core ML itself.",
        "litert-arm64": "arm64: the phone's kernels, emulated; accuracy only.",
    }
    return [note for runtime, note in notes.items() if runtime in runtimes]


def markdown_table(results: Results) -> str:
    """The results as a Markdown document: the table, what was left out, what was used."""
    runtimes = named_runtimes(results)
    rows = [cells(row, runtime=runtimes.get(_target(row), "")) for row in sorted_rows(results)]
    rule = ["---:", ":---", *["---:"] * (len(COLUMNS) - _TEXT_COLUMNS)]
    return markdown_document(
        "report/results.md.j2",
        results=results,
        table=markdown_rows(COLUMNS, rows, rule),
        footnotes=footnotes(results),
    )
