"""The rows of a manifest file: its encoding, its separator, its quotation marks, its columns."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_assets.csv_table import plain
from mobile_assets.errors import InputError
from mobile_assets.object_record import RECORD_FIELDS
from train.registers.object_records import is_source_column
from train.registers.refusals import Refusals
from train.registers.register import Problem

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".txt")
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
COLUMNS = ("path", "object_id", "collection", "title", "split", *RECORD_FIELDS)
REQUIRED = ("path", "object_id")
MOST_BYTES = 1 << 29
"""Larger manifests are refused: a million photos take a fifth of it."""

_SEPARATORS = (",", ";", "\t", "|")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OTHER_FORMATS = (
    (b"PK\x03\x04", "an Excel or OpenDocument workbook"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w"\r\n])"?[,;\t ]*(?:\r\n|\n|\r)', re.IGNORECASE)
"""What Excel writes before the columns, and reads."""

_LINE_END = re.compile("\r\n|\n|\r")


@dataclass(frozen=True)
class ManifestRow:
    """One row.

    Attributes:
        line: The line on which it begins, from 1.
        values: Its values by the names of `COLUMNS`, as written.
    """

    line: int
    values: Mapping[str, str]


def manifest_rows(
    path: Path, refusals: Refusals, problems: list[Problem], *, is_photo: Callable[[str], bool]
) -> Iterator[ManifestRow]:
    """Yields the rows of a CSV or JSON Lines manifest.

    Every row that is not yielded is among the refusals or the problems. A table's columns are
    separated by commas, semicolons, tabs or bars, as its first line shows, or as a line `sep=;`
    before it says. UTF-8 is read, and what a byte order mark names.

    Args:
        path: The manifest.
        refusals: Rows that cannot be used are added.
        problems: Rows without content are added.
        is_photo: Whether a word is the path of a photo; tells a row from a line of a title.

    Raises:
        InputError: The file is no text, or lacks a column.
    """
    text = _decoded(path)
    if path.suffix.lower() in JSON_LINES_SUFFIXES:
        yield from _json_rows(path, text, refusals)
    else:
        yield from _Table(path, text, refusals, problems, is_photo).rows()


def _decoded(path: Path) -> str:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InputError(
            f"{path} has {size / 1e6:,.0f} MB, and a manifest at most {MOST_BYTES / 1e6:,.0f} MB. "
            "Divide it."
        )
    data = path.read_bytes()
    for beginning, name in _OTHER_FORMATS:
        if data.startswith(beginning):
            raise InputError(
                f"{path} is {name}, not text, whatever its ending says. "
                "Save the table as CSV (UTF-8)."
            )
    encoding = _encoding(data)
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        number = len(_LINE_END.findall(data[: error.start].decode(encoding, "replace"))) + 1
        wrong = data[error.start : error.start + 1].hex().upper()
        raise InputError(
            f"{path}, line {number}: not {encoding.upper()} text (byte 0x{wrong}). "
            "Save the manifest as UTF-8; in Excel, as 'CSV UTF-8'."
        ) from None
    if "\0" in text:
        number = len(_LINE_END.findall(text[: text.index("\0")])) + 1
        raise InputError(
            f"{path}, line {number}: holds a zero byte, so it is damaged or no text. "
            "Save the manifest as UTF-8 again."
        )
    return text


def _encoding(data: bytes) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding
    # UTF-16 without a mark: every other byte of the column names is zero.
    if len(data) % 2 == 0 and len(data) >= 4:
        if data[1] == data[3] == 0 != data[0]:
            return "utf-16-le"
        if data[0] == data[2] == 0 != data[1]:
            return "utf-16-be"
    return "utf-8"


def _column(name: str) -> str:
    """A column's name in its one spelling: `Object ID` and `objectId` are `object_id`."""
    bare = re.sub(r"[\W_]", "", name).casefold()
    return next((known for known in COLUMNS if known.replace("_", "") == bare), name.strip())


class _Table:
    """A manifest of separated columns."""

    def __init__(
        self,
        path: Path,
        text: str,
        refusals: Refusals,
        problems: list[Problem],
        is_photo: Callable[[str], bool],
    ) -> None:
        self._path = path
        self._refusals = refusals
        self._problems = problems
        self._is_photo = is_photo
        said = _SEPARATOR_LINE.match(text)
        self._separators = (said[1],) if said else _SEPARATORS
        body = text[said.end() :] if said else text
        # Only these end a line: a title may hold U+2028, or the VT that FileMaker writes.
        self._lines = io.StringIO(body, newline="").readlines()
        self._offset = 1 if said else 0

    def rows(self) -> Iterator[ManifestRow]:
        separator, start, columns = self._header()
        records = self._records(separator, start)
        for line, last, cells in records:
            place = f"{self._path}, line {line}"
            if not any(cell.strip() for cell in cells):
                if cells:
                    self._problems.append(Problem("ignored", place, "an empty row"))
                continue
            if [_column(cell) for cell in cells[: len(columns)]] == columns:
                self._problems.append(Problem("ignored", place, "the names of the columns again"))
                continue
            swallowed = self._swallowed(line, last, separator, columns)
            if swallowed is not None:
                self._refusals.add(
                    place,
                    f"a quotation mark that opens here swallows line {swallowed}, which looks like "
                    "a row. Close it, or write it twice where it belongs to the text.",
                )
                continue
            if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
                self._refusals.add(
                    place,
                    f"not as many fields as the first line names: {len(cells)} instead of "
                    f"{len(columns)}. Put text that holds the separator in quotation marks.",
                )
                continue
            named = [
                (name, plain(cell)) for name, cell in zip(columns, cells, strict=False) if name
            ]
            nameless = [cell for name, cell in zip(columns, cells, strict=False) if not name]
            if any(cell.strip() for cell in nameless):
                self._refusals.add(
                    place, f"{max(nameless)!r} stands in a column without a name. Give it a name."
                )
                continue
            yield ManifestRow(line, dict(named))

    def _header(self) -> tuple[str, int, list[str]]:
        """The separator, the index of the first line after the columns, and their names."""
        start = next((n for n, line in enumerate(self._lines) if line.strip()), len(self._lines))
        candidates: dict[str, tuple[int, list[str]]] = {}
        for separator in self._separators:
            reader = csv.reader(self._lines[start:], delimiter=separator, strict=True)
            try:
                names = [_column(name) for name in next(reader, [])]
            except csv.Error:
                continue
            while names and not names[-1]:
                names.pop()
            candidates[separator] = (start + reader.line_num, names)
            if set(REQUIRED) <= set(names):
                self._check_columns(names)
                return separator, start + reader.line_num, names
        names = max((names for _, names in candidates.values()), key=len, default=[])
        missing = [name for name in REQUIRED if name not in names]
        raise InputError(
            f"{self._path} lacks the column {', '.join(missing)} in its first line"
            f"{', which names ' + ', '.join(map(repr, names)) if names else ''}. Name the columns "
            f"there, {', '.join(REQUIRED)} and, if you like, "
            f"{', '.join(COLUMNS[len(REQUIRED) :])}, with commas between them."
        )

    def _check_columns(self, names: Sequence[str]) -> None:
        unknown = sorted({n for n in names if not is_source_column(n)} - {*COLUMNS, ""})
        if unknown:
            raise InputError(
                f"{self._path}, line 1: unknown column {', '.join(unknown)}. "
                f"Known columns: {', '.join(COLUMNS)}."
            )
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            raise InputError(
                f"{self._path}, line 1: the column {', '.join(twice)} is named twice. Take one out."
            )

    def _records(self, separator: str, start: int) -> Iterator[tuple[int, int, list[str]]]:
        """Yields first line, last line and cells of each record, lines counted from 1."""
        reader = csv.reader(self._lines[start:], delimiter=separator, strict=True)
        while True:
            first = start + reader.line_num + 1 + self._offset
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._refusals.add(f"{self._path}, line {first}", _quotation_error(str(error)))
                return
            yield first, start + reader.line_num + self._offset, cells

    def _swallowed(
        self, first: int, last: int, separator: str, columns: Sequence[str]
    ) -> int | None:
        """The line within a record of several lines that looks like a row of its own."""
        where = columns.index("path")
        for line in range(first + 1, last + 1):
            text = self._lines[line - 1 - self._offset]
            cells = next(csv.reader([text], delimiter=separator), [])
            whole = len(cells) >= len(columns) and not any(cells[len(columns) :])
            if whole and self._is_photo(cells[where].strip(' "')):
                return line
        return None


def _quotation_error(error: str) -> str:
    """What is wrong with a row whose quotation marks do not match, and what to do."""
    remedy = "Close it, or write it twice where it belongs to the text."
    if "unexpected end" in error or "field larger" in error:
        return f"a quotation mark that opens in this row is never closed. {remedy}"
    if "expected after" in error:
        return (
            "after a closing quotation mark stands more text, so a mark is missing or too many "
            f"in this row or one that it runs on into. {remedy}"
        )
    return f"not a row of a table ({error}). Write it again."


def _json_rows(path: Path, text: str, refusals: Refusals) -> Iterator[ManifestRow]:
    # Only these end a line: JSON may hold U+2028 and U+0085 in a string as they are.
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if not line.strip():
            continue
        try:
            yield ManifestRow(number, _json_row(line))
        except InputError as error:
            refusals.add(f"{path}, line {number}", str(error))


def _json_row(line: str) -> Mapping[str, str]:
    try:
        row = json.loads(line, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON ({error.msg}).") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits; nested too deep
        raise InputError(f"not a row ({type(error).__name__}).") from None
    if not isinstance(row, dict) or not all(isinstance(v, str | None) for v in row.values()):
        raise InputError("not an object whose values are strings.")
    unknown = sorted({name for name in row if not is_source_column(name)} - set(COLUMNS))
    if unknown:
        raise InputError(
            f"unknown column {', '.join(unknown)}. Known columns: {', '.join(COLUMNS)}."
        )
    return {key: value or "" for key, value in row.items()}


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    keys = [_column(key) for key, _ in pairs]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise InputError(f"{', '.join(twice)} is there twice. Take one out.")
    return dict(zip(keys, (value for _, value in pairs), strict=True))
