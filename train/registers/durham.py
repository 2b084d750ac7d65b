"""The Durham layout: `images/<collection>/<year or group>/<file>`, the object in the file's name.

The authors' code takes for one object the photos of one folder whose names, after the folder's
name, have the same beginning. What follows is a view and not part of the number: a doubled letter
(`78aa`), any two letters outside the Egyptian collection, `q` or `d` with a digit, `pc`, `cu`,
`_small`. A single letter is a part of the object (`78A` is not `78B`), but in the Castle and
Fulling Mill collections it is a view. The folder `samian` is left out. Beyond that, here: letters
in any case, `78.A` and `78A`, a museum's prefix or none, and other separators are spellings of one
number; so are copies (`78 (2)`) and numbered views whose separator is not the number's own
(`1971.78_2`). Every number that was joined from several spellings is reported.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from train.registers.register import Photo, Problem

IMAGES = "images"
LEFT_OUT = "samian"
LONGEST = 6
"""Digits of the longest numeral; longer ones are dates or a camera's."""

COLLECTIONS = {
    "castle": "Castle",
    "egyptian": "Egyptian",
    "fulling_mill": "Fulling Mill",
    "oriental": "Oriental",
}
"""The paper's collections by their folders; any other folder is a collection of its own name."""

_LETTER_IS_VIEW = ("castle", "fulling_mill")
_MUSEUMS = ("DUROM", "DURMA", "DURUC")
_CAMERAS = {"CAM", "DCP", "DSC", "DSCF", "DSCN", "IMG", "MG", "MVI", "PIC", "PXL", "SAM", "WA"}
_VIEW_WORDS = re.compile(
    "BACK|BASE|BOTTOM|CLOSE|CLOSEUP|COPY|CROP|CROPPED|DET|DETAIL|EDIT|EDITED|FINAL|FRONT|IMAGE|IMG|"
    "INSIDE|LEFT|NEW|OUTSIDE|PHOTO|REAR|RIGHT|SCAN|SIDE|SMALL|TOP|UNDERSIDE|VIEW"
)
_COPY = re.compile(r"(?:\s*\(\d+\)|[\s_.-]+copy(?:\s*\d+)?)+$", re.IGNORECASE)
_START = re.compile(r"((?:[A-Z]+[\s._-]*)*)(\d+)")
_PIECE = re.compile(r"([\s._–&+,-]*)(?:(\d+)|([A-Z]+))")
_YEAR = re.compile(r"1[789]\d\d|20\d\d")

File = tuple[tuple[str, ...], str]
"""Folder names below the register's root, and the file's name."""


@dataclass(frozen=True)
class Number:
    """An accession number as read from one file name.

    Attributes:
        prefix: Letters before it, such as `DUROM` or `EG`; empty where there are none.
        parts: Its numerals and letters, upper case.
        note: Words after it that are no known view, empty where there are none.
    """

    prefix: str
    parts: tuple[str, ...]
    spelling: str
    note: str = ""

    def text(self, prefix: str) -> str:
        """The number with a prefix, in its one spelling: `DUROM.1971.78.A`, `EG6141`."""
        number = ".".join(self.parts)
        return f"{prefix}{'' if prefix in ('', 'EG') else '.'}{number}"


def is_durham(files: Iterable[File]) -> bool:
    """Whether photos lie as in the Durham layout and in no other."""
    folders = [parts for parts, _ in files]
    return bool(folders) and all(len(p) >= 3 and p[0].lower() == IMAGES for p in folders)


def durham_photos(files: Iterable[File]) -> tuple[list[Photo], list[Problem]]:
    """Reads the object of each photo from its name.

    Args:
        files: Every photo below the root; the root holds the folder `images`, or is it.

    Returns:
        The photos whose number was found; what was left out or joined, for the user to check.
    """
    problems: list[Problem] = []
    numbered: list[tuple[str, str, str, Number]] = []
    left_out: dict[str, int] = defaultdict(int)
    for parts, name in files:
        path = "/".join((*parts, name))
        below = parts[1:] if parts and parts[0].lower() == IMAGES else parts
        if LEFT_OUT in (part.lower() for part in below):
            left_out["/".join(parts)] += 1
        elif len(below) < 2:
            problems.append(Problem("ignored", path, "not in images/<collection>/<group>/"))
        elif (number := accession_number(name, group=below[1], collection=below[0])) is None:
            reason = "no accession number in its name: rename it, or use a manifest; left out"
            problems.append(Problem("warning", path, reason))
        else:
            numbered.append((path, below[0], "/".join(below[1:]), number))
            if number.note:
                reason = f"'{number.note}' after {number.spelling} is taken for a remark"
                problems.append(Problem("warning", path, reason))
    problems += [
        Problem("ignored", folder, f"{count} photos: the paper leaves {LEFT_OUT} out")
        for folder, count in left_out.items()
    ]
    photos, spellings = _objects(numbered)
    return photos, problems + spellings


def accession_number(name: str, *, group: str, collection: str) -> Number | None:
    """Reads the accession number from a file's name.

    Args:
        group: The folder below the collection's, often the year of accession.

    Returns:
        The number, without what only tells the view; None where the name holds none.
    """
    stem = unicodedata.normalize("NFKC", PurePosixPath(name).stem).strip()
    stem = _COPY.sub("", stem)
    start = _START.match(stem.upper())
    if start is None:
        return None
    words = re.findall(r"[A-Z]+", start[1])
    if len(start[2]) > LONGEST or any(
        word in _CAMERAS or (len(word) > 3 and word not in _MUSEUMS) for word in words
    ):
        return None
    year = _YEAR.fullmatch(group)
    numbered = any(word not in _MUSEUMS for word in words)  # EG6141, N.123: no year comes first
    first = start[2]
    incomplete = not numbered and _YEAR.fullmatch(first) is not None
    parts, end, note = _after(
        stem, start.end(), first, collection.lower(), _separators(start[1]), incomplete=incomplete
    )
    if incomplete and len(parts) == 1:  # a year alone is a number only in another year's folder
        if year is None or group == first:
            return None
        incomplete = False
    if year is not None and not numbered and not incomplete:
        parts = (group, *parts)  # `78.jpg` in the folder 1971
    elif year is None and not words and not incomplete and len(parts) == 1:
        parts = (f"{group}/{first}",)  # a bare number is one only within its folder
    return Number(".".join(words), parts, stem[:end], note)


def _after(
    stem: str, at: int, first: str, collection: str, separators: set[str], *, incomplete: bool
) -> tuple[tuple[str, ...], int, str]:
    """The number's parts from its first numeral on, where it ends, and a remark after it."""
    parts = [first]
    text = stem.upper()
    while (piece := _PIECE.match(text, at)) is not None:
        separator, digits, letters = piece.groups()
        if digits:
            if not incomplete and _is_range(separator.strip(), digits, parts[-1], separators):
                digits = f"{parts.pop()}-{digits}"
            elif not incomplete and separator not in ("", ".") and separators != {separator}:
                break  # it counts views
        elif _is_view(letters, text[piece.end() :], collection, glued=separator == ""):
            break
        elif len(letters) > 2:
            return tuple(parts), at, stem[at:].strip(" ._-")
        incomplete = False
        parts.append(digits or letters)
        separators = separators | _separators(separator)
        at = piece.end()
    return tuple(parts), at, ""


def _is_range(separator: str, digits: str, last: str, separators: set[str]) -> bool:
    """Whether a photo shows several objects, as `1971.78-80` does; it is an object of its own.

    A smaller numeral counts views, `1971.78-3`. Where the number itself is written with hyphens,
    nothing tells one from the other, and it stays a part.
    """
    if separator in ("&", "+", ",", "–"):
        return True
    upwards = last.isdecimal() and int(digits) > int(last)
    return separator == "-" and upwards and "-" not in separators


def _is_view(letters: str, rest: str, collection: str, *, glued: bool) -> bool:
    """Whether letters after a number tell the view."""
    if len(letters) == 1:
        counted = letters in "QDV" and re.match(r"\d", rest) is not None  # q1, d2, v1
        return counted or (glued and collection in _LETTER_IS_VIEW)
    if len(letters) == 2:
        return letters[0] == letters[1] or letters in ("CU", "PC") or collection != "egyptian"
    return _VIEW_WORDS.fullmatch(letters) is not None


def _separators(text: str) -> set[str]:
    """The separators in a piece of a name, one entry for each kind."""
    return set(re.findall(r"[\s._–&+,-]+", text))


def _objects(numbered: list[tuple[str, str, str, Number]]) -> tuple[list[Photo], list[Problem]]:
    """Photos with object ids; a number without prefix joins the one that has a prefix."""
    prefixes: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for _, collection, folder, number in numbered:
        if number.prefix:
            prefixes[collection, folder, number.parts].add(number.prefix)
    photos: list[Photo] = []
    spellings: dict[str, set[str]] = defaultdict(set)
    for path, collection, folder, number in numbered:
        prefix = number.prefix
        known = prefixes[collection, folder, number.parts]
        if not prefix and len(known) == 1:  # with two museums' prefixes nobody knows which
            (prefix,) = known
        object_id = number.text(prefix)
        spellings[object_id].add(number.spelling)
        name = COLLECTIONS.get(collection.lower(), unicodedata.normalize("NFC", collection))
        photos.append(Photo(object_id, path, name))
    problems = [
        Problem("warning", object_id, f"joined from the spellings {', '.join(sorted(names))}")
        for object_id, names in spellings.items()
        if len(names) > 1
    ]
    return photos, problems
