"""Which objects a register holds, in which collections, with how many photos.

The counts follow the paper's tables 2a and 2b. What an object *is* (its collection,
family and look) depends on its index alone, so that a larger register contains the
smaller one's objects; only the number of photos depends on the register's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from train.demo.spec import PAPER_OBJECTS, PAPER_PHOTOS, DemoSpec, rng_for

PHOTO_COUNTS: tuple[tuple[int, int], ...] = (
    (3, 1001),
    (4, 853),
    (5, 387),
    (6, 1027),
    (7, 507),
    (8, 201),
    (9, 86),
    (10, 270),
)
"""(photos, objects) of table 2a; the last row is "10 or more"."""

COLLECTIONS: tuple[tuple[str, str, int, int], ...] = (
    ("Oriental", "ORI", 2993, 17471),
    ("Egyptian", "EGY", 820, 4646),
    ("Fulling Mill", "FUL", 309, 1455),
    ("Castle", "CAS", 210, 930),
)
"""(name, accession prefix, objects, photos) of table 2b."""

# A small register has to show all four collections, so the first objects are shared
# out more evenly; the paper's shares are reached exactly at the full size.
_SMALL_SHARES = (0.40, 0.26, 0.19, 0.15)
_SMALL_SIZE = 40

_MOST_PHOTOS = 26

# Members per mould, repeated: sisters come in twos, threes and fours.
_MOULD_SIZES = (3, 2, 4, 3)

FAMILIES: dict[str, tuple[str, ...]] = {
    "Oriental": ("vase", "tablet", "bowl", "seal", "idol", "cash", "tile"),
    "Egyptian": ("shabti", "scarab", "jar", "necklace", "bowl"),
    "Fulling Mill": ("amphora", "coin", "lamp", "beaker", "token", "necklace"),
    "Castle": ("jug", "penny", "tile", "token", "idol"),
}
"""Families of each collection, in the order in which its moulds take them."""


@dataclass(frozen=True)
class ObjectPlan:
    """One object of the register.

    Attributes:
        index: Position in the sequence of all objects, from 0.
    """

    index: int
    object_id: str
    collection: str
    family: str
    mould: int
    member: int
    photos: int


def plan_register(spec: DemoSpec) -> tuple[ObjectPlan, ...]:
    """Lay out a register without rendering anything."""
    homes = _collection_sequence(spec.objects)
    photos = _photos_of_objects(homes, spec.seed)
    ranks = [0] * len(COLLECTIONS)
    plans = []
    for index, home in enumerate(homes):
        name, prefix, _, _ = COLLECTIONS[home]
        mould, member = _mould_of(ranks[home])
        families = FAMILIES[name]
        plans.append(
            ObjectPlan(
                index=index,
                object_id=_accession(prefix, mould, ranks[home]),
                collection=name,
                family=families[mould % len(families)],
                mould=mould,
                member=member,
                photos=photos[index],
            )
        )
        ranks[home] += 1
    return tuple(plans)


def photo_counts(objects: int) -> list[int]:
    """Photos per object as in table 2a, at any size.

    Args:
        objects: Number of objects, at least 1.

    Returns:
        One count per object, ascending, each at least 3.
    """
    shares = [number / PAPER_OBJECTS for _, number in PHOTO_COUNTS]
    counts = []
    for (photos, _), number in zip(PHOTO_COUNTS, _largest_remainder(objects, shares), strict=True):
        counts += [photos] * number if photos < 10 else _many(number)
    return counts


def _many(number: int) -> list[int]:
    """Counts of the objects with 10 or more photos: quantiles of the full size's."""
    full = _full_many()
    return [full[(2 * k + 1) * len(full) // (2 * number)] for k in range(number)]


def _full_many() -> list[int]:
    """The full size's counts of 10 or more: falling, and exact in their sum."""
    size = PHOTO_COUNTS[-1][1]
    total = PAPER_PHOTOS - sum(p * n for p, n in PHOTO_COUNTS[:-1])
    span = _MOST_PHOTOS - 9.001

    def spread(rate: float) -> list[int]:
        falling = (1 - math.exp(-rate * span)) / size
        return [10 + int(-math.log(1 - (k + 0.5) * falling) / rate) for k in range(size)]

    low, high = 1e-6, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(spread(middle)) > total else (low, middle)
    counts = spread(low)
    for k in range(sum(counts) - total):  # a remainder of a few photos
        counts[size // 3 + k] -= 1
    return sorted(counts)


def _largest_remainder(total: int, shares: Sequence[float]) -> list[int]:
    exact = [total * share for share in shares]
    whole = [int(value + 1e-9) for value in exact]
    order = sorted(range(len(exact)), key=lambda k: (whole[k] - exact[k], k))
    for k in order[: total - sum(whole)]:
        whole[k] += 1
    return whole


def _collection_sequence(objects: int) -> list[int]:
    """The collection of each object: always the one furthest behind its share."""
    held = [0] * len(COLLECTIONS)
    sequence = []
    for size in range(1, objects + 1):
        targets = _targets(size)
        home = max(range(len(held)), key=lambda c: (targets[c] - held[c], -c))
        held[home] += 1
        sequence.append(home)
    return sequence


def _targets(size: int) -> list[float]:
    if size <= _SMALL_SIZE:
        return [share * size for share in _SMALL_SHARES]
    way = (size - _SMALL_SIZE) / (PAPER_OBJECTS - _SMALL_SIZE)
    return [
        small * _SMALL_SIZE * (1 - way) + full * way
        for small, (_, _, full, _) in zip(_SMALL_SHARES, COLLECTIONS, strict=True)
    ]


def _mould_of(rank: int) -> tuple[int, int]:
    cycle = sum(_MOULD_SIZES)
    mould, rest = len(_MOULD_SIZES) * (rank // cycle), rank % cycle
    for size in _MOULD_SIZES:
        if rest < size:
            break
        mould, rest = mould + 1, rest - size
    return mould, rest


def _accession(prefix: str, mould: int, rank: int) -> str:
    # Look-alikes were acquired together: a mould is a year's purchase.
    return f"{prefix}-{1889 + mould * 37 % 101}-{rank + 1:04d}"


def _photos_of_objects(homes: Sequence[int], seed: int) -> list[int]:
    """Deal the counts out, each collection getting a fair spread of them."""
    counts = sorted(photo_counts(len(homes)), reverse=True)
    members = [[k for k, home in enumerate(homes) if home == c] for c in range(len(COLLECTIONS))]
    ranked = []
    for c, indices in enumerate(members):
        order = rng_for(seed, "photos", c).permutation(len(indices))
        for rank, k in enumerate(order):
            ranked.append(((rank + 0.5) / len(indices), c, indices[int(k)]))
    photos = [0] * len(homes)
    for count, (_, _, index) in zip(counts, sorted(ranked), strict=True):
        photos[index] = count
    _balance(photos, members)
    return photos


def _balance(photos: list[int], members: Sequence[Sequence[int]]) -> None:
    """Swap counts between collections until their sums are those of table 2b."""
    weights = [
        len(indices) * full / number
        for indices, (_, _, number, full) in zip(members, COLLECTIONS, strict=True)
    ]
    scale = sum(photos) / sum(weights)
    over = [
        sum(photos[k] for k in indices) - round(weight * scale)
        for indices, weight in zip(members, weights, strict=True)
    ]
    while True:
        rich = max(range(len(over)), key=lambda c: over[c])
        poor = min(range(len(over)), key=lambda c: over[c])
        swap = _step(photos, members[rich], members[poor])
        if over[rich] < 1 or over[poor] > -1 or swap is None:
            return
        giver, taker = swap
        photos[giver], photos[taker] = photos[taker], photos[giver]
        over[rich], over[poor] = over[rich] - 1, over[poor] + 1


def _step(
    photos: Sequence[int], rich: Sequence[int], poor: Sequence[int]
) -> tuple[int, int] | None:
    """Two objects whose counts differ by one photo, never taking a last 6 or more."""
    spare = sum(photos[k] >= 6 for k in rich) > 1
    first = {photos[k]: k for k in reversed(poor)}
    for k in rich:
        if photos[k] - 1 in first and (photos[k] != 6 or spare):
            return k, first[photos[k] - 1]
    return None
