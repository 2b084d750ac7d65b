"""Object ids and words of a register: trimmed, composed, on one line; and ids that look alike."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from mobile_assets.object_ids import INVISIBLE
from train.registers.register import Problem

_BREAKS = re.compile(r"\s*[\x00-\x08\n-\x1f\x7f-\x9f\u2028\u2029]+\s*")
"""Line breaks of every kind and control characters, with the white space around them."""

_CONFUSABLE = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4\u2032`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2044\u2215", "/"),
        **dict(zip("авекмнорстухіјѕԁԛԝ", "abekmhopctyxijsdqw", strict=True)),
        **dict(zip("αβεζηικμνορτυχ", "abezhikmnoptyx", strict=True)),
    }
)
"""Dashes, quotation marks, and Cyrillic and Greek letters, in lower case, whose capitals or small
letters print as Latin ones do."""


def composed_text(value: str) -> str:
    """Trims and composes: file systems differ in how they spell an accented letter."""
    return unicodedata.normalize("NFC", value).strip()


def one_line(value: str) -> str:
    """As `composed_text`, with a space for line breaks and control characters within."""
    return _BREAKS.sub(" ", composed_text(value))


def visible(text: str) -> str:
    """A string in quotation marks, with an escape for whatever would not be seen in print."""

    def escape(character: str) -> str:
        shown = character == " " or (character.isprintable() and not INVISIBLE.match(character))
        return character if shown else f"<U+{ord(character):04X}>"

    return f"'{''.join(escape(character) for character in text)}'"


def joined_spellings(spellings: Mapping[str, Iterable[str]]) -> Iterator[Problem]:
    """Reports ids that the register spells in several ways.

    Args:
        spellings: The spellings found, by the id that was made of them.
    """
    for object_id, written in spellings.items():
        distinct = sorted(set(written))
        if len(distinct) > 1:
            shown = [visible(spelling) for spelling in distinct]
            if len({composed_text(word) for word in shown}) < len(shown):  # ü, as one and as two
                shown = [ascii(spelling) for spelling in distinct]
            yield Problem(
                "warning", object_id, f"one object, though spelled {', '.join(shown)} in places"
            )


def look_alikes(object_ids: Iterable[str]) -> Iterator[Problem]:
    """Reports ids that a person takes for one, and ids that hold something invisible.

    Nothing is joined: `78a` and `78A` may well be two objects. Whoever keeps the register knows.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for object_id in sorted(object_ids):
        alike[_skeleton(object_id)].append(object_id)
        hidden = sorted(set(INVISIBLE.findall(object_id)))
        if hidden:
            codes = ", ".join(f"U+{ord(character):04X}" for character in hidden)
            reason = f"{visible(object_id)} holds an invisible character ({codes})"
            yield Problem("warning", object_id, reason)
    for group in alike.values():
        for object_id in group[1:]:
            yield Problem(
                "warning",
                object_id,
                f"{visible(object_id)} and {visible(group[0])} are two objects, though their ids "
                f"differ only in {_difference(object_id, group[0])}: check that they should be",
            )


def _skeleton(object_id: str) -> str:
    """What two ids that look alike have in common."""
    return _without_space(_folded(_without_invisible(object_id)))


def _folded(text: str) -> str:
    compatible = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFC", compatible).translate(_CONFUSABLE)


def _without_invisible(text: str) -> str:
    return INVISIBLE.sub("", text)


def _without_space(text: str) -> str:
    return "".join(text.split())


def _difference(first: str, second: str) -> str:
    steps = (
        ("upper and lower case", str.lower),
        ("white space", _without_space),
        ("invisible characters", _without_invisible),
        (
            "case, white space and invisible characters",
            lambda text: _without_space(_without_invisible(text)).lower(),
        ),
    )
    alike = (words for words, equalised in steps if equalised(first) == equalised(second))
    return next(alike, "characters that look alike")
