"""The text that a person means by the value of an Excel cell."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from typing import Any

EXACT_BELOW = 1e15
"""Excel keeps 15 digits of a number."""

_PADDED = re.compile(r"0+")
"""A number format such as 00000: leading zeros that are shown and not stored."""

_DECIMALS = re.compile(r"0\.(0+)")
"""A number format such as 0.00: zeros at the end that are shown and not stored."""

_FRACTION = "a number to Excel, to which 1889.1 and 1889.10 are the same"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's text, or why it has none.

    Attributes:
        error: Why there is no text, such as a formula's error value.
        doubt: Why the text is perhaps not what the museum wrote.
        remark: What to know if it is the number of an object.
    """

    text: str = ""
    error: str = ""
    doubt: str = ""
    remark: str = ""


def as_cell(value: Any, data_type: str, number_format: str) -> Cell:
    """A cell's text.

    Args:
        value: As openpyxl gives it.
        data_type: openpyxl's letter for it; `e` is an error value.
        number_format: How Excel shows it.
    """
    if data_type == "e":
        return Cell(error=f"the error value {value}")
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        text = value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
        return Cell(text, doubt="a date to Excel, which makes one of numbers such as 1889-10")
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return Cell(str(value), doubt="a time to Excel")
    if isinstance(value, int | float):
        return _number(value, number_format)
    return Cell(str(value))


def _number(value: float, number_format: str) -> Cell:
    """1889.0 as `1889`, shown as 00000 as `01889`; 1889.1, shown as 0.00, as `1889.10`."""
    if not math.isfinite(value):
        return Cell(error="no number that can be written")
    doubt = "" if abs(value) < EXACT_BELOW else "a number of which Excel keeps 15 digits only"
    shown = number_format.split(";", maxsplit=1)[0]
    if decimals := _DECIMALS.fullmatch(shown):
        text = f"{value:.{len(decimals[1])}f}"
        if float(text) == value:
            return Cell(text, doubt=doubt)
    if value != int(value):
        return Cell(f"{value:.15g}", doubt=doubt, remark=_FRACTION)
    text = str(int(value))
    if _PADDED.fullmatch(shown) and value >= 0:
        text = text.zfill(len(shown))
    return Cell(text, doubt=doubt)
