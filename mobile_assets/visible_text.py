"""Text from elsewhere made safe to show: what a terminal would obey is spelt out."""

from __future__ import annotations

import json
import unicodedata

_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    r"""The text with control, bidirectional and unassigned characters as `\x1b` or `\u202e`.

    A title or file name may hold escape sequences that move the cursor or recolour a terminal, or
    marks that turn the reading direction; neither may reach it.
    """
    return "".join(
        character.encode("unicode_escape").decode("ascii") if _is_unsafe(character) else character
        for character in text
    )


def visible_json(text: str) -> str:
    r"""JSON that says the same with such characters as `\u001b`, its line breaks left alone.

    In JSON they can stand inside strings only, where this is another way to write them.
    """
    return "".join(
        json.dumps(character)[1:-1] if character != "\n" and _is_unsafe(character) else character
        for character in text
    )


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE_CATEGORIES
