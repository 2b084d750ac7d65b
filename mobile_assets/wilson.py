"""The interval of a share of photos, the one formula for all of the toolkit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson_bounds(
    share: ArrayLike, photos: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % score intervals of shares (E. B. Wilson, J. Am. Stat. Assoc. 22, 209, 1927).

    They stay within 0–1 and do not shrink to a point when all or no photos are right.

    Args:
        share: Shares of photos, 0–1, any shape.
        photos: Of how many photos each is, 1 or more.

    Returns:
        Lower and upper bounds, 0–1, of the same shape.
    """
    p, n = np.asarray(share, np.float64), np.asarray(photos, np.float64)
    z2 = Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    # Rounding may leave 1e-17 where the bound is 0 or 1 exactly.
    return np.where(p == 0, 0.0, centre - half), np.where(p == 1, 1.0, centre + half)
