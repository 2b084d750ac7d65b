"""Which strings can be object ids: exactly one visible line of text on every platform."""

from __future__ import annotations

import re
import unicodedata

_LINE_BREAKS = frozenset("\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029")
"""What Python's `splitlines`, Java's and C's line readers, Swift's and Foundation's
`CharacterSet.newlines` or Unicode's annex 14 take for the end of a line."""

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters that show nothing and are no white space: Unicode's default ignorable ones (soft
hyphen, zero-width space and joiners, byte order mark, marks of direction, fillers) and blanks."""


def unfit_object_id(object_id: str) -> str | None:
    """Why a string cannot be an object id; None where it can.

    `labels.txt` has one id a line, and a class's index is its line: an id that some platform's line
    reader takes for two lines, or for none, would give every later class another object's name.

    Args:
        object_id: Any string.

    Returns:
        The second half of a sentence that begins with the id, such as "is blank".
    """
    for character in object_id:
        if character in _LINE_BREAKS:
            return f"holds a line break (U+{ord(character):04X})"
        category = unicodedata.category(character)
        if category == "Cc":
            return f"holds a control character (U+{ord(character):04X})"
        if category == "Cs":
            return "is not Unicode text (its bytes are not UTF-8)"
    if not INVISIBLE.sub("", object_id).strip():
        return "is blank"
    return None
