"""The cache of prepared photos on disk: whole or being made, never half.

`CACHE/<register>-<id>/` holds `pixels.npy` and `index.json`; there is one for a register's root and
a contract. While it is made it is `.<register>-<id>.work/`, whose `journal.jsonl` says which rows
are on disk: after a kill, the work goes on from there. Rows of unchanged photos are copied from the
cache that it replaces, and that one is removed when the new one stands. One process at a time works
in there; another waits for it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mobile_assets.errors import DamagedError, InputError
from mobile_assets.schema import Document, Record
from train.pixel_file import Header, PixelFile, create, read_header

PIXELS_FILE = "pixels.npy"
INDEX_FILE = "index.json"
_JOURNAL = "journal.jsonl"
SAVE_SECONDS = 2.0
"""Rows are made safe on disk about this often."""

_ENTRY_BYTES = 1024  # more than an entry of index and journal takes, with a long path

Stamp = tuple[str, int, int]
"""Path, bytes and time of change: what an unchanged photo is known by."""


class PreparedPhoto(Record):
    """One photo of the cache.

    Attributes:
        path: Relative to the register's root.
        bytes: Size of the file; -1 where there was none.
        changed_ns: Its time of change, nanoseconds.
        picture_hash: `train.near_duplicates.perceptual_hash`, hexadecimal.
        exact: Whether the pixels are those of `mobile_assets.photos.load`, bit for bit.
    """

    path: str
    bytes: int
    changed_ns: int
    sha256: str = ""
    picture_hash: str = "0"
    exact: bool = False
    error: str | None = None

    @property
    def stamp(self) -> Stamp:
        """What a photo that has not changed has in common with itself."""
        return (self.path, self.bytes, self.changed_ns)


class PreparedIndex(Document):
    """The content of `index.json`; row i of `pixels.npy` is photo i.

    Attributes:
        key: Hash of everything that the content depends on.
    """

    key: str
    decoder: str
    photos: tuple[PreparedPhoto, ...]


class PhotoCache:
    """The cache of one register and contract; its methods are called under the caller's lock."""

    def __init__(self, folder: Path, decoder: str) -> None:
        self.folder = folder
        self.decoder = decoder
        self._work = folder.with_name(f".{folder.name}.work")
        self._left = folder.with_name(f".{folder.name}.left")
        self._old = folder.with_name(f".{folder.name}.old")

    def whole(self, key: str) -> PreparedIndex | None:
        """The index of the whole cache with that key; None where it must be made."""
        index = _read_index(self.folder)
        return index if index is not None and index.key == key else None

    def start(self, key: str, shape: tuple[int, int, int, int]) -> PartialCache:
        """Opens the work for that key, continued where it was broken off.

        Raises:
            InputError: The disk has not enough room.
        """
        journal = self._work / _JOURNAL
        if self._work.exists() and _journal_key(journal) != (key, self.decoder):
            # What another state of the register left behind serves as a source of rows.
            shutil.rmtree(self._left, ignore_errors=True)
            os.replace(self._work, self._left)
        done = _read_journal(self._work)
        _check_room(self.folder.parent, shape, len(done))
        if not done:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir(parents=True)
            create(self._work / PIXELS_FILE, shape)
            head = json.dumps({"key": key, "decoder": self.decoder})
            journal.write_text(head + "\n", encoding="ascii")
        return PartialCache(self._work, done)

    def exact_rows(self) -> tuple[PixelFile | None, dict[str, int]]:
        """The whole cache's pixels with the exact rows by SHA-256; no lock is needed to read."""
        try:
            before = (self.folder / INDEX_FILE).stat()
            index, file = _read_index(self.folder), PixelFile(self.folder / PIXELS_FILE)
            same = os.path.samestat(before, (self.folder / INDEX_FILE).stat())
        except (OSError, ValueError):
            return None, {}
        # Another process may have put a new cache in the place of this one meanwhile.
        if not same or index is None or index.decoder != self.decoder:
            file.close()
            return None, {}
        return file, {photo.sha256: row for row, photo in enumerate(index.photos) if photo.exact}

    def known(self) -> Iterator[tuple[PixelFile, dict[Stamp, tuple[int, PreparedPhoto]]]]:
        """Yields the files with rows of earlier work: row and entry by stamp."""
        for folder in (self.folder, self._old, self._left):
            index = _read_index(folder)
            if index is not None and index.decoder == self.decoder:
                rows = dict(enumerate(index.photos))
            elif index is None and _journal_key(folder / _JOURNAL)[1] == self.decoder:
                rows = _read_journal(folder)
            else:
                continue
            file = PixelFile(folder / PIXELS_FILE)
            try:
                yield (
                    file,
                    {
                        entry.stamp: (row, entry)
                        for row, entry in rows.items()
                        if entry.error is None
                    },
                )
            finally:
                file.close()

    def finish(
        self, work: PartialCache, key: str, photos: tuple[PreparedPhoto, ...]
    ) -> PreparedIndex:
        """Puts the finished work in the place of the cache, and removes all that it replaces."""
        work.close()
        index = PreparedIndex(key=key, decoder=self.decoder, photos=photos)
        index.write(self._work / INDEX_FILE)
        (self._work / _JOURNAL).unlink()
        shutil.rmtree(self._old, ignore_errors=True)
        if self.folder.exists():
            os.replace(self.folder, self._old)
        os.replace(self._work, self.folder)
        self.remove_replaced()
        return index

    def remove_replaced(self) -> None:
        """Removes what a whole cache replaces, this process's or that of one that was killed."""
        for folder in (self._old, self._left):
            shutil.rmtree(folder, ignore_errors=True)


class PartialCache:
    """A cache that is being made; rows count as done once they are safe on disk."""

    def __init__(self, folder: Path, done: dict[int, PreparedPhoto]) -> None:
        self.done = done
        self.header: Header = read_header(folder / PIXELS_FILE)
        self._folder = folder
        self._pixels: BinaryIO = (folder / PIXELS_FILE).open("r+b")
        self._journal: BinaryIO = (folder / _JOURNAL).open("r+b")
        self._journal.truncate(_sound(folder / _JOURNAL))
        self._journal.seek(0, os.SEEK_END)
        self._lines: list[bytes] = []
        self._saved = time.monotonic()

    def add(self, row: int, photo: PreparedPhoto, pixels: NDArray[np.uint8] | None) -> None:
        """Stores one photo.

        Raises:
            InputError: The disk is full.
        """
        try:
            if pixels is not None:
                self._pixels.seek(self.header.offset + row * self.header.row_bytes)
                self._pixels.write(np.ascontiguousarray(pixels).data)
            self._lines.append(json.dumps([row, photo.model_dump()]).encode("ascii") + b"\n")
            self.done[row] = photo
            if time.monotonic() - self._saved > SAVE_SECONDS:
                self.save()
        except OSError as error:
            raise _full(error, self._folder.parent) from error

    def save(self) -> None:
        """Makes all rows safe: pixels first, then the lines that say they are there."""
        self._pixels.flush()
        os.fsync(self._pixels.fileno())
        self._journal.write(b"".join(self._lines))
        self._journal.flush()
        os.fsync(self._journal.fileno())
        self._lines.clear()
        self._saved = time.monotonic()

    def close(self) -> None:
        """Saves and closes the files.

        Raises:
            InputError: The disk is full.
        """
        if self._pixels.closed:
            return
        try:
            self.save()
            self._pixels.close()
            self._journal.close()
        except OSError as error:
            raise _full(error, self._folder.parent) from error


def _read_index(folder: Path) -> PreparedIndex | None:
    try:
        index = PreparedIndex.read(folder / INDEX_FILE)
        header = read_header(folder / PIXELS_FILE)
    except (DamagedError, OSError, ValueError):
        return None  # a cache is only ever a copy: make it again
    return index if header.shape[0] == len(index.photos) else None


def _journal_key(journal: Path) -> tuple[str, str]:
    try:
        with journal.open(encoding="ascii") as file:
            head = json.loads(file.readline())
        return head["key"], head["decoder"]
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _read_journal(folder: Path) -> dict[int, PreparedPhoto]:
    """Rows that were safe on disk when the work was broken off."""
    try:
        header = read_header(folder / PIXELS_FILE)
        lines = (folder / _JOURNAL).read_bytes()[: _sound(folder / _JOURNAL)].splitlines()[1:]
        pairs = [json.loads(line) for line in lines]
        rows = {row: PreparedPhoto.model_validate(photo) for row, photo in pairs}
    except (OSError, ValueError, TypeError, ValidationError):
        return {}
    return {row: photo for row, photo in rows.items() if 0 <= row < header.shape[0]}


def _sound(journal: Path) -> int:
    """Length of a journal in bytes, without a last line that a kill cut off."""
    return journal.read_bytes().rfind(b"\n") + 1


def _check_room(cache: Path, shape: tuple[int, int, int, int], done: int) -> None:
    count, height, width, _ = shape
    needed = (count - done) * (height * width * 3 + _ENTRY_BYTES)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise InputError(
            f"{cache} has {free / 1e9:.1f} GB free, and preparing {count - done:,} photos takes "
            f"{needed / 1e9:.1f} GB. Free some space, or give another folder with --cache."
        )


def _full(error: OSError, cache: Path) -> Exception:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return error
    return InputError(
        f"The disk is full ({error.strerror}): no more prepared photos can be written to {cache}. "
        "Free some space and call the command again, which goes on from here, or give another "
        "folder with --cache."
    )
