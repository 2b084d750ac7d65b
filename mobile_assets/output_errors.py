"""Errors in apps after the network: what they read out of its answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobile_assets.decision import DecisionThresholds, Verdict, decide
from mobile_assets.labels import Label, LabelMap

Probabilities = NDArray[np.float32]


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials: NDArray[np.float64] = np.exp(values - values.max())
    return np.asarray(exponentials / exponentials.sum())


def _before_second_softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The `p` of which these are the softmax: their logarithms, moved so that they sum to 1."""
    logarithms = np.log(np.maximum(values, 1e-30))
    return np.asarray(logarithms + (1 - logarithms.sum()) / len(values))


@dataclass(frozen=True)
class ProbabilityError:
    """An error in reading the model's output.

    Attributes:
        description: What the app does, for its developer.
        undo: From the app's `[objects]` values back to the probabilities.
        resolution: Step of the app's values, as a probability: what rounding may have lost.
    """

    description: str
    undo: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    resolution: float = 0.0


PROBABILITY_ERRORS: tuple[ProbabilityError, ...] = (
    ProbabilityError(
        "The classes are shifted by 1: a background class, or another list.",
        lambda values: np.roll(values, -1),
    ),
    ProbabilityError(
        "The classes are shifted by 1 the other way: the first is left out.",
        lambda values: np.roll(values, 1),
    ),
    ProbabilityError("The classes stand in reverse.", lambda values: values[::-1]),
    ProbabilityError("The values are percentages, not 0 to 1.", lambda values: values / 100, 0.01),
    ProbabilityError(
        "The values are quantised (uint8) and are not dequantised: divide by 256.",
        lambda values: values / 256,
        1 / 256,
    ),
    ProbabilityError(
        "The values are quantised (int8) and are not dequantised: add 128, divide by 256.",
        lambda values: (values + 128) / 256,
        1 / 256,
    ),
    ProbabilityError(
        "The softmax is left out: these are logits; read the output `probabilities`.", _softmax
    ),
    ProbabilityError(
        "The softmax is applied twice: the model's output is probabilities already.",
        _before_second_softmax,
    ),
)
"""Errors that can be undone, so that what they leave is compared with the right answer."""


def label_orders(labels: LabelMap) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Wrong orders of a label map that apps have had: what the app does, and its object ids."""
    ids = labels.object_ids
    yield "The labels are shifted by 1: a line too many at the beginning.", (ids[-1], *ids[:-1])
    yield "The labels are shifted by 1: the first line is left out.", (*ids[1:], ids[0])

    def in_order(key: Callable[[Label], object]) -> tuple[str, ...]:
        return tuple(label.object_id for label in sorted(labels.labels, key=key))  # type: ignore[arg-type]

    yield "The labels are sorted by the numbers in them.", in_order(_by_numbers)
    yield (
        "The labels are sorted without regard to case.",
        in_order(lambda label: label.object_id.casefold()),
    )
    yield "The labels are sorted by character; labels.json has its own order.", tuple(sorted(ids))
    yield (
        "The labels are sorted by collection.",
        in_order(lambda label: (label.collection, label.object_id)),
    )
    yield "The labels are sorted by title.", in_order(lambda label: (label.title, label.object_id))
    yield "The labels stand in reverse.", ids[::-1]


def _by_numbers(label: Label) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", label.object_id)
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]


Rule = Callable[[float, DecisionThresholds], Verdict]

_NEVER = {"match": 1.0}
_ALWAYS = {"reject": 0.0}


def _swapped(probability: float, thresholds: DecisionThresholds) -> Verdict:
    if probability >= thresholds.reject:
        return "match"
    return "shortlist" if probability >= thresholds.match else "not in the register"


def _match_at_one(probability: float, thresholds: DecisionThresholds) -> Verdict:
    return "match" if probability >= thresholds.match else decide(probability, thresholds)


VERDICT_ERRORS: tuple[tuple[str, Rule], ...] = (
    ("`match` 1 is taken for a threshold; it means that nothing is a match.", _match_at_one),
    (
        "The answer is never called a match: the threshold `match` is not read.",
        lambda p, limits: decide(p, limits.model_copy(update=_NEVER)),
    ),
    (
        "No object is called unregistered: the threshold `reject` is not read.",
        lambda p, limits: decide(p, limits.model_copy(update=_ALWAYS)),
    ),
    ("The thresholds `match` and `reject` are exchanged.", _swapped),
    (
        "A percentage is compared with thresholds of 0 to 1.",
        lambda p, limits: decide(100 * p, limits),
    ),
    (
        "A probability of 0 to 1 is compared with thresholds in percent.",
        lambda p, limits: decide(p / 100, limits),
    ),
)
"""Errors in the decision, each as the rule that the app follows instead."""
