"""The tables of the report as data; one macro draws them all, beside each other or stacked.

On a narrow screen each row becomes a block in which every cell is preceded by its column's title.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal, TypeVar

from markupsafe import Markup

from benchmarks.report.html.styles import swatch
from benchmarks.report.runtime_names import runtime_name, several_runtimes
from benchmarks.results.schema import REFERENCE_VARIANT, Row
from export.bundle.ship_limits import default_gates

Definition = tuple[str, str]
"""A term with its meaning."""

EMPTY = Markup()
Tone = Literal["", "good", "attention"]


@dataclass(frozen=True)
class Column:
    """A column's title with smaller lines under it; words stand left, numbers right."""

    title: str
    notes: tuple[str, ...] = ()
    kind: Literal["number", "words", "chart"] = "number"


@dataclass(frozen=True)
class Cell:
    """One cell."""

    text: str = ""
    notes: tuple[str, ...] = ()
    tone: Tone = ""
    chart: Markup = EMPTY

    @property
    def inline(self) -> str:
        """The text, with its notes in brackets."""
        return f"{self.text} ({', '.join(self.notes)})" if self.notes else self.text


@dataclass(frozen=True)
class TableRow:
    """One row: name with smaller lines under it, and the variant's mark, an `<svg>`.

    A repeated row's name stands in the row above only.
    """

    name: str
    cells: tuple[Cell, ...]
    mark: Markup = EMPTY
    notes: tuple[str, ...] = ()
    repeated: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first column holds the rows' names, `scale` the numbers under a chart column."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    scale: Markup = EMPTY
    terms: tuple[Definition, ...] = ()

    @property
    def has_chart(self) -> bool:
        """Whether a column holds charts."""
        return any(column.kind == "chart" for column in self.columns)


T = TypeVar("T")


def present(value: T | None) -> T:
    """A value that every row of the table has: it was made of rows with one only."""
    assert value is not None
    return value


VARIANT = Column("Variant")
Value = Callable[[Row], Cell | str]


def text_cells(table: Table) -> tuple[list[str], list[list[Cell]]]:
    """Titles and lines for where no chart can be drawn; a line's name is its first cell."""
    kept = [number for number, column in enumerate(table.columns) if column.kind != "chart"]
    lines = [(Cell(row.name, row.notes), *row.cells) for row in table.rows]
    titles = [table.columns[number].title for number in kept]
    return titles, [[line[number] for number in kept] for line in lines]


def plain_table(
    caption: str,
    columns: Sequence[Column | str],
    rows: Iterable[Sequence[Cell | str]],
    *,
    terms: tuple[Definition, ...] = (),
) -> Table:
    """A table whose rows are their name, with its notes if it is a cell, and their cells."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    return Table(
        caption,
        tuple(map(_column, columns)),
        tuple(TableRow(name.text, tuple(cells), notes=name.notes) for name, *cells in lines),
        terms=terms,
    )


def _cell(cell: Cell | str) -> Cell:
    return cell if isinstance(cell, Cell) else Cell(cell)


def results_table(
    caption: str,
    rows: Sequence[Row],
    values: Mapping[Column | str, Value],
    *,
    scale: Markup = EMPTY,
    terms: tuple[Definition, ...] = (),
) -> Table | None:
    """A table with a line for each row of the results; None without rows."""
    if not rows:
        return None
    if len({row.min_photos for row in rows}) > 1:
        values = {"Photos": lambda row: f"≥ {row.min_photos}", **values}
    return Table(
        caption,
        (VARIANT, *map(_column, values)),
        tuple(
            variant_row(row, [value(row) for value in values.values()], runtime, repeated=repeated)
            for row, runtime, repeated in grouped_by_variant(rows)
        ),
        scale=scale,
        terms=terms,
    )


def _column(column: Column | str) -> Column:
    return column if isinstance(column, Column) else Column(column)


def variant_row(row: Row, cells: Sequence[Cell | str], note: str, *, repeated: bool) -> TableRow:
    """A line on a row of the results, named after its variant."""
    notes = (note,) if note else ()
    return TableRow(row.variant, tuple(map(_cell, cells)), swatch(row), notes, repeated)


def grouped_by_variant(
    rows: Sequence[Row], *, several: bool | None = None
) -> Iterator[tuple[Row, str, bool]]:
    """Rows sorted by threshold, within one those of one variant together.

    Yields:
        The row, where it was measured if that must be said (by `several`, or as these rows need
        it), and whether the variant is that of the row before.
    """
    if several is None:
        several = several_runtimes(rows)
    by_variant: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        by_variant.setdefault((row.min_photos, row.variant), []).append(row)
    # Sorted is stable: within a threshold variants stay in the order of their first rows.
    for _, same_variant in sorted(by_variant.items(), key=lambda item: item[0][0]):
        for number, row in enumerate(same_variant):
            ran = row.status == "measured" and row.variant != REFERENCE_VARIANT
            yield row, _runtime(row) if ran and several else "", number > 0


def _runtime(row: Row) -> str:
    """Where a row was measured: the runtime, or the phone and what executed there."""
    if row.device is None:
        return runtime_name(row.runtime, row.unit)
    return f"{row.device.model}, {row.device.delegate_used}"


def _glossary() -> dict[str, str]:
    text = resources.files(__package__).joinpath("glossary.toml").read_text(encoding="utf-8")
    gates = default_gates().limits("tflite-int8")
    limits = {"drop": gates.max_drop_points, "agreement": 100 * (gates.min_agreement or 0)}
    return {term: meaning.format(**limits) for term, meaning in tomllib.loads(text).items()}


GLOSSARY = _glossary()
"""Meaning by term."""


def definitions(*terms: str) -> tuple[Definition, ...]:
    """The terms with their meaning.

    Raises:
        KeyError: The glossary lacks one.
    """
    return tuple((term, GLOSSARY[term]) for term in terms)
