"""How far two measurements may lie apart by the choice of photos alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.row_fields import Bounds, Calibration

RESAMPLES = 4000
SEED = 0


def square_and_add(old: float, old_ci: Bounds, new: float, new_ci: Bounds) -> Bounds:
    """95 % interval of `new - old` from an interval of each, for measurements that are not paired.

    With Wilson's intervals of two shares this is the hybrid score interval of R. G. Newcombe
    (Stat. Med. 17, 873, 1998, method 10); G. Y. Zou and A. Donner (Stat. Med. 27, 1693, 2008) show
    that it holds for others.
    """
    difference = new - old
    below = math.hypot(new - new_ci[0], old_ci[1] - old)
    above = math.hypot(new_ci[1] - new, old - old_ci[0])
    return difference - below, difference + above


def paired_interval(gained: NDArray[np.int64]) -> Bounds:
    """95 % percentile bootstrap interval of a mean over photos, in percentage points.

    One photo won and one lost are added to those measured, as D. G. Bonett and R. M. Price
    (J. Educ. Behav. Stat. 37, 479, 2012) do for two paired shares. Without them, four photos
    changed to one side and none to the other would count as a difference; with them six are
    needed, as in McNemar's exact test.

    Args:
        gained: `[photos]`, of each photo the right answers now less those before, −2 to 2.
    """
    values, counts = np.unique(np.append(gained, [1, -1]), return_counts=True)
    photos = len(gained) + 2
    # Only how often each value occurs enters the mean, so a resample is one multinomial draw.
    drawn = np.random.default_rng(SEED).multinomial(photos, counts / photos, size=RESAMPLES)
    low, high = np.quantile(drawn @ values * (100.0 / photos), [0.025, 0.975])
    return float(low), float(high)


def calibration_deviation(found: Calibration) -> float:
    """Standard deviation of the calibration error in points, by drawing each range's photos."""
    photos = np.array([part.photos for part in found.bins])
    if not len(photos):
        return 0.0
    stated = np.array([part.stated for part in found.bins])
    right = np.array([part.right for part in found.bins]).clip(0, 1)
    drawn = np.random.default_rng(SEED).binomial(photos, right, size=(RESAMPLES, len(photos)))
    errors = np.abs(drawn - stated * photos).sum(axis=1) / photos.sum()
    return float(100.0 * errors.std())
