"""The limits that a gate can set: what each reads from a row, and when it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.results.classification import wilson_interval
from benchmarks.results.row_fields import Bounds
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row
from export.bundle.ship_limits import Judge, default_gates


@dataclass(frozen=True)
class RowInResults:
    """A row with the results that it stands in; without them, only the row itself is read."""

    row: Row
    results: Results | None = None

    def beside(self, variant: str) -> Row | None:
        """The row of another variant of the same bundle; None if there is none."""
        for row in self.results.rows if self.results else ():
            if row.variant == variant and _bundle(row) == _bundle(self.row):
                return row
        return None


def _bundle(row: Row) -> tuple[object, ...]:
    custody = row.custody.bundle_sha256 if row.custody else None
    return row.register_name, row.min_photos, row.backbone, row.head, row.seed, custody


@dataclass(frozen=True)
class Observation:
    """What a row says on one quantity, in words too, with its 95 % interval or its spread."""

    value: float
    words: str
    bounds: Bounds | None = None


Read = Callable[[RowInResults], Observation | str | None]
"""Reads a quantity; gives in words why there is none, or None if it was not measured."""


@dataclass(frozen=True)
class RowLimit:
    """How one of the ship limits is read from a row and told.

    Attributes:
        words: The requirement, with `{}` for the limit.
        shown: How the limit is written there.
        most: Whether the limit is an upper one.
        executed: Whether only a row that was executed can be held against it.
        interval: What the whole of which can be asked to keep the limit; empty where there is only
            a value.
        where_measured: Whether a row without the quantity is passed over, and does not fail.
    """

    words: str
    shown: Callable[[float], str]
    read: Read
    most: bool = True
    executed: bool = True
    interval: str = ""
    where_measured: bool = False

    def is_about(self, held: RowInResults) -> bool:
        """Whether the row can be held against it."""
        return not self.where_measured or self.read(held) is not None

    def requirement(self, bound: float, judge: Judge) -> str:
        """What is asked, in words."""
        words = self.words.format(self.shown(bound))
        return f"{words}, {self.interval}" if judge == "interval" and self.interval else words

    def holds(self, bound: float, judge: Judge, held: RowInResults) -> tuple[str, bool]:
        """What was measured, in words, and whether the requirement holds."""
        observed = self.read(held)
        if not isinstance(observed, Observation):
            return observed or "not measured", False
        value = observed.value
        if judge == "interval" and self.interval:
            if observed.bounds is None:
                return f"{observed.words}; no interval was measured", False
            value = observed.bounds[1] if self.most else observed.bounds[0]
        return observed.words, value <= bound if self.most else value >= bound


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _given_share(value: float) -> str:
    return f"{100 * value:.6g} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.6g}".replace("-", "−")


def _drop(held: RowInResults) -> Observation | None:
    row = held.row
    if row.drop_points is None:
        return None
    words = f"{_signed(row.drop_points)} points"
    if row.drop_ci95 is not None:
        words += " (95 % interval {} to {})".format(*map(_signed, row.drop_ci95))
    return Observation(row.drop_points, f"{words} over {row.photos:,} photos", row.drop_ci95)


def _share_of_photos(share: float | None, photos: int) -> Observation | None:
    if share is None:
        return None
    count = round(share * photos)
    bounds = wilson_interval(count, photos)
    words = f"{100 * share:.2f} %, {count:,} of {photos:,} photos"
    if bounds is not None:
        words += f" (95 % interval {100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %)"
    return Observation(share, words, bounds)


def _size_ratio(held: RowInResults) -> Observation | str | None:
    kind = held.row.variant.split("-", maxsplit=1)[0]
    whole = held.beside(f"{kind}-float32")
    if whole is None or not whole.bytes:
        return f"the bundle has no {kind}-float32 to compare with: export it, or leave this out"
    if held.row.bytes is None:
        return None
    ratio = held.row.bytes / whole.bytes
    return Observation(ratio, f"{ratio:.4f} ({held.row.bytes:,} of {whole.bytes:,} bytes)")


def _bytes(held: RowInResults) -> Observation | None:
    size = held.row.bytes
    return None if size is None else Observation(size, f"{size:,} bytes")


def _latency_ratio(held: RowInResults) -> Observation | str:
    ratio = held.row.latency_ratio
    if ratio is not None:
        words = (
            f"{ratio.median:.3f} (10 % to 90 % of {ratio.rounds} rounds: "
            f"{ratio.p10:.3f} to {ratio.p90:.3f})"
        )
        return Observation(ratio.median, words, (ratio.p10, ratio.p90))
    if held.results and not held.results.settings.measure_speed:
        return "speed was not measured: leave out --no-speed, or the limit"
    return "not timed beside tflite-float32 of the same bundle"


def _calibration_rise(held: RowInResults) -> Observation | str | None:
    row, reference = held.row, held.beside(REFERENCE_VARIANT)
    if row.calibration_error is None:
        return None
    if reference is None or reference.calibration_error is None:
        return f"no calibration error of {REFERENCE_VARIANT} to compare with"
    if reference.photos != row.photos:
        return f"measured on {row.photos:,} photos, the reference on {reference.photos:,}"
    rise = row.calibration_error - reference.calibration_error
    words = f"{_signed(100 * rise)} points, {100 * row.calibration_error:.2f} % in all"
    return Observation(rise, words)


def _drift(held: RowInResults) -> Observation | str | None:
    drift = held.row.max_probability_drift
    if drift is not None:
        return Observation(drift, f"{drift:.2g} at most")
    return "some probabilities are not finite numbers" if held.row.invalid_answers else None


def _mean_drift(held: RowInResults) -> Observation | str | None:
    drift = held.row.drift
    if drift is not None:
        return Observation(drift.mean, f"{drift.mean:.4f} (99 % of photos at most {drift.p99:.4f})")
    return _drift(held) if held.row.invalid_answers else None


def _invalid(held: RowInResults) -> Observation | None:
    count, row = held.row.invalid_answers, held.row
    if count is None:
        return None
    return Observation(count, f"{count:,} of {row.photos + row.unseen_photos:,} photos")


def _false_matches(held: RowInResults) -> Observation | None:
    """How often the promise was broken; the lower end of what the count allows decides.

    By chance alone one bundle in two would exceed a rate that it keeps exactly.
    """
    found = held.row.false_matches
    if found is None:
        return None
    bounds = wilson_interval(found.matches, found.photos)
    assert bounds is not None, "there is a photo at least"
    words = (
        f"{found.matches:,} of {found.photos:,} photos, {100 * found.matches / found.photos:.2f} % "
        f"(95 % interval {100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %), "
        f"{100 * found.promised:g} % promised"
    )
    return Observation(bounds[0] / found.promised, words)


_WHOLE = "its whole 95 % interval"

LIMITS = {
    "max_drop_points": RowLimit("accuracy drop at most {} points", _number, _drop, interval=_WHOLE),
    "min_agreement": RowLimit(
        "agreement at least {}",
        _given_share,
        lambda held: _share_of_photos(held.row.agreement, held.row.photos),
        most=False,
        interval=_WHOLE,
    ),
    "min_top1": RowLimit(
        "top-1 at least {}",
        _given_share,
        lambda held: _share_of_photos(held.row.top1, held.row.photos),
        most=False,
        interval=_WHOLE,
    ),
    "max_probability_drift": RowLimit(
        "no probability further than {} from the reference's", _number, _drift
    ),
    "max_mean_drift": RowLimit(
        "probabilities at most {} from the reference's, mean over photos", _number, _mean_drift
    ),
    "max_calibration_error_rise": RowLimit(
        "calibration error at most {} above the reference's",
        lambda bound: f"{100 * bound:.6g} points",
        _calibration_rise,
    ),
    "max_invalid_answers": RowLimit(
        "answers that are no finite numbers at most {}", _number, _invalid
    ),
    "max_false_match_ratio": RowLimit(
        "unknown objects called a match at most {} times as often as promised, as far as the "
        "photos show",
        _number,
        _false_matches,
        where_measured=True,
    ),
    "min_photos_measured": RowLimit(
        "measured on at least {} photos",
        _number,
        lambda held: Observation(held.row.photos, f"{held.row.photos:,} photos"),
        most=False,
    ),
    "max_size_ratio": RowLimit(
        "size at most {} of float32's", _number, _size_ratio, executed=False
    ),
    "max_bytes": RowLimit("size at most {} bytes", _number, _bytes, executed=False),
    "max_latency_ratio": RowLimit(
        "latency at most {} of tflite-float32's",
        _number,
        _latency_ratio,
        interval="90 % of the rounds",
    ),
}
"""Every ship limit, by its name in a gates file."""

OF_ANSWERS = (
    "max_drop_points",
    "min_agreement",
    "min_top1",
    "max_probability_drift",
    "max_mean_drift",
    "max_invalid_answers",
)
"""The limits on how a variant answers, which can be read from its row alone."""


def unkept_of_answers(row: Row) -> frozenset[str]:
    """Names of the limits of `OF_ANSWERS` that the project sets for a row and it does not keep."""
    return frozenset(
        name
        for rule in default_gates().rules
        if rule.matches(row.variant, row.runtime, row.min_photos)
        for name, bound in rule.limits()
        if name in OF_ANSWERS and not LIMITS[name].holds(bound, rule.judge, RowInResults(row))[1]
    )
