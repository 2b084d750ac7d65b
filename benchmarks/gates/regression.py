"""What became of each quantity between two rows of the same variant, and whether beyond noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.calibration import calibration_deviation
from benchmarks.results.classification import Indices, difference_interval, wilson_interval
from benchmarks.results.cluster_bootstrap import paired_change_interval
from benchmarks.results.correctness_mask import unpack, unpack_indices
from benchmarks.results.row_fields import Bounds
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row
from mobile_assets.schema import Record
from mobile_assets.wilson import Z95

Verdict = Literal["better", "worse", "no difference", "not comparable"]
"""`no difference`: none beyond noise; `not comparable`: what was measured differs otherwise."""

SAME_SIZE = 0.001
"""Relative change of size that is not worth a word: another date or version in the metadata."""
SAME_MEMORY = 0.1
"""Relative change of memory that the same model shows from process to process."""

POINTS = 100.0
"""Percentage points of a share of 1."""


class QuantityChange(Record):
    """One quantity of one variant, before and now.

    Attributes:
        old: Value before; null where it was not measured.
        ci95: 95 % interval of the difference; null where there is none.
        verdict: What that means.
        why: How the verdict was reached, or why there is none.
    """

    quantity: str
    unit: str = ""
    old: float | None = None
    new: float | None = None
    difference: float | None = None
    ci95: Bounds | None = None
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class RowPair:
    """The same variant before and now."""

    old: Row
    new: Row
    old_results: Results
    new_results: Results
    old_reference: Row | None = None
    new_reference: Row | None = None

    @property
    def same_photos(self) -> bool:
        """Whether both were asked the very same photos, in the same order."""
        before, now = self.old.custody, self.new.custody
        if before is None or now is None or not self.new.photos:
            return False
        # The counts as well: which photos count as unseen depends on the training split.
        return (before.test_photos_sha256, self.old.photos, self.old.unseen_photos) == (
            now.test_photos_sha256,
            self.new.photos,
            self.new.unseen_photos,
        )

    @property
    def photo_objects(self) -> Indices | None:
        """`[photos]` the object in each photo that the new row's shares are over.

        None where the results do not tell: those of earlier versions, and rows that were asked
        only some of the photos.
        """
        measured = self.new.custody.test_photos_sha256 if self.new.custody else None
        for photos in self.new_results.test_sets:
            if photos.sha256 == measured and photos.photo_objects is not None:
                objects = unpack_indices(photos.photo_objects, photos.photos)
                return objects[objects >= 0]
        return None

    @property
    def same_machine(self) -> bool:
        """Whether both were measured on the same kind of machine, or on the same phone."""
        keys = ("system", "machine", "processor", "cpus")
        before, now = self.old_results.host, self.new_results.host
        if self.old.device is not None and self.new.device is not None:
            return (self.old.device.model, self.old.device.delegate_used) == (
                self.new.device.model,
                self.new.device.delegate_used,
            )
        return [before.get(key) for key in keys] == [now.get(key) for key in keys]


def changes(pair: RowPair) -> Iterator[QuantityChange]:
    """Every quantity that one of the two rows has."""
    made = [_top1, _agreement, _drop, _calibration, _size, _latency_ratio, _memory]
    if pair.new.variant == REFERENCE_VARIANT:  # it agrees with itself
        made = [make for make in made if make not in (_agreement, _drop)]
    for change in (make(pair) for make in made):
        if change.old is not None or change.new is not None:
            yield change


def _verdict(interval: Bounds, *, more_is_better: bool) -> Verdict:
    low, high = interval
    if low <= 0 <= high:
        return "no difference"
    return "better" if (low > 0) == more_is_better else "worse"


def _bits(row: Row | None) -> NDArray[np.int64] | None:
    if row is None or row.right_bits is None:
        return None
    return unpack(row.right_bits, row.photos).astype(np.int64)


def _in_points(value: float | None) -> float | None:
    return None if value is None else POINTS * value


def _top1(pair: RowPair) -> QuantityChange:
    old, new = _bits(pair.old), _bits(pair.new)
    paired = None if old is None or new is None or len(old) != len(new) else new - old
    return _of_photos(
        pair,
        "top-1",
        (_in_points(pair.old.top1), _scaled(pair.old.top1_ci95)),
        (_in_points(pair.new.top1), _scaled(pair.new.top1_ci95)),
        paired=paired,
        more_is_better=True,
    )


def _agreement(pair: RowPair) -> QuantityChange:
    def read(row: Row) -> tuple[float | None, Bounds | None]:
        if row.agreement is None:
            return None, None
        bounds = wilson_interval(round(row.agreement * row.photos), row.photos)
        return POINTS * row.agreement, _scaled(bounds)

    return _of_photos(
        pair, "agreement", read(pair.old), read(pair.new), paired=None, more_is_better=True
    )


def _drop(pair: RowPair) -> QuantityChange:
    parts = [_bits(row) for row in (pair.old_reference, pair.old, pair.new_reference, pair.new)]
    paired = None
    if all(part is not None and len(part) == pair.new.photos for part in parts):
        before_whole, before, now_whole, now = (part for part in parts if part is not None)
        paired = (now_whole - now) - (before_whole - before)
    return _of_photos(
        pair,
        "drop",
        (pair.old.drop_points, pair.old.drop_ci95),
        (pair.new.drop_points, pair.new.drop_ci95),
        paired=paired,
        more_is_better=False,
    )


def _scaled(bounds: Bounds | None) -> Bounds | None:
    return None if bounds is None else (POINTS * bounds[0], POINTS * bounds[1])


Measured = tuple[float | None, Bounds | None]


def _of_photos(
    pair: RowPair,
    quantity: str,
    old: Measured,
    new: Measured,
    *,
    paired: NDArray[np.int64] | None,
    more_is_better: bool,
) -> QuantityChange:
    """A quantity in percentage points that depends on which photos were asked."""
    (before, before_ci), (now, now_ci) = old, new
    if before is None or now is None:
        return _unmeasured(quantity, "points", before, now)
    interval: Bounds
    if not pair.same_photos:
        return _not_comparable(quantity, "points", before, now, "measured on different photos")
    if paired is not None:
        objects, why = pair.photo_objects, f"photo by photo, {len(paired):,} photos"
        if objects is None or len(objects) != len(paired):
            objects = np.arange(len(paired))
            why += ", as if each showed an object of its own: the results do not tell which"
        else:
            why += f" of {len(np.unique(objects)):,} objects"
        interval = paired_change_interval(paired, objects)
    elif before_ci is not None and now_ci is not None:
        interval = difference_interval(before, before_ci, now, now_ci)
        why = "the same photos, but from the shares alone: a wider interval than photo by photo"
    else:
        return _not_comparable(quantity, "points", before, now, "no interval was measured")
    verdict = _verdict(interval, more_is_better=more_is_better)
    return _judged(quantity, "points", before, now, verdict, why, interval)


def _calibration(pair: RowPair) -> QuantityChange:
    quantity, old, new = "calibration error", pair.old, pair.new
    before, now = _in_points(old.calibration_error), _in_points(new.calibration_error)
    if before is None or now is None:
        return _unmeasured(quantity, "points", before, now)
    if not pair.same_photos:
        return _not_comparable(quantity, "points", before, now, "measured on different photos")
    if old.calibration is None or new.calibration is None:
        why = "its diagram, which tells the noise, was not measured in both"
        return _not_comparable(quantity, "points", before, now, why)
    half = Z95 * math.hypot(
        calibration_deviation(old.calibration), calibration_deviation(new.calibration)
    )
    interval = now - before - half, now - before + half
    why = "noise from drawing the photos of each range anew"
    verdict = _verdict(interval, more_is_better=False)
    return _judged(quantity, "points", before, now, verdict, why, interval)


def _size(pair: RowPair) -> QuantityChange:
    before, now = pair.old.bytes, pair.new.bytes
    if before is None or now is None or before == 0:
        return _unmeasured("size", "bytes", before, now)
    return _relative("size", "bytes", before, now, SAME_SIZE, "exact")


def _relative(
    quantity: str, unit: str, before: float, now: float, same: float, why: str
) -> QuantityChange:
    """A quantity of which less is better and small relative changes mean nothing."""
    ratio = now / before
    verdict: Verdict = "no difference"
    if abs(ratio - 1) > same:
        verdict = "better" if ratio < 1 else "worse"
    return _judged(quantity, unit, before, now, verdict, why)


def _latency_ratio(pair: RowPair) -> QuantityChange:
    quantity, before, now = "latency ratio", pair.old.latency_ratio, pair.new.latency_ratio
    if before is None or now is None:
        medians = [None if ratio is None else ratio.median for ratio in (before, now)]
        return _unmeasured(quantity, "of float32's", *medians)
    values = before.median, now.median
    if not pair.same_machine:
        return _not_comparable(quantity, "of float32's", *values, "another machine")
    if pair.old_results.settings.threads[0] != pair.new_results.settings.threads[0]:
        return _not_comparable(quantity, "of float32's", *values, "other numbers of threads")
    verdict: Verdict = "no difference"
    if now.p90 < before.p10:
        verdict = "better"
    elif now.p10 > before.p90:
        verdict = "worse"
    why = (
        "the middle 80 % of the rounds: "
        f"{before.p10:.3f} to {before.p90:.3f}, now {now.p10:.3f} to {now.p90:.3f}"
    )
    return _judged(quantity, "of float32's", *values, verdict, why)


def _memory(pair: RowPair) -> QuantityChange:
    (before, before_metric), (now, now_metric) = _memory_of(pair.old), _memory_of(pair.new)
    if before is None or now is None or before == 0:
        return _unmeasured("memory", "bytes", before, now)
    if before_metric != now_metric:
        return _not_comparable("memory", "bytes", before, now, "counted in another way")
    if not pair.same_machine:
        return _not_comparable("memory", "bytes", before, now, "another machine")
    why = f"{now_metric}; {SAME_MEMORY:.0%} either way is noise"
    return _relative("memory", "bytes", before, now, SAME_MEMORY, why)


def _memory_of(row: Row) -> tuple[float | None, str]:
    if row.memory is not None:
        return row.memory.model_resident, f"model at rest: {row.memory.metric}"
    if row.memory_bytes is not None:
        return row.memory_bytes.value, row.memory_bytes.metric
    return None, ""


def _judged(
    quantity: str,
    unit: str,
    before: float,
    now: float,
    verdict: Verdict,
    why: str,
    interval: Bounds | None = None,
) -> QuantityChange:
    return QuantityChange(
        quantity=quantity,
        unit=unit,
        old=before,
        new=now,
        difference=now - before,
        ci95=interval,
        verdict=verdict,
        why=why,
    )


def _unmeasured(quantity: str, unit: str, old: float | None, new: float | None) -> QuantityChange:
    side = "before" if old is None else "now"
    return _not_comparable(quantity, unit, old, new, f"not measured {side}")


def _not_comparable(
    quantity: str, unit: str, old: float | None, new: float | None, why: str
) -> QuantityChange:
    return QuantityChange(
        quantity=quantity, unit=unit, old=old, new=new, verdict="not comparable", why=why
    )
