"""Texts in CSV cells that a spreadsheet must not take for formulas."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def spreadsheet_text(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would compute or execute it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def from_spreadsheet(text: str) -> str:
    """The text without such an apostrophe, which spreadsheets themselves do not show."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
