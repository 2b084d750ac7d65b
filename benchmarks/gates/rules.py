"""Holding ship limits against measured rows: which requirements hold, which do not, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from benchmarks.gates.limits import LIMITS, OF_ANSWERS, RowInResults, RowLimit
from benchmarks.results.schema import GateOutcome, Results, Row
from export.bundle.ship_limits import Gates, Rule, default_gates
from mobile_assets.errors import CheckFailedError

ANY = "*"
"""Stands for the variant and the runtime in an outcome that is about no particular one."""


@dataclass(frozen=True)
class WaivedRequirement:
    """A requirement that a row was not held against, as the rule lets it be unexecuted."""

    row: Row
    requirement: str
    why: str


@dataclass(frozen=True)
class GateVerdict:
    """What came of holding gates against results.

    Attributes:
        excused: Requirements that were not judged.
        unmatched: Names of rules that no row matches and that do not require one.
    """

    outcomes: tuple[GateOutcome, ...]
    excused: tuple[WaivedRequirement, ...] = ()
    unmatched: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[GateOutcome, ...]:
        """The requirements that do not hold."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)

    def check(self) -> None:
        """Raises if anything failed.

        Raises:
            CheckFailedError: A requirement does not hold; the message lists all that do not.
        """
        if self.failed:
            lines = "\n".join(f"  {line}" for line in failure_lines(self.outcomes))
            raise CheckFailedError(
                f"{len(self.failed)} of {len(self.outcomes)} requirements do not hold:\n{lines}"
            )


def judge(results: Results, gates: Gates) -> GateVerdict:
    """Holds gates against every row that was measured or made here.

    Rows given by a caller are no work of the toolkit and are passed over. A row whose structure
    was found wrong fails, whatever the rules say.
    """
    rows = [row for row in results.rows if row.status != "given"]
    judged = [
        *(outcome for row in rows for outcome in _judged(row, gates, results)),
        *(outcome for rule in gates.rules for outcome in _required(rule, rows)),
    ]
    outcomes = [outcome for outcome in judged if isinstance(outcome, GateOutcome)]
    if not outcomes:
        minimum = min((row.min_photos for row in rows), default=1)
        about = "at least one requirement that can be judged"
        outcomes = [_about(ANY, ANY, minimum, about, f"none, of {len(rows)} rows", False)]
    unmatched = [
        rule.name
        for rule in gates.rules
        if not rule.require and not any(_matches(rule, row) for row in rows)
    ]
    # Rules may ask the same of the same row; it is told once.
    ordered = sorted(dict.fromkeys(outcomes), key=lambda outcome: outcome.min_photos)
    excused = (outcome for outcome in judged if isinstance(outcome, WaivedRequirement))
    return GateVerdict(tuple(ordered), tuple(excused), tuple(unmatched))


def _judged(row: Row, gates: Gates, results: Results) -> Iterator[GateOutcome | WaivedRequirement]:
    if row.status == "check-failed":
        yield _outcome(row, "a sound file or package", row.note or "it is not", False)
        return
    for rule in (rule for rule in gates.rules if _matches(rule, row)):
        for name, bound in rule.limits():
            held = RowInResults(row, results)
            if LIMITS[name].is_about(held):
                yield _held(rule, LIMITS[name], bound, held)


def unkept_beside_answers(results: Results) -> tuple[GateOutcome, ...]:
    """What measured variants do not keep of the project's ship limits on size, speed and photos.

    Nothing is required to have been measured, and limits on answers are left out: those are judged
    row by row, by `unkept_of_answers`.
    """
    without = dict.fromkeys(OF_ANSWERS) | {"require": False}
    rules = [rule.model_copy(update=without) for rule in default_gates().rules]
    rules = [rule for rule in rules if list(rule.limits())]
    measured = [row for row in results.rows if row.status == "measured"]
    judged = judge(results.model_copy(update={"rows": tuple(measured)}), Gates(rules=tuple(rules)))
    return tuple(outcome for outcome in judged.failed if outcome.variant != ANY)


def _matches(rule: Rule, row: Row) -> bool:
    return rule.matches(row.variant, row.runtime, row.min_photos)


def _held(
    rule: Rule, limit: RowLimit, bound: float, held: RowInResults
) -> GateOutcome | WaivedRequirement:
    requirement = limit.requirement(bound, rule.judge)
    if held.row.status == "converted-only" and limit.executed:
        why = f"not executed here: {held.row.note or 'no runtime for it'}"
        if rule.require_measured:
            return _outcome(held.row, requirement, why, False)
        return WaivedRequirement(held.row, requirement, why)
    measured, passed = limit.holds(bound, rule.judge, held)
    return _outcome(held.row, requirement, measured, passed)


def _outcome(row: Row, requirement: str, measured: str, passed: bool) -> GateOutcome:
    outcome = _about(row.variant, row.runtime, row.min_photos, requirement, measured, passed)
    return outcome.model_copy(update={"unit": row.unit})


def _about(
    variant: str, runtime: str, min_photos: int, requirement: str, measured: str, passed: bool
) -> GateOutcome:
    return GateOutcome(
        min_photos=min_photos,
        variant=variant,
        runtime=runtime,
        requirement=requirement,
        measured=measured,
        passed=passed,
    )


def _required(rule: Rule, rows: Sequence[Row]) -> Iterator[GateOutcome]:
    """Whether the rows that a rule must find are there, at every threshold that it is about."""
    if not rule.require:
        return
    statuses = {"measured"} if rule.require_measured else {"measured", "converted-only"}
    thresholds = rule.min_photos or sorted({row.min_photos for row in rows}) or (1,)
    for minimum, variant, runtime in product(thresholds, rule.variants, rule.runtimes):
        part = {"variants": (variant,), "runtimes": (runtime,), "min_photos": (minimum,)}
        narrowed = rule.model_copy(update=part)
        count = sum(_matches(narrowed, row) and row.status in statuses for row in rows)
        requirement = "measured" if rule.require_measured else "measured or converted"
        measured = f"{count} variants" if count != 1 else "1 variant"
        yield _about(variant, runtime, minimum, requirement, measured, count > 0)


def failure_lines(outcomes: Sequence[GateOutcome]) -> list[str]:
    """A line for every requirement that does not hold."""
    return [
        f"min {outcome.min_photos}, {target_label(outcome)}: {outcome.requirement}: "
        f"{outcome.measured}"
        for outcome in outcomes
        if not outcome.passed
    ]


def target_label(judged: GateOutcome | Row) -> str:
    """What was judged, such as `tflite-int8 on litert`."""
    unit = f" ({judged.unit})" if judged.unit else ""
    return f"{judged.variant} on {judged.runtime}{unit}"
