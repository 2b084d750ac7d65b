"""The arithmetic of other libraries' resampling, on arrays of pixels; numpy only.

Pillow's own filters widen when they shrink a photo. What phones and browsers do mostly does not: it
looks at the nearest four pixels, or at those of a smaller copy of the photo (a mip map).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mobile_assets.input_pipeline import rounded

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Places = NDArray[np.floating]

_SHARPER = 0.5
"""How much less Skia shrinks before it samples than the scale asks for: half a level."""


def centres(source: int, target: int) -> Places:
    """Where the centres of `target` pixels lie on `source` pixels: `[target]`, 0 is a centre."""
    return (np.arange(target) + 0.5) * (source / target) - 0.5


def corners(source: int, target: int) -> Places:
    """Where the pixels lie if the corner of the first, not its centre, is held: `[target]`."""
    return np.arange(target) * (source / target)


def sample(pixels: Bytes, x: Places, y: Places) -> Floats:
    """Bilinear interpolation of the nearest four pixels, the edge going on for ever.

    Args:
        pixels: `[height, width, 3]`.
        x: `[columns]` places across, 0 the centre of the first pixel.
        y: `[rows]` places downwards.

    Returns:
        `[rows, columns, 3]` float32, 0–255.
    """
    height, width = pixels.shape[:2]
    near, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    across = (x - near).astype(np.float32)[None, :, None]
    down = (y - top).astype(np.float32)[:, None, None]

    def row(offset: int) -> Floats:
        rows = (top + offset).clip(0, height - 1)
        left, right = (pixels[np.ix_(rows, (near + n).clip(0, width - 1))] for n in (0, 1))
        mixed: Floats = left + (right.astype(np.float32) - left) * across
        return mixed

    upper, lower = row(0), row(1)
    return upper + (lower - upper) * down


def bilinear(pixels: Bytes, height: int, width: int) -> Floats:
    """Bilinear from the nearest four pixels however much is shrunk, half-pixel centres."""
    return sample(pixels, centres(pixels.shape[1], width), centres(pixels.shape[0], height))


def coarse_bilinear(pixels: Bytes, height: int, width: int) -> Bytes:
    """The same from places known to a sixteenth of a pixel, cut off instead of rounded."""
    # In float32, as Skia has it: it decides on which side of a sixteenth some places fall.
    half = np.float32(0.5)
    x, y = (
        np.floor(
            ((np.arange(target, dtype=np.float32) + half) * np.float32(source / target) - half) * 16
        )
        / 16
        for source, target in ((pixels.shape[1], width), (pixels.shape[0], height))
    )
    return np.floor(sample(pixels, x, y)).astype(np.uint8)


def nearest(pixels: Bytes, height: int, width: int) -> Bytes:
    """The pixel that each centre lies in; on a border the one before, as Skia takes it."""
    x, y = (
        np.ceil(centres(source, target) + 0.5).astype(np.int64) - 1
        for source, target in ((pixels.shape[1], width), (pixels.shape[0], height))
    )
    return pixels[np.ix_(y, x)]


def halved(pixels: Bytes) -> Bytes:
    """The next smaller copy: means of two pixels, of three (1 2 1) along an odd side, cut off."""
    total, bits = pixels.astype(np.uint16), 0
    for axis in (0, 1):
        total = total.swapaxes(0, axis)
        side = len(total)
        if side > 1:
            last = 2 * (side // 2)
            pairs = total[0:last:2] + total[1:last:2]
            total = pairs + total[1:last:2] + total[2 : last + 1 : 2] if side % 2 else pairs
            bits += 2 if side % 2 else 1
        total = total.swapaxes(0, axis)
    return (total >> bits).astype(np.uint8)


def smaller(pixels: Bytes, level: int) -> Bytes:
    """The copy after `level` halvings."""
    for _ in range(level):
        pixels = halved(pixels)
    return pixels


def mip_level(pixels: Bytes, height: int, width: int) -> float:
    """How many halvings Skia wants before it samples, 0 or more, by the area's scale."""
    shrunk = pixels.shape[0] * pixels.shape[1] / (height * width)
    return max(0.0, math.log2(shrunk) / 2 - _SHARPER)


def trilinear(pixels: Bytes, height: int, width: int) -> Bytes:
    """Skia's linear sampling between the two nearest mip maps."""
    wanted = mip_level(pixels, height, width)
    level, share = int(wanted), np.float32(wanted - int(wanted))
    larger = smaller(pixels, level)
    blended = bilinear(larger, height, width)
    if share:
        blended += (bilinear(halved(larger), height, width) - blended) * share
    return rounded(blended)


def from_nearest_mip(pixels: Bytes, height: int, width: int) -> Bytes:
    """Skia's linear sampling of the nearest mip map."""
    level = math.floor(mip_level(pixels, height, width) + 0.5)
    return rounded(bilinear(smaller(pixels, level), height, width))
