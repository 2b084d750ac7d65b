"""Comparing an exported file's answers with those of the network that it was made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_assets.errors import CheckFailedError

SUM_TOLERANCE = 1e-3
"""How far a photo's probabilities may be from summing to 1: float32 sums of thousands of values."""

CONFIDENT_MARGIN = 0.5
"""A photo is clear when the best probability is so much above the second."""


@dataclass(frozen=True)
class Tolerance:
    """How far a variant may be from the network.

    Attributes:
        largest: Largest difference of any probability; None allows any.
        typical: The same of the photo in the middle: of a sensitive network, single photos between
            two objects may differ by more where weights are rounded.
        confident_agreement: Share of the clear photos whose best object must stay the same.
    """

    largest: float | None = None
    typical: float | None = None
    confident_agreement: float = 1.0


def check_probabilities(
    name: str, actual: NDArray[np.float32], expected: NDArray[np.float32], tolerance: Tolerance
) -> None:
    """Checks a variant's probabilities.

    Args:
        actual: `[N, objects]`, of the exported file.
        expected: `[N, objects]`, of the network.

    Raises:
        CheckFailedError: They do not sum to 1, are too far apart, or too many clear photos get
            another answer.
    """
    problem = _problem(actual, expected, tolerance)
    if problem:
        raise CheckFailedError(
            f"{name} does not answer as the trained network does: {problem}. Nothing was written. "
            "The converter or quantiser cannot handle this network: leave this variant out with "
            "--variants, or choose another backbone."
        )


def _problem(
    actual: NDArray[np.float32], expected: NDArray[np.float32], tolerance: Tolerance
) -> str | None:
    if actual.shape != expected.shape:
        return f"its output has shape {actual.shape[1:]} instead of {expected.shape[1:]}"
    if not np.isfinite(actual).all() or actual.min() < 0:
        return "its output holds values that are no probabilities"
    if np.abs(actual.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        return f"its probabilities sum to {actual.sum(axis=1).min():.4f}, not 1"
    return _too_far(actual, expected, tolerance) or _another_answer(actual, expected, tolerance)


def _too_far(
    actual: NDArray[np.float32], expected: NDArray[np.float32], tolerance: Tolerance
) -> str | None:
    differences = np.abs(actual - expected).max(axis=1)
    largest, typical = float(differences.max()), float(np.median(differences))
    if tolerance.largest is not None and largest > tolerance.largest:
        return f"a probability differs by {largest:.1e} (at most {tolerance.largest:.0e})"
    if tolerance.typical is not None and typical > tolerance.typical:
        return (
            f"half of the photos have a probability that differs by {typical:.1e} or more "
            f"(at most {tolerance.typical:.0e})"
        )
    return None


def _another_answer(
    actual: NDArray[np.float32], expected: NDArray[np.float32], tolerance: Tolerance
) -> str | None:
    second, best = np.sort(expected, axis=1)[:, -2:].T
    clear = best - second >= CONFIDENT_MARGIN
    if clear.any():
        same = float((actual.argmax(1) == expected.argmax(1))[clear].mean())
        if same < tolerance.confident_agreement:
            return (
                f"only {same:.0%} of {int(clear.sum())} clear photos get the same object "
                f"(at least {tolerance.confident_agreement:.0%})"
            )
    return None
