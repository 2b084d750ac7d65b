"""What a phone on adb says of a case's variants, beside its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure.parity import Candidate
from benchmarks.results.measurement import BenchmarkCase
from benchmarks.results.target import BenchmarkTarget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.runtimes.android.measure import PhoneReply

ANDROID = "android"


def with_answers(chosen: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that can be asked about photos: a phone without a runner gives only its speed."""
    return tuple(candidate for candidate in chosen if getattr(candidate.runtime, "answers", True))


def measure_phones(
    case: BenchmarkCase, chosen: Sequence[Candidate]
) -> dict[BenchmarkTarget, PhoneReply]:
    """Latency, memory and placement of the chosen variants on the phone, by subject.

    Raises:
        PhoneError: The phone, the cable or the tool failed.
    """
    from benchmarks.runtimes.android.runtime import AndroidRuntime

    return {
        one.subject: one.runtime.measure(case.bundle, one.variant)
        for one in chosen
        if isinstance(one.runtime, AndroidRuntime) and one.runtime.options.find_program()
    }
