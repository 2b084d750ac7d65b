"""What must be known of the times: which variants are slower than float32, how busy it was."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.formatting import percent
from benchmarks.report.runtime_names import runtime_name
from benchmarks.results.row_fields import LatencyRatio
from benchmarks.results.schema import REFERENCE_VARIANT, Row

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
    sentence = f"Other work took {low_to_high} of the processors while times were measured"
    return sentence + ("; such times are worth little." if max(shares) > BUSY else ".")


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
    timed = _slowest(rows)
    if not timed:
        return ""
    several = len({row.min_photos for row in rows}) > 1
    slower = [
        f"{_name(row, several=several)} takes {_ratio_words(ratio)}{_chance(ratio)}"
        for row, ratio in timed
        if is_slower(row)
    ]
    if slower:
        return f"Slower than float32 in this run: {'; '.join(slower)}."
    row, ratio = max(timed, key=lambda pair: pair[1].median)
    return (
        "No variant is slower than float32 in this run; the slowest, "
        f"{_name(row, several=several)}, takes {_ratio_words(ratio)}."
    )


def _slowest(rows: Sequence[Row]) -> list[tuple[Row, LatencyRatio]]:
    """Each variant on each runtime, at the threshold where its ratio is largest."""
    slowest: dict[tuple[str, str, str | None], tuple[Row, LatencyRatio]] = {}
    for row in rows:
        ratio, key = row.latency_ratio, (row.variant, row.runtime, row.unit)
        if ratio is None or row.variant == REFERENCE_VARIANT:
            continue
        if key not in slowest or ratio.median > slowest[key][1].median:
            slowest[key] = row, ratio
    return list(slowest.values())


def _name(row: Row, *, several: bool) -> str:
    on = "" if row.runtime == "litert" else f" on {runtime_name(row.runtime, row.unit)}"
    return f"{row.variant}{on}" + (f" at {row.min_photos} photos" if several else "")


def _ratio_words(ratio: LatencyRatio) -> str:
    return (
        f"{ratio.median:.2f} times as long (10–90 % of {ratio.rounds} rounds: "
        f"{ratio.p10:.2f} to {ratio.p90:.2f})"
    )


def _chance(ratio: LatencyRatio) -> str:
    return ", which lies within the spread of the rounds" if ratio.p10 <= 1 else ""
