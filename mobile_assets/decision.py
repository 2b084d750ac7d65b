"""The decision rule: probabilities → match, shortlist, or not in the register."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mobile_assets.labels import Label, LabelMap
from mobile_assets.schema import Record
from mobile_assets.shortlist import top_objects

Verdict = Literal["match", "shortlist", "not in the register"]


class DecisionThresholds(Record):
    """When the best object's probability is enough; chosen on validation photos.

    Attributes:
        match: At or above this probability the best object is called a match; 1 for never.
        reject: Below this probability the answer is "not in the register". Between the two an
            officer is shown a shortlist to compare by eye.
        validation_photos: How many photos the two were chosen on.
    """

    match: float = Field(ge=0.0, le=1.0)
    reject: float = Field(ge=0.0, le=1.0)
    validation_photos: int = Field(ge=0)


@dataclass(frozen=True)
class Candidate:
    """One object of an answer with its probability, 0–1."""

    label: Label
    probability: float


@dataclass(frozen=True)
class Answer:
    """What the phone says of one photo: a verdict and the best objects, best first."""

    verdict: Verdict
    candidates: tuple[Candidate, ...]


MATCH_PRECISION = 0.95
"""Share of matches on validation photos that must be right."""

MATCH_CERTAINTY = 0.8
"""Lower end of that share's 95 % interval: a handful of right answers is no proof. 16 photos, all
right, are the fewest that reach it."""

REJECT_QUANTILE = 0.02
"""Share of the rightly recognised validation photos that may fall below `reject`."""


def choose_thresholds(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer]
) -> DecisionThresholds:
    """Chooses the thresholds from validation photos.

    `match` is the lowest probability from which on at least `MATCH_PRECISION` of the photos are
    right, and with 95 % confidence at least `MATCH_CERTAINTY`; 1 where there is none: then
    nothing is called a match. `reject` is the `REJECT_QUANTILE` quantile of the probabilities of
    right answers. With no validation photo every answer is a shortlist (`match` 1, `reject` 0).

    Args:
        probabilities: `[photos, objects]`, each row summing to 1.
        truth: `[photos]`, class indices.

    Returns:
        The thresholds, `reject` never above `match`.
    """
    photos = len(truth)
    if photos == 0:
        return DecisionThresholds(match=1.0, reject=0.0, validation_photos=0)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    order = np.argsort(-confidence, kind="stable")
    counts = np.arange(1, photos + 1)
    precision = np.cumsum(right[order]) / counts
    certain = lower_bound(precision, counts) >= MATCH_CERTAINTY
    good = np.flatnonzero((precision >= MATCH_PRECISION) & certain)
    match = float(confidence[order[good[-1]]]) if len(good) else 1.0
    reject = float(np.quantile(confidence[right], REJECT_QUANTILE)) if right.any() else 0.0
    return DecisionThresholds(
        match=min(match, 1.0), reject=min(reject, match), validation_photos=photos
    )


def lower_bound(share: NDArray[np.floating], photos: NDArray[np.integer]) -> NDArray[np.floating]:
    """Lower end of the 95 % score interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    z2 = 1.96**2
    spread = np.sqrt(z2 * (share * (1 - share) / photos + z2 / (4 * photos**2)))
    bound: NDArray[np.floating] = (share + z2 / (2 * photos) - spread) / (1 + z2 / photos)
    return bound


def decide(probability: float, thresholds: DecisionThresholds) -> Verdict:
    """The decision rule: what the best object's probability, 0–1, is called.

    `match` 1 means never, so not even a probability of 1 is a match then.
    """
    if probability >= thresholds.match and thresholds.match < 1:
        return "match"
    return "shortlist" if probability >= thresholds.reject else "not in the register"


def answer(
    probabilities: NDArray[np.floating] | Sequence[float],
    labels: LabelMap,
    thresholds: DecisionThresholds,
    *,
    top: int = 5,
) -> Answer:
    """Turns one photo's probabilities into what the officer is told.

    Args:
        probabilities: `[objects]`, as the model gives them.
        labels: The bundle's label map, as long as `probabilities`.
        thresholds: The bundle's decision thresholds.
        top: Length of the shortlist.

    Returns:
        The verdict with at most `top` candidates; of equal probabilities the lower index first.

    Raises:
        ValueError: The lengths differ.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.shape != (len(labels),):
        raise ValueError(f"{values.shape} probabilities for {len(labels)} labels")
    candidates = tuple(
        Candidate(labels[int(i)], float(values[i])) for i in top_objects(values, top)
    )
    return Answer(decide(candidates[0].probability, thresholds), candidates)
