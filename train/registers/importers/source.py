"""What every kind of source is read into: columns, rows with their places, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mobile_assets.errors import InputError

Kind = Literal["row", "unread", "photo", "note"]


ALTERNATIVE = "\x1f"
"""Between references to one photo in several sizes or under several names: the first that is on
disk counts. The character stands in no file name and no XML."""


@dataclass(frozen=True)
class Finding:
    """Something that was not imported, or not as it stood.

    Attributes:
        kind: `row`: a row that gives the register no photo. `unread`: a part of a file in which
            nobody can say how many rows there are. `photo`: a photo that is left out, of a row that
            may have others. `note`: what was done with what could not be taken as it stood.
        place: Where it stands: the file with its line, sheet and row, or element.
        object_id: The object, empty where unknown.
        value: What stands there, shortened.
        reason: Why, for a person.
    """

    kind: Kind
    place: str
    reason: str
    object_id: str = ""
    value: str = ""


@dataclass(frozen=True)
class SourceRow:
    """One row of a table, one LIDO record or one IIIF manifest.

    Attributes:
        place: The file with its line, sheet and row, or element.
        values: Texts by column name; a column without text is left out.
        errors: Why a column has no text though its cell is not empty, by column name.
        doubts: Why a column's text is perhaps not what the museum wrote, which matters where it
            identifies an object, by column name.
        remarks: What a person should know of a text that identifies an object, by column name.
    """

    place: str
    values: Mapping[str, tuple[str, ...]]
    errors: Mapping[str, str] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceTable:
    """A source as read.

    Attributes:
        name: File name, with the sheet where there are several.
        columns: Column names in the source's order, each once.
        rows: Rows with at least one text.
        findings: Rows that could not be read, and notes.
        standard: Whether the columns are those of a published format, whose meaning is known.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[SourceRow, ...]
    findings: tuple[Finding, ...] = ()
    standard: bool = False


def check_file(path: Path, *, most_bytes: int) -> None:
    """Refuses what cannot be a source.

    Args:
        path: The file.
        most_bytes: What can be read within 1.5 GB of memory, whatever the file holds.

    Raises:
        InputError: There is no such regular file, or it is too large.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist. Give the file that the museum handed over.")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file.")
    size = path.stat().st_size
    if size > most_bytes:
        raise InputError(
            f"{path} has {size / 1e6:,.0f} MB, and at most {most_bytes / 1e6:,.0f} MB are read. "
            "Export it in several parts and import each."
        )


def columns_of(rows: Iterable[SourceRow]) -> tuple[str, ...]:
    """All column names in the order in which rows first have them."""
    return tuple(dict.fromkeys(name for row in rows for name in row.values))


def one_line(text: str) -> str:
    """Text on one line: lines are joined by a slash, other white space and controls by a blank.

    Half characters, as JSON can hold them, become question marks: no file could hold them.
    """
    text = text.encode("utf-8", "replace").decode("utf-8")
    lines = (" ".join(_without_controls(line).split()) for line in text.splitlines())
    return " / ".join(line for line in lines if line)


def shortened(text: str, most: int = 120) -> str:
    """A text on one line that is short enough for a list."""
    line = one_line(text)
    return line if len(line) <= most else line[: most - 1] + "…"


def _without_controls(text: str) -> str:
    return "".join(character if character >= " " else " " for character in text)
