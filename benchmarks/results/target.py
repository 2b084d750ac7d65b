"""What is measured of a bundle: a variant on a runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.results.schema import REFERENCE_RUNTIME, REFERENCE_VARIANT

if TYPE_CHECKING:
    from benchmarks.results.schema import Row


class BenchmarkTarget(NamedTuple):
    """A variant on a runtime: what one row of the results is about.

    Attributes:
        unit: What the runtime computes on; empty where it has no choice.
    """

    variant: str
    runtime: str
    unit: str = ""

    @classmethod
    def of(cls, row: Row) -> BenchmarkTarget:
        """The subject of a row."""
        return cls(row.variant, row.runtime, row.unit)

    def __str__(self) -> str:
        """Such as `tflite-int8 (litert)`."""
        return f"{self.variant} ({self.runtime}{f', {self.unit}' if self.unit else ''})"


REFERENCE = BenchmarkTarget(REFERENCE_VARIANT, REFERENCE_RUNTIME)
"""The run's full-precision weights in torch, which every other subject is compared with."""
