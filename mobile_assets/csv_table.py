r"""The one way in which the toolkit writes CSV, and reads back what it wrote.

A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, and a formula in a
title can run a program. Such a cell gets an apostrophe in front, which spreadsheets show as text.
Where `;` separates cells, as in much of Europe, and after a line break or a tab, a new cell may
begin within ours: the same holds there. Numbers stay numbers. `plain` undoes it exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Number

_SPACE = r"[\s\"'\ufeff\u200b-\u200f\u2060]*"
"""What a spreadsheet may skip before a formula."""
_FORMULA = "=+@\\-\uff1d\uff0b\uff20\uff0d"
"""Characters that begin one, wide forms included; a tab or a carriage return hides one."""
_BEGINS = r"(?:^|(?<=[;\t\r\n]))"
_DANGER = re.compile(rf"{_BEGINS}(?={_SPACE}[{_FORMULA}\t\r])")
_GUARDED = re.compile(rf"{_BEGINS}'(?={_SPACE}[{_FORMULA}\t\r])")
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_QUOTED = re.compile(r'[",\r\n]')


def safe(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return text if _NUMBER.fullmatch(text) else _DANGER.sub("'", text)


def plain(cell: str) -> str:
    """The text of a cell that `safe` made; any other cell as it is."""
    text = _GUARDED.sub("", cell)
    return text if safe(text) == cell else cell


def csv_text(rows: Iterable[Mapping[str, object]], columns: Sequence[str] | None = None) -> str:
    """A table with its header, in RFC 4180's form with line feeds.

    Args:
        rows: Cells by column; None is an empty cell.
        columns: The columns; None for those of the first row.

    Returns:
        The table; nothing where there are neither rows nor columns.
    """
    cells = list(rows)
    names = list(columns or (cells[0] if cells else ()))
    if not names:
        return ""
    lines: list[list[object]] = [[*names], *([row.get(name) for name in names] for row in cells)]
    return "".join(f"{_line(line)}\n" for line in lines)


def _line(cells: Sequence[object]) -> str:
    # A line that holds nothing would be no line.
    return ",".join(map(_cell, cells)) or '""'


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Number):
        return str(value)
    text = safe(str(value))
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
