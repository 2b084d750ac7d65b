"""Test vectors of the fitness rule: drawn photos, with what is measured on them and the answer.

A photo is drawn from whole numbers by few rules, so that Kotlin, Swift and JavaScript draw the
very same pixels without a file; the hash of the pixels says whether they do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mobile_assets.files import sha256_bytes
from mobile_assets.fitness import (
    DEFAULT_LIMITS,
    FitnessLimits,
    FitnessMeasures,
    UnfitKind,
    judge,
)
from mobile_assets.schema import Record

SIDE = 224
"""Width and height of the drawn photos in pixels."""

TOLERANCE = 1e-3
"""How far a measure may be from the expected one, absolutely and as a share of it added together:
sums in float32 and float64 differ by less, an error in a rule makes more."""

Colour = tuple[int, int, int]
Integers = NDArray[np.int64]


class DrawnPhoto(Record):
    """How a test photo is drawn: each step changes the pixels of the step before.

    All values are whole, `/` divides and rounds down, and `hash(i)` is that of `_hash`.

    1. `ground` everywhere, lightened from left to right by up to `slope`: `+ slope * x / 224`.
    2. A disc of `radius` around (100, 120) in `colour`, and a rectangle of the same size to the
       right of it, 150 ≤ x < 150 + radius and 60 ≤ y < 60 + 2 * radius, in the colour's channels
       turned round (green, blue, red); where `(x / 6 + y / 6) % 2` is 1, both are darker by
       `texture`.
    3. `cells` > 0: instead of 1 and 2, soft noise: at the corners of `cells` × `cells` squares of
       `224 / cells` pixels each channel is `hash(channel + 3 * (column + 64 * row)) % 256`, in
       between it is interpolated in whole numbers.
    4. `blur` > 0: twice, along x and then along y, the mean of the 2 * blur + 1 pixels around,
       rounded, the edge repeated.
    5. `shake` > 1: the mean of `shake` pixels, rounded, that lie along (`shake_x`, `shake_y`), the
       edge repeated.
    6. Each value times `gain` / 256.
    7. `noise` > 0: plus `hash(channel + 3 * (x + 224 * y) + 1000000) % (2 * noise + 1) - noise`;
       with `grey_noise` the channel counts as 0.
    8. Clamped to 0–255.
    """

    ground: Colour = (60, 90, 130)
    colour: Colour = (190, 60, 50)
    radius: int = Field(default=48, ge=0)
    slope: int = 20
    texture: int = 0
    cells: int = 0
    blur: int = 0
    shake: int = 0
    shake_x: int = 1
    shake_y: int = 0
    gain: int = 256
    noise: int = 0
    grey_noise: bool = False


class FitnessVector(Record):
    """One test of the rule.

    Attributes:
        pixels_sha256: Of the drawn pixels, row by row, red, green, blue of each.
        measures: Expected, each within `TOLERANCE`.
        kind: The answer; None for a fit photo.
    """

    name: str
    photo: DrawnPhoto
    pixels_sha256: str
    measures: FitnessMeasures
    kind: UnfitKind | None


def _hash(index: Integers) -> Integers:
    """A whole number's hash, 0 to 2³¹: all products are taken modulo 2³²."""
    value = index.astype(np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    for factor in (0x7FEB352D, 0x846CA68B):
        value ^= value >> np.uint64(16)
        value = (value * np.uint64(factor)) & mask
    return (value ^ (value >> np.uint64(16))).astype(np.int64) >> 1


def draw(photo: DrawnPhoto) -> NDArray[np.uint8]:
    """The pixels, `[224, 224, 3]` uint8 RGB."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.int64)
    pixels = _soft_noise(photo.cells) if photo.cells else _objects(photo, x, y)
    for _ in range(2 if photo.blur else 0):
        for step in ((1, 0), (0, 1)):
            pixels = _mean_along(pixels, 2 * photo.blur + 1, step)
    if photo.shake > 1:
        pixels = _mean_along(pixels, photo.shake, (photo.shake_x, photo.shake_y))
    pixels = pixels * photo.gain // 256
    if photo.noise:
        channels = np.arange(3) * (not photo.grey_noise)
        index = channels + 3 * (x + SIDE * y)[..., None] + 1_000_000
        pixels = pixels + _hash(index) % (2 * photo.noise + 1) - photo.noise
    return pixels.clip(0, 255).astype(np.uint8)


def _objects(photo: DrawnPhoto, x: Integers, y: Integers) -> Integers:
    pixels: Integers = np.array(photo.ground) + (photo.slope * x // SIDE)[..., None]
    radius, colour = photo.radius, np.array(photo.colour)
    textured = colour - (photo.texture * ((x // 6 + y // 6) % 2))[..., None]
    disc = (x - 100) ** 2 + (y - 120) ** 2 < radius**2
    box = (x >= 150) & (x < 150 + radius) & (y >= 60) & (y < 60 + 2 * radius)
    pixels = np.where(disc[..., None], textured, pixels)
    drawn: Integers = np.where(box[..., None], np.roll(textured, -1, axis=-1), pixels)
    return drawn


def _soft_noise(cells: int) -> Integers:
    side = SIDE // cells
    row, column = np.mgrid[0 : cells + 1, 0 : cells + 1].astype(np.int64)
    corners = _hash(np.arange(3) + 3 * (column + 64 * row)[..., None]) % 256
    position = np.minimum(np.arange(SIDE), side * cells - 1)
    cell, within = position // side, (position % side)[:, None]
    above, below = corners[cell], corners[cell + 1]
    down = above * (side - within[..., None]) + below * within[..., None]
    left, right = down[:, cell], down[:, cell + 1]
    soft: Integers = (left * (side - within) + right * within) // side**2
    return soft


def _mean_along(pixels: Integers, count: int, step: tuple[int, int]) -> Integers:
    """The rounded mean of `count` pixels along a step (x, y), the one itself in their middle."""
    place = np.arange(SIDE)
    total = np.zeros_like(pixels)
    for offset in range(-(count // 2), count - count // 2):
        rows = (place + offset * step[1]).clip(0, SIDE - 1)
        columns = (place + offset * step[0]).clip(0, SIDE - 1)
        total += pixels[rows][:, columns]
    return (total + count // 2) // count


def fitness_vectors(limits: FitnessLimits = DEFAULT_LIMITS) -> Iterator[FitnessVector]:
    """All vectors, with the answers that these limits give."""
    for name, photo in drawn_photos():
        pixels = draw(photo)
        fitness = judge(pixels, limits)
        yield FitnessVector(
            name=name,
            photo=photo,
            pixels_sha256=sha256_bytes(pixels.tobytes()),
            measures=fitness.measures,
            kind=fitness.kind,
        )


def drawn_photos() -> Iterator[tuple[str, DrawnPhoto]]:
    """Name and drawing of every photo; the first word of the name is what the photo is."""
    yield "fit, plain object", DrawnPhoto()
    yield "fit, low contrast", DrawnPhoto(ground=(120, 120, 124), colour=(150, 144, 140), slope=0)
    yield "fit, on black", DrawnPhoto(ground=(0, 0, 0), slope=0)
    yield "fit, on white", DrawnPhoto(ground=(255, 255, 255), slope=0)
    yield "fit, no colour", DrawnPhoto(ground=(60, 60, 60), colour=(170, 170, 170))
    yield "fit, light falling off", DrawnPhoto(slope=120)
    for radius in (16, 30, 70):
        yield f"fit, radius {radius}", DrawnPhoto(radius=radius)
    for texture in (20, 60):
        yield f"fit, texture {texture}", DrawnPhoto(texture=texture)
    for gain in (100, 150, 330):
        yield f"fit, gain {gain}", DrawnPhoto(gain=gain)
    for noise in (8, 20, 40):
        yield f"fit, noise {noise}", DrawnPhoto(noise=noise)
    for blur in (1, 2):
        yield f"fit, blur {blur}", DrawnPhoto(blur=blur, texture=30)
    yield "fit, shake 8", DrawnPhoto(shake=8)
    for gain in (4, 12, 24):
        yield f"dark, gain {gain}", DrawnPhoto(gain=gain, noise=2)
    for gain in (1500, 6000):
        yield f"overexposed, gain {gain}", DrawnPhoto(gain=gain)
    for slope, noise in ((0, 0), (0, 3), (20, 2), (60, 4)):
        yield f"blank, slope {slope}, noise {noise}", DrawnPhoto(radius=0, slope=slope, noise=noise)
    for cells in (7, 14, 28, 56):
        yield f"noise, {cells} soft cells", DrawnPhoto(cells=cells)
    for grey in (False, True):
        channels = "grey" if grey else "colour"
        yield f"noise, {channels}", DrawnPhoto(radius=0, slope=0, noise=90, grey_noise=grey)
    yield "noise, over an object", DrawnPhoto(radius=20, noise=220)
    for blur in (10, 13, 16):
        yield f"blurred, {blur}", DrawnPhoto(blur=blur, radius=60)
        yield f"blurred, {blur}, with noise", DrawnPhoto(blur=blur, radius=60, texture=40, noise=6)
    for x, y in ((1, 0), (2, 1), (1, 1), (1, 2), (0, 1), (-1, 2), (-1, 1), (-2, 1)):
        # About 40 pixels long, whatever the step.
        shake = round(40 / (x * x + y * y) ** 0.5)
        yield f"shaken, along {x} {y}", DrawnPhoto(shake=shake, shake_x=x, shake_y=y)
    yield "shaken, with noise", DrawnPhoto(shake=40, noise=6, texture=30)
    yield "shaken, in the dark", DrawnPhoto(shake=45, gain=90, shake_x=0, shake_y=1)
