"""The object ids and keys of a table, refused where they are perhaps not what the museum wrote."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from train.registers.importers.source import SourceRow, SourceTable, shortened

_SCIENTIFIC = re.compile(r"[-+]?\d+(?:[.,]\d+)?[eE][+-]?\d+")
"""A number as a spreadsheet shows a long one: 1.889E+11. The last digits are lost."""

_WHOLE = re.compile(r"(\d+)\.0")
"""A whole number as a program writes it that takes every number for a broken one."""

_UNFIT = frozenset({"Cc", "Zl", "Zp", "Cs"})


@dataclass(frozen=True)
class Identifier:
    """An object id or key.

    Attributes:
        text: The identifier; empty where there is none.
        reason: Why there is none; or a remark, empty where nothing is to be said.
    """

    text: str
    reason: str = ""


def identifiers(table: SourceTable, columns: Sequence[str]) -> dict[str, Identifier]:
    """The identifier of every row, by the row's place.

    A column of whole numbers that are all written like 1889.0 is read as 1889; where others have
    another fraction, as accession numbers such as 1889.1 do, all stay as they are.

    Args:
        table: Objects or media.
        columns: The column that holds the identifiers; none if it is not known.
    """
    column = columns[0] if columns else ""
    found = {row.place: _identifier(row, column) for row in table.rows}
    texts = [identifier.text for identifier in found.values() if identifier.text]
    if texts and all(_WHOLE.fullmatch(text) for text in texts):
        return {
            place: Identifier(one.text.removesuffix(".0"), one.reason)
            for place, one in found.items()
        }
    return found


def _identifier(row: SourceRow, column: str) -> Identifier:
    if column in row.errors:
        return Identifier("", f"{column} holds {row.errors[column]}")
    text = unicodedata.normalize("NFC", "; ".join(row.values.get(column, ()))).strip()
    if not text:
        return Identifier("", f"{column or 'the object id'} is empty")
    shown = f"{column} {shortened(text)!r}"
    if column in row.doubts:
        return Identifier("", f"{shown} is {row.doubts[column]}: make the column text there")
    if problem := _problem(text):
        return Identifier("", f"{shown} {problem}")
    return Identifier(text, f"{shown} is {row.remarks[column]}" if column in row.remarks else "")


def _problem(text: str) -> str:
    """Why a text cannot identify an object; empty if it can."""
    if _SCIENTIFIC.fullmatch(text):
        return "is a rounded number: make the column text and export again"
    if any(unicodedata.category(character) in _UNFIT for character in text):
        return "holds a line break or a control character"
    return "holds bytes that are no text" if "\ufffd" in text else ""
