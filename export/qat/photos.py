"""Which photos a student learns from, and by which its best epoch is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from export.quantise.calibration_photos import calibration_order
from mobile_assets.errors import InputError
from train.batches import augmented, seed_for
from train.pixel_file import Pixels
from train.prepare import Prepared
from train.recipes import Recipe
from train.run import Run, SplitPhoto

ENOUGH = 0.5
"""Share of the run's training photos that must be there."""

HELD_OUT = 256
"""At least so many photos choose the best epoch; where there are fewer, copies are added. No more
validation photos are taken than twice as many: they are looked at every few epochs."""

_BATCH = 32


@dataclass(frozen=True)
class HeldOut:
    """Photos that the student does not learn from.

    What they show does not matter, as the teacher's answer is the right one; so a copy of a photo
    that was turned, zoomed and recoloured is as good as another photo.

    Attributes:
        pixels: `[N, H, W, 3]` uint8, validation photos first, then copies.
        copies: How many of them are altered copies.
    """

    pixels: NDArray[np.uint8]
    copies: int


def training_photos(run: Run, prepared: Prepared) -> list[SplitPhoto]:
    """The run's training photos that are there and unchanged, spread over the objects.

    Raises:
        InputError: Most are not.
    """
    found = _there(calibration_order(run, seed=0), prepared)
    if len(found) < max(1, ENOUGH * len(run.split.of("train"))):
        raise InputError(
            f"Only {len(found)} of the {len(run.split.of('train'))} photos that {run.folder} was "
            "trained on are there and unchanged. Give the register that it was trained on."
        )
    return found


def held_out(
    run: Run,
    prepared: Prepared,
    train: list[SplitPhoto],
    recipe: Recipe,
    *,
    seed: int,
) -> HeldOut:
    """Validation photos and altered copies of them; of training photos where there are none.

    Args:
        run: The run.
        prepared: Its photos.
        train: Training photos that are there.
        recipe: Whose augmentation alters the copies.
        seed: Of the alterations.
    """
    val = _there(_validation(run), prepared)[: 2 * HELD_OUT]
    originals = pixels_of(prepared, val or train[:HELD_OUT])[:]
    kept = originals if val else originals[:0]
    copies = max(0, HELD_OUT - len(kept))
    generator = torch.Generator().manual_seed(seed_for(seed, "held out"))
    parts = [kept]
    for start in range(0, copies, _BATCH):
        rows = np.arange(start, min(start + _BATCH, copies)) % len(originals)
        images = torch.from_numpy(originals[rows]).permute(0, 3, 1, 2).float()
        altered = augmented(images, recipe, generator).clamp(0, 255).round()
        parts.append(altered.to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return HeldOut(np.ascontiguousarray(np.concatenate(parts)), copies)


def pixels_of(prepared: Prepared, photos: list[SplitPhoto]) -> Pixels:
    """The photos' pixels, `[N, H, W, 3]` uint8."""
    return prepared.view([photo.path for photo in photos])


def _validation(run: Run) -> list[SplitPhoto]:
    """Validation photos, in an order that is spread over the objects."""
    seen: dict[str, int] = {}
    places = []
    for photo in run.split.of("val"):
        turn = seen[photo.object_id] = seen.get(photo.object_id, -1) + 1
        places.append((turn, photo))
    return [photo for _, photo in sorted(places, key=lambda place: place[0])]


def _there(photos: list[SplitPhoto], prepared: Prepared) -> list[SplitPhoto]:
    return [photo for photo in photos if prepared.digests.get(photo.path) == photo.sha256]
