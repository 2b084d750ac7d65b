"""What the published pages share: counts by object, intervals that respect objects, verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

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


@dataclass(frozen=True)
class Asked:
    """A number that was asked for beforehand, and what was measured.

    Attributes:
        what: What is compared.
        bound: What was asked.
        found: What was measured.
        least: True where at least `bound` was asked, False where at most.
    """

    what: str
    bound: float
    found: Estimate
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the measured number is as asked; None where nothing was measured."""
        return None if self.found.value is None else self._holds(self.found.value)

    def _holds(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound

    def line(self) -> str:
        """One line of a Markdown list, with the verdict."""
        word = "at least" if self.least else "at most"
        return (
            f"- {self.what}: asked {word} {self.bound:g}, measured {self.found.text('.3g')}: "
            f"**{self._verdict()}**\n"
        )

    def _verdict(self) -> str:
        if self.met is None:
            return "not measured"
        verdict = "met" if self.met else "not met"
        if self.found.bounds is None:
            return verdict
        whole = {self._holds(bound) for bound in self.found.bounds}
        if len(whole) == 1:
            return verdict + (", by the whole interval" if self.met else "")
        return verdict + (", not by the whole interval" if self.met else ", within the interval")
