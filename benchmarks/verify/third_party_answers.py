"""Comparing a client's answers with those of the toolkit's own runtime, label by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.runtimes.interface import Probabilities
from benchmarks.runtimes.mediapipe_tasks.image_classifier import (
    SHORTLIST,
    THRESHOLD,
    Classification,
)

RESAMPLED = 2e-2
"""How far MediaPipe's score of a full-size photo may be from ours of the same photo, resampled as
MediaPipe does. On 54 photos they were the same to the bit; on fine noise a pixel may be rounded the
other way, by one grey level. The contract's own resampling moved scores of the same photos by up to
0.09, and what MediaPipe must not be blamed for is told beside it."""


@dataclass(frozen=True)
class Difference:
    """How far a client's answers are from ours.

    Attributes:
        same: Of how many the best object is the same.
        largest: Largest difference of any probability; NaN if some were not answered.
        relative: The same as a share of the image's best probability, which is small where a
            network is unsure among thousands of objects.
    """

    images: int
    same: int
    largest: float
    relative: float

    def within(self, tolerance: float) -> bool:
        """Whether no probability is further off than that, nor by five times that share."""
        # Both are false for NaN: a score that was not given.
        return self.largest <= tolerance and self.relative <= 5 * tolerance

    @property
    def said(self) -> str:
        """Such as `best object the same for 12 of 12, scores at most 3.0e-06 apart`."""
        return (
            f"best object the same for {self.same} of {self.images}, "
            f"scores at most {self.largest:.1e} apart"
        )


def difference(answers: Probabilities, expected: Probabilities) -> Difference:
    """Compares `[images, objects]` probabilities; NaN in `found` is a missing answer."""
    if answers.shape != expected.shape:
        raise ValueError(f"{answers.shape} answers compared with {expected.shape}")
    comparable = np.nan_to_num(answers, nan=-1.0)
    same = int((comparable.argmax(axis=1) == expected.argmax(axis=1)).sum())
    distances = np.abs(answers - expected)
    relative = distances / expected.max(axis=1, keepdims=True)
    return Difference(len(expected), same, float(distances.max()), float(relative.max()))


def label_problems(classification: Classification, labels: Sequence[str]) -> list[str]:
    """What differs between the categories that MediaPipe gave and the label map."""
    expected = set(range(len(labels)))
    for indices in classification.indices:
        if len(indices) != len(labels):
            return [f"{len(indices)} categories instead of {len(labels)}"]
        if set(indices.tolist()) != expected:
            return ["some categories are given twice and others not at all"]
    wrong = [index for index in expected if classification.names.get(index) != labels[index]]
    if not wrong:
        return []
    first = wrong[0]
    called = classification.names.get(first)
    name = "has no name" if not called else f"is called {called!r}"
    return [f"category {first} {name} instead of {labels[first]!r}, {len(wrong)} such in all"]


def answer_problems(classification: Classification) -> list[str]:
    """What is wrong with the order of the answers, the short lists and the threshold.

    Returns:
        One phrase per problem; nothing if scores fall, the short list is the beginning of the whole
        answer, and the threshold leaves exactly what reaches it.
    """
    problems = []
    if (np.diff(classification.scores, axis=1) > 0).any():
        problems.append("scores do not fall from the first category to the last")
    # Equal scores may stand in any order, so lists are compared by their scores.
    by_index = classification.probabilities(1 + int(classification.indices.max(initial=-1)))
    rows = range(len(classification.indices))
    top = np.stack([by_index[row, classification.shortlist[row]] for row in rows])
    if not np.array_equal(top, classification.scores[:, :SHORTLIST]):
        problems.append(f"the best {SHORTLIST} asked for are not the first {SHORTLIST} of all")
    likely = [set(np.flatnonzero(by_index[row] >= np.float32(THRESHOLD)).tolist()) for row in rows]
    if likely != [set(indices) for indices in classification.above]:
        problems.append(f"a threshold of {THRESHOLD} leaves other categories than reach it")
    return problems
