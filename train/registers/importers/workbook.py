"""Reading Excel workbooks: every cell as the text that a person sees, hostile files refused."""

from __future__ import annotations

import bisect
import contextlib
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobile_assets.errors import InputError, first_line
from train.registers.importers.archive import check_archive
from train.registers.importers.cells import Cell
from train.registers.importers.headers import SEARCHED_ROWS, distinct_names, header_position
from train.registers.importers.source import Finding, SourceRow, SourceTable, check_file, shortened

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

SUFFIXES = frozenset({".xlsx", ".xlsm", ".xltx", ".xltm"})

MAX_BYTES = 1_000_000_000
"""Most of a large workbook are its pictures, which are not read."""

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
"""Excel's own limits of a sheet."""

MAX_MERGED_CELLS = 1_000_000
"""Cells that merged ranges may fill; more are an attack or a mistake."""


@dataclass
class _Sheet:
    """The rows of a sheet by number, from 1, each by column number, from 1."""

    rows: dict[int, dict[int, Cell]] = field(default_factory=dict)
    hidden: list[int] = field(default_factory=list)
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    damage: str = ""

    def texts(self, row: int, width: int) -> list[str]:
        """The texts of a row, blank where there is none."""
        cells = self.rows[row]
        return [cells[n].text if n in cells else "" for n in range(1, width + 1)]

    @property
    def width(self) -> int:
        """The last column that holds anything."""
        return max((n for cells in self.rows.values() for n in cells), default=0)


def read_workbook(path: Path, *, wanted: Collection[str], sheet: str | None) -> SourceTable:
    """Reads one sheet of a workbook.

    Numbers, dates and truth values become the text that a person means by them: 1889.0 is `1889`,
    a number shown with leading zeros keeps them, a date is `1889-10-01`. Formulas count with the
    value that was last computed. The value of merged cells stands in each of them. Hidden rows are
    read and noted.

    Args:
        path: The workbook.
        wanted: Columns that are looked for.
        sheet: The sheet's name; None where one alone is visible and not empty.

    Raises:
        InputError: The file is no workbook, unpacks to too much, or has no such sheet.
    """
    check_file(path, most_bytes=MAX_BYTES)
    check_archive(path)
    with _opened(path) as workbook:
        findings: list[Finding] = []
        chosen = _choose(path, workbook, sheet, findings)
        read = _read_sheet(workbook, chosen)
    _fill_merged(read)
    name = f"{path.name}, sheet {chosen}"
    return _table(name, read, wanted, findings)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Workbook]:
    """Opens a workbook for reading, a formula's last value in its place, links left alone."""
    from openpyxl import load_workbook

    with path.open("rb") as file:  # by its path, openpyxl would go by the ending
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                workbook = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except Exception as error:  # openpyxl raises all kinds on broken parts
            raise InputError(
                f"{path} cannot be opened as an Excel workbook ({first_line(error)}). "
                "Save it again as .xlsx, or export it as CSV."
            ) from None
        try:
            yield workbook
        finally:
            workbook.close()


def _choose(path: Path, workbook: Workbook, wanted: str | None, findings: list[Finding]) -> str:
    """The sheet to read; the others are noted."""
    states: dict[str, str] = {sheet.title: sheet.sheet_state for sheet in workbook.worksheets}
    filled = [name for name in states if _has_rows(workbook, name)]
    candidates = [name for name in filled if states[name] == "visible"] or filled
    if wanted is not None:
        if wanted not in states:
            raise InputError(f"{path} has no sheet {wanted!r}. It has: {', '.join(states)}.")
        candidates = [wanted]
    if not candidates:
        raise InputError(f"{path} has no sheet with a row in it.")
    if len(candidates) > 1:
        raise InputError(
            f"{path} has several sheets: {', '.join(candidates)}. Say which one with --sheet."
        )
    findings.extend(
        Finding("note", f"{path.name}, sheet {name}", "another sheet, not read as part of this one")
        for name in filled
        if name != candidates[0]
    )
    return candidates[0]


def _has_rows(workbook: Workbook, name: str) -> bool:
    from train.registers.importers.sheet_parser import sheet_parser

    return any(True for _ in _rows(sheet_parser(workbook, name), _Sheet()))


def _read_sheet(workbook: Workbook, name: str) -> _Sheet:
    from train.registers.importers.sheet_parser import sheet_parser

    sheet = _Sheet()
    parser = sheet_parser(workbook, name)
    for number, cells in _rows(parser, sheet):
        sheet.rows[number] = cells
    sheet.hidden = [
        number for number in sheet.rows if _is_hidden(parser.row_dimensions.get(str(number), {}))
    ]
    ranges = parser.merged_cells.mergeCell if parser.merged_cells is not None else ()
    sheet.merged = [cells.bounds for cells in ranges]
    return sheet


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    return attributes.get("hidden") in ("1", "true")


def _rows(parser: Any, sheet: _Sheet) -> Iterator[tuple[int, dict[int, Cell]]]:
    """Yields the rows that hold anything; where the XML breaks off, that is the sheet's damage."""
    number = 0
    rows = parser.parse()
    for _ in range(MAX_ROWS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                number, read = next(rows)
        except StopIteration:
            return
        except Exception as error:  # a broken part of the archive, or of the XML
            sheet.damage = (
                f"the sheet is damaged after row {number} ({first_line(error)}): "
                "what follows could not be read"
            )
            return
        cells = {
            cell["column"]: parser.as_text(cell)
            for cell in read
            if cell["value"] is not None and cell["column"] <= MAX_COLUMNS
        }
        cells = {column: cell for column, cell in cells.items() if cell.text.strip() or cell.error}
        if cells:
            yield number, cells
    sheet.damage = f"more than {MAX_ROWS:,} rows, Excel's limit: what follows was not read"


def _fill_merged(sheet: _Sheet) -> None:
    """Puts the value of merged cells, which stands in the first of them, into each.

    Only rows and columns that hold something else are filled: a range may name whole columns.
    """
    width = sheet.width
    numbers = sorted(sheet.rows)
    filled = 0
    for first_column, first_row, last_column, last_row in sheet.merged:
        cell = sheet.rows.get(first_row, {}).get(first_column)
        if cell is None:
            continue
        start, end = bisect.bisect_left(numbers, first_row), bisect.bisect(numbers, last_row)
        columns = range(first_column, min(last_column, width) + 1)
        filled += (end - start) * len(columns)
        if filled > MAX_MERGED_CELLS:
            raise InputError(
                f"More than {MAX_MERGED_CELLS:,} cells of the sheet are merged. "
                "Undo that in Excel, or export the sheet as CSV."
            )
        for number in numbers[start:end]:
            for column in columns:
                sheet.rows[number].setdefault(column, cell)


def _table(
    name: str, sheet: _Sheet, wanted: Collection[str], findings: list[Finding]
) -> SourceTable:
    numbers = sorted(sheet.rows)
    if not numbers:
        raise InputError(f"{name} has no row. {sheet.damage}".strip())
    width = sheet.width
    first = [sheet.texts(number, width) for number in numbers[:SEARCHED_ROWS]]
    position = header_position(first, wanted)
    names = distinct_names(first[position])
    findings += [
        Finding(
            "note",
            f"{name}, row {number}",
            "above the row with the columns' names",
            value=shortened(" ".join(texts)),
        )
        for number, texts in zip(numbers[:position], first, strict=False)
    ]
    hidden = [number for number in sheet.hidden if number > numbers[position]]
    if hidden:
        shown = ", ".join(map(str, hidden[:20])) + (" …" if len(hidden) > 20 else "")
        note = f"{len(hidden)} hidden rows are read too: {shown}"
        findings.append(Finding("note", name, note))
    if sheet.damage:
        findings.append(Finding("unread", name, sheet.damage))
    rows = [
        _row(f"{name}, row {number}", sheet.rows[number], names)
        for number in numbers[position + 1 :]
    ]
    used = {column for row in rows for column in (*row.values, *row.errors)}
    columns = tuple(n for n in names if n in used or not n.startswith("column "))
    return SourceTable(name, columns, tuple(rows), tuple(findings))


def _row(place: str, cells: Mapping[int, Cell], names: Sequence[str]) -> SourceRow:
    named = {names[column - 1]: cell for column, cell in sorted(cells.items())}
    return SourceRow(
        place,
        {name: (cell.text,) for name, cell in named.items() if cell.text.strip()},
        {name: cell.error for name, cell in named.items() if cell.error},
        {name: cell.doubt for name, cell in named.items() if cell.doubt},
        {name: cell.remark for name, cell in named.items() if cell.remark},
    )
