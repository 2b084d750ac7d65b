"""What the report shows in pictures: the collection, answers, changed answers, mistaken pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report.html.thumbnails import Thumbnails
from benchmarks.report.runtime_names import short_name
from benchmarks.results.classification import NO_ANSWER, Answers, confused_pairs, count_flips
from benchmarks.results.measurement import Measurement
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from mobile_assets.decision import Verdict, decide

STRIP = 48
SHORTLIST = 4
PER_KIND = 2
FLIPS = 8
FLIPS_OF_OTHERS = 4
"""Changed answers shown of the main variant, and of each other one."""

PAIRS = 6


@dataclass(frozen=True)
class ShownObject:
    """An object in a picture; `probability` where it is an answer, `right` if the right one."""

    name: str
    collection: str
    picture: str | None
    probability: float | None = None
    right: bool = False


@dataclass(frozen=True)
class Example:
    """A photo with the shortlist that the phone would show."""

    kind: str
    photo: str | None
    truth: str
    verdict: Verdict
    candidates: tuple[ShownObject, ...]


@dataclass(frozen=True)
class FlipExample:
    """A photo to which a variant gives another first answer than the reference."""

    photo: str | None
    truth: str
    reference: ShownObject
    changed: ShownObject
    outcome: str


@dataclass(frozen=True)
class PredictionFlip:
    """How many answers of a variant changed, `lost` right ones and `won`; some of them shown."""

    name: str
    photos: int
    count: int
    lost: int
    won: int
    flips: tuple[FlipExample, ...]


@dataclass(frozen=True)
class ConfusedPair:
    """Two objects that are taken for each other, with a photo that was."""

    right: ShownObject
    answered: ShownObject
    photo: str | None
    count: int


class ExampleSelector:
    """Chooses and prepares the pictures of one case for one variant."""

    def __init__(
        self, measured: Measurement, target: BenchmarkTarget, *, pictures: Thumbnails | None = None
    ) -> None:
        """Prepares the examples of `target`, a measured one, with pictures made before."""
        self.target = target
        self._measured = measured
        self._answers = measured.answers[target]
        self._photos = [measured.photos[index] for index in measured.positions[target]]
        self._pictures = pictures or Thumbnails(measured.case)
        self._labels = measured.case.run.labels

    def strip(self) -> list[ShownObject]:
        """Objects spread evenly over the register, with a training photo of each."""
        count = min(STRIP, len(self._labels))
        indices = np.linspace(0, len(self._labels) - 1, count).astype(int)
        shown = [self._shown(int(index)) for index in indices]
        return [shown_object for shown_object in shown if shown_object.picture is not None]

    def examples(self) -> list[Example]:
        """Answers of four kinds, from sure and right to wrong altogether, drawn by a fixed seed."""
        answers = self._answers
        verdicts = np.array([self._verdict(index) for index in range(len(self._photos))])
        listed = ~answers.right & (answers.rank < SHORTLIST)
        kinds = (
            ("Right, a match", answers.right & (verdicts == "match")),
            ("Right, from a shortlist", answers.right & (verdicts == "shortlist")),
            ("Right, but rejected", answers.right & (verdicts == "not in the register")),
            ("Wrong first, right object on the shortlist", listed),
            ("Wrong", (answers.top != NO_ANSWER) & ~answers.right & ~listed),
        )
        generator = np.random.default_rng(0)
        examples: list[Example] = []
        for kind, mask in kinds:
            chosen = generator.permutation(np.flatnonzero(mask))[:PER_KIND]
            examples += [self._example(kind, int(index)) for index in sorted(chosen)]
        return examples

    def flips(self, most: int = FLIPS) -> PredictionFlip:
        """The changed answers, at most `most` of them shown.

        At most half of those shown are answers lost, while there are others to show.
        """
        answers, reference = self._answers, self._measured.reference_of(self.target)
        differs = np.flatnonzero(answers.top != reference.top)
        mixed = np.random.default_rng(0).permutation(differs)
        lost = [int(index) for index in mixed if reference.right[index]]
        others = [int(index) for index in mixed if not reference.right[index]]
        others.sort(key=lambda index: not answers.right[index])
        half = max(most // 2, most - len(others))
        shown = (lost[:half] + others)[:most]
        counts = count_flips(reference.right, answers.right)
        return PredictionFlip(
            short_name(self.target.variant),
            len(self._photos),
            len(differs),
            counts.lost,
            counts.won,
            tuple(self._flip(index, reference) for index in shown),
        )

    def all_flips(self, targets: Sequence[BenchmarkTarget]) -> list[PredictionFlip]:
        """The changed answers of this variant first, then of the others."""
        others = (
            ExampleSelector(self._measured, target, pictures=self._pictures)
            for target in targets
            if target not in (self.target, REFERENCE)
        )
        return [self.flips(), *(other.flips(FLIPS_OF_OTHERS) for other in others)]

    def pairs(self) -> list[ConfusedPair]:
        """The most frequent mistakes."""
        truth = self._measured.truth[self._measured.positions[self.target]]
        pairs: list[ConfusedPair] = []
        for right, answered, count in confused_pairs(self._answers.top, truth, limit=PAIRS):
            mistaken = np.flatnonzero((truth == right) & (self._answers.top == answered))
            photo = self._photo(int(mistaken[0]))
            pairs.append(ConfusedPair(self._shown(right), self._shown(answered), photo, count))
        return pairs

    def _verdict(self, index: int) -> Verdict:
        thresholds = self._measured.case.bundle.info.decision
        return decide(float(self._answers.probability[index, 0]), thresholds)

    def _shown(self, index: int, probability: float | None = None, truth: int = -2) -> ShownObject:
        if index == NO_ANSWER:
            return ShownObject("no answer", "", None, probability)
        return ShownObject(
            name=self._name(index),
            collection=self._labels[index].collection,
            picture=self._pictures.object(index),
            probability=probability,
            right=index == truth,
        )

    def _name(self, index: int) -> str:
        return self._labels[index].title or self._labels[index].object_id

    def _photo(self, index: int) -> str | None:
        return self._pictures.photo(self._photos[index].path)

    def _candidates(self, answers: Answers, index: int, count: int) -> list[ShownObject]:
        """The best objects of a photo."""
        truth = self._photos[index].object_index
        best = zip(answers.best[index], answers.probability[index], strict=True)
        return [self._shown(int(i), float(p), truth) for i, p in list(best)[:count]]

    def _example(self, kind: str, index: int) -> Example:
        name = self._name(self._photos[index].object_index)
        candidates = self._candidates(self._answers, index, SHORTLIST)
        return Example(kind, self._photo(index), name, self._verdict(index), tuple(candidates))

    def _flip(self, index: int, reference: Answers) -> FlipExample:
        before, after = (
            self._candidates(answers, index, 1)[0] for answers in (reference, self._answers)
        )
        outcome = "both wrong"
        if before.right or after.right:
            outcome = "right → wrong" if before.right else "wrong → right"
        name = self._name(self._photos[index].object_index)
        return FlipExample(self._photo(index), name, before, after, outcome)
