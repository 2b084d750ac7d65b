"""Bootstrap intervals that draw whole objects, and the numbers of studies that they stand beside.

Photos of one object are right or wrong together, so drawing single photos would give intervals
that are too narrow. Where every object has one photo the two are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.classification import Indices, Interval

DRAWS = 2000
"""Bootstrap samples behind each interval of a study."""

COMPARISON_DRAWS = 4000
"""Bootstrap samples behind the intervals of new results against earlier ones."""

Floats = NDArray[np.float64]


def draw_objects(objects: int, *, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each object is in a draw of as many as there are, with replacement, `[objects]`.

    The same numbers always give the same draws, so that what is compared is drawn together.
    """
    generator = np.random.default_rng(seed)
    even = np.full(objects, 1 / objects)
    for _ in range(resamples):
        yield generator.multinomial(objects, even).astype(np.float64)


def interval(values: Floats | Sequence[float]) -> Interval | None:
    """The 95 % percentile interval of bootstrap values; undefined ones (0 / 0) are left out."""
    every = np.asarray(values, dtype=np.float64)
    defined = every[~np.isnan(every)]
    if not len(defined):
        return None
    # Values may be infinite, so none are interpolated.
    low, high = np.quantile(defined, [0.025, 0.975], method="inverted_cdf")
    return float(low), float(high)


def mean_interval(
    values: NDArray[np.signedinteger] | Floats, objects: Indices, *, resamples: int, seed: int
) -> Interval | None:
    """95 % interval of the mean of `values`, `[photos]`, whole objects drawn with replacement.

    `objects` is `[photos]` the object in each photo: any numbers, equal for photos of one object.
    None without photos or resamples.
    """
    if not len(values):
        return None
    names, member = np.unique(objects, return_inverse=True)
    totals = np.bincount(member, weights=values)
    photos = np.bincount(member).astype(np.float64)
    draws = draw_objects(len(names), resamples=resamples, seed=seed)
    return interval([float(times @ totals / (times @ photos)) for times in draws])


def paired_drop_interval(
    reference: NDArray[np.bool_],
    variant: NDArray[np.bool_],
    objects: Indices,
    *,
    resamples: int,
    seed: int,
) -> Interval | None:
    """95 % interval of the reference's top-1 minus the variant's, in percentage points.

    Both are `[photos]` whether the first answer is right, and judged on the same draws of whole
    objects, so what is hard for both cancels. None without photos or resamples.
    """
    lost = 100 * (reference.astype(np.int64) - variant.astype(np.int64))
    return mean_interval(lost, objects, resamples=resamples, seed=seed)


def paired_change_interval(gained: NDArray[np.int64], objects: Indices) -> Interval:
    """95 % interval of the mean change between two measurements of the same photos, in points.

    `gained` is `[photos]` the right answers now less those before, −2 to 2. One photo won and one
    lost, each of an object of its own, are added to those measured, as D. G. Bonett and R. M. Price
    (J. Educ. Behav. Stat. 37, 479, 2012) do for two paired shares. Without them, four photos
    changed to one side and none to the other would count as a difference; with them six are needed,
    as in McNemar's exact test.
    """
    first = int(objects.max(initial=-1)) + 1
    bounds = mean_interval(
        100 * np.append(gained, [1, -1]),
        np.append(objects, [first, first + 1]),
        resamples=COMPARISON_DRAWS,
        seed=0,
    )
    assert bounds is not None, "two photos were added"
    return bounds


@dataclass(frozen=True)
class Tally:
    """Photos tested and answered right, each `[objects]` in the order of sorted object ids."""

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
    """Adds up object ids, photos tested and photos right of test sets that may share objects."""
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
    """How often each object is drawn in each bootstrap sample of a study, `[DRAWS, objects]`."""
    return np.stack(list(draw_objects(objects, resamples=DRAWS, seed=0)))


def drawn_shares(counts: Tally) -> Floats:
    """The share right in each bootstrap sample, `[DRAWS]`."""
    weights = drawn_weights(len(counts.tested))
    shares: Floats = (weights @ counts.right) / (weights @ counts.tested)
    return shares


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


def share_of(counts: Tally) -> Estimate:
    """Share right with its interval."""
    return Estimate(counts.share, interval(drawn_shares(counts)))


def ratio_of(ours: Floats, theirs: Floats) -> Floats:
    """`ours / theirs`, infinite or undefined where `theirs` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.divide(ours, theirs)
    return ratio


def error_ratio(ours: Tally, theirs: Tally) -> Estimate:
    """Top-1 error of one divided by that of the other; raises as `accuracy_ratio`."""
    return _ratio(ours, theirs, lambda counts: counts.tested - counts.right)


def accuracy_ratio(ours: Tally, theirs: Tally) -> Estimate:
    """Share right of one divided by that of the other, with its interval, both drawn together.

    Raises:
        ValueError: They were not measured on the same photos.
    """
    return _ratio(ours, theirs, lambda counts: counts.right)


def _ratio(ours: Tally, theirs: Tally, count: Callable[[Tally], Floats]) -> Estimate:
    if not np.array_equal(ours.tested, theirs.tested):
        raise ValueError("the two were not measured on the same photos")
    weights = drawn_weights(len(ours.tested))
    sums = (count(side).sum(keepdims=True) for side in (ours, theirs))
    value = float(ratio_of(*sums)[0])
    drawn = ratio_of(weights @ count(ours), weights @ count(theirs))
    return Estimate(None if math.isnan(value) else value, interval(drawn))
