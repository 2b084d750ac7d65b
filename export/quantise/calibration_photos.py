"""Photos for an export: those for calibration and those to judge variants by."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobile_assets.bundle import Calibration
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_bytes
from mobile_assets.photos import PhotoError
from mobile_assets.preprocessing import Preprocessing
from train.photo_pixels import PhotoPixels
from train.run import Run, SplitPhoto

Say = Callable[[str], None]

ENOUGH = 0.5
"""Share of the calibration photos asked for without which no ranges are taken."""


@dataclass(frozen=True)
class LoadedPhotos:
    """Photos of the register, decoded; or noise, which has no photos.

    Attributes:
        pixels: `[N, H, W, 3]` uint8, in the same order; of noise, with no photos beside them.
        skipped: How many were missing, changed or unreadable.
    """

    photos: tuple[SplitPhoto, ...]
    pixels: NDArray[np.uint8]
    skipped: int


def calibration_order(run: Run, *, seed: int) -> list[SplitPhoto]:
    """The run's training photos in the order in which calibration takes them.

    Every prefix is spread evenly over the objects, and over the collections in proportion to
    their objects: each object's first photo comes before any object's second.
    """
    generator = random.Random(seed)
    by_object: dict[str, list[SplitPhoto]] = defaultdict(list)
    for photo in run.split.of("train"):
        by_object[photo.object_id].append(photo)
    by_collection: dict[str, list[str]] = defaultdict(list)
    for object_id in sorted(by_object):
        label = run.labels[run.labels.index_of[object_id]]
        by_collection[label.collection].append(object_id)
    ranked: list[tuple[int, float, str, SplitPhoto]] = []
    for collection in sorted(by_collection):
        objects = by_collection[collection]
        generator.shuffle(objects)
        for number, object_id in enumerate(objects):
            photos = sorted(by_object[object_id], key=lambda photo: photo.path)
            generator.shuffle(photos)
            position = (number + 0.5) / len(objects)
            ranked += [(turn, position, collection, photo) for turn, photo in enumerate(photos)]
    ranked.sort(key=lambda rank: (*rank[:3], rank[3].path))
    return [photo for *_, photo in ranked]


def calibration_photos(
    run: Run, root: Path, *, wanted: int, seed: int, say: Say, cache: Path | None = None
) -> tuple[LoadedPhotos, Calibration]:
    """Chooses and loads calibration photos from the training photos.

    Args:
        root: The register's root, to which the run's photo paths are relative.
        wanted: How many photos; all training photos if there are fewer.

    Raises:
        InputError: Fewer than half of them can be used.
    """
    order = calibration_order(run, seed=seed)
    wanted = min(wanted, len(order))
    loaded = _load(order, run, root, wanted=wanted, cache=cache)
    if len(loaded.photos) < max(1, ENOUGH * wanted):
        raise InputError(_too_few(root, len(loaded.photos), wanted))
    if loaded.skipped:
        say(
            f"{loaded.skipped} training photos under {root} are missing, changed or unreadable; "
            f"{len(loaded.photos)} others are used for calibration."
        )
    lines = "".join(f"{photo.path}\0{photo.sha256}\n" for photo in loaded.photos)
    record = Calibration(
        photos=tuple(photo.path for photo in loaded.photos),
        seed=seed,
        sha256=sha256_bytes(lines.encode("utf-8")),
    )
    return loaded, record


def calibration_noise(
    contract: Preprocessing, *, wanted: int, seed: int
) -> tuple[LoadedPhotos, Calibration]:
    """Draws pixels at random, each value as likely as any other, in place of photos.

    No photo looks like that, so ranges taken on it fit none: it is for measuring what they lose.
    """
    shape = (wanted, contract.height, contract.width, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    record = Calibration(
        photos=(), seed=seed, sha256=sha256_bytes(pixels.tobytes()), noise_images=wanted
    )
    return LoadedPhotos((), pixels, 0), record


def _too_few(root: Path, usable: int, wanted: int) -> str:
    return (
        f"Only {usable} of {wanted} calibration photos can be used under {root}: the others are "
        "missing, changed since training, or unreadable. Give the register that the run was "
        "trained on with --photos, or export without the int8 variants."
    )


def validation_photos(run: Run, root: Path, *, say: Say, cache: Path | None = None) -> LoadedPhotos:
    """Loads the run's validation photos; arguments as for `calibration_photos`.

    Raises:
        InputError: The run has validation photos, but none of them is under `root`.
    """
    wanted = run.split.of("val")
    loaded = _load(wanted, run, root, wanted=len(wanted), cache=cache)
    if wanted and not loaded.photos:
        raise InputError(
            f"None of the run's {len(wanted)} validation photos can be used under {root}: they "
            "are missing, changed since training, or unreadable. "
            "Give the register that the run was trained on with --photos."
        )
    if loaded.skipped:
        say(
            f"{loaded.skipped} validation photos under {root} are missing, changed or unreadable; "
            f"variants are judged on the other {len(loaded.photos)}."
        )
    return loaded


def _load(
    photos: Sequence[SplitPhoto], run: Run, root: Path, *, wanted: int, cache: Path | None
) -> LoadedPhotos:
    """Loads photos in order until `wanted` are there."""
    contract = run.info.preprocessing
    source = PhotoPixels(contract, root=root, cache=cache)
    good: list[SplitPhoto] = []
    pixels: list[NDArray[np.uint8]] = []
    remaining = iter(photos)
    read = 0
    while batch := list(islice(remaining, wanted - len(good))):
        read += len(batch)
        unchanged = [photo for photo in batch if photo.why_unusable(root) is None]
        decoded = source.read((root / photo.path, photo.sha256) for photo in unchanged)
        for photo, values in zip(unchanged, decoded, strict=True):
            if not isinstance(values, PhotoError):
                good.append(photo)
                pixels.append(values)
    shape = (0, contract.height, contract.width, 3)
    stacked = np.stack(pixels) if pixels else np.empty(shape, dtype=np.uint8)
    return LoadedPhotos(tuple(good), stacked, read - len(good))
