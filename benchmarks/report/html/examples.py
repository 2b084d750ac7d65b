"""What the report shows in pictures: the collection, answers, changed answers, mistaken pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report.html.thumbnails import Thumbnails
from benchmarks.report.runtime_names import short_name
from benchmarks.results.classification import NO_ANSWER, Answers, confused_pairs
from benchmarks.results.measurement import Measurement
from benchmarks.results.target import REFERENCE, BenchmarkTarget

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
    verdict: str
    candidates: tuple[ShownObject, ...]


@dataclass(frozen=True)
class FlipExample:
    """A photo to which a variant gives another first answer than the reference."""

    variant: str
    photo: str | None
    truth: str
    reference: ShownObject
    changed: ShownObject
    outcome: str


@dataclass(frozen=True)
class PredictionFlip:
    """All changed answers of one variant, counted, and some of them shown.

    Attributes:
        name: The variant in prose.
        photos: How many photos it was asked.
        count: To how many its first answer is not the reference's.
        lost: How many of them the reference has right and the variant wrong.
        won: The reverse.
        flips: Those that are shown.
    """

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


def prediction_flips(
    main: ExampleSelector, subjects: Sequence[BenchmarkTarget]
) -> list[PredictionFlip]:
    """The changed answers of the main variant first, then of the others.

    Args:
        main: Tells of the variant that the report is about.
        subjects: What else was measured; the reference, which changes nothing, may be among them.
    """
    others = [s for s in subjects if s not in (main.subject, REFERENCE)]
    minds = [main.changed_mind(FLIPS)]
    return minds + [main.of(subject).changed_mind(FLIPS_OF_OTHERS) for subject in others]


class ExampleSelector:
    """Chooses and prepares the pictures of one case for one variant."""

    def __init__(
        self, measured: Measurement, subject: BenchmarkTarget, *, pictures: Thumbnails | None = None
    ) -> None:
        """Prepares to tell of `subject`, one of the measured ones, with pictures made before."""
        self._measured = measured
        self._subject = subject
        self._answers = measured.answers[subject]
        self._photos = [measured.photos[place] for place in measured.asked[subject]]
        self._pictures = pictures or Thumbnails(measured.case)
        self._labels = measured.case.run.labels

    def strip(self) -> list[ShownObject]:
        """Objects spread evenly over the register, with a training photo of each."""
        count = min(STRIP, len(self._labels))
        places = np.linspace(0, len(self._labels) - 1, count).astype(int)
        shown = [self._shown(int(place)) for place in places]
        return [one for one in shown if one.picture is not None]

    def examples(self) -> list[Example]:
        """Answers of four kinds, from sure and right to wrong altogether, drawn by a fixed seed."""
        answers, thresholds = self._answers, self._measured.case.bundle.info.decision
        best = answers.probability[:, 0]
        answered = answers.top != NO_ANSWER
        sure = answered & (best >= thresholds.match)
        listed = ~answers.right & (answers.rank < SHORTLIST)
        kinds = (
            ("Right, a match", answers.right & sure),
            ("Right, from a shortlist", answers.right & ~sure),
            ("Wrong first, right object on the shortlist", listed),
            ("Wrong", answered & ~answers.right & ~listed),
        )
        generator = np.random.default_rng(0)
        examples: list[Example] = []
        for kind, mask in kinds:
            places = np.flatnonzero(mask)
            chosen = generator.permutation(places)[:PER_KIND]
            examples += [self._example(kind, int(place)) for place in sorted(chosen)]
        return examples

    def of(self, subject: BenchmarkTarget) -> ExampleSelector:
        """One that tells of another subject of the same case."""
        return ExampleSelector(self._measured, subject, pictures=self._pictures)

    @property
    def subject(self) -> BenchmarkTarget:
        """What is told of."""
        return self._subject

    def changed_mind(self, most: int) -> PredictionFlip:
        """The changed answers, at most `most` of them shown."""
        reference = self._measured.reference_of(self._subject)
        flips, count = self.flips(most)
        return PredictionFlip(
            short_name(self._subject.variant),
            len(self._photos),
            count,
            int((reference.right & ~self._answers.right).sum()),
            int((~reference.right & self._answers.right).sum()),
            tuple(flips),
        )

    def flips(self, most: int = FLIPS) -> tuple[list[FlipExample], int]:
        """Some photos whose first answer differs from the reference's, and how many differ.

        At most half of those shown are answers lost, while there are others to show.
        """
        reference = self._measured.reference_of(self._subject)
        differs = np.flatnonzero(self._answers.top != reference.top)
        mixed = np.random.default_rng(0).permutation(differs)
        lost = [int(place) for place in mixed if reference.right[place]]
        others = [int(place) for place in mixed if not reference.right[place]]
        others.sort(key=lambda place: not self._answers.right[place])
        half = max(most // 2, most - len(others))
        chosen = (lost[:half] + others)[:most]
        return [self._flip(place, reference) for place in chosen], len(differs)

    def pairs(self) -> list[ConfusedPair]:
        """The most frequent mistakes."""
        truth = self._measured.truth[self._measured.asked[self._subject]]
        found = confused_pairs(self._answers.top, truth, limit=PAIRS)
        pairs: list[ConfusedPair] = []
        for right, answered, count in found:
            mistaken = np.flatnonzero((truth == right) & (self._answers.top == answered))
            photo = self._photo(int(mistaken[0]))
            pairs.append(ConfusedPair(self._shown(right), self._shown(answered), photo, count))
        return pairs

    def _shown(self, index: int, probability: float | None = None, truth: int = -2) -> ShownObject:
        if index == NO_ANSWER:
            return ShownObject("no answer", "", None, probability)
        label = self._labels[index]
        return ShownObject(
            name=label.title or label.object_id,
            collection=label.collection,
            picture=self._pictures.object(index),
            probability=probability,
            right=index == truth,
        )

    def _photo(self, place: int) -> str | None:
        return self._pictures.photo(self._photos[place].path)

    def _truth(self, place: int) -> tuple[int, str]:
        index = self._photos[place].object_index
        label = self._labels[index]
        return index, label.title or label.object_id

    def _example(self, kind: str, place: int) -> Example:
        truth, name = self._truth(place)
        best = zip(self._answers.best[place], self._answers.probability[place], strict=True)
        candidates = [self._shown(int(i), float(p), truth) for i, p in list(best)[:SHORTLIST]]
        thresholds = self._measured.case.bundle.info.decision
        top = float(self._answers.probability[place, 0])
        verdict = "not in the register"
        if top >= thresholds.reject:
            verdict = "match" if top >= thresholds.match else "shortlist"
        return Example(kind, self._photo(place), name, verdict, tuple(candidates))

    def _first(self, answers: Answers, place: int) -> ShownObject:
        index, probability = int(answers.top[place]), float(answers.probability[place, 0])
        return self._shown(index, probability, self._truth(place)[0])

    def _flip(self, place: int, reference: Answers) -> FlipExample:
        name = self._truth(place)[1]
        was, now = self._first(reference, place), self._first(self._answers, place)
        outcome = "both wrong"
        if was.right or now.right:
            outcome = "right → wrong" if was.right else "wrong → right"
        return FlipExample(
            short_name(self._subject.variant), self._photo(place), name, was, now, outcome
        )
