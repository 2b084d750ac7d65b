"""Whether stated probabilities can be believed, and what one temperature would change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.metrics import Indices, expected_calibration_error
from benchmarks.results import Calibration, ReliabilityBin

BINS = 15
"""Ranges of the reliability diagram; as many as in the literature on calibration."""

_TEMPERATURES: NDArray[np.float64] = 2.0 ** (np.arange(-20, 21) / 10.0)
"""A quarter to four, in steps of 7 %."""

_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature and the number of photos behind it."""

    value: float
    photos: int


class TemperatureFit:
    """Finds the temperature with the least negative log-likelihood, a chunk of photos at a time.

    The likelihood is summed for a row of temperatures as the photos come, and the least of the
    parabola through the three best is taken: nothing is kept that grows with photos or objects.
    (Temperature scaling: Guo et al., On calibration of modern neural networks, ICML 2017.)
    """

    def __init__(self) -> None:
        """No photo yet."""
        self._sum = np.zeros(len(_TEMPERATURES))
        self._photos = 0

    def add(self, probabilities: NDArray[np.float32], truth: Indices) -> None:
        """Counts photos in; rows with values that are not finite are left out.

        Args:
            probabilities: `[photos, objects]`, 0–1.
            truth: `[photos]` class indices of the right objects.
        """
        kept = np.isfinite(probabilities).all(axis=1)
        logs = _logs(probabilities[kept])
        own = logs[np.arange(len(logs)), truth[kept]]
        for place, temperature in enumerate(_TEMPERATURES):
            scaled = logs / np.float32(temperature)
            self._sum[place] += float((_log_sum(scaled) - own / temperature).sum())
        self._photos += len(logs)

    def result(self) -> Temperature | None:
        """The temperature within a quarter to four; None without photos."""
        if not self._photos:
            return None
        best = int(np.argmin(self._sum))
        value = float(_TEMPERATURES[best])
        if 0 < best < len(_TEMPERATURES) - 1:
            left, middle, right = self._sum[best - 1 : best + 2]
            bend = left - 2 * middle + right
            step = 0.5 * (left - right) / bend if bend > 0 else 0.0
            value *= 2.0 ** (float(step) / 10.0)
        return Temperature(value, self._photos)


def tempered_confidence(
    probabilities: NDArray[np.float32], temperature: float
) -> NDArray[np.float32]:
    """The probability of each photo's first answer at a temperature.

    Args:
        probabilities: `[photos, objects]`, 0–1.
        temperature: What the logarithms are divided by; above 1 makes answers less sure.

    Returns:
        `[photos]` float32; 0 where a probability is not a finite number.
    """
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(probabilities).all(axis=1))
    logs = _logs(np.where(finite[:, None], probabilities, 1.0)) / np.float32(temperature)
    confidence = np.exp(logs.max(axis=1) - _log_sum(logs))
    return np.where(finite, confidence, 0.0).astype(np.float32)


def _logs(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    # A probability that float32 or a phone rounds to 0 is taken as the smallest there is.
    return np.log(np.maximum(probabilities, np.float32(_SMALLEST)))


def _log_sum(logs: NDArray[np.float32]) -> NDArray[np.float32]:
    highest = logs.max(axis=1)
    total: NDArray[np.float32] = highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1))
    return total


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """The reliability diagram: how often answers of each probability are right.

    Args:
        confidence: `[photos]` probability of the first answer.
        right: `[photos]` whether it is right.
        bins: Ranges of equal width over 0–1; empty ones are left out.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    found: list[ReliabilityBin] = []
    for number in np.unique(place):
        inside = place == number
        found.append(
            ReliabilityBin(
                low=float(number / bins),
                high=float((number + 1) / bins),
                photos=int(inside.sum()),
                stated=float(confidence[inside].mean()),
                right=float(right[inside].mean()),
            )
        )
    return tuple(found)


def calibration_of(
    confidence: NDArray[np.float32],
    right: NDArray[np.bool_],
    *,
    temperature: Temperature | None = None,
    tempered: NDArray[np.float32] | None = None,
) -> Calibration | None:
    """The calibration of a variant's answers; None without photos.

    Args:
        confidence: `[photos]` probability of the first answer.
        right: `[photos]` whether it is right.
        temperature: Fitted on validation photos.
        tempered: `[photos]` the probability of the first answer at that temperature.
    """
    error = expected_calibration_error(confidence, right, bins=BINS)
    if error is None:
        return None
    after = None
    if temperature is not None and tempered is not None:
        after = expected_calibration_error(tempered, right, bins=BINS)
    return Calibration(
        error=error,
        bins=reliability(confidence, right),
        temperature=temperature.value if temperature else None,
        error_with_temperature=after,
        validation_photos=temperature.photos if temperature else 0,
    )
