"""JSON from files that another person may have written: one meaning, or an error, in bounds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from mobile_assets.errors import DamagedError

MOST_BYTES = 512 * 2**20
"""No JSON file of this toolkit is larger: a register of a million photos takes half of it."""

MOST_VALUES = 8 * 2**20
"""No JSON file has more values: a million photos have six each. In memory a value of two bytes can
take over a hundred."""

_MOST_DIGITS = 20


def parse_json(content: bytes, path: Path, *, most_values: int = MOST_VALUES) -> Any:
    """Reads JSON, as RFC 8259 and nothing more has it.

    Refused are a key that an object has twice, NaN and infinite numbers, integers of over 20
    digits, lone surrogates, and nesting or numbers of values that no file of this toolkit has.

    Args:
        content: The file's bytes.
        path: The file, for the message.
        most_values: How many values there may be.

    Returns:
        The value, with tuples for arrays.

    Raises:
        DamagedError: It is not such JSON.
    """
    try:
        _check_size(content, most_values)
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
        if b"\\u" in content:  # the one way in which UTF-8 can hold half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return _with_tuples(value)
    except RecursionError:
        reason = "its values are nested too deeply"
    except ValueError as error:  # UnicodeError and JSONDecodeError are among them
        reason = str(error)
    raise DamagedError(
        f"{path} cannot be read ({reason}). It is damaged: restore or write it again."
    )


def _check_size(content: bytes, most: int) -> None:
    """Bounds the memory that the values take, before there are any."""
    if sum(content.count(mark) for mark in (b",", b"[", b"{")) > most:
        raise ValueError(f"it has more than {most:,} values")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key[:80]!r} is there twice")
            seen.add(key)
    return value


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _int(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits is too large")
    return int(text)


def _with_tuples(value: Any) -> Any:
    """Tuples for lists, which is what strict records are made of."""
    if isinstance(value, list):
        return tuple(map(_with_tuples, value))
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return value
