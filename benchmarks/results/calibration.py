"""Whether stated probabilities can be believed, and what one temperature would change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.classification import expected_calibration_error
from benchmarks.results.cluster_bootstrap import COMPARISON_DRAWS
from benchmarks.results.row_fields import Calibration, ReliabilityBin
from train.temperature import Temperature, log_probabilities, log_sum

BINS = 15
"""Ranges of the reliability diagram; as many as in the literature on calibration."""


def tempered_confidence(
    probabilities: NDArray[np.float32], temperature: float
) -> NDArray[np.float32]:
    """`[photos]` float32, the first answer's probability where logarithms are divided first.

    Of `[photos, objects]` probabilities; a temperature above 1 makes answers less sure. 0 where a
    probability is not a finite number.
    """
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(probabilities).all(axis=1))
    logs = log_probabilities(np.where(finite[:, None], probabilities, 1.0)) / np.float32(
        temperature
    )
    confidence = np.exp(logs.max(axis=1) - log_sum(logs))
    return np.where(finite, confidence, 0.0).astype(np.float32)


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """How often answers of each range of `confidence` are right, both `[photos]`.

    The ranges are of equal width over 0–1; empty ones are left out.
    """
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return tuple(
        ReliabilityBin(
            low=float(number / bins),
            high=float((number + 1) / bins),
            photos=int(inside.sum()),
            stated=float(confidence[inside].mean()),
            right=float(right[inside].mean()),
        )
        for number in np.unique(bin_of)
        for inside in [bin_of == number]
    )


def calibration_of(
    confidence: NDArray[np.float32],
    right: NDArray[np.bool_],
    *,
    temperature: Temperature | None = None,
    tempered: NDArray[np.float32] | None = None,
) -> Calibration | None:
    """The calibration of a variant's answers beside its error; None without photos.

    `confidence` is `[photos]` the first answer's probability; the temperature was fitted on
    validation photos, and `tempered` is the confidence at that temperature.
    """
    if not len(right):
        return None
    after = None
    if temperature is not None and tempered is not None:
        after = expected_calibration_error(tempered, right, bins=BINS)
    return Calibration(
        bins=reliability(confidence, right),
        temperature=temperature.value if temperature else None,
        error_with_temperature=after,
        validation_photos=temperature.photos if temperature else 0,
    )


def calibration_deviation(calibration: Calibration) -> float:
    """Standard deviation of the calibration error in points, by drawing each range's photos."""
    photos = np.array([part.photos for part in calibration.bins])
    if not len(photos):
        return 0.0
    stated = np.array([part.stated for part in calibration.bins])
    right = np.array([part.right for part in calibration.bins]).clip(0, 1)
    drawn = np.random.default_rng(0).binomial(photos, right, size=(COMPARISON_DRAWS, len(photos)))
    errors = np.abs(drawn - stated * photos).sum(axis=1) / photos.sum()
    return float(100.0 * errors.std())
