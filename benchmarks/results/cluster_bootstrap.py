"""TODO benchmarks/results/cluster_bootstrap.py."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.classification import Interval

DRAWS = 2000
"""Bootstrap samples behind each interval."""


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """Right answers by object, over one or several test sets.

    Attributes:
        tested: `[objects]` number of test photos, in the order of sorted object ids.
        right: `[objects]` how many of them were answered right.
    """

    tested: Floats
    right: Floats

    @property
    def share(self) -> float:
        """Share of all photos answered right, 0–1."""
        return float(self.right.sum() / self.tested.sum())

    @property
    def photos(self) -> int:
        """Number of test photos."""
        return int(self.tested.sum())


def tally(parts: Iterable[tuple[Sequence[str], Sequence[int], Sequence[int]]]) -> Tally:
    """Adds up test sets.

    Args:
        parts: Of each test set the object ids, photos tested and photos answered right. An object
            that is in several test sets is one object.
    """
    tested: dict[str, int] = {}
    right: dict[str, int] = {}
    for names, photos, hits in parts:
        for name, count, hit in zip(names, photos, hits, strict=True):
            tested[name] = tested.get(name, 0) + count
            right[name] = right.get(name, 0) + hit
    order = sorted(tested)
    return Tally(
        np.array([tested[name] for name in order], np.float64),
        np.array([right[name] for name in order], np.float64),
    )


def drawn_weights(objects: int) -> Floats:
    """How often each object is drawn in each bootstrap sample, `[DRAWS, objects]`.

    Whole objects are drawn, with all their photos of all seeds: photos of one object are right or
    wrong together, so drawing single photos would give intervals that are too narrow. The same
    number of objects always gives the same draws, so that what is compared is drawn together.
    """
    shares = np.full(objects, 1 / objects)
    return np.random.default_rng(0).multinomial(objects, shares, size=DRAWS).astype(np.float64)


def drawn_shares(found: Tally) -> Floats:
    """The share right in each bootstrap sample, `[DRAWS]`."""
    weights = drawn_weights(len(found.tested))
    shares: Floats = (weights @ found.right) / (weights @ found.tested)
    return shares


def interval(values: Floats) -> Interval | None:
    """The 95 % percentile interval of bootstrap values; undefined ones (0 / 0) are left out."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    # Values may be infinite, so none are interpolated.
    low, high = np.quantile(defined, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; None where it is undefined or was not measured."""

    value: float | None
    bounds: Interval | None = None

    def text(self, form: str = ".2f") -> str:
        """The number and its interval, each in the given format."""
        if self.value is None:
            return "–"
        words = format_number(self.value, form)
        if self.bounds is None:
            return words
        low, high = (format_number(bound, form) for bound in self.bounds)
        return f"{words} ({low} to {high})"


def format_number(value: float, form: str) -> str:
    """A number with a real minus sign; infinity as its symbol."""
    return "∞" if math.isinf(value) else format(value, form).replace("-", "−")


def share_of(found: Tally) -> Estimate:
    """Share right with its interval."""
    return Estimate(found.share, interval(drawn_shares(found)))


def ratio_of(ours: Floats, theirs: Floats) -> Floats:
    """`ours / theirs`, infinite or undefined where `theirs` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.divide(ours, theirs)
    return ratio


def compared(ours: Floats, theirs: Floats, weights: Floats) -> Estimate:
    """Ratio of two sums over the same objects, with its interval, both drawn together.

    Args:
        ours: `[objects]` counts.
        theirs: `[objects]` counts to divide by.
        weights: From `drawn_weights`.
    """
    value = float(ratio_of(np.atleast_1d(ours.sum()), np.atleast_1d(theirs.sum()))[0])
    drawn = ratio_of(weights @ ours, weights @ theirs)
    return Estimate(None if math.isnan(value) else value, interval(drawn))


def error_ratio(ours: Tally, theirs: Tally) -> Estimate:
    """Top-1 error of one divided by that of the other, on the same photos.

    Raises:
        ValueError: They were not measured on the same photos.
    """
    _check_same(ours, theirs)
    wrong, others = ours.tested - ours.right, theirs.tested - theirs.right
    return compared(wrong, others, drawn_weights(len(ours.tested)))


def accuracy_ratio(ours: Tally, theirs: Tally) -> Estimate:
    """Share right of one divided by that of the other, on the same photos.

    Raises:
        ValueError: They were not measured on the same photos.
    """
    _check_same(ours, theirs)
    return compared(ours.right, theirs.right, drawn_weights(len(ours.tested)))


def _check_same(ours: Tally, theirs: Tally) -> None:
    if not np.array_equal(ours.tested, theirs.tested):
        raise ValueError("the two were not measured on the same photos")
