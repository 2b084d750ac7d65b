"""What must be known of the times: which variants are slower than float32, how busy it was."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.formatting import percent
from benchmarks.report.html.contents import sentence
from benchmarks.report.runtime_names import runtime_name
from benchmarks.results.schema import REFERENCE_VARIANT, Row
from benchmarks.results.target import BenchmarkTarget

BUSY = 0.25
"""Other work that takes more of the machine than this makes times doubtful."""


def is_busy(row: Row) -> bool:
    """Whether other work took so much of the machine that this row's times are doubtful."""
    return row.busy_share is not None and row.busy_share > BUSY


def busy_notes(row: Row) -> tuple[str, ...]:
    """To stand beside a doubtful time, such as `machine busy`, `30.4 %`; empty where it is not."""
    return ("machine busy", percent(row.busy_share)) if is_busy(row) else ()


def busy_sentence(rows: Sequence[Row]) -> str:
    """How much of the machine other work took while times were measured; empty where unknown."""
    shares = [row.busy_share for row in rows if row.busy_share is not None]
    if not shares:
        return ""
    low_to_high = " to ".join(dict.fromkeys((percent(min(shares)), percent(max(shares)))))
    worth = "; such times are worth little." if max(shares) > BUSY else "."
    return f"Other work took {low_to_high} of the processors while times were measured{worth}"


def is_slower(row: Row) -> bool:
    """Whether a variant's median took longer than float32's in the same rounds, to the hundredth.

    The network in torch is no variant: it is there for its answers.
    """
    ratio = row.latency_ratio
    return row.variant != REFERENCE_VARIANT and ratio is not None and round(ratio.median, 2) > 1


def pace_sentence(rows: Sequence[Row]) -> str:
    """Names every variant that is slower than float32 in these rows, or says that none is.

    Of several thresholds each is named for the one where it is slowest, with its ratio, the ratio's
    10-90 % range and the rounds. Empty where no variant was timed in turns with float32.
    """
    slowest: dict[BenchmarkTarget, Row] = {}
    for row in sorted(rows, key=_ratio, reverse=True):
        if row.latency_ratio is not None and row.variant != REFERENCE_VARIANT:
            slowest.setdefault(BenchmarkTarget.of(row), row)
    if not slowest:
        return ""
    order = list(dict.fromkeys(map(BenchmarkTarget.of, rows)))
    slower = sorted(
        filter(is_slower, slowest.values()), key=lambda row: order.index(BenchmarkTarget.of(row))
    )
    several = len({row.min_photos for row in rows}) > 1
    named = [
        (row, "" if row.runtime == "litert" else runtime_name(row.runtime, row.unit))
        for row in slower or [max(slowest.values(), key=_ratio)]
    ]
    return sentence("pace", named, bool(slower), several)


def _ratio(row: Row) -> float:
    return row.latency_ratio.median if row.latency_ratio else 0.0
