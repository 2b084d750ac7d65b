"""Objects that are kept out of training, and enrolled afterwards as a phone's would be.

On objects that the network was trained on it is surer than on any that a museum adds later. What
tells a match from a stranger is therefore set on objects that it never saw.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from train.registers.register import Photo, Register
from train.run import Split

LEAST_HELD_OUT = 16
"""Fewer objects than these would set a threshold by chance."""

LARGEST_SHARE = 0.5
"""Training keeps at least as many objects as it gives away."""


def hold_out_objects(
    register: Register,
    split: Split,
    share: float,
    *,
    seed: int,
    shared: Sequence[Sequence[Photo]] = (),
) -> tuple[str, ...]:
    """Draws the objects that are kept out of training; sorted ids.

    Each collection gives its share. Within it, a hash of seed and id decides, so that adding an
    object to the register does not draw the others anew.

    Args:
        register: The threshold data set.
        split: Its photos, divided. Objects without a training photo cannot be enrolled.
        share: Of the objects, 0 to `LARGEST_SHARE`; 0 for none.
        seed: Of the draw.
        shared: Groups of photos that are one picture under two objects or more. Training sees such
            a picture under the other object, so none of these objects is kept out.

    Returns:
        At least `LEAST_HELD_OUT` objects, or none where that is more than half of all.
    """
    objects = {photo.object_id: photo.collection for photo in register.photos}
    wanted = max(LEAST_HELD_OUT, round(share * len(objects)))
    if not share or 2 * wanted > len(objects):
        return ()
    trained = {photo.object_id for photo in split.of("train")}
    barred = {photo.object_id for group in shared for photo in group if _is_ambiguous(group)}
    by_collection: dict[str, list[str]] = defaultdict(list)
    for object_id in trained - barred:
        by_collection[objects[object_id]].append(object_id)
    ranked = [
        ((position + 0.5) / len(ids), _hash(seed, object_id), object_id)
        for ids in by_collection.values()
        for position, object_id in enumerate(sorted(ids, key=lambda name: _hash(seed, name)))
    ]
    drawn = sorted(object_id for *_, object_id in sorted(ranked)[:wanted])
    return tuple(drawn) if len(drawn) == wanted else ()


def _is_ambiguous(group: Iterable[Photo]) -> bool:
    return len({photo.object_id for photo in group}) > 1


def _hash(seed: int, object_id: str) -> str:
    return hashlib.sha256(f"held out\0{seed}\0{object_id}".encode()).hexdigest()
