"""What a variant must keep to be shipped: the rules of `gates.json`, read in one place.

The recommendation in a bundle, the report's verdict and the gate all hold variants against this
file, so none of them can pass what another fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mobile_assets.errors import InputError
from mobile_assets.schema import SCHEMA_VERSION, Document, Record

DEFAULT_GATES = Path(__file__).with_name("gates.json")
"""The project's own limits for shipping: what holds where no other file is given."""

Pattern = Annotated[str, Field(min_length=1)]
Patterns = Annotated[tuple[Pattern, ...], Field(min_length=1)]
Photos = Annotated[int, Field(ge=1)]
Part = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(gt=0)]
Judge = Literal["value", "interval"]
"""Whether the measured value must keep a limit, or the whole of its interval."""


class ShipLimits(Record):
    """Limits that a variant must keep; null where none is set.

    Attributes:
        max_drop_points: Top-1 lost against the reference, in percentage points.
        min_agreement: Share of photos with the reference's first answer, 0–1.
        min_top1: Share of photos answered right, 0–1.
        max_probability_drift: Largest difference of any probability from the reference's, 0–1.
        max_mean_drift: The same largest difference of each photo, averaged over the photos, 0–1. It
            tells a badly calibrated variant long before its first answers do.
        max_calibration_error_rise: Expected calibration error above the reference's, 0–1.
        max_invalid_answers: Photos answered with what is no finite number.
        max_false_match_ratio: Share of photos of objects that are not in the register which are
            called a match, divided by the share that the bundle promises; where it was measured.
        min_photos_measured: Test photos; few photos prove little.
        max_size_ratio: Size divided by that of the bundle's float32 variant of the same format.
        max_bytes: Size.
        max_latency_ratio: Time divided by that of the bundle's tflite-float32.
    """

    max_drop_points: float | None = Field(default=None, ge=-100, le=100)
    min_agreement: Part | None = None
    min_top1: Part | None = None
    max_probability_drift: Part | None = None
    max_mean_drift: Part | None = None
    max_calibration_error_rise: Annotated[float, Field(ge=-1, le=1)] | None = None
    max_invalid_answers: int | None = Field(default=None, ge=0)
    max_false_match_ratio: Ratio | None = None
    min_photos_measured: Photos | None = None
    max_size_ratio: Ratio | None = None
    max_bytes: int | None = Field(default=None, ge=1)
    max_latency_ratio: Ratio | None = None

    def limits(self) -> Iterator[tuple[str, float]]:
        """Name and value of each limit that is set."""
        for name in LIMIT_NAMES:
            value = getattr(self, name)
            if value is not None:
                yield name, value


LIMIT_NAMES = tuple(ShipLimits.model_fields)
"""Every limit that a rule can set, in the order in which they are judged."""


class Rule(ShipLimits):
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
    """

    name: str = Field(min_length=1)
    variants: Patterns
    runtimes: Patterns = ("*",)
    min_photos: Annotated[tuple[Photos, ...], Field(min_length=1)] | None = None
    require: bool = True
    require_measured: bool = True
    judge: Judge = "value"

    @model_validator(mode="after")
    def _sets_something(self) -> Self:
        if not self.require and not list(self.limits()):
            raise ValueError(f"the rule {self.name!r} sets no limit and requires nothing")
        return self

    def matches(
        self, variant: str, runtime: str | None = None, min_photos: int | None = None
    ) -> bool:
        """Whether the rule is about a variant, on a runtime and at a threshold; None for any."""
        return (
            (min_photos is None or self.min_photos is None or min_photos in self.min_photos)
            and any(fnmatchcase(variant, pattern) for pattern in self.variants)
            and (runtime is None or any(fnmatchcase(runtime, name) for name in self.runtimes))
        )


class Gates(Document):
    """The content of a gates file.

    Attributes:
        description: What the gates are for.
        rules: All of them must hold.
    """

    description: str = ""
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    def limits(
        self, variant: str, runtime: str | None = None, min_photos: int | None = None
    ) -> ShipLimits:
        """The limits of all rules that match; of several values of a limit the strictest."""
        strictest: dict[str, float] = {}
        for rule in self.rules:
            if rule.matches(variant, runtime, min_photos):
                for name, value in rule.limits():
                    stricter = min if name.startswith("max_") else max
                    strictest[name] = stricter(value, strictest.get(name, value))
        return ShipLimits.model_validate(strictest)


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
            f"export/bundle/{DEFAULT_GATES.name} of this package."
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
    mistakes = []
    for mistake in error.errors():
        where = ".".join(str(part) for part in mistake["loc"]) or "the top level"
        unknown = mistake["type"] == "extra_forbidden"
        mistakes.append(f"{where}: {'there is no such key' if unknown else mistake['msg']}")
    if any(mistake["type"] == "extra_forbidden" for mistake in error.errors()):
        mistakes.append(f"known limits are {', '.join(LIMIT_NAMES)}")
    return "; ".join(mistakes)


@cache
def default_gates() -> Gates:
    """The project's own limits, `DEFAULT_GATES`, read once."""
    return read_gates()
