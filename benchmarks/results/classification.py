"""What is computed from answers: accuracy, agreement, intervals. Pure numpy, no photo, no model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

NO_ANSWER = -1
"""Class index of an answer that is none: the model gave a value that is not a finite number."""

Interval = tuple[float, float]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Answers:
    """What one variant answered to the test photos, reduced to what tables and pictures need.

    Attributes:
        rank: `[photos]` int64, place of the right object in the model's order, 0 is first; the
            number of objects where the model gave no finite numbers.
        best: `[photos, k]` int64, class indices best first; `NO_ANSWER` where there is none.
        probability: `[photos, k]` float32, their probabilities, 0–1.
    """

    rank: Indices
    best: Indices
    probability: NDArray[np.float32]

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


def reduce_answers(probabilities: NDArray[np.float32], truth: Indices, *, keep: int) -> Answers:
    """Orders each photo's objects by probability; of equal ones the lower index comes first.

    A row with a value that is not finite is no answer: it is wrong at every k.

    Args:
        probabilities: `[photos, objects]`.
        truth: `[photos]` class indices.
        keep: How many of the best objects to keep; fewer where there are fewer objects.
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
    )


def join_answers(parts: list[Answers]) -> Answers:
    """Puts the answers of consecutive photos together."""
    return Answers(
        rank=np.concatenate([part.rank for part in parts]),
        best=np.concatenate([part.best for part in parts]),
        probability=np.concatenate([part.probability for part in parts]),
    )


def select(answers: Answers, photos: NDArray[np.bool_] | Indices) -> Answers:
    """The answers to some of the photos, by mask or by position."""
    return Answers(answers.rank[photos], answers.best[photos], answers.probability[photos])


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


@dataclass(frozen=True)
class Macro:
    """Means over objects of precision, recall and F1, each 0–1."""

    precision: float
    recall: float
    f1: float


def macro_scores(top: Indices, truth: Indices) -> Macro | None:
    """Precision, recall and F1, each averaged over the objects that the test photos show.

    Of one object: precision is the share of the photos answered with it that show it, and 0 if it
    was never answered; recall is the share of its photos that were answered with it; F1 is their
    harmonic mean, `2·TP / (2·TP + FP + FN)`. Every object weighs the same, however many photos it
    has. Objects without a test photo are not averaged over, though answers with them count as
    misses.

    Args:
        top: `[photos]` first answers.
        truth: `[photos]` right objects.

    Returns:
        The means, or None without photos.
    """
    if not len(truth):
        return None
    present = np.unique(truth)
    size = int(max(truth.max(), top.max())) + 1
    hits = np.bincount(truth[top == truth], minlength=size)[present].astype(np.float64)
    photos = np.bincount(truth, minlength=size)[present]
    answered = np.bincount(top[top != NO_ANSWER], minlength=size)[present]
    precision = hits / np.maximum(answered, 1)
    recall = hits / photos
    f1 = 2 * hits / (photos + answered)
    return Macro(float(precision.mean()), float(recall.mean()), float(f1.mean()))


def wilson_interval(right: int, photos: int) -> Interval | None:
    """95 % score interval of a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 209, 1927).

    It stays within 0–1 and does not shrink to a point when all or no photos are right.

    Args:
        right: Number of successes.
        photos: Number of trials.

    Returns:
        Lower and upper bound, 0–1, or None without photos.
    """
    if photos == 0:
        return None
    share, z2 = right / photos, Z95**2
    centre = (share + z2 / (2 * photos)) / (1 + z2 / photos)
    spread = math.sqrt(share * (1 - share) / photos + z2 / (4 * photos**2))
    half = Z95 * spread / (1 + z2 / photos)
    # Rounding may leave 1e-17 where the bound is 0 or 1 exactly.
    low = 0.0 if right == 0 else centre - half
    high = 1.0 if right == photos else centre + half
    return low, high


def paired_drop_interval(
    reference: NDArray[np.bool_], variant: NDArray[np.bool_], *, resamples: int, seed: int
) -> Interval | None:
    """95 % percentile bootstrap interval of the reference's top-1 minus the variant's.

    Photos are drawn with replacement and both models are judged on the same draw, so what is hard
    for both cancels. Only the counts of the three outcomes (reference alone right, variant alone
    right, both alike) enter the difference, so each resample is one multinomial draw.

    Args:
        reference: `[photos]` whether the reference's first answer is right.
        variant: `[photos]` the same of the variant.
        resamples: Number of bootstrap samples.
        seed: Seed of the draws.

    Returns:
        Bounds in percentage points, or None without photos or resamples.
    """
    photos = len(reference)
    if photos == 0 or resamples == 0:
        return None
    lost = int((reference & ~variant).sum())
    won = int((variant & ~reference).sum())
    shares = np.array([lost, won, photos - lost - won]) / photos
    draws = np.random.default_rng(seed).multinomial(photos, shares, size=resamples)
    drops = 100.0 * (draws[:, 0] - draws[:, 1]) / photos
    low, high = np.quantile(drops, [0.025, 0.975])
    return float(low), float(high)


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
    """Mean distance between stated probability and share right, over equal-width bins, 0–1.

    Args:
        confidence: `[photos]` probability of the first answer.
        right: `[photos]` whether it is right.
        bins: Number of bins over 0–1.

    Returns:
        The error weighted by photos per bin (Guo et al., ICML 2017), or None without photos.
    """
    if not len(right):
        return None
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    stated = np.bincount(place, weights=confidence, minlength=bins)
    true = np.bincount(place, weights=right.astype(np.float64), minlength=bins)
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
