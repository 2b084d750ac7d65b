"""Fitting the numbers of `decision.json` to scores of photos whose objects are known.

Two kinds of photos: of the register's objects, none of them in the gallery or in the training, and
of unseen objects, whose own entry is left out of the search, so that each stands for a photo of an
object that is not in the register.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_assets.identification.decision import (
    MATCH_RATES,
    SHORTLIST_PROBABILITIES,
    Evidence,
    MatchThreshold,
    PhotoRule,
    ShortlistGap,
    VariantDecision,
)
from mobile_assets.identification.scores import ScoreFormula, combine_photos

FEWEST_UNSEEN_OBJECTS = 16
"""With fewer unseen objects no match is promised."""

FEWEST_EXCESSES = 10
"""The tail is extrapolated from so many scores at least."""

TAIL_SHARE = 0.25
"""The tail of unknown scores begins at their 75 % quantile."""

REJECT_QUANTILE = 0.02
"""Share of the photos that are recognised rightly, and fall below the reject threshold."""

FEWEST_REGISTER_PHOTOS = 50
"""A 2 % quantile of fewer is the lowest of them, or below it."""

LONGEST_SHORTLIST = 10

_DECIMALS = 6

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class KnownScores:
    """Scores of photos, or of groups of photos, whose objects are known.

    Attributes:
        scores: `[groups, objects]`, combined where a group has several photos.
        objects: `[groups]`, class indices of the right objects.
    """

    scores: Floats
    objects: Integers

    def without_own(self) -> NDArray[np.float64]:
        """The best score of each group among all objects but its own, `[groups]`."""
        others = np.array(self.scores, dtype=np.float64)
        others[np.arange(len(others)), self.objects] = -np.inf
        best: NDArray[np.float64] = others.max(axis=1, initial=-np.inf)
        return best


def match_threshold(unknown: Floats, objects: int, rate: float) -> float | None:
    """The score that unknown objects reach at a rate, extrapolated from the tail of theirs.

    With the 75 % quantile `u` of the scores and the mean excess `m` over it the tail is taken as
    exponential, and the threshold is `u + m · ln(0.25 / rate)`.

    Args:
        unknown: `[groups]`, the best score of each photo or group of photos of unseen objects,
            without their own entries.
        objects: Of how many unseen objects they are.
        rate: The false-match rate to promise, below 0.25.

    Returns:
        The threshold; None where there is too little to promise anything.
    """
    values = np.asarray(unknown, dtype=np.float64)
    if not 0 < rate < TAIL_SHARE:
        raise ValueError(f"a false-match rate of {rate} is not between 0 and {TAIL_SHARE}")
    if objects < FEWEST_UNSEEN_OBJECTS or not len(values):
        return None
    start = float(np.quantile(values, 1 - TAIL_SHARE))
    excesses = values[values > start] - start
    if len(excesses) < FEWEST_EXCESSES:
        return None
    return _up(start + float(excesses.mean()) * math.log(TAIL_SHARE / rate))


def reject_threshold(right: Floats) -> float | None:
    """The 2 % quantile of the best scores of groups whose best object is the right one, `[groups]`.

    Returns:
        The quantile; None of too few groups: then nothing is rejected.
    """
    if len(right) < FEWEST_REGISTER_PHOTOS:
        return None
    return _down(float(np.quantile(np.asarray(right, dtype=np.float64), REJECT_QUANTILE)))


def shortlist_gap(
    known: KnownScores, probability: float, *, longest: int = LONGEST_SHORTLIST
) -> float | None:
    """How far below the best the right object is at most, with a probability: split conformal.

    Args:
        known: Photos, or groups of photos, of the register's objects.
        probability: How often the right object is to be in the shortlist.
        longest: The longest shortlist; right objects behind it count as missed.

    Returns:
        The gap; None where no gap keeps the promise, or the groups are too few for it.
    """
    scores = np.asarray(known.scores, dtype=np.float64)
    groups = len(scores)
    own = scores[np.arange(groups), known.objects]
    gaps = scores.max(axis=1, initial=-np.inf) - own
    # Of equal scores the lower index stands first.
    lower = np.arange(scores.shape[1]) < np.asarray(known.objects)[:, None]
    before = (scores > own[:, None]) | ((scores == own[:, None]) & lower)
    gaps[before.sum(axis=1) >= longest] = np.inf
    rank = math.ceil((groups + 1) * probability)
    if rank > groups:
        return None
    gap = float(np.sort(gaps)[rank - 1])
    return _up(gap) if math.isfinite(gap) else None


def photo_rule(
    photos: int, known: KnownScores, unseen: KnownScores, *, longest: int = LONGEST_SHORTLIST
) -> PhotoRule:
    """The rule for a number of photos.

    Args:
        photos: How many photos a group has.
        known: Groups of the register's objects; `unseen` may be among them where rows of their own
            were left out.
        unseen: Groups of unseen objects.
        longest: The longest shortlist.
    """
    unknown = unseen.without_own()
    objects = len(np.unique(unseen.objects))
    best = known.scores.max(axis=1, initial=-np.inf)
    right = known.scores.argmax(axis=1) == known.objects if len(best) else np.zeros(0, dtype=bool)
    return PhotoRule(
        photos=photos,
        matches=tuple(
            MatchThreshold(false_match_rate=rate, score=match_threshold(unknown, objects, rate))
            for rate in MATCH_RATES
        ),
        reject=reject_threshold(best[right]),
        shortlists=tuple(
            ShortlistGap(probability=share, gap=shortlist_gap(known, share, longest=longest))
            for share in SHORTLIST_PROBABILITIES
        ),
    )


def photo_groups(objects: Integers, photos: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Groups of photos of one object each, for the thresholds of several photos.

    Every photo is in one group for each time that it can be: the photos of an object are shuffled
    `photos` times and cut into groups, so that there are about as many groups as photos.

    Args:
        objects: `[rows]`, class index of each photo.
        photos: How many a group has; objects with fewer photos are in none.
        seed: Of the shuffling.

    Returns:
        `[groups, photos]`, row numbers.
    """
    if photos == 1:
        return np.arange(len(objects))[:, None]
    generator = np.random.default_rng(seed)
    groups: list[NDArray[np.int64]] = []
    for index in np.unique(objects):
        rows = np.flatnonzero(objects == index)
        whole = len(rows) // photos * photos
        groups += [
            generator.permutation(rows)[:whole].reshape(-1, photos)
            for _ in range(photos if whole else 0)
        ]
    return np.concatenate(groups) if groups else np.zeros((0, photos), dtype=np.int64)


def grouped(
    single: KnownScores, formula: ScoreFormula, photos: int, *, seed: int = 0
) -> KnownScores:
    """Scores of groups of several photos, from the scores of single ones."""
    groups = photo_groups(single.objects, photos, seed=seed)
    scores = np.empty((len(groups), single.scores.shape[1]), dtype=np.float64)
    for row, group in enumerate(groups):
        scores[row] = combine_photos(single.scores[group], formula)
    return KnownScores(scores, single.objects[groups[:, 0]])


def fit_decision(
    known: KnownScores,
    unseen: KnownScores,
    formula: ScoreFormula,
    *,
    photo_counts: tuple[int, ...] = (1, 2, 3),
    longest: int = LONGEST_SHORTLIST,
    method: str = "",
) -> VariantDecision:
    """Fits every number of one embedding model's decision to scores of single photos.

    Args:
        known: Photos of the register's objects, neither trained on nor in the gallery.
        unseen: Photos of objects that the network never saw, scored with or without their own
            entries, which are not looked at.
        formula: How the scores were made.
        photo_counts: The numbers of photos that get a rule of their own, rising from 1.
        longest: The longest shortlist.
        method: How the photos were chosen, for a person.
    """
    rules = tuple(
        photo_rule(
            count,
            grouped(known, formula, count),
            grouped(unseen, formula, count),
            longest=longest,
        )
        for count in photo_counts
    )
    return VariantDecision(
        formula=formula,
        rules=rules,
        longest_shortlist=longest,
        evidence=Evidence(
            unseen_objects=len(np.unique(unseen.objects)),
            unseen_photos=len(unseen.objects),
            register_photos=len(known.objects),
            method=method,
        ),
    )


def _up(value: float) -> float:
    return float(math.ceil(value * 10**_DECIMALS)) / 10.0**_DECIMALS


def _down(value: float) -> float:
    return float(math.floor(value * 10**_DECIMALS)) / 10.0**_DECIMALS
