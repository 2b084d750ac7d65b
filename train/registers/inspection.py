"""What a register holds and what is wrong with it, in the form of the paper's Table 2."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from train.decode_pool import DecoderPool, Progress
from train.decode_worker import PhotoFacts, Request
from train.near_duplicates import SAME_OBJECT_BITS, across_objects, alike
from train.prepare import same_picture
from train.registers.readers import Layout, read_register
from train.registers.register import Photo, Problem, Register

MOST = 10
"""Objects with so many photos or more share one row, as in the paper's Table 2a."""

SMALL = 224
"""Photos with fewer pixels along a side have less than the default network looks at."""

_SIDE = 128

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
        per_object: Objects and photos by photos per object (Table 2a).
        per_collection: Objects and photos by collection (Table 2b).
        kinds: How many readable photos have which format, are small, turned by EXIF, or do not
            store their colours as 8-bit RGB.
    """

    source: str
    objects: int
    photos: int
    per_object: tuple[Row, ...]
    per_collection: tuple[Row, ...]
    thresholds: tuple[Row, ...]
    problems: tuple[Problem, ...]
    kinds: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def inspect(
    source: Path, *, layout: Layout = "auto", progress: Progress | None = None
) -> Inspection:
    """Reads a register and decodes every photo once.

    Args:
        progress: Called with (photos done, photos in all).

    Raises:
        InputError: `source` cannot be read as a register.
    """
    register = read_register(source, layout=layout)
    examined = dict(zip(register.photos, _examined(register, progress), strict=True))
    bad = {photo.path: facts.error for photo, facts in examined.items() if facts.error is not None}
    good = {photo: facts for photo, facts in examined.items() if facts.error is None}
    photos = tuple(good)
    digests = {photo.path: facts.sha256 for photo, facts in good.items()}
    hashes = {photo.path: int(facts.picture_hash, 16) for photo, facts in good.items()}
    problems = same_picture(across_objects(photos, digests, hashes))
    problems += _twice(photos, digests, hashes)
    problems += _too_small(register.unreadable(bad))
    readable = register.unreadable(bad).without((), problems)
    return _inspection(str(source), readable, _kinds(list(good.values())))


def _inspection(source: str, register: Register, kinds: dict[str, int]) -> Inspection:
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
        kinds=kinds,
    )


def _too_small(register: Register) -> Iterator[Problem]:
    """Says that `train` will refuse the register unless it is told to take fewer photos."""
    minimum = THRESHOLDS[0]
    objects = len(register.threshold(minimum).object_ids)
    if objects < 2:
        reason = (
            f"`train` needs 2 objects with at least {minimum} photos, and here are {objects}: "
            "add photos, or give it another --min-photos"
        )
        yield Problem("warning", register.name, reason)


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


def _examined(register: Register, progress: Progress | None) -> list[PhotoFacts]:
    """Decodes every photo; pixels are dropped, facts are kept."""
    requests = (
        Request(file=str(register.path(photo)), height=_SIDE, width=_SIDE, pixels=False)
        for photo in register.photos
    )
    examined: list[PhotoFacts] = []
    with DecoderPool(len(register.photos)) as pool:
        for facts, _ in pool.examine(requests):
            examined.append(facts)
            if progress is not None:
                progress(len(examined), len(register.photos))
    return examined


def _kinds(facts: Sequence[PhotoFacts]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for fact in facts:
        counts[f"format {fact.format}"] += 1
        if fact.mode != "RGB":
            counts[f"colours stored as {fact.mode}"] += 1
        if fact.turned:
            counts["turned by EXIF"] += 1
        if min(fact.size) < SMALL:
            counts[f"under {SMALL} pixels"] += 1
    return dict(sorted(counts.items()))


def _twice(
    photos: Sequence[Photo], digests: Mapping[str, str], hashes: Mapping[str, int]
) -> Iterator[Problem]:
    """Pictures that an object has twice; under two objects is another problem."""
    by_object: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_object[photo.object_id].append(photo)
    for own in by_object.values():
        for group in alike([hashes[photo.path] for photo in own], SAME_OBJECT_BITS):
            first = own[group[0]]
            for photo in (own[position] for position in group[1:]):
                same = digests[photo.path] == digests[first.path]
                what = "same file as" if same else "nearly the same picture as"
                yield Problem("duplicate", photo.path, f"{what} {first.path}")
