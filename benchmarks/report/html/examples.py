"""What the report shows in pictures: the collection, answers, changed answers, mistaken pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report.html.thumbnails import Pictures
from benchmarks.report.runtime_names import short_name
from benchmarks.results.classification import NO_ANSWER, Answers, confused_pairs
from benchmarks.results.measurement import Measured
from benchmarks.results.target import REFERENCE, Subject

STRIP = 48
SHORTLIST = 4
PER_KIND = 2
FLIPS = 8
FLIPS_OF_OTHERS = 4
"""Changed answers shown of the main variant, and of each other one."""

PAIRS = 6


@dataclass(frozen=True)
class Shown:
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
    candidates: tuple[Shown, ...]


@dataclass(frozen=True)
class Flip:
    """A photo to which a variant gives another first answer than the reference."""

    variant: str
    photo: str | None
    truth: str
    reference: Shown
    changed: Shown
    outcome: str


@dataclass(frozen=True)
class ChangedMind:
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
    flips: tuple[Flip, ...]


@dataclass(frozen=True)
class Pair:
    """Two objects that are taken for each other, with a photo that was."""

    right: Shown
    answered: Shown
    photo: str | None
    count: int


def changed_minds(main: Storyteller, subjects: Sequence[Subject]) -> list[ChangedMind]:
    """The changed answers of the main variant first, then of the others.

    Args:
        main: Tells of the variant that the report is about.
        subjects: What else was measured; the reference, which changes nothing, may be among them.
    """
    others = [s for s in subjects if s not in (main.subject, REFERENCE)]
    minds = [main.changed_mind(FLIPS)]
    return minds + [main.of(subject).changed_mind(FLIPS_OF_OTHERS) for subject in others]


class Storyteller:
    """Chooses and prepares the pictures of one case for one variant."""

    def __init__(
        self, measured: Measured, subject: Subject, *, pictures: Pictures | None = None
    ) -> None:
        """Prepares to tell of `subject`, one of the measured ones, with pictures made before."""
        self._measured = measured
        self._subject = subject
        self._answers = measured.answers[subject]
        self._photos = [measured.photos[place] for place in measured.asked[subject]]
        self._pictures = pictures or Pictures(measured.case)
        self._labels = measured.case.run.labels

    def strip(self) -> list[Shown]:
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

    def of(self, subject: Subject) -> Storyteller:
        """One that tells of another subject of the same case."""
        return Storyteller(self._measured, subject, pictures=self._pictures)

    @property
    def subject(self) -> Subject:
        """What is told of."""
        return self._subject

    def changed_mind(self, most: int) -> ChangedMind:
        """The changed answers, at most `most` of them shown."""
        reference = self._measured.reference_of(self._subject)
        flips, count = self.flips(most)
        return ChangedMind(
            short_name(self._subject.variant),
            len(self._photos),
            count,
            int((reference.right & ~self._answers.right).sum()),
            int((~reference.right & self._answers.right).sum()),
            tuple(flips),
        )

    def flips(self, most: int = FLIPS) -> tuple[list[Flip], int]:
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

    def pairs(self) -> list[Pair]:
        """The most frequent mistakes."""
        truth = self._measured.truth[self._measured.asked[self._subject]]
        found = confused_pairs(self._answers.top, truth, limit=PAIRS)
        pairs: list[Pair] = []
        for right, answered, count in found:
            mistaken = np.flatnonzero((truth == right) & (self._answers.top == answered))
            photo = self._photo(int(mistaken[0]))
            pairs.append(Pair(self._shown(right), self._shown(answered), photo, count))
        return pairs

    def _shown(self, index: int, probability: float | None = None, truth: int = -2) -> Shown:
        if index == NO_ANSWER:
            return Shown("no answer", "", None, probability)
        label = self._labels[index]
        return Shown(
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

    def _first(self, answers: Answers, place: int) -> Shown:
        index, probability = int(answers.top[place]), float(answers.probability[place, 0])
        return self._shown(index, probability, self._truth(place)[0])

    def _flip(self, place: int, reference: Answers) -> Flip:
        name = self._truth(place)[1]
        was, now = self._first(reference, place), self._first(self._answers, place)
        outcome = "both wrong"
        if was.right or now.right:
            outcome = "right → wrong" if was.right else "wrong → right"
        return Flip(short_name(self._subject.variant), self._photo(place), name, was, now, outcome)
