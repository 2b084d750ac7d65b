"""`decision-vectors.json`: scores in, answers out, so that an app can prove its own rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import Field

from mobile_assets.bundle import Bundle
from mobile_assets.bundle_contents import MOST_VALUES, BundleContents
from mobile_assets.identification.decision import (
    ANSWERS,
    AnswerName,
    Decision,
    Evidence,
    MatchThreshold,
    PhotoRule,
    ShortlistGap,
    VariantDecision,
    decide,
)
from mobile_assets.identification.scores import combine_photos
from mobile_assets.schema import Document, Record

VECTORS_FILE = "decision-vectors.json"

FEWEST_VECTORS = 200
_OBJECTS = 8
_MADE_DECISIONS = 4
_SCORE_TOLERANCE = 1e-9
_DECIMALS = 4


class DecisionVector(Record):
    """One question and its answer.

    Attributes:
        decision: Which of the decisions of the file it is put to.
        photos: Scores of each photo, `[photos, objects]`; without any, all photos were unfit.
        false_match_rate: The rate that is asked for.
        answer: The right answer.
        objects: The objects that an officer is shown, best first.
        score: The best object's score of all photos together; None without photos.
    """

    decision: int = Field(ge=0)
    photos: tuple[tuple[float, ...], ...]
    false_match_rate: float
    answer: AnswerName
    objects: tuple[int, ...]
    score: float | None


class DecisionVectors(Document):
    """The content of `decision-vectors.json`.

    Attributes:
        decisions: Those of the bundle, in the order of their names, then some that are made up, so
            that every answer comes up whatever the bundle's own thresholds are.
        vectors: The questions.
    """

    decisions: tuple[VariantDecision, ...]
    vectors: tuple[DecisionVector, ...]

    @classmethod
    def of(cls, decision: Decision, *, seed: int = 0) -> DecisionVectors:
        """Draws the vectors of a bundle's decision; the same ones every time."""
        generator = np.random.default_rng(seed)
        own = [decision.variants[name] for name in sorted(decision.variants)]
        decisions = (*own, *(_made_decision(number) for number in range(_MADE_DECISIONS)))
        each = -(-FEWEST_VECTORS // len(decisions))
        vectors = [
            _vector(index, judged, scores, rate)
            for index, judged in enumerate(decisions)
            for scores, rate in _questions(judged, each, generator)
        ]
        return cls(decisions=decisions, vectors=tuple(vectors))

    def problems(self, decision: Decision) -> Iterator[str]:
        """What is wrong with them as the vectors of a bundle's decision."""
        own = tuple(decision.variants[name] for name in sorted(decision.variants))
        if self.decisions[: len(own)] != own:
            yield "they are not of the thresholds of decision.json"
        if len(self.vectors) < FEWEST_VECTORS:
            yield f"{len(self.vectors)} vectors, and {FEWEST_VECTORS} are the fewest"
        seen = {vector.answer for vector in self.vectors}
        yield from (
            f'the answer "{answer}" is not among them' for answer in ANSWERS if answer not in seen
        )
        for number, vector in enumerate(self.vectors):
            if (wrong := _problem(vector, self.decisions)) is not None:
                yield f"vector {number}: {wrong}"


def read_vectors(bundle: Bundle) -> DecisionVectors | None:
    """The vectors of a bundle; None if it has none.

    Raises:
        DamagedError: They are changed, or not as this release writes them.
    """
    contents = bundle.contents or BundleContents(bundle.folder, {})
    if VECTORS_FILE not in contents:
        return None
    path: Path = bundle.folder / VECTORS_FILE
    return DecisionVectors.parse(contents.read(VECTORS_FILE), path, most_values=MOST_VALUES)


def _made_decision(number: int) -> VariantDecision:
    """Thresholds that no register has set: of all, of single photos, of the 5 % alone, of none."""
    matches = ((0.62, 0.55), (0.66, None), (None, 0.58), (None, None))[number]
    rejects, gaps = (0.3, 0.34, None, 0.25)[number], (0.08, 0.0, 0.3, None)[number]
    rules = tuple(
        PhotoRule(
            photos=photos,
            matches=tuple(
                MatchThreshold(
                    false_match_rate=rate,
                    score=None if score is None else round(score - 0.02 * (photos - 1), 6),
                )
                for rate, score in zip((0.01, 0.05), matches, strict=True)
            ),
            reject=rejects,
            shortlists=tuple(ShortlistGap(probability=p, gap=gaps) for p in (0.95, 0.9)),
        )
        for photos in (1, 2, 3)
    )
    evidence = Evidence(unseen_objects=0, unseen_photos=0, register_photos=0, method="made up")
    return VariantDecision(rules=rules, longest_shortlist=5, evidence=evidence)


def _questions(
    decision: VariantDecision, count: int, generator: np.random.Generator
) -> Iterator[tuple[tuple[tuple[float, ...], ...], float]]:
    """Scores on, just below and around every threshold, with ties, of no photo to four."""
    for number in range(count):
        photos = 0 if number % 16 == 15 else (1, 1, 2, 1, 3, 1, 4)[number % 7]
        rule = decision.rule(max(photos, 1))
        limits = [*(match.score for match in rule.matches), rule.reject, 0.45]
        anchors = [limit for limit in limits if limit is not None]
        # Around the edge, and on it where the sum over photos is exact: of one photo.
        steps = (0.0, -1e-4, 1e-4, 0.05, -0.05) if photos == 1 else (0.05, -0.05, 0.1)
        best = anchors[number % len(anchors)] + steps[number // len(anchors) % len(steps)]
        rows = []
        below = generator.uniform(0.001, 0.4, _OBJECTS)
        below[generator.integers(_OBJECTS)] = 0
        if number % 9 == 4:  # a tie
            below[generator.integers(_OBJECTS)] = 0
        for _ in range(photos):
            noise = 0 if photos == 1 else generator.uniform(-0.06, 0.06, _OBJECTS)
            rows.append(_rounded(best - np.round(below + noise, _DECIMALS)))
        if photos > 1 and number % 9 == 4:
            rows = rows[:1] * photos  # the tie stays one
        yield tuple(rows), rule.matches[number % len(rule.matches)].false_match_rate


def _rounded(scores: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(score), 6) for score in scores)


def _vector(
    index: int,
    decision: VariantDecision,
    photos: tuple[tuple[float, ...], ...],
    rate: float,
) -> DecisionVector:
    combined = combine_photos(np.array(photos), decision.formula) if photos else np.empty(0)
    verdict = decide(combined, len(photos), decision, false_match_rate=rate)
    return DecisionVector(
        decision=index,
        photos=photos,
        false_match_rate=rate,
        answer=verdict.answer,
        objects=verdict.objects,
        score=verdict.score,
    )


def _problem(vector: DecisionVector, decisions: tuple[VariantDecision, ...]) -> str | None:
    """How a vector differs from what the rule answers; None if it does not."""
    if vector.decision >= len(decisions):
        return f"there is no decision {vector.decision}"
    lengths = {len(row) for row in vector.photos}
    if len(lengths) > 1 or 0 in lengths:
        return "its photos are not scored against the same objects"
    try:
        answered = _vector(
            vector.decision, decisions[vector.decision], vector.photos, vector.false_match_rate
        )
    except ValueError as error:
        return str(error)
    if (answered.answer, answered.objects) != (vector.answer, vector.objects):
        return f'the rule answers "{answered.answer}" {list(answered.objects)}'
    same = (answered.score is None) == (vector.score is None) and (
        abs((answered.score or 0) - (vector.score or 0)) <= _SCORE_TOLERANCE
    )
    return None if same else f"its score is {vector.score} instead of {answered.score}"
