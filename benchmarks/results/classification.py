"""What is computed from answers: accuracy, agreement, calibration error. Pure numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_assets.wilson import wilson_bounds

KEEP = 10
"""How many of the best objects are remembered of each photo."""

NO_ANSWER = -1
"""Class index of an answer that is none: the model gave a value that is not a finite number."""

Interval = tuple[float, float]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What one variant answered to the test photos, reduced to what tables and pictures need.

    Attributes:
        rank: `[photos]` int64, position of the right object in the model's order, 0 is first; the
            number of objects where the model gave no finite numbers.
        best: `[photos, k]` int64, class indices best first; `NO_ANSWER` where there is none.
        probability: `[photos, k]` float32, their probabilities, 0–1.
        own: `[photos]` float32, probability of the right object; 0 where there is no answer.
    """

    rank: Indices
    best: Indices
    probability: NDArray[np.float32]
    own: NDArray[np.float32]

    @property
    def top(self) -> Indices:
        """`[photos]` class index of each photo's first answer."""
        return self.best[:, 0]

    @property
    def right(self) -> NDArray[np.bool_]:
        """`[photos]` whether the first answer is the right object."""
        return np.asarray(self.rank == 0)

    @property
    def invalid(self) -> int:
        """Number of photos without an answer."""
        return int((self.top == NO_ANSWER).sum())

    def select(self, photos: NDArray[np.bool_] | Indices) -> Answers:
        """The answers to some of the photos, by mask or by position."""
        return Answers(**{name: values[photos] for name, values in vars(self).items()})


def reduce_answers(probabilities: NDArray[np.float32], truth: Indices, *, keep: int) -> Answers:
    """Orders `[photos, objects]` probabilities; of equal ones the lower index comes first.

    A row with a value that is not finite is no answer: it is wrong at every k. At most `keep` of
    the best objects are kept.
    """
    photos, objects = probabilities.shape
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(probabilities).all(axis=1))
    own = probabilities[np.arange(photos), truth][:, None]
    before = np.arange(objects)[None, :] < truth[:, None]
    with np.errstate(invalid="ignore"):  # rows that are not finite are overwritten below
        ahead = (probabilities > own) | ((probabilities == own) & before)
    rank = np.where(finite, ahead.sum(axis=1), objects)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :keep]
    chosen = np.take_along_axis(probabilities, best, axis=1)
    return Answers(
        rank=rank.astype(np.int64),
        best=np.where(finite[:, None], best, NO_ANSWER).astype(np.int64),
        probability=np.where(finite[:, None], chosen, 0.0).astype(np.float32),
        own=np.where(finite, own[:, 0], 0.0).astype(np.float32),
    )


def join_answers(parts: list[Answers]) -> Answers:
    """Puts the answers of consecutive photos together."""
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Answers(*map(np.concatenate, columns))


def top_k(rank: Indices, k: int) -> float | None:
    """Share of photos whose right object is among the first k answers; None without photos."""
    return float((rank < k).mean()) if len(rank) else None


def agreement(top: Indices, reference: Indices) -> float | None:
    """Share of photos with the same first answer as the reference; None without photos.

    A missing answer agrees with nothing, not even with another missing answer.
    """
    if not len(top):
        return None
    return float(((top == reference) & (top != NO_ANSWER)).mean())


def wilson_interval(right: int, photos: int) -> Interval | None:
    """95 % score interval of a share by `wilson_bounds`, as if photos were independent.

    Returns:
        Lower and upper bound, 0–1, or None without photos.
    """
    if photos == 0:
        return None
    low, high = wilson_bounds(right / photos, photos)
    return float(low), float(high)


def difference_interval(old: float, old_ci: Interval, new: float, new_ci: Interval) -> Interval:
    """95 % interval of `new - old` from an interval of each, for measurements that are not paired.

    With Wilson's intervals of two shares this is the hybrid score interval of R. G. Newcombe
    (Stat. Med. 17, 873, 1998, method 10); G. Y. Zou and A. Donner (Stat. Med. 27, 1693, 2008) show
    that it holds for others.
    """
    difference = new - old
    below = math.hypot(new - new_ci[0], old_ci[1] - old)
    above = math.hypot(new_ci[1] - new, old - old_ci[0])
    return difference - below, difference + above


@dataclass(frozen=True)
class Flips:
    """How many photos changed sides: right for the reference and wrong here, and the reverse."""

    lost: int
    won: int


def count_flips(reference: NDArray[np.bool_], variant: NDArray[np.bool_]) -> Flips:
    """Counts the photos on which exactly one of the two is right."""
    return Flips(int((reference & ~variant).sum()), int((variant & ~reference).sum()))


def expected_calibration_error(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], *, bins: int = 15
) -> float | None:
    """Mean distance between `confidence` and share right, both `[photos]`, over bins, 0–1.

    Bins are of equal width and weigh by their photos (Guo et al., ICML 2017). None without photos.
    """
    if not len(right):
        return None
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    stated = np.bincount(bin_of, weights=confidence, minlength=bins)
    true = np.bincount(bin_of, weights=right.astype(np.float64), minlength=bins)
    return float(np.abs(stated - true).sum() / len(right))


def confused_pairs(top: Indices, truth: Indices, *, limit: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (right object, answered object, photos), most frequent first.

    Ties are in the order of the indices; missing answers are not mistakes of one object for
    another.
    """
    wrong = (top != truth) & (top != NO_ANSWER)
    pairs, counts = np.unique(
        np.stack([truth[wrong], top[wrong]], axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-counts, kind="stable")[:limit]
    return [(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order]
