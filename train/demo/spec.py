"""What a demo register is asked to be, and what was made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mobile_assets.errors import InputError

GENERATOR_VERSION = 1
"""Raised whenever the same specification would give other pictures."""

PAPER_OBJECTS = 4332
PAPER_PHOTOS = 24502


class DemoError(InputError):
    """A demo register cannot be made as asked; the message says what to do."""


@dataclass(frozen=True)
class DemoSpec:
    """What to generate.

    A frozen ImageNet backbone (EfficientNet-Lite0) with a linear classifier on 70 % of
    the photos names about two thirds of the extra views of a default register rightly;
    almost all its errors are look-alikes of the same mould.

    Attributes:
        objects: Number of objects (classes), 1 to 4,332. The largest size has the
            paper's 24,502 photos and its numbers of objects per collection.
        seed: Non-negative seed of everything random.
        photo_pixels: Longer side of a photo in pixels, 32 to 2,048.
    """

    objects: int = 36
    seed: int = 2667
    photo_pixels: int = 256
    extra_views: int = 0
    field_views: int = 0

    def __post_init__(self) -> None:
        """Refuse values no register can be made of.

        Raises:
            DemoError: If a field is out of its range.
        """
        _check("objects", self.objects, 1, PAPER_OBJECTS)
        _check("seed", self.seed, 0, 2**63 - 1)
        _check("photo_pixels", self.photo_pixels, 32, 2048)
        _check("extra_views", self.extra_views, 0, 1000)
        _check("field_views", self.field_views, 0, 1000)


@dataclass(frozen=True)
class DemoRegister:
    """A generated demo register on disk.

    Attributes:
        root: The output folder; holds `demo.json`.
        register: Folder of the register, `<collection>/<object>/<photo>.jpg`.
        manifest: The register's `manifest.csv`.
        extra: Folder of the studio test views, laid out alike, if any were asked for.
        field: Folder of the field views, laid out alike, if any were asked for.
        rendered: Number of pictures rendered by this call; the others were there.
    """

    root: Path
    register: Path
    manifest: Path
    extra: Path | None
    field: Path | None
    objects: int
    photos: int
    extra_photos: int
    field_photos: int
    rendered: int


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise DemoError(
            f"{name}={value} was given for the demo register; it has to be between "
            f"{low} and {high}. Choose a value in that range."
        )


def rng_for(seed: int, *key: int | str) -> np.random.Generator:
    """A generator that depends on the seed and the key alone.

    Args:
        *key: What the numbers are for, such as `"photo", 12, "extra", 3`.
    """
    words = [seed]
    for part in key:
        if isinstance(part, str):
            raw = part.encode()
            words += [len(raw), int.from_bytes(raw, "big")]
        else:
            words.append(part)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
