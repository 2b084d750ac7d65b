"""From a number to the mistake that makes it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results.classification import Interval, wilson_interval
from benchmarks.results.schema import PreprocessingCost
from mobile_assets.errors import InputError


def matching_pipelines(
    costs: Sequence[PreprocessingCost], top1: float, photos: int
) -> tuple[PreprocessingCost, ...]:
    """Which ways make about this accuracy, the nearest first: what may be wrong with an app.

    A way fits where its 95 % Wilson interval holds the app's share `top1` of `photos`, or the app's
    holds the way's: either number may be the less certain one.

    Raises:
        InputError: The share is not within 0 and 1, or there are no photos.
    """
    if not 0 <= top1 <= 1:
        raise InputError(f"{top1} is not a share of photos. Give one between 0 and 1.")
    if photos < 1:
        raise InputError(
            f"{photos} photos tell nothing. Give the number that the app was tried on."
        )
    app = wilson_interval(round(top1 * photos), photos)
    fitting = [
        (abs(cost.top1 - top1), cost)
        for cost in costs
        if cost.top1 is not None and (_holds(app, cost.top1) or _holds(cost.top1_ci95, top1))
    ]
    return tuple(cost for _, cost in sorted(fitting, key=lambda pair: pair[0]))


def _holds(interval: Interval | None, share: float) -> bool:
    return interval is not None and interval[0] <= share <= interval[1]
