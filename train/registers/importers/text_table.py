"""Reading CSV and other separated text as museums' databases export it, broken rows apart."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mobile_assets.errors import InputError
from mobile_assets.photos import PHOTO_SUFFIXES
from train.registers.importers.headers import SEARCHED_ROWS, distinct_names, header_position
from train.registers.importers.source import Finding, SourceRow, SourceTable, check_file, shortened

SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt"})

MAX_BYTES = 100_000_000
MAX_CELLS = 6_000_000
"""200,000 rows of 30 columns. Every cell takes some 150 bytes of memory, however short it is."""

MAX_CHARACTERS = 1_000_000
"""Longest row."""

MAX_LINES = 200
"""A row may run over so many lines; a quotation mark that is open for longer was never closed."""

_BEGINNING = 10_000
"""Characters of a line that show its separator."""

_DELIMITERS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t]*(\r\n|\r|\n)', re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True)
class _Record:
    """One row as cells, or the reason why a line is none."""

    line: int
    cells: Sequence[str]
    error: str = ""
    complete: bool = True


def read_text_table(path: Path, *, wanted: Collection[str], encoding: str | None) -> SourceTable:
    """Reads separated text.

    The separator is a comma, semicolon, tab or bar, as the file shows or says in a line `sep=;`.
    A line that cannot be read is listed and the next one goes on, so that one open quotation mark
    takes no other row with it.

    Args:
        path: The file.
        wanted: Columns that are looked for, by which the line with their names is found.
        encoding: Python's name of it; None for what the file shows: a byte order mark, else UTF-8,
            else Windows-1252.

    Raises:
        InputError: The file is no text, too large or empty.
    """
    check_file(path, most_bytes=MAX_BYTES)
    text, findings = _decoded(path, encoding)
    said = _SEPARATOR_LINE.match(text)
    lines = _LINE.findall(text)
    start = 1 if said else 0
    delimiter = said[1] if said else _delimiter(lines)
    records: list[_Record] = []
    cells = 0
    for record in _records(lines, start, delimiter):
        records.append(record)
        cells += len(record.cells)
        if cells > MAX_CELLS:
            raise InputError(
                f"{path} has more than the {MAX_CELLS:,} cells that are read. "
                "Export it in several parts and import each."
            )
    if not records:
        raise InputError(f"{path} is empty.")
    readable = [record for record in records[:SEARCHED_ROWS] if not record.error]
    if not readable:
        raise InputError(f"{path}, line {records[0].line}: {records[0].error}. No row can be read.")
    header = readable[header_position([record.cells for record in readable], wanted)]
    names = distinct_names(_without_blank_end(header.cells))
    rows: list[SourceRow] = []
    for record in records:
        place = f"{path.name}, line {record.line}"
        if record.line < header.line:
            note = "above the line with the columns' names"
            findings.append(Finding("note", place, note, value=shortened(" ".join(record.cells))))
        elif record.line > header.line:
            row = _row(place, record, names, findings)
            if row is not None:
                rows.append(row)
    return SourceTable(path.name, names, tuple(rows), tuple(findings))


def _row(
    place: str, record: _Record, names: Sequence[str], findings: list[Finding]
) -> SourceRow | None:
    """A row by column names; what is wrong with it goes to the findings."""
    cells = record.cells
    shown = shortened(" | ".join(cells))
    if record.error:
        findings.append(Finding("row", place, record.error, value=shown))
        return None
    if any(cell.strip() for cell in cells[len(names) :]):
        reason = f"{len(cells)} fields where the columns are {len(names)}"
        findings.append(Finding("row", place, reason, value=shown))
        return None
    if len(cells) < len(names):
        reason = f"only {len(cells)} of {len(names)} fields"
        if not record.complete:
            findings.append(Finding("row", place, f"{reason}: the file is cut off", value=shown))
            return None
        findings.append(Finding("note", place, f"{reason}: the others are taken as empty"))
    values = {name: (cell,) for name, cell in zip(names, cells, strict=False) if cell.strip()}
    return SourceRow(place, values)


def _decoded(path: Path, encoding: str | None) -> tuple[str, list[Finding]]:
    data = path.read_bytes()
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF", b"\x1f\x8b")):
        raise InputError(f"{path} is no text, whatever its ending says. Export it as CSV or XLSX.")
    marked = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    try:
        if encoding is not None or marked is not None:
            return _checked(path, data.decode(encoding or marked or "")), []
        return _checked(path, data.decode("utf-8")), []
    except LookupError:
        raise InputError(f"--encoding {encoding}: there is no such encoding.") from None
    except UnicodeDecodeError as error:
        if encoding is not None or marked is not None:
            raise InputError(
                f"{path} is not {encoding or marked} text (byte {error.start}). "
                "Name the right one with --encoding."
            ) from None
    lenient = data.decode("utf-8", errors="surrogateescape")
    damaged = len(_ESCAPED_BYTE.findall(lenient))
    if sum(character > "\x7f" for character in lenient) > 2 * damaged:
        text = _checked(path, _ESCAPED_BYTE.sub("\ufffd", lenient))
        note = f"{damaged} bytes are not UTF-8 and stand as \ufffd"
    else:
        text = _checked(path, data.decode("cp1252", errors="replace"))
        note = "not UTF-8: read as Windows-1252; name another one with --encoding"
    return text, [Finding("note", path.name, note, value=_first_accented(text))]


def _checked(path: Path, text: str) -> str:
    if "\0" in text[:4096]:
        raise InputError(
            f"{path} holds zero bytes: it is no text, or UTF-16 without a mark. "
            "For the latter give --encoding utf-16-le."
        )
    return text


def _first_accented(text: str) -> str:
    """The first words that show whether the encoding was the right one."""
    match = re.search(r"\S*[^\x00-\x7f]\S*", text)
    return shortened(match[0]) if match else ""


def _delimiter(lines: Sequence[str]) -> str:
    """The separator that gives the most lines one number of columns, and the most columns."""
    scores = {}
    for delimiter in _DELIMITERS:
        try:
            beginnings = [line[:_BEGINNING] for line in lines[:SEARCHED_ROWS]]
            first = csv.reader(beginnings, delimiter=delimiter)
            widths = Counter(len(cells) for cells in first if len(cells) > 1)
        except csv.Error:  # a field without an end
            widths = Counter()
        scores[delimiter] = max(((count, width) for width, count in widths.items()), default=(0, 0))
    return max(_DELIMITERS, key=lambda delimiter: scores[delimiter])


def _records(lines: Sequence[str], start: int, delimiter: str) -> Iterator[_Record]:
    """Yields rows, each with the number of its first line; blank lines are passed over."""
    width = 0
    position = start
    torn: set[int] = set()
    while position < len(lines):
        record, length = _record(lines, position, delimiter)
        inside = range(position + 1, position + length)
        if length > 1 and (
            len(record.cells) < width
            or all(_looks_whole(lines[line], delimiter, width) for line in (position, *inside))
        ):
            record = replace(record, error="a quotation mark that opens here is not closed here")
            torn |= {line for line in inside if lines[line].count('"') % 2}
        if position in torn and not record.error:
            record = replace(record, error="a quotation mark closes here that opens further above")
        if record.error:  # what its quotation mark has swallowed are rows of their own
            record, length = replace(record, cells=(lines[position][:_BEGINNING].strip(),)), 1
        position += length
        width = max(width, len(record.cells))
        if record.error or any(cell.strip() for cell in record.cells):
            yield record


def _looks_whole(line: str, delimiter: str, width: int) -> bool:
    """Whether a line within a row of several lines is probably a row itself.

    Text on several lines seldom has as many separators on each as the table has columns.
    """
    cells = line.rstrip("\r\n").split(delimiter)
    if width > 2:
        return len(cells) >= width
    return len(cells) == width and Path(cells[-1].strip(' "')).suffix.lower() in PHOTO_SUFFIXES


def _record(lines: Sequence[str], position: int, delimiter: str) -> tuple[_Record, int]:
    """The row that begins on a line, and how many lines it takes."""
    text = ""
    for length, line in enumerate(lines[position : position + MAX_LINES], start=1):
        text += line
        if len(text) > MAX_CHARACTERS:
            return _Record(position + 1, (), f"over {MAX_CHARACTERS:,} characters"), 1
        try:
            cells = next(csv.reader([text], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                continue
            reason = f"quotation marks that do not match ({error})"
            return _Record(position + 1, (), reason), 1
        complete = line.endswith(("\r", "\n"))
        return _Record(position + 1, cells, complete=complete), length
    return _Record(position + 1, (), "a quotation mark that opens here is never closed"), 1


def _without_blank_end(cells: Sequence[str]) -> Sequence[str]:
    """The cells up to the last that is not blank: exports often end lines with separators."""
    filled = [position for position, cell in enumerate(cells) if cell.strip()]
    return cells[: filled[-1] + 1] if filled else cells
