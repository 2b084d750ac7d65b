"""The temperature at which a network's probabilities can be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_OCTAVES: NDArray[np.float64] = np.arange(-20, 21) / 10.0
_TEMPERATURES: NDArray[np.float64] = 2.0**_OCTAVES
"""A quarter to four, in steps of 7 %."""

_SMALLEST = float(np.finfo(np.float32).tiny)
_CHUNK = 1024


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature and the number of photos behind it."""

    value: float
    photos: int


class TemperatureFit:
    """Finds the most probable temperature, a chunk of photos at a time.

    The likelihood is summed for a row of temperatures as the photos come, and the least of the
    parabola through the three best is taken: nothing is kept that grows with photos or objects.
    (Temperature scaling: Guo et al., On calibration of modern neural networks, ICML 2017.) Before
    any photo a temperature of 1 is held most probable, and one of a half or two as a standard
    deviation away: of a handful of photos whose answers are all right, the likelihood alone would
    conclude that the network can never err. A hundred photos outweigh it.
    """

    def __init__(self) -> None:
        self._sum = 0.5 * _OCTAVES**2
        self._photos = 0

    def add(self, probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> None:
        """Counts photos in; rows with values that are not finite are left out.

        Args:
            probabilities: `[photos, objects]`, 0–1.
            truth: `[photos]` class indices of the right objects.
        """
        kept = np.isfinite(probabilities).all(axis=1)
        logs = log_probabilities(probabilities[kept])
        own = logs[np.arange(len(logs)), truth[kept]]
        for index, temperature in enumerate(_TEMPERATURES):
            scaled = logs / np.float32(temperature)
            self._sum[index] += float((log_sum(scaled) - own / temperature).sum())
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


def fitted(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> Temperature | None:
    """The temperature of a network by its logits `[photos, objects]`; None without photos."""
    fit = TemperatureFit()
    for start in range(0, len(logits), _CHUNK):
        rows = logits[start : start + _CHUNK].astype(np.float32)
        rows = rows - rows.max(axis=1, keepdims=True)
        shares = np.exp(rows)
        shares /= shares.sum(axis=1, keepdims=True)
        fit.add(shares, truth[start : start + _CHUNK])
    return fit.result()


def log_probabilities(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithms; a probability that float32 or a phone rounds to 0 counts as the smallest."""
    return np.log(np.maximum(probabilities, np.float32(_SMALLEST)))


def log_sum(logs: NDArray[np.float32]) -> NDArray[np.float32]:
    """`log Σ exp` of each row `[photos]`."""
    highest = logs.max(axis=1)
    total: NDArray[np.float32] = highest + np.log(np.exp(logs - highest[:, None]).sum(axis=1))
    return total
