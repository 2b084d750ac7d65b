"""What a register holds and what is wrong with it, in the form of the paper's Table 2."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mobile_assets.files import sha256_file
from mobile_assets.photos import PhotoError, decode
from train.prepare import Progress
from train.readers import Layout, read_register
from train.register import Photo, Problem, Register

MOST = 10
"""Objects with so many photos or more share one row, as in the paper's Table 2a."""

THRESHOLDS = (3, 4, 5, 6)
"""The paper's four threshold data sets."""


@dataclass(frozen=True)
class Row:
    """One row of a table: a name with its number of objects and photos."""

    name: str
    objects: int
    photos: int


@dataclass(frozen=True)
class Inspection:
    """What `inspect` prints.

    Attributes:
        source: What was inspected.
        objects: Objects with at least one readable photo.
        photos: Readable photos.
        per_object: Objects and photos by photos per object (Table 2a).
        per_collection: Objects and photos by collection (Table 2b).
        thresholds: The threshold data sets.
        problems: Unreadable photos, ignored files, pictures that are there twice.
    """

    source: str
    objects: int
    photos: int
    per_object: tuple[Row, ...]
    per_collection: tuple[Row, ...]
    thresholds: tuple[Row, ...]
    problems: tuple[Problem, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def inspect(
    source: Path, *, layout: Layout = "auto", progress: Progress | None = None
) -> Inspection:
    """Reads a register and decodes every photo once.

    Args:
        source: A folder or a manifest.
        layout: How folders are meant.
        progress: Called with (photos done, photos in all).

    Raises:
        InputError: `source` cannot be read as a register.
    """
    register = read_register(source, layout=layout)
    digests: dict[str, list[Photo]] = defaultdict(list)
    bad: dict[str, str] = {}
    for done, (photo, digest, reason) in enumerate(_checked(register), start=1):
        if reason is not None:
            bad[photo.path] = reason
        else:
            digests[digest].append(photo)
        if progress is not None:
            progress(done, len(register.photos))
    problems = [Problem("unreadable", path, reason) for path, reason in sorted(bad.items())]
    readable = register.without(bad, [*problems, *_twice(digests)])
    return _inspection(str(source), readable)


def _inspection(source: str, register: Register) -> Inspection:
    counts = register.photos_per_object
    by_count = Counter(counts.values())
    rows = [Row(str(n), by_count[n], n * by_count[n]) for n in range(1, MOST) if by_count[n]]
    many = [n for n in counts.values() if n >= MOST]
    if many:
        rows.append(Row(f"{MOST}+", len(many), sum(many)))
    return Inspection(
        source=source,
        objects=len(counts),
        photos=len(register.photos),
        per_object=tuple(rows),
        per_collection=_collections(register),
        thresholds=tuple(_threshold(register, minimum) for minimum in THRESHOLDS),
        problems=register.problems,
    )


def _collections(register: Register) -> tuple[Row, ...]:
    """Collections by number of photos, most first, as the paper lists them."""
    objects: dict[str, set[str]] = defaultdict(set)
    photos: Counter[str] = Counter()
    for photo in register.photos:
        objects[photo.collection].add(photo.object_id)
        photos[photo.collection] += 1
    order = sorted(objects, key=lambda name: (-photos[name], name))
    return tuple(Row(name or "(none)", len(objects[name]), photos[name]) for name in order)


def _threshold(register: Register, minimum: int) -> Row:
    dataset = register.threshold(minimum)
    return Row(f"at least {minimum}", len(dataset.object_ids), len(dataset.photos))


def _checked(register: Register) -> Iterator[tuple[Photo, str, str | None]]:
    """Yields each photo with its SHA-256, or with the reason why it cannot be read."""
    photos = iter(register.photos)
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        while chunk := list(islice(photos, 8 * workers)):  # bounds the decoded photos in memory
            results = pool.map(lambda photo: _check(register.path(photo)), chunk)
            for photo, (digest, reason) in zip(chunk, results, strict=True):
                yield photo, digest, reason


def _check(path: Path) -> tuple[str, str | None]:
    try:
        decode(path)
        return sha256_file(path), None
    except PhotoError as error:
        return "", error.reason


def _twice(digests: dict[str, list[Photo]]) -> list[Problem]:
    problems = []
    for photos in digests.values():
        for photo in photos[1:]:
            first = photos[0]
            where = (
                ""
                if photo.object_id == first.object_id
                else f" of another object, {first.object_id}"
            )
            problems.append(Problem("duplicate", photo.path, f"same file as {first.path}{where}"))
    return problems
