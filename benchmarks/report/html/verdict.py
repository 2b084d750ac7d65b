"""The report's first sentence: may the model that goes on the phone be shipped and trusted?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.gates.limits import unkept_of_answers
from benchmarks.gates.rules import unkept_beside_answers
from benchmarks.report.formatting import interval_words, megabytes, milliseconds, percent
from benchmarks.report.html.contents import sentence
from benchmarks.report.runtime_names import runtime_name, short_name
from benchmarks.report.slowdowns import busy_notes, is_busy, is_slower, pace_sentence
from benchmarks.results.schema import REFERENCE_VARIANT, GateOutcome, Results, Row
from benchmarks.results.target import REFERENCE, BenchmarkTarget

PREFERRED = ("tflite-int8", "tflite-int8-weights", "tflite-float16", "tflite-float32")
"""Which variant the report is about, the first that was measured."""

RUNTIMES = ("litert", "coreml", "android", "litert-arm64", "tensorflow", "coreml-reference")
"""On which runtime, the first that was measured."""

MOST_DETAILS = 8
"""More failures than this are counted; the tables have them all."""

Mood = Literal["good", "attention"]


@dataclass(frozen=True)
class Verdict:
    """What is said first, what it does not cover, and (value, what it is) of the main variant."""

    mood: Mood
    status: str
    headline: str
    explanation: str
    details: tuple[str, ...]
    caveats: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]


def needs_attention(row: Row) -> bool:
    """Whether a variant misses a ship limit, answers with no numbers, or is wrongly built."""
    if row.status == "check-failed" or row.invalid_answers:
        return True
    if row.status != "measured" or row.variant == REFERENCE_VARIANT:
        return False
    return row.drop_points is None or row.agreement is None or bool(unkept_of_answers(row))


def main_target(rows: Sequence[Row]) -> BenchmarkTarget:
    """What the report is about: the smallest kind that was measured, where it is the real thing.

    Of several kinds those that were measured at most thresholds come first.
    """
    thresholds: dict[BenchmarkTarget, set[int]] = {}
    for row in rows:
        if row.status == "measured" and BenchmarkTarget.of(row) != REFERENCE:
            thresholds.setdefault(BenchmarkTarget.of(row), set()).add(row.min_photos)
    if not thresholds:
        return REFERENCE
    return min(thresholds, key=lambda target: (-len(thresholds[target]), *_preference(target)))


def detailed_threshold(rows: Sequence[Row]) -> int:
    """The threshold that is shown in detail: where most was measured, of several the lowest."""
    measured: dict[int, set[BenchmarkTarget]] = {row.min_photos: set() for row in rows}
    for row in rows:
        if row.status == "measured":
            measured[row.min_photos].add(BenchmarkTarget.of(row))
    return min(measured, key=lambda threshold: (-len(measured[threshold]), threshold))


def one_per_variant(rows: Sequence[Row]) -> list[Row]:
    """The rows, each variant at each threshold on its first runtime only, in the same order."""
    best: dict[tuple[str, int, str], Row] = {}
    for row in sorted(rows, key=lambda row: _preference(BenchmarkTarget.of(row))):
        best.setdefault((row.register_name, row.min_photos, row.variant), row)
    kept = {id(row) for row in best.values()}
    return [row for row in rows if id(row) in kept]


def _preference(target: BenchmarkTarget) -> tuple[int, int, BenchmarkTarget]:
    variant = PREFERRED.index(target.variant) if target.variant in PREFERRED else len(PREFERRED)
    runtime = RUNTIMES.index(target.runtime) if target.runtime in RUNTIMES else len(RUNTIMES)
    return variant, runtime, target


def make_verdict(results: Results) -> Verdict:
    """Judges by the gates where some were held, else by the ship limits on answers.

    Without gates the main variant is spoken of at the threshold where it does worst, and all that
    fail are named. With gates nothing is good while one does not hold; and whatever they say, a
    broken file, an answer without numbers and a row beyond the limits need attention: gates may
    have asked about something else.
    """
    main = main_target(results.rows)
    lost = _gate_details([gate for gate in results.gates if not gate.passed])
    rows = [
        row for row in results.rows if BenchmarkTarget.of(row) == main and row.status == "measured"
    ]
    if not rows or main == REFERENCE:
        headline = (
            "No exported variant could be measured here." if rows else "Nothing was measured."
        )
        return Verdict("attention", "Needs attention", headline, "", tuple(lost), (), ())
    # Those that need attention are worst, then those with the largest drop, then disagreement.
    worst = max(
        rows,
        key=lambda row: (
            needs_attention(row),
            100.0 if row.drop_points is None else row.drop_points,
            -(row.agreement or 0.0),
        ),
    )
    on = "" if worst.runtime == "litert" else runtime_name(worst.runtime, worst.unit)
    name = short_name(worst.variant)
    headline = _unbroken(sentence("headline", worst, len(rows) > 1, name, on))
    explanation = _unbroken(sentence("explanation", worst, interval_words(worst.drop_ci95)))
    # One failing file is enough: a green mark beside it would be read as being about all.
    failing = [row for row in results.rows if needs_attention(row)]
    caveats, status = _caveats(results.rows), "Needs attention"
    if results.gates:
        explanation = f"{headline} {explanation}".strip()
        status, headline = _gates_words(len(lost), len(results.gates), deviating=bool(failing))
    else:
        unkept = _gate_details(unkept_beside_answers(results))
        if unkept:  # of limits that the verdict's colour is not about
            caveats = (*caveats, sentence("beside_answers", len(unkept), unkept[0]))
        if not failing:
            status = "Faithful to full precision"
    details = [*lost, *map(_row_details, failing)]
    if len(details) > MOST_DETAILS:
        more = f"And {len(details) - MOST_DETAILS} more, in the tables below."
        details = [*details[:MOST_DETAILS], more]
    return Verdict(
        "attention" if lost or failing else "good",
        status,
        headline,
        explanation,
        tuple(details),
        caveats,
        _figures(rows),
    )


def _gates_words(lost: int, count: int, *, deviating: bool) -> tuple[str, str]:
    """Status and headline where gates were held."""
    if lost:
        verb = "does" if lost == 1 else "do"
        of = f"{lost} of {count} requirement{'s' if count > 1 else ''}"
        return "May not ship", f"It may not ship: {of} {verb} not hold."
    if deviating:
        words = f"All {count} requirements hold, yet there is something to look at first."
        return "Needs attention", words
    held = "the one requirement holds" if count == 1 else f"all {count} requirements hold"
    return "May ship", f"It may ship: {held}."


def _caveats(rows: Sequence[Row]) -> tuple[str, ...]:
    """Said beside every verdict: what a green mark is not about."""
    apple = [row for row in rows if row.variant.startswith("coreml-")]
    caveats: list[str] = []
    executed = {row.runtime for row in apple if row.status == "measured"}
    if apple and "coreml" not in executed:
        caveats.append(sentence("core_ml", executed))
    if any(is_slower(row) for row in rows):
        caveats.append(pace_sentence(rows))
    if not any(row.device for row in rows):
        caveats.append("No phone was measured: times are of this computer.")
    return tuple(caveats)


def _gate_details(gates: Sequence[GateOutcome]) -> list[str]:
    return [
        f"{target_name(BenchmarkTarget(gate.variant, gate.runtime, gate.unit))} at "
        f"{gate.min_photos} photos: {gate.requirement}; measured: {gate.measured}."
        for gate in gates
    ]


def target_name(target: BenchmarkTarget) -> str:
    """A variant in prose, such as `Int8` or `Core ML float16 (reference execution, not …)`."""
    name = short_name(target.variant)
    name = name[0].upper() + name[1:]
    if target.runtime in ("", "litert", "torch"):
        return name
    return f"{name} ({runtime_name(target.runtime, target.unit)})"


def _unbroken(words: str) -> str:
    """Keeps numbers and their units on one line."""
    return words.replace(" %", "\u00a0%").replace(" points", "\u00a0points")


def _row_details(row: Row) -> str:
    if row.status == "check-failed":
        return f"{row.variant} at {row.min_photos} photos: {row.note}"
    drifts = row.drift and unkept_of_answers(row) & {"max_mean_drift", "max_probability_drift"}
    return sentence("needs_attention", row, target_name(BenchmarkTarget.of(row)), bool(drifts))


def _figures(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """Of the lowest threshold, which has the most objects."""
    row = min(rows, key=lambda r: r.min_photos)
    figures = [
        (percent(row.top1), "right at once"),
        (percent(row.top5), "right among five"),
        (megabytes(row.bytes), "on the phone"),
    ]
    if row.latency_ms is not None:
        where = row.device.model if row.device else "this computer"
        warning = f" ({' '.join(busy_notes(row))})" if is_busy(row) else ""
        figures.append((milliseconds(row.latency_ms.p50), f"per photo, on {where}{warning}"))
    return tuple(figures)
