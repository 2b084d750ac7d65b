"""Dividing a threshold data set into training, validation and test photos."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from mobile_assets.errors import InputError
from train.near_duplicates import SAME_OBJECT_BITS, alike
from train.registers.register import Photo, Register
from train.run import Split, SplitName, SplitPhoto

Strategy = Literal["stratified", "paper", "manifest"]
STRATEGIES: tuple[Strategy, ...] = ("stratified", "paper", "manifest")

PAPER_SEED = 2667
"""Seed of the paper's random split (NumPy's PCG64)."""

HELD_OUT_SHARE = 0.2
"""Share of an object's photos that the stratified split holds out; at least one."""

_NOTHING_TO_TRAIN = "The split leaves no photo for training. Add photos or change --split."


def make_split(
    register: Register,
    *,
    strategy: Strategy,
    seed: int,
    min_photos: int,
    digests: Mapping[str, str],
    hashes: Mapping[str, int],
    shared: Sequence[Sequence[Photo]] = (),
    hold_out_test: bool = True,
) -> Split:
    """Divides a threshold data set.

    Args:
        register: The threshold data set, readable photos only.
        strategy: `stratified`: every object keeps training photos and, from two distinct photos
            on, has at least one held out; near-duplicates stay together. A picture that stands
            under two objects is never held out, with its near-duplicates: no model could tell
            which of the two is asked for. `paper`: random 8:1:1 by photo, whatever the object.
            `manifest`: the manifest's `split` column; photos without one are divided between
            training and validation as by `stratified`.
        seed: Seed of the random choices; the paper's split has its own.
        digests: SHA-256 of each photo's content by path.
        hashes: `train.near_duplicates.picture_hash` by path.
        shared: Groups of photos that are one picture under two objects or more.
        hold_out_test: False to hold out validation photos only, where test photos come from
            elsewhere.

    Raises:
        InputError: The manifest has no split column, or nothing is left for training.
    """
    check_strategy(register, strategy)
    if strategy == "paper":
        sides = _paper_sides(register)
    elif strategy == "manifest":
        sides = _manifest_sides(register, seed, hashes, shared)
    else:
        sides = _stratified_sides(register.photos, seed, hashes, shared, test=hold_out_test)
    trained = {photo.object_id for photo in register.photos if sides[photo.path] == "train"}
    if not trained:
        raise InputError(_NOTHING_TO_TRAIN)
    return Split(
        strategy=strategy,
        seed=PAPER_SEED if strategy == "paper" else seed,
        min_photos=min_photos,
        photos=tuple(
            SplitPhoto(
                path=photo.path,
                object_id=photo.object_id,
                sha256=digests[photo.path],
                split=sides[photo.path],
                seen=photo.object_id in trained,
            )
            for photo in register.photos
        ),
    )


def check_strategy(register: Register, strategy: Strategy) -> None:
    """Refuses a way of dividing that the register's manifest does not allow.

    Raises:
        InputError: No photo has a split, or none is for training.
    """
    if strategy != "manifest":
        return
    sides = {photo.split for photo in register.photos}
    if sides == {None}:
        raise InputError(
            "--split manifest needs a manifest with a split column (train, val or test), "
            "and this register has none. Add the column, or use --split stratified."
        )
    if not sides & {"train", None}:
        raise InputError(_NOTHING_TO_TRAIN)


def _paper_sides(register: Register) -> dict[str, SplitName]:
    order = np.random.Generator(np.random.PCG64(PAPER_SEED)).permutation(len(register.photos))
    train, val = int(0.8 * len(order)), int(0.9 * len(order))
    sides: dict[str, SplitName] = {}
    for rank, index in enumerate(order):
        name: SplitName = "train" if rank < train else "val" if rank < val else "test"
        sides[register.photos[index].path] = name
    return sides


def _manifest_sides(
    register: Register, seed: int, hashes: Mapping[str, int], shared: Sequence[Sequence[Photo]]
) -> dict[str, SplitName]:
    sides: dict[str, SplitName] = {}
    for photo in register.photos:
        if photo.split in ("train", "val", "test"):
            sides[photo.path] = photo.split  # type: ignore[assignment]  # narrowed just above
    free = tuple(photo for photo in register.photos if photo.path not in sides)
    return sides | _stratified_sides(free, seed, hashes, shared, test=False)


def _stratified_sides(
    photos: Sequence[Photo],
    seed: int,
    hashes: Mapping[str, int],
    shared: Sequence[Sequence[Photo]],
    *,
    test: bool,
) -> dict[str, SplitName]:
    by_object: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        by_object[photo.object_id].append(photo)
    sides: dict[str, SplitName] = {photo.path: "train" for photo in photos}
    counts = {"val": 0, "test": 0}
    kept = _ambiguous(photos, shared)
    for object_id in sorted(by_object):
        for group in _held_out(by_object[object_id], _generator(seed, object_id), hashes, kept):
            # The scarcer side takes it, so that both grow alike over the register.
            side: SplitName = "test" if test and counts["test"] < counts["val"] else "val"
            for photo in group:
                sides[photo.path] = side
            counts[side] += len(group)
    return sides


def _held_out(
    photos: Sequence[Photo],
    generator: np.random.Generator,
    hashes: Mapping[str, int],
    kept: frozenset[str],
) -> list[list[Photo]]:
    """Groups of near-duplicates to hold out; at least one group is left for training."""
    groups = _near_duplicates(photos, hashes)
    wanted = max(1, round(HELD_OUT_SHARE * len(photos)))
    held: list[list[Photo]] = []
    for index in generator.permutation(len(groups)):
        group = groups[index]
        if any(photo.path in kept for photo in group):
            continue
        count = sum(len(g) for g in held)
        if len(held) + 1 == len(groups) or count >= wanted:
            break
        # A large group would take the object's training photos away.
        if count + len(group) <= max(wanted, len(photos) // 2):
            held.append(group)
    return held


def _near_duplicates(photos: Sequence[Photo], hashes: Mapping[str, int]) -> list[list[Photo]]:
    groups = alike([hashes[photo.path] for photo in photos], SAME_OBJECT_BITS)
    return [[photos[position] for position in group] for group in groups]


def _ambiguous(photos: Sequence[Photo], shared: Sequence[Sequence[Photo]]) -> frozenset[str]:
    """Paths of the photos that are one picture under two objects of this data set."""
    here = {photo.path for photo in photos}
    groups = [[photo for photo in group if photo.path in here] for group in shared]
    return frozenset(
        photo.path
        for group in groups
        if len({photo.object_id for photo in group}) > 1
        for photo in group
    )


def _generator(seed: int, object_id: str) -> np.random.Generator:
    """A generator of the object's own, so that adding an object does not resplit the others."""
    digest = hashlib.sha256(object_id.encode("utf-8")).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
