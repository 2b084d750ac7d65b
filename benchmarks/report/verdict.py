"""The report's first sentence: may the model that goes on the phone be trusted?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.results import REFERENCE_VARIANT, Results, Row
from benchmarks.subjects import REFERENCE, Subject
from benchmarks.tables import drop_interval, megabytes, milliseconds, percent, signless

MAX_DROP_POINTS = 1.0
"""A variant that loses more top-1 than this needs attention."""

MIN_AGREEMENT = 0.95
"""So does one that gives the reference's answer on a smaller share of photos."""

PREFERRED = ("tflite-int8", "tflite-int8-weights", "tflite-float16", "tflite-float32")
"""Which variant the report is about, the first that was measured."""

RUNTIMES = ("litert", "coreml", "android", "litert-arm64", "tensorflow", "coreml-reference")
"""On which runtime, the first that was measured."""

Mood = Literal["good", "attention"]


@dataclass(frozen=True)
class Verdict:
    """What is said first.

    Attributes:
        mood: Colour of the sentence.
        headline: One plain sentence.
        explanation: The numbers behind it, with the drop's interval.
        details: Further sentences.
        figures: (value, what it is) of the variant that the report is about.
    """

    mood: Mood
    headline: str
    explanation: str
    details: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]


def needs_attention(row: Row) -> bool:
    """Whether a variant misses the limits, answers with no numbers, or is wrongly built."""
    if row.status == "check-failed":
        return True
    if row.status != "measured" or row.variant == REFERENCE_VARIANT:
        return False
    dropped = row.drop_points is None or row.drop_points > MAX_DROP_POINTS
    strayed = row.agreement is None or row.agreement < MIN_AGREEMENT
    return dropped or strayed or bool(row.invalid_answers)


def main_subject(rows: Sequence[Row]) -> Subject:
    """What the report is about: the smallest kind that was measured, where it is the real thing."""
    measured = {Subject.of(row) for row in rows if row.status == "measured"} - {REFERENCE}
    return min(measured, key=_preference) if measured else REFERENCE


def _preference(subject: Subject) -> tuple[int, int, Subject]:
    variant = PREFERRED.index(subject.variant) if subject.variant in PREFERRED else len(PREFERRED)
    runtime = RUNTIMES.index(subject.runtime) if subject.runtime in RUNTIMES else len(RUNTIMES)
    return variant, runtime, subject


def short_name(variant: str) -> str:
    """A variant's name in prose: `tflite-int8` is "int8"."""
    if variant == REFERENCE_VARIANT:
        return "full precision"
    return variant.removeprefix("tflite-").replace("-", " ")


def make_verdict(results: Results) -> Verdict:
    """Judges the main variant at the threshold where it does worst, and names all that fail."""
    main = main_subject(results.rows)
    rows = [row for row in results.rows if Subject.of(row) == main and row.status == "measured"]
    if not rows:
        return Verdict("attention", "Nothing was measured.", "", (), ())
    worst = max(rows, key=_badness)
    if main == REFERENCE:
        return Verdict("attention", "No exported variant could be measured here.", "", (), ())
    failing = [row for row in results.rows if needs_attention(row)]
    # One failing file is enough: a green mark beside it would be read as being about all.
    mood: Mood = "attention" if failing else "good"
    return Verdict(
        mood,
        _headline(worst, several=len(rows) > 1),
        _explanation(worst),
        _details(failing),
        _figures(rows),
    )


def _badness(row: Row) -> tuple[bool, float, float]:
    """Orders rows: those that need attention last, then by drop, then by disagreement."""
    drop = 100.0 if row.drop_points is None else row.drop_points
    return needs_attention(row), drop, -(row.agreement or 0.0)


def _headline(row: Row, *, several: bool) -> str:
    where = f"At its worst threshold ({row.min_photos} photos), the" if several else "The"
    share = percent(row.agreement)
    sentence = (
        f"{where} {short_name(row.variant)} model answers like the full‑precision one on "
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


def _details(failing: Sequence[Row]) -> tuple[str, ...]:
    sentences: list[str] = []
    for row in failing:
        what = f"{short_name(row.variant)} at {row.min_photos} photos needs attention"
        if row.status == "check-failed":
            sentences.append(f"{row.variant} at {row.min_photos} photos: {row.note}")
            continue
        parts = [f"agreement {percent(row.agreement)}"]
        if row.drop_points is not None:
            parts.append(f"drop {signless(row.drop_points)} points")
        if row.invalid_answers:
            parts.append(f"{row.invalid_answers} answers that are not numbers")
        sentences.append(f"{what[0].upper()}{what[1:]}: {', '.join(parts)}.")
    return tuple(sentences)


def _figures(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """Of the lowest threshold, which has the most objects."""
    row = min(rows, key=lambda r: r.min_photos)
    figures = [
        (percent(row.top1), "right at once"),
        (percent(row.top5), "right among five"),
        (megabytes(row.bytes), "on the phone"),
    ]
    if row.latency_ms is not None:
        figures.append((milliseconds(row.latency_ms.p50), "per photo, on this computer"))
    return tuple(figures)
