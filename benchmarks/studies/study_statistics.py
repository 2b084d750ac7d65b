"""What the studies share in counting: photos by object, spreads over rounds, targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BeforeValidator, PlainSerializer

from benchmarks.results.cluster_bootstrap import Estimate


def _numbers(value: object) -> object:
    return tuple(int(word) for word in value.split()) if isinstance(value, str) else value


def _names(value: object) -> object:
    return tuple(value.split("\t")) if isinstance(value, str) else value


Counts = Annotated[
    tuple[int, ...],
    BeforeValidator(_numbers),
    PlainSerializer(lambda value: " ".join(map(str, value)), return_type=str, when_used="json"),
]
"""Whole numbers, in a file one text with spaces between: thousands of them stay readable."""

Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_names),
    PlainSerializer("\t".join, return_type=str, when_used="json"),
]
"""Object ids, in a file one text with tabs between."""


def count_by_object(
    objects: Sequence[str], shown: Sequence[str], chosen: Iterable[Any]
) -> tuple[int, ...]:
    """How many of each object's photos are chosen."""
    counts = dict.fromkeys(objects, 0)
    for object_id, counted in zip(shown, chosen, strict=True):
        counts[object_id] += bool(counted)
    return tuple(counts.values())


def spread(values: ArrayLike, low: float = 0.1) -> Estimate:
    """The median of rounds with two quantiles, by default those of 10 % and 90 %."""
    first, middle, last = np.quantile(np.asarray(values), [low, 0.5, 1 - low])
    return Estimate(float(middle), (float(first), float(last)))


@dataclass(frozen=True)
class Target:
    """A number that was set beforehand, and what was measured.

    Attributes:
        at_least: True where at least `bound` is wanted, False where at most.
    """

    what: str
    bound: float
    measured: Estimate
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where nothing was measured."""
        return None if self.measured.value is None else self._holds(self.measured.value)

    def _holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def line(self) -> str:
        """One line of a Markdown list, with the verdict."""
        word = "at least" if self.at_least else "at most"
        return (
            f"- {self.what}: target {word} {self.bound:g}, measured {self.measured.text('.3g')}: "
            f"**{self._verdict()}**"
        )

    def _verdict(self) -> str:
        if self.met is None:
            return "not measured"
        verdict = "met" if self.met else "not met"
        if self.measured.bounds is None:
            return verdict
        holds = {self._holds(bound) for bound in self.measured.bounds}
        if len(holds) == 1:
            return verdict + (", by the whole interval" if self.met else "")
        return verdict + (", not by the whole interval" if self.met else ", within the interval")
