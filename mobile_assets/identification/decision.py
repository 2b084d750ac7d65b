"""The decision: scores in, one of four answers out; its numbers are those of `decision.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from mobile_assets.bundle import AuxiliaryModel, Bundle
from mobile_assets.bundle_contents import MOST_VALUES, BundleContents
from mobile_assets.errors import DamagedError
from mobile_assets.fitness import DEFAULT_LIMITS, FitnessLimits
from mobile_assets.identification.scores import ScoreFormula
from mobile_assets.schema import Document, Record
from mobile_assets.shortlist import top_objects

DECISION_FILE = "decision.json"

AnswerName = Literal["match", "shortlist", "not in the register", "photo unfit"]
ANSWERS: tuple[AnswerName, ...] = ("match", "shortlist", "not in the register", "photo unfit")

MATCH_RATES = (0.01, 0.05)
"""Shares of photos of unknown objects that may be called a match; the first is the default."""

SHORTLIST_PROBABILITIES = (0.95, 0.9)
"""How often the right object stands in a shortlist; the first is the default."""


class MatchThreshold(Record):
    """From which score on the best object is called a match.

    Attributes:
        false_match_rate: Share of photos of objects that are not in the register, above which
            no more are called a match.
        score: The lowest score of a match; None where it cannot be promised, so that nothing is
            called a match.
    """

    false_match_rate: float = Field(gt=0, lt=0.25)
    score: float | None


class ShortlistGap(Record):
    """How long a shortlist is.

    Attributes:
        probability: How often the right object of a photo of the register stands in it.
        gap: Objects stand in it whose score is at most so much below the best; None where the
            probability cannot be promised: then it is as long as it may be.
    """

    probability: float = Field(gt=0, lt=1)
    gap: float | None = Field(ge=0)


class PhotoRule(Record):
    """The thresholds for a number of photos.

    Attributes:
        photos: From so many photos on, up to the next rule.
        matches: One for each false-match rate, the default first.
        reject: Below this best score the answer is "not in the register"; None for never.
        shortlists: One for each probability, the default first.
    """

    photos: int = Field(ge=1)
    matches: tuple[MatchThreshold, ...] = Field(min_length=1)
    reject: float | None
    shortlists: tuple[ShortlistGap, ...] = Field(min_length=1)


class Evidence(Record):
    """What the thresholds were set on.

    Attributes:
        unseen_objects: Objects that the network never saw, which stood for those that are not in
            the register.
        unseen_photos: Their photos.
        register_photos: Photos of the register's objects that nothing was trained on.
        method: How, for a person.
    """

    unseen_objects: int = Field(ge=0)
    unseen_photos: int = Field(ge=0)
    register_photos: int = Field(ge=0)
    method: str = ""


class VariantDecision(Record):
    """How one embedding model's scores are judged.

    Attributes:
        formula: How a score is made.
        rules: By number of photos, rising from 1.
        longest_shortlist: So many objects at most; `ShortlistGap` counts what falls behind them as
            missed.
        evidence: What the thresholds were set on.
    """

    formula: ScoreFormula = ScoreFormula()
    rules: tuple[PhotoRule, ...] = Field(min_length=1)
    longest_shortlist: int = Field(default=10, ge=1, le=100)
    evidence: Evidence

    @field_validator("rules")
    @classmethod
    def _from_one_on(cls, rules: tuple[PhotoRule, ...]) -> tuple[PhotoRule, ...]:
        counts = [rule.photos for rule in rules]
        if counts[0] != 1 or counts != sorted(set(counts)):
            raise ValueError("the numbers of photos do not rise from 1")
        offered = {
            (
                tuple(match.false_match_rate for match in rule.matches),
                tuple(gap.probability for gap in rule.shortlists),
            )
            for rule in rules
        }
        if len(offered) > 1:
            raise ValueError("the rules promise different rates or probabilities")
        return rules

    def rule(self, photos: int) -> PhotoRule:
        """The rule for a number of photos: the last one that is not of more."""
        return [rule for rule in self.rules if rule.photos <= photos][-1]

    @property
    def promises_matches(self) -> bool:
        """Whether anything can be called a match at the default rate."""
        return any(rule.matches[0].score is not None for rule in self.rules)


class Decision(Document):
    """The content of `decision.json`.

    Attributes:
        variants: By the name of the embedding model, such as `tflite-embedding`.
        fitness: What a photo must be like to be judged at all; None where every photo is.
    """

    variants: dict[str, VariantDecision]
    fitness: FitnessLimits | None = DEFAULT_LIMITS


@dataclass(frozen=True)
class Verdict:
    """One of four answers, and why.

    Attributes:
        answer: The answer.
        objects: Class indices that the officer is shown, best first: one for a match, the
            shortlist, or none.
        score: The best object's; None for unfit photos.
        threshold: What the score was held against: the lowest score of a match, or of the
            register; None where there is none.
        promise: Of a match its false-match rate, of a shortlist how often it holds the right
            object; None where nothing is promised.
    """

    answer: AnswerName
    objects: tuple[int, ...] = ()
    score: float | None = None
    threshold: float | None = None
    promise: float | None = None


def decide(
    scores: NDArray[np.floating[Any]] | Sequence[float],
    photos: int,
    decision: VariantDecision,
    *,
    false_match_rate: float | None = None,
) -> Verdict:
    """The decision rule.

    Args:
        scores: `[objects]`, of all photos together.
        photos: How many photos they are of, without the unfit ones; 0 if all were unfit.
        decision: The numbers of the model that gave the embeddings.
        false_match_rate: One of those that the decision has; None for its default.

    Raises:
        ValueError: The decision has no such rate, or a score is not a finite number.
    """
    if photos == 0:
        return Verdict("photo unfit")
    rule = decision.rule(photos)
    match = _chosen(rule, false_match_rate)
    values = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a score is not a finite number")
    order = top_objects(values, decision.longest_shortlist).tolist()
    best = float(values[order[0]])
    # Two objects that fit equally well are no match of one.
    tied = len(values) > 1 and np.count_nonzero(values == best) > 1
    if match.score is not None and best >= match.score and not tied:
        return Verdict("match", (order[0],), best, match.score, match.false_match_rate)
    if rule.reject is not None and best < rule.reject:
        return Verdict("not in the register", (), best, rule.reject)
    shortlist = rule.shortlists[0]
    gap, promise = shortlist.gap, shortlist.probability
    if gap is None:
        return Verdict("shortlist", tuple(order), best, match.score)
    near = tuple(index for index in order if best - values[index] <= gap)
    return Verdict("shortlist", near, best, match.score, promise)


def _chosen(rule: PhotoRule, false_match_rate: float | None) -> MatchThreshold:
    for match in rule.matches:
        if false_match_rate in (None, match.false_match_rate):
            return match
    rates = ", ".join(f"{match.false_match_rate:g}" for match in rule.matches)
    raise ValueError(f"there is no threshold for a false-match rate of {false_match_rate}: {rates}")


def read_decision(bundle: Bundle) -> Decision | None:
    """The decision of a bundle; None in bundles of before, whose answers are all shortlists.

    Raises:
        DamagedError: It is changed, or not as this release writes it.
    """
    contents = bundle.contents or BundleContents(bundle.folder, {})
    if DECISION_FILE not in contents:
        return None
    path = bundle.folder / DECISION_FILE
    decision = Decision.parse(contents.read(DECISION_FILE), path, most_values=MOST_VALUES)
    models = {model.name for model in bundle.info.companions if model.kind == "embedding"}
    if unknown := sorted(decision.variants.keys() - models):
        raise DamagedError(
            f"{path} judges {unknown[0]!r}, which is no embedding model of the bundle. "
            "It is damaged: export the bundle again."
        )
    return decision


def judged_model(bundle: Bundle, decision: Decision, variant: str) -> AuxiliaryModel | None:
    """The embedding model that answers where a variant is shipped.

    Args:
        bundle: The bundle.
        decision: Its decision.
        variant: Name of a variant.

    Returns:
        The one of the variant's precision, or the next to it of the same format; None if the
        decision judges none of that format.
    """
    form, _, precision = variant.partition("-")
    models = {
        model.name: model
        for model in bundle.info.companions
        if model.format == form and model.name in decision.variants
    }
    names = (f"{form}-embedding-{precision}", f"{form}-embedding-float16", *models)
    return next((models[name] for name in names if name in models), None)
