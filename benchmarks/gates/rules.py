"""Gates: what a set of results must keep to be shipped, read from a file and held against rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from benchmarks.gates.limits import LIMITS, Judge, Limit, RowInResults
from benchmarks.results.schema import GateOutcome, Results, Row
from mobile_assets.errors import CheckFailedError, InputError
from mobile_assets.schema import SCHEMA_VERSION, Document, Record

DEFAULT_GATES = Path(__file__).with_name("gates.json")
"""The gates that are held where none are given: the project's own targets for shipping."""

Pattern = Annotated[str, Field(min_length=1)]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1)]
Photos = Annotated[int, Field(ge=1)]
Part = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(gt=0)]


class Rule(Record):
    """What the rows of some variants must keep. Of several rules that match a row, all must hold.

    Attributes:
        name: What the rule is for, in words.
        variants: Shell patterns, such as `tflite-*`; one of them must match the row's variant.
        runtimes: The same of the runtime.
        min_photos: Thresholds that the rule is about; null for all.
        require: Whether it is a failure that no row matches: at every threshold that the rule is
            about, each variant pattern on each runtime pattern.
        require_measured: Whether a row that could not be executed here fails; if not, it is held
            against the limits of size alone, and said to be so.
        judge: Whether the value must keep a limit or its whole interval, where it has one: drop,
            agreement and top-1 the 95 % interval, latency 10 % to 90 % of the rounds.
        max_drop_points: Top-1 lost against the reference, in percentage points.
        min_agreement: Share of photos with the reference's first answer, 0–1.
        min_top1: Share of photos answered right, 0–1.
        max_probability_drift: Largest difference of any probability from the reference's, 0–1.
        max_mean_drift: The same largest difference of each photo, averaged over the photos, 0–1. It
            tells a badly calibrated variant long before its first answers do.
        max_calibration_error_rise: Expected calibration error above the reference's, 0–1.
        max_invalid_answers: Photos answered with what is no finite number.
        min_photos_measured: Test photos; few photos prove little.
        max_size_ratio: Size divided by that of the bundle's float32 variant of the same format.
        max_bytes: Size.
        max_latency_ratio: Time divided by that of the bundle's tflite-float32.
    """

    name: str = Field(min_length=1)
    variants: Patterns
    runtimes: Patterns = ("*",)
    min_photos: Annotated[tuple[Photos, ...], Field(min_length=1)] | None = None
    require: bool = True
    require_measured: bool = True
    judge: Judge = "value"
    max_drop_points: float | None = Field(default=None, ge=-100, le=100)
    min_agreement: Part | None = None
    min_top1: Part | None = None
    max_probability_drift: Part | None = None
    max_mean_drift: Part | None = None
    max_calibration_error_rise: Annotated[float, Field(ge=-1, le=1)] | None = None
    max_invalid_answers: int | None = Field(default=None, ge=0)
    min_photos_measured: Photos | None = None
    max_size_ratio: Ratio | None = None
    max_bytes: int | None = Field(default=None, ge=1)
    max_latency_ratio: Ratio | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.require and not list(self.asked()):
            raise ValueError(f"the rule {self.name!r} sets no limit and requires nothing")
        return self

    def asked(self) -> Iterator[tuple[Limit, float]]:
        """The limits that are set."""
        for limit in LIMITS:
            bound = getattr(self, limit.key)
            if bound is not None:
                yield limit, bound

    def matches(self, row: Row) -> bool:
        """Whether a row must keep the rule."""
        return (
            (self.min_photos is None or row.min_photos in self.min_photos)
            and any(fnmatchcase(row.variant, pattern) for pattern in self.variants)
            and any(fnmatchcase(row.runtime, pattern) for pattern in self.runtimes)
        )


class Gates(Document):
    """The content of a gates file.

    Attributes:
        description: What the gates are for.
        rules: All of them must hold.
    """

    description: str = ""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


@dataclass(frozen=True)
class WaivedRequirement:
    """A requirement that a row was not held against, since the rule allows it not to be executed.

    Attributes:
        row: The row.
        requirement: What was asked, in words.
        why: Why it was not judged.
    """

    row: Row
    requirement: str
    why: str


@dataclass(frozen=True)
class GateVerdict:
    """What came of holding gates against results.

    Attributes:
        outcomes: Every requirement that was judged; each failed one fails the whole.
        excused: Requirements that were not.
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


def read_gates(path: Path = DEFAULT_GATES) -> Gates:
    """Reads a gates file.

    Raises:
        InputError: It is not there, is not JSON, or holds what is not known or out of range; the
            message names every such place.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"The gates {path} cannot be read ({error}). Give a JSON file like "
            f"{DEFAULT_GATES.parent.name}/{DEFAULT_GATES.name} of this package."
        ) from None
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"The gates {path} have schema version {version}; this release reads version "
            f'{SCHEMA_VERSION}. Put "schema_version": {SCHEMA_VERSION} into the file.'
        )
    try:
        # Strict, so that a number written as text is a mistake and not a guess.
        return Gates.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"The gates {path} are not valid: {_mistakes(error)}.") from None


def _mistakes(error: ValidationError) -> str:
    found = []
    for mistake in error.errors():
        where = ".".join(str(part) for part in mistake["loc"]) or "the top level"
        unknown = mistake["type"] == "extra_forbidden"
        found.append(f"{where}: {'there is no such key' if unknown else mistake['msg']}")
    if any(mistake["type"] == "extra_forbidden" for mistake in error.errors()):
        found.append(f"known limits are {', '.join(limit.key for limit in LIMITS)}")
    return "; ".join(found)


def judge(results: Results, gates: Gates) -> GateVerdict:
    """Holds gates against every row that was measured or made here.

    Rows given by a caller are no work of the toolkit and are passed over. A row whose structure
    was found wrong fails, whatever the rules say.
    """
    rows = [row for row in results.rows if row.status != "given"]
    # Rules may ask the same of the same row; it is told once.
    outcomes: dict[GateOutcome, None] = {}
    excused: list[WaivedRequirement] = []
    for row in rows:
        if row.status == "check-failed":
            outcomes[_outcome(row, "a sound file or package", row.note or "it is not", False)] = (
                None
            )
            continue
        for rule in (rule for rule in gates.rules if rule.matches(row)):
            for limit, bound in rule.asked():
                found = _held(rule, limit, bound, RowInResults(row, results))
                if isinstance(found, WaivedRequirement):
                    excused.append(found)
                else:
                    outcomes[found] = None
    for rule in gates.rules:
        outcomes |= dict.fromkeys(_required(rule, rows))
    if not outcomes:
        outcomes[_nothing(rows)] = None
    unmatched = [r.name for r in gates.rules if not r.require and not any(map(r.matches, rows))]
    ordered = sorted(outcomes, key=lambda outcome: outcome.min_photos)
    return GateVerdict(tuple(ordered), tuple(excused), tuple(unmatched))


def _held(
    rule: Rule, limit: Limit, bound: float, held: RowInResults
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
    return GateOutcome(
        min_photos=row.min_photos,
        variant=row.variant,
        runtime=row.runtime,
        unit=row.unit,
        requirement=requirement,
        measured=measured,
        passed=passed,
    )


def _required(rule: Rule, rows: Sequence[Row]) -> Iterator[GateOutcome]:
    """Whether the rows that a rule must find are there, at every threshold that it is about."""
    if not rule.require:
        return
    good = {"measured"} if rule.require_measured else {"measured", "converted-only"}
    for minimum in rule.min_photos or sorted({row.min_photos for row in rows}) or (1,):
        for variant in rule.variants:
            for runtime in rule.runtimes:
                one = rule.model_copy(
                    update={
                        "variants": (variant,),
                        "runtimes": (runtime,),
                        "min_photos": (minimum,),
                    }
                )
                count = sum(one.matches(row) and row.status in good for row in rows)
                yield GateOutcome(
                    min_photos=minimum,
                    variant=variant,
                    runtime=runtime,
                    requirement="measured" if rule.require_measured else "measured or converted",
                    measured=f"{count} variants" if count != 1 else "1 variant",
                    passed=count > 0,
                )


def _nothing(rows: Sequence[Row]) -> GateOutcome:
    return GateOutcome(
        min_photos=min((row.min_photos for row in rows), default=1),
        variant="*",
        runtime="*",
        requirement="at least one requirement that can be judged",
        measured=f"none, of {len(rows)} rows",
        passed=False,
    )


def failure_lines(outcomes: Sequence[GateOutcome]) -> list[str]:
    """A line for every requirement that does not hold."""
    return [
        f"min {outcome.min_photos}, {target_label(outcome)}: {outcome.requirement}: "
        f"{outcome.measured}"
        for outcome in outcomes
        if not outcome.passed
    ]


def target_label(found: GateOutcome | Row) -> str:
    """What was judged, such as `tflite-int8 on litert`."""
    unit = f" ({found.unit})" if found.unit else ""
    return f"{found.variant} on {found.runtime}{unit}"
