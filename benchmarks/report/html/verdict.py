"""The report's first sentence: may the model that goes on the phone be shipped and trusted?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.gates.limits import unkept_of_answers
from benchmarks.gates.rules import unkept_beside_answers
from benchmarks.report.formatting import drop_interval, megabytes, milliseconds, percent, signless
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
    """What is said first.

    Attributes:
        caveats: What the judgement does not cover.
        figures: (value, what it is) of the variant that the report is about.
    """

    mood: Mood
    status: str
    headline: str
    explanation: str
    details: tuple[str, ...]
    caveats: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]


def needs_attention(row: Row) -> bool:
    """Whether a variant misses a ship limit, answers with no numbers, or is wrongly built."""
    if _is_broken(row):
        return True
    if row.status != "measured" or row.variant == REFERENCE_VARIANT:
        return False
    return row.drop_points is None or row.agreement is None or bool(unkept_of_answers(row))


def _is_broken(row: Row) -> bool:
    return row.status == "check-failed" or bool(row.invalid_answers)


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
    for row in rows:
        key = (row.register_name, row.min_photos, row.variant)
        if key not in best or _preference(BenchmarkTarget.of(row)) < _preference(
            BenchmarkTarget.of(best[key])
        ):
            best[key] = row
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
    rows = [
        row for row in results.rows if BenchmarkTarget.of(row) == main and row.status == "measured"
    ]
    if not rows or main == REFERENCE:
        headline = (
            "No exported variant could be measured here." if rows else "Nothing was measured."
        )
        lost = tuple(_gate_details([gate for gate in results.gates if not gate.passed]))
        return Verdict("attention", "Needs attention", headline, "", lost, (), ())
    worst = max(rows, key=_badness)
    sentence = _headline(worst, several=len(rows) > 1)
    if results.gates:
        return _by_gates(results, sentence, _explanation(worst), _figures(rows))
    failing = [row for row in results.rows if needs_attention(row)]
    # One failing file is enough: a green mark beside it would be read as being about all.
    return Verdict(
        "attention" if failing else "good",
        "Needs attention" if failing else "Faithful to full precision",
        sentence,
        _explanation(worst),
        _shortened(_row_details(failing)),
        (*_caveats(results.rows), *_beside_answers(results)),
        _figures(rows),
    )


def _by_gates(
    results: Results, sentence: str, explanation: str, figures: tuple[tuple[str, str], ...]
) -> Verdict:
    lost = [gate for gate in results.gates if not gate.passed]
    deviating = [row for row in results.rows if needs_attention(row)]
    count = len(results.gates)
    if lost:
        mood: Mood = "attention"
        status = "May not ship"
        headline = f"It may not ship: {_of(len(lost), count)} not hold."
    elif deviating:
        mood, status = "attention", "Needs attention"
        headline = f"All {count} requirements hold, yet there is something to look at first."
    else:
        mood, status = "good", "May ship"
        headline = f"It may ship: all {count} requirements hold."
        if count == 1:
            headline = "It may ship: the one requirement holds."
    details = _shortened([*_gate_details(lost), *_row_details(deviating)])
    words = f"{sentence} {explanation}".strip()
    return Verdict(mood, status, headline, words, details, _caveats(results.rows), figures)


def _caveats(rows: Sequence[Row]) -> tuple[str, ...]:
    """Said beside every verdict: what a green mark is not about."""
    apple = [row for row in rows if row.variant.startswith("coreml-")]
    caveats: list[str] = []
    if apple and not any(row.runtime == "coreml" and row.status == "measured" for row in apple):
        if any(row.status == "measured" for row in apple):
            caveats.append(
                "Core ML itself did not run: its variants were executed by a reference "
                "implementation, so that their accuracy is expected, not proven."
            )
        else:
            caveats.append("The Core ML variants were not executed: nothing here is about them.")
    if any(is_slower(row) for row in rows):
        caveats.append(pace_sentence(rows))
    if not any(row.device for row in rows):
        caveats.append("No phone was measured: times are of this computer.")
    return tuple(caveats)


def _beside_answers(results: Results) -> tuple[str, ...]:
    """Said where no gate was held, of limits that the verdict's colour is not about."""
    unkept = unkept_beside_answers(results)
    if not unkept:
        return ()
    plural = "s do" if len(unkept) > 1 else " does"
    return (
        f"{len(unkept)} requirement{plural} not hold that a model must keep to be shipped and that "
        f"is not about its answers, such as: {_gate_details(unkept[:1])[0]} "
        "The command artefact-id gate lists all.",
    )


def _of(lost: int, count: int) -> str:
    return f"{lost} of {count} requirement{'s' if count > 1 else ''} do{'es' if lost == 1 else ''}"


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


def _shortened(details: Sequence[str]) -> tuple[str, ...]:
    if len(details) <= MOST_DETAILS:
        return tuple(details)
    more = len(details) - MOST_DETAILS
    return (*details[:MOST_DETAILS], f"And {more} more, in the tables below.")


def _badness(row: Row) -> tuple[bool, float, float]:
    """Orders rows: those that need attention last, then by drop, then by disagreement."""
    drop = 100.0 if row.drop_points is None else row.drop_points
    return needs_attention(row), drop, -(row.agreement or 0.0)


def _headline(row: Row, *, several: bool) -> str:
    where = f"At its worst threshold ({row.min_photos} photos), the" if several else "The"
    share = percent(row.agreement)
    on = "" if row.runtime == "litert" else f" ({runtime_name(row.runtime, row.unit)})"
    sentence = (
        f"{where} {short_name(row.variant)} model{on} answers like the full‑precision one on "
        f"{share} of {row.photos:,} photos"
    )
    if row.drop_points is None:
        return sentence + "."
    if row.drop_points > 0:
        change = f"{signless(row.drop_points)} points fewer first answers are right"
    elif row.drop_points < 0:
        change = f"{signless(-row.drop_points)} points more first answers are right"
    else:
        change = "just as many first answers are right"
    return _unbroken(f"{sentence}; {change}.")


def _explanation(row: Row) -> str:
    if row.drop_points is None or row.top1 is None:
        return ""
    reference = row.top1 + row.drop_points / 100
    sentence = (
        f"Its first answer is right on {percent(row.top1)} of photos, that of full precision on "
        f"{percent(reference)}. Drop: {signless(row.drop_points)} points"
    )
    if row.drop_ci95 is not None:
        sentence += f", 95 % interval {drop_interval(row)}"
        if row.drop_points and row.drop_ci95[0] <= 0 <= row.drop_ci95[1]:
            sentence += ", which may be chance"
    return _unbroken(sentence + ".")


def _unbroken(sentence: str) -> str:
    """Keeps numbers and their units on one line."""
    return sentence.replace(" %", "\u00a0%").replace(" points", "\u00a0points")


def _row_details(failing: Sequence[Row]) -> list[str]:
    sentences: list[str] = []
    for row in failing:
        if row.status == "check-failed":
            sentences.append(f"{row.variant} at {row.min_photos} photos: {row.note}")
            continue
        what = f"{target_name(BenchmarkTarget.of(row))} at {row.min_photos} photos needs attention"
        parts = [f"agreement {percent(row.agreement)}"]
        if row.drop_points is not None:
            parts.append(f"drop {signless(row.drop_points)} points")
        if row.drift and unkept_of_answers(row) & {"max_mean_drift", "max_probability_drift"}:
            parts.append(f"probabilities {row.drift.mean:.3f} off on average")
        if row.invalid_answers:
            parts.append(f"{row.invalid_answers} answers that are not numbers")
        sentences.append(f"{what}: {', '.join(parts)}.")
    return sentences


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
