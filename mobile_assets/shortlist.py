"""The few best of thousands of probabilities, without sorting them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best(probabilities: NDArray[np.floating], top: int) -> NDArray[np.intp]:
    """Class indices of the best probabilities, best first.

    One pass finds the value that the last of them has; only what reaches it is sorted. An app does
    the same in its own language, on the output buffer itself: nothing of it need be copied.

    Args:
        probabilities: `[objects]`, may be a view of an interpreter's output; it is only read.
        top: How many are wanted, at least 1.

    Returns:
        `[min(top, objects)]`; of equal probabilities the lower index comes first.
    """
    objects = len(probabilities)
    if top >= objects:
        return np.argsort(-probabilities, kind="stable")
    # Negated, since NaN is sorted last: a value that is none must not be the best.
    last = -np.partition(-probabilities, top - 1)[top - 1]
    above = np.flatnonzero(probabilities > last)
    # As many of those that tie for the last place as there is room for, lower indices first.
    level = np.flatnonzero(probabilities == last)[: top - len(above)]
    chosen = np.concatenate([above, level])
    return chosen[np.argsort(-probabilities[chosen], kind="stable")]
