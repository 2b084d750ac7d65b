"""How an app differs from the golden vectors at one stage, and which mistakes would explain it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mobile_assets.golden import (
    Pixels,
    PixelTolerance,
    Probabilities,
    answer_share,
    answers_differ,
)
from mobile_assets.input_pipeline import Values
from mobile_assets.integration_errors import as_bytes

Numbers = NDArray[np.generic]

Stage = Literal["decoding", "resizing", "input", "network", "labels", "verdict"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which an app goes through them."""


@dataclass(frozen=True)
class Cause:
    """A mistake that gives what an app has.

    Attributes:
        description: What the app does, for its developer.
        distance: How far the app's values are from those of the mistake; comparable between causes
            of one difference only.
    """

    description: str
    distance: float


@dataclass(frozen=True)
class Difference:
    """The first stage at which an app differs.

    Attributes:
        stage: Which one.
        found: What was measured, in words.
        causes: The mistakes that give these values, the nearest first; empty if none known does.
    """

    stage: Stage
    found: str
    causes: tuple[Cause, ...] = ()

    @property
    def likely(self) -> str:
        """The mistake that comes nearest; empty if none is known."""
        return self.causes[0].description if self.causes else ""


def pixel_causes(
    pixels: Numbers,
    candidates: Iterable[tuple[str, Values]],
    expected: Pixels,
    tolerance: PixelTolerance,
) -> tuple[Cause, ...]:
    """The mistakes that give these pixels, the nearest first."""
    causes = []
    for description, values in candidates:
        cast = pixels.dtype == np.uint8 and values.dtype != np.uint8
        wanted = as_bytes(values) if cast else values
        if wanted.shape != pixels.shape:
            continue
        # Tolerances count levels of 0–255; values of a smaller range are held to as much less.
        scale = min(1.0, float(np.ptp(values)) / max(1.0, float(np.ptp(expected))))
        apart = np.abs(pixels.astype(np.float64) - wanted)
        if cast:
            # A cast goes on at 0 after 255, so 0 and 255 are neighbours there.
            apart = np.minimum(apart, 256 - apart)
        mean, largest = float(apart.mean()) / scale, float(apart.max()) / scale
        rounding = 1 / scale if cast else 0.0
        if mean <= tolerance.mean and largest <= tolerance.largest + rounding:
            causes.append(Cause(description, mean))
    return nearest_first(causes)


def answer_cause(
    description: str, answer: NDArray[Any], expected: Probabilities, allowed: float
) -> Iterator[Cause]:
    """The mistake, if `[objects]` values are as near as allowed to what it gives."""
    if answers_differ(answer, expected, allowed) is None:
        yield Cause(description, answer_share(answer, expected))


def nearest_first(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """By distance; sorting is stable, so of equal ones the earlier mistake comes first."""
    return tuple(sorted(causes, key=lambda cause: round(cause.distance, 3)))
