"""The tables of the report as data; one macro draws them all, beside each other or stacked.

On a narrow screen each row becomes a block in which every cell is preceded by its column's title.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeVar

from markupsafe import Markup

from benchmarks.report.html.glossary import Definition
from benchmarks.report.html.styles import swatch
from benchmarks.report.runtime_names import runtime_name, several_runtimes
from benchmarks.results.schema import REFERENCE_VARIANT, Row

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
    """One row.

    Attributes:
        mark: The variant's mark, an `<svg>`.
        notes: Smaller lines under the name.
        repeated: Whether the row above has the same name, which then stands there only.
    """

    name: str
    cells: tuple[Cell, ...]
    mark: Markup = EMPTY
    notes: tuple[str, ...] = ()
    repeated: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: Its columns; the first holds the rows' names.
        scale: Numbers of the scale that the charts of its chart column share, an `<svg>`.
    """

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
        tuple(column if isinstance(column, Column) else Column(column) for column in columns),
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
) -> Table:
    """A table with a line for each row of the results."""
    several = len({row.min_photos for row in rows}) > 1
    columns = [title if isinstance(title, Column) else Column(title) for title in values]
    threshold = [(Column("Photos"), lambda row: f"≥ {row.min_photos}")] if several else []
    pairs: list[tuple[Column, Value]] = [*threshold, *zip(columns, values.values(), strict=True)]
    return Table(
        caption,
        (VARIANT, *(column for column, _ in pairs)),
        tuple(
            variant_row(row, [value(row) for _, value in pairs], note=runtime, repeated=repeated)
            for row, runtime, repeated in grouped_by_variant(rows)
        ),
        scale=scale,
        terms=terms,
    )


def variant_row(
    row: Row, cells: Sequence[Cell | str], *, note: str = "", repeated: bool = False
) -> TableRow:
    """A line on a row of the results, named after its variant."""
    return TableRow(
        row.variant,
        tuple(map(_cell, cells)),
        swatch(row),
        (note,) if note else (),
        repeated,
    )


def grouped_by_variant(
    rows: Sequence[Row], *, several: bool | None = None
) -> Iterator[tuple[Row, str, bool]]:
    """Rows, within a threshold those of one variant together.

    Args:
        rows: Rows sorted by threshold.
        several: Whether rows must say where they ran; None to find out from these rows.

    Yields:
        The row, where it was measured if that must be said, and whether the variant is that of the
        row before.
    """
    if several is None:
        several = several_runtimes(rows)
    for _, same_threshold in groupby(rows, key=lambda row: row.min_photos):
        by_variant: dict[str, list[Row]] = {}
        for row in same_threshold:
            by_variant.setdefault(row.variant, []).append(row)
        for same_variant in by_variant.values():
            for number, row in enumerate(same_variant):
                ran = row.status == "measured" and row.variant != REFERENCE_VARIANT
                yield row, runtime_words(row) if ran and several else "", number > 0


def runtime_words(row: Row) -> str:
    """Where a row was measured: the runtime, or the phone and what executed there."""
    if row.device is None:
        return runtime_name(row.runtime, row.unit)
    return f"{row.device.model}, {row.device.delegate_used}"
