"""Whether a photo can be judged at all: dark, overexposed, blank, noise, shaken or blurred.

Everything is computed on the very pixels that the network reads, with sums, differences and
counts, so that an app repeats it in about sixty lines without a library. Brightness and contrast
are taken from means of small squares, which noise hardly moves; sharpness from the largest
differences between points near each other, so that a smooth object on plain ground is sharp by
its outline alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mobile_assets.schema import Record

UnfitKind = Literal["dark", "overexposed", "blank", "noise", "shaken", "blurred"]
Advice = Literal["more-light", "less-light", "show-object", "hold-still", "focus"]

ADVICE_FOR: Mapping[UnfitKind, Advice] = MappingProxyType(
    {
        "dark": "more-light",
        "overexposed": "less-light",
        "blank": "show-object",
        "noise": "more-light",
        "shaken": "hold-still",
        "blurred": "focus",
    }
)
"""What helps against each defect, as the key of a text."""

ADVICE: Mapping[Advice, str] = MappingProxyType(
    {
        "more-light": "More light: move the object or turn a lamp on it.",
        "less-light": "Less light: keep lamps and the sun off the object, or tap on it to expose.",
        "show-object": "Nothing to see: let the object fill most of the frame.",
        "hold-still": "Hold still: rest the phone or your elbows on something.",
        "focus": "Out of focus: move back a little, clean the lens and tap on the object.",
    }
)
"""The same in English."""

SMALLEST_SIDE = 96
"""Pixels; a network with a smaller input sees too little for any of this, so its photos are fit."""

BRIGHTNESS = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue."""

CLIPPED = 250
"""From this mean on, a channel of a square counts as full."""

WASHED_OUT = 215
"""Brightness above which a square with a full channel is too bright, and not just a pure colour."""

Integers = NDArray[np.signedinteger]
Floats = NDArray[np.float64]


class FitnessMeasures(Record):
    """What is measured on a photo's pixels. Brightness counts 0–255.

    Attributes:
        bright: Brightness that 0.5 % of the photo's squares exceed.
        blown: Share of the squares that are too bright, 0–1. White ones count neither way, as
            paper is white too, but for one square in a hundred.
        contrast: The distance between the values that 2 % of the squares fall below and exceed, in
            the channel where it is largest.
        grain: Mean squared difference of pixels 1/56 of the side apart, as a share of that of
            pixels 1/7 apart: 1 for noise, which does not know how far pixels are apart.
        disorder: How much the channels disagree about the directions of edges: 0 where they agree,
            0.5 where each channel goes its own way, as in colour noise and in nothing else.
        edge: The photo's strongest edges: the difference of points 1/56 of the side apart that
            0.5 % of the places exceed, in that of eight directions where it is largest.
        sharpness: The same in the direction where it is smallest, as a share of `contrast`.
        steadiness: The smallest ratio of such differences in one direction to those across it, both
            with 1 added; near 0 where a movement has washed out the edges that lie across it.
        direction: The direction of that movement in degrees, 0 for left to right, 90 for down.
    """

    bright: float
    blown: float
    contrast: float
    grain: float
    disorder: float
    edge: float
    sharpness: float
    steadiness: float
    direction: float


class FitnessLimits(Record):
    """When a photo is unfit; set on development photos, see `benchmarks/studies/photo_fitness`.

    Attributes:
        bright: Below it a photo is dark.
        blown: Above it a photo is overexposed.
        edge: Below it a photo is blank.
        grain: Above it a photo is noise.
        disorder: Above it a photo is noise.
        sharpness: Below it a photo is blurred or shaken.
        steadiness: Below it such a photo is called shaken.
    """

    bright: float = Field(default=24.0, ge=0)
    blown: float = Field(default=0.6, ge=0)
    edge: float = Field(default=7.0, ge=0)
    grain: float = Field(default=0.66, ge=0)
    disorder: float = Field(default=0.3, ge=0)
    sharpness: float = Field(default=0.17, ge=0)
    steadiness: float = Field(default=0.55, ge=0)


DEFAULT_LIMITS = FitnessLimits()


@dataclass(frozen=True)
class Fitness:
    """Whether a photo can be judged.

    Attributes:
        kind: What is wrong with it; None for a fit photo.
    """

    kind: UnfitKind | None
    measures: FitnessMeasures

    @property
    def fit(self) -> bool:
        """Whether nothing is wrong with the photo."""
        return self.kind is None

    @property
    def advice(self) -> Advice | None:
        """What to do, as a key of `ADVICE`; None for a fit photo."""
        return None if self.kind is None else ADVICE_FOR[self.kind]


def judge(pixels: NDArray[np.uint8], limits: FitnessLimits = DEFAULT_LIMITS) -> Fitness:
    """Measures a photo and says whether it can be judged.

    Args:
        pixels: `[height, width, 3]` uint8 RGB, as the network reads them.
        limits: The bundle's limits.

    Raises:
        ValueError: The pixels are of another shape or type.
    """
    measures = measure(pixels)
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        return Fitness(None, measures)
    return Fitness(classify(measures, limits), measures)


def classify(measures: FitnessMeasures, limits: FitnessLimits) -> UnfitKind | None:
    """The first defect that holds; one that hides others stands before them."""
    soft = measures.sharpness < limits.sharpness
    unsteady = measures.steadiness < limits.steadiness
    defects: Sequence[tuple[UnfitKind, bool]] = (
        ("dark", measures.bright < limits.bright),
        ("overexposed", measures.blown > limits.blown),
        ("blank", measures.edge < limits.edge),
        ("noise", measures.grain > limits.grain or measures.disorder > limits.disorder),
        ("shaken", soft and unsteady),
        ("blurred", soft),
    )
    return next((kind for kind, holds in defects if holds), None)


def measure(pixels: NDArray[np.uint8]) -> FitnessMeasures:
    """Measures a photo. All counts are of whole numbers, so that every language gets the same.

    Args:
        pixels: `[height, width, 3]` uint8 RGB; the longest distance measured is 1/7 of the shorter
            side, and distances are 4 pixels at 224.

    Raises:
        ValueError: The pixels are of another shape or type, or fewer than 8 high or wide.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels {pixels.shape} {pixels.dtype}, not [height, width, 3] uint8")
    if min(pixels.shape[:2]) < 8:
        raise ValueError(f"pixels {pixels.shape}: a side of less than 8 pixels shows nothing")
    channels = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.int32)
    shorter = min(pixels.shape[:2])
    near = max(1, (shorter + 28) // 56)
    far = min(8 * near, shorter // 2)  # less only where everything is fit
    squares = _squares(pixels, 2 * near)
    contrast = max(_quantile(channel, 0.98) - _quantile(channel, 0.02) for channel in squares.T)
    rows = channels[:, :-2] + channels[:, 1:-1] + channels[:, 2:]
    # Of nine pixels each, which calms noise.
    sums = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]).astype(np.int16)
    edges = [_strong_difference(sums, x, y) for x, y in directions(near)]
    ratios = [(edges[i] + 1) / (edges[(i + 4) % 8] + 1) for i in range(8)]
    least = min(range(8), key=lambda i: ratios[i])
    return FitnessMeasures(
        bright=_quantile(squares @ BRIGHTNESS, 0.995),
        blown=_blown(squares),
        contrast=contrast,
        grain=_spread(channels, near) / max(_spread(channels, far), 1e-9),
        disorder=_disorder(sums, near),
        edge=max(edges),
        sharpness=min(edges) / (contrast + 5),
        steadiness=ratios[least],
        direction=22.5 * least,
    )


def directions(near: int) -> tuple[tuple[int, int], ...]:
    """Steps (x, y) of about `near` pixels in eight directions, half a turn; 4 apart are across."""
    half, most = near // 2, (3 * near + 2) // 4
    quarter = ((near, 0), (near, half), (most, most), (half, near))
    return (*quarter, *((-y, x) for x, y in quarter))


def _squares(pixels: NDArray[np.uint8], side: int) -> Floats:
    """Means of squares of `side` pixels, `[squares, 3]`; what is left over at the ends is cut."""
    height, width = (length // side for length in pixels.shape[:2])
    cut = pixels[: height * side, : width * side]
    means: Floats = cut.reshape(height, side, width, side, 3).mean(axis=(1, 3)).reshape(-1, 3)
    return means


def _quantile(values: Floats, share: float) -> float:
    """The value that a share of all lie below; always one of them."""
    return float(np.sort(values)[math.floor(share * (len(values) - 1))])


def _blown(squares: Floats) -> float:
    """Share of too bright squares among those that are not white, and one more in a hundred."""
    white = squares.min(axis=1) >= CLIPPED
    bright = (squares.max(axis=1) >= CLIPPED) & (squares @ BRIGHTNESS > WASHED_OUT)
    more = 0.01 * len(squares)
    return float((bright & ~white).sum() + more) / float((~white).sum() + more)


def _differences(values: Integers, x: int, y: int) -> Integers:
    """Each value subtracted from the one `x` to the right (left if negative) and `y` below."""
    _, height, width = values.shape
    here = values[:, : height - y, max(-x, 0) : width - max(x, 0)]
    there: Integers = values[:, y:, max(x, 0) : width - max(-x, 0)] - here
    return there


def _spread(channels: Integers, distance: int) -> float:
    """Mean squared difference of all channels at a distance across and down."""
    across, down = (_differences(channels, *step) for step in ((distance, 0), (0, distance)))
    return float((across * across).mean() + (down * down).mean())


def _strong_difference(sums: Integers, x: int, y: int) -> float:
    """The difference that 0.5 % of the places exceed, in levels; the largest channel counts."""
    largest = np.abs(_differences(sums, x, y)).max(axis=0).ravel()
    counts = np.bincount(largest, minlength=9 * 255 + 1)
    above = np.cumsum(counts[::-1])
    return float(9 * 255 - np.argmax(above > len(largest) // 200)) / 9


def _disorder(sums: Integers, near: int) -> float:
    """How far each two channels' gradients are from parallel: mean squared sine, weighted."""
    values = sums.astype(np.float32)
    corner = values[:, :-near, :-near]
    right, below = values[:, :-near, near:] - corner, values[:, near:, :-near] - corner
    lengths = right * right + below * below
    crossed = together = 0.0
    for i, j in ((0, 1), (1, 2), (0, 2)):
        cross = right[i] * below[j] - below[i] * right[j]
        crossed += float((cross * cross).mean(dtype=np.float64))
        together += float((lengths[i] * lengths[j]).mean(dtype=np.float64))
    return crossed / max(together, 1e-9)
