"""From a manifest's rows to photos."""

from __future__ import annotations

import os
import posixpath
import stat
from collections import defaultdict
from pathlib import Path, PurePosixPath

from mobile_assets.object_ids import unfit_object_id
from mobile_assets.photos import PHOTO_SUFFIXES
from train.registers.manifest_paths import PhotoFinder
from train.registers.manifest_text import ManifestRow, manifest_rows
from train.registers.object_ids import composed_text, joined_spellings, one_line, visible
from train.registers.object_records import RecordCollector
from train.registers.refusals import Refusals
from train.registers.register import Photo, Problem, Register, make_register

MANIFEST_NAMES = ("manifest.csv", "manifest.jsonl", "manifest.tsv")

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "dev", "development"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The names of a split's sides, as people write them."""


def read_manifest(path: Path) -> Register:
    """Reads a CSV or JSON Lines manifest, without decoding a photo.

    Raises:
        InputError: It cannot be read, or rows of it cannot be used; the message lists them.
    """
    refusals = Refusals(path)
    reader = _ManifestReader(path, refusals)
    for row in manifest_rows(path, refusals, reader.problems, is_photo=reader.is_photo):
        reader.add(row)
    refusals.check()
    return reader.register()


class _ManifestReader:
    """Takes rows, and gathers photos, problems and refusals."""

    def __init__(self, path: Path, refusals: Refusals) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._refusals = refusals
        self._finder = PhotoFinder(path.parent)
        self._photos: dict[str, Photo] = {}
        self._spellings: dict[str, set[str]] = defaultdict(set)
        self._records = RecordCollector()

    def is_photo(self, word: str) -> bool:
        """Whether a word is the path of a photo, by its ending or because it is there."""
        if not word:
            return False
        if PurePosixPath(word.replace("\\", "/")).suffix.lower() in PHOTO_SUFFIXES:
            return True
        return self._kind(self._finder.spelled(word)) == "file"

    def add(self, row: ManifestRow) -> None:
        """Takes a row in, as a photo, a problem or a refusal."""
        photo = self._photo(row)
        if isinstance(photo, str):
            self._refusals.add(f"{self._path}, line {row.line}", photo)
            return
        kind = self._kind(photo.path)
        if kind == "other":
            reason = f"not a regular file but a folder, pipe or device (line {row.line})"
            self.problems.append(Problem("unreadable", photo.path, reason))
            return
        same_file = posixpath.normpath(photo.path)
        first = self._photos.get(same_file)
        if first is None:
            self._photos[same_file] = photo
            self._spellings[photo.object_id].add(row.values["object_id"])
            self._records.add(photo.path, photo.object_id, row.values)
            return
        again = f"{self._path}, line {row.line}"
        if first.object_id != photo.object_id:
            self._refusals.add(
                again,
                f"{photo.path} is given to {photo.object_id} and to {first.object_id} "
                f"(line {first.line}). Give each photo to one object.",
            )
        elif first.split != photo.split:
            self._refusals.add(
                again,
                f"{photo.path} is put into {photo.split or 'no split'} and, in line {first.line}, "
                f"into {first.split or 'none'}. Put each photo into one.",
            )
        else:
            reason = f"listed twice in the manifest (lines {first.line} and {row.line})"
            self.problems.append(Problem("ignored", photo.path, reason))

    def register(self) -> Register:
        """All photos, with what is odd about them."""
        photos = list(self._photos.values())
        problems = [
            *self.problems,
            *self._finder.problems(self._path),
            *joined_spellings(self._spellings),
            *_several_values(photos),
            *self._records.problems,
        ]
        return make_register(self._path.parent, photos, problems, self._records.records())

    def _photo(self, row: ManifestRow) -> Photo | str:
        """The photo of a row, or why it cannot be used."""
        values = row.values
        written = values.get("path", "").strip()
        object_id = composed_text(values.get("object_id", ""))
        if not written or not object_id:
            return "path and object_id must not be empty. Fill both in, or take the row out."
        if (why := unfit_object_id(object_id)) is not None:
            return f"the object id {visible(object_id)} {why}. Write another."
        path = self._finder.spelled(written)
        if (wrong := _unfit_path(path, there=self._kind(path) is not None)) is not None:
            return f"the path {visible(written)} {wrong}. Write the path of one photo."
        collection, title = (one_line(values.get(name, "")) for name in ("collection", "title"))
        for name, text in (("collection", collection), ("title", title)):
            if not _is_unicode(text):
                return f"the {name} {visible(text)} is not Unicode text. Write it again."
        split = values.get("split", "").strip()
        if split and split.casefold() not in SPLITS:
            return f"split {split!r} is not one of train, val, test. Write one of them, or nothing."
        return Photo(
            object_id, path, collection, title, SPLITS.get(split.casefold()), line=row.line
        )

    def _kind(self, path: str) -> str | None:
        """`file` or `other`; None where there is nothing."""
        try:
            mode = os.stat(self._path.parent / path).st_mode
        except (OSError, ValueError):
            return None
        return "file" if stat.S_ISREG(mode) else "other"


def _unfit_path(path: str, *, there: bool) -> str | None:
    if not _is_unicode(path):
        return "is not Unicode text (its bytes are not UTF-8)"
    if not there and any(ord(character) < 32 for character in path):
        return "holds a line break or control character, and there is no such file"
    return None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _several_values(photos: list[Photo]) -> list[Problem]:
    """Reports objects whose rows disagree on the title or the collection."""
    problems = []
    for name in ("title", "collection"):
        values: dict[str, dict[str, int]] = defaultdict(dict)
        for photo in sorted(photos, key=lambda photo: photo.path):
            value = getattr(photo, name)
            if value:
                values[photo.object_id].setdefault(value, photo.line or 0)
        for object_id, lines in values.items():
            if len(lines) > 1:
                listed = ", ".join(f"{value!r} (line {line})" for value, line in lines.items())
                reason = f"has {len(lines)} {name}s, of which the first is taken: {listed}"
                problems.append(Problem("warning", object_id, reason))
    return problems
