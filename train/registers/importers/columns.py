"""Which of the register's fields a column's name stands for."""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from pathlib import Path

_NAMES_FILE = Path(__file__).with_name("columns.toml")


def normalised(name: str) -> str:
    """A column's name in lower case, letters and digits only, without accents."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(c for c in decomposed if c.isalnum() and not unicodedata.combining(c))


@functools.cache
def known_names() -> dict[str, tuple[str, ...]]:
    """Normalised column names by field, best first."""
    read = tomllib.loads(_NAMES_FILE.read_text(encoding="utf-8"))
    return {field: tuple(dict.fromkeys(map(normalised, names))) for field, names in read.items()}


@functools.cache
def _fields_by_name() -> dict[str, tuple[str, int]]:
    table: dict[str, tuple[str, int]] = {}
    for field, names in known_names().items():
        if field != "key":
            for rank, name in enumerate(names):
                table.setdefault(name, (field, rank))
    return table


def guess_field(name: str) -> tuple[str, int] | None:
    """The field that a column probably holds, and how well known the name is.

    Args:
        name: The column's name.

    Returns:
        The field with the rank of the name among those known for it, 0 the best; None for a name
        that is not known.
    """
    exact = normalised(name)
    table = _fields_by_name()
    return table.get(exact) or table.get(re.sub(r"\d+$", "", exact))
