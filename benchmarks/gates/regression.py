"""What became of each quantity between two rows of the same variant, and whether beyond noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
    for quantity in QUANTITIES:
        # The reference agrees with itself.
        if pair.new.variant == REFERENCE_VARIANT and quantity.name in ("agreement", "drop"):
            continue
        old, new = quantity.read(pair.old), quantity.read(pair.new)
        if old is None and new is None:
            continue
        change = QuantityChange(
            quantity=quantity.name,
            unit=quantity.unit,
            old=old,
            new=new,
            verdict="not comparable",
            why=f"not measured {'before' if old is None else 'now'}",
        )
        if old is not None and new is not None:
            try:
                verdict, why, interval = quantity.judge(pair, old, new)
            except _NotComparableError as reason:
                judged: dict[str, object] = {"why": str(reason)}
            else:
                judged = {"verdict": verdict, "why": why, "ci95": interval, "difference": new - old}
            change = change.model_copy(update=judged)
        yield change


class _NotComparableError(Exception):
    """Why a quantity of two rows cannot be compared."""


Judgement = tuple[Verdict, str, Bounds | None]
"""The verdict, how it was reached, and the 95 % interval of the difference."""


def _beyond_noise(interval: Bounds, why: str, *, more_is_better: bool) -> Judgement:
    low, high = interval
    if low <= 0 <= high:
        return "no difference", why, interval
    return "better" if (low > 0) == more_is_better else "worse", why, interval


def _by_size(old: float, new: float, same: float, why: str) -> Judgement:
    """Of a quantity of which less is better and small relative changes mean nothing."""
    if abs(new / old - 1) <= same:
        return "no difference", why, None
    return "better" if new < old else "worse", why, None


def _in_points(bounds: Bounds | None) -> Bounds | None:
    return None if bounds is None else (POINTS * bounds[0], POINTS * bounds[1])


def _share_in_points(share: float | None) -> float | None:
    return None if share is None else POINTS * share


def _right(row: Row | None, photos: int) -> NDArray[np.int64] | None:
    """`[photos]` 1 where the first answer is right; None where the results do not tell."""
    if row is None or row.right_bits is None or row.photos != photos:
        return None
    return unpack(row.right_bits, row.photos).astype(np.int64)


def _of_photos(
    pair: RowPair,
    old: tuple[float, Bounds | None],
    new: tuple[float, Bounds | None],
    *,
    gained: NDArray[np.int64] | None,
    more_is_better: bool = True,
) -> Judgement:
    """Of a quantity in percentage points that depends on which photos were asked.

    Args:
        pair: The rows.
        old: Value before and its interval, in points.
        new: The same now.
        gained: `[photos]` right answers now less those before; None to judge by the intervals.
        more_is_better: Whether a larger value is the better one.
    """
    if not pair.same_photos:
        raise _NotComparableError("measured on different photos")
    if gained is not None:
        objects, why = pair.photo_objects, f"photo by photo, {len(gained):,} photos"
        if objects is None or len(objects) != len(gained):
            objects = np.arange(len(gained))
            why += ", as if each showed an object of its own: the results do not tell which"
        else:
            why += f" of {len(np.unique(objects)):,} objects"
        interval = paired_change_interval(gained, objects)
    elif old[1] is not None and new[1] is not None:
        interval = difference_interval(old[0], old[1], new[0], new[1])
        why = "the same photos, but from the shares alone: a wider interval than photo by photo"
    else:
        raise _NotComparableError("no interval was measured")
    return _beyond_noise(interval, why, more_is_better=more_is_better)


def _judge_top1(pair: RowPair, old: float, new: float) -> Judgement:
    before, now = (_in_points(row.top1_ci95) for row in (pair.old, pair.new))
    right = [_right(row, pair.new.photos) for row in (pair.old, pair.new)]
    gained = None if right[0] is None or right[1] is None else right[1] - right[0]
    return _of_photos(pair, (old, before), (new, now), gained=gained)


def _judge_agreement(pair: RowPair, old: float, new: float) -> Judgement:
    before, now = (
        _in_points(wilson_interval(round((row.agreement or 0) * row.photos), row.photos))
        for row in (pair.old, pair.new)
    )
    return _of_photos(pair, (old, before), (new, now), gained=None)


def _judge_drop(pair: RowPair, old: float, new: float) -> Judgement:
    rows = (pair.old_reference, pair.old, pair.new_reference, pair.new)
    right = [bits for row in rows if (bits := _right(row, pair.new.photos)) is not None]
    lost = None
    if len(right) == len(rows):
        lost = (right[2] - right[3]) - (right[0] - right[1])
    return _of_photos(
        pair,
        (old, pair.old.drop_ci95),
        (new, pair.new.drop_ci95),
        gained=lost,
        more_is_better=False,
    )


def _judge_calibration(pair: RowPair, old: float, new: float) -> Judgement:
    if not pair.same_photos:
        raise _NotComparableError("measured on different photos")
    diagrams = [row.calibration for row in (pair.old, pair.new) if row.calibration is not None]
    if len(diagrams) < 2:
        raise _NotComparableError("its diagram, which tells the noise, was not measured in both")
    half = Z95 * math.hypot(*map(calibration_deviation, diagrams))
    interval = new - old - half, new - old + half
    why = "noise from drawing the photos of each range anew"
    return _beyond_noise(interval, why, more_is_better=False)


def _judge_size(_: RowPair, old: float, new: float) -> Judgement:
    return _by_size(old, new, SAME_SIZE, "exact")


def _judge_latency_ratio(pair: RowPair, old: float, new: float) -> Judgement:
    if not pair.same_machine:
        raise _NotComparableError("another machine")
    if pair.old_results.settings.threads[0] != pair.new_results.settings.threads[0]:
        raise _NotComparableError("other numbers of threads")
    before, now = pair.old.latency_ratio, pair.new.latency_ratio
    assert before is not None and now is not None  # both have a value
    why = (
        "the middle 80 % of the rounds: "
        f"{before.p10:.3f} to {before.p90:.3f}, now {now.p10:.3f} to {now.p90:.3f}"
    )
    if before.p10 <= now.p90 and now.p10 <= before.p90:
        return "no difference", why, None
    return "better" if new < old else "worse", why, None


def _judge_memory(pair: RowPair, old: float, new: float) -> Judgement:
    before, now = _memory_metric(pair.old), _memory_metric(pair.new)
    if before != now:
        raise _NotComparableError("counted in another way")
    if not pair.same_machine:
        raise _NotComparableError("another machine")
    return _by_size(old, new, SAME_MEMORY, f"{now}; {SAME_MEMORY:.0%} either way is noise")


def _memory_metric(row: Row) -> str:
    if row.memory is not None:
        return f"model at rest: {row.memory.metric}"
    return row.memory_bytes.metric if row.memory_bytes is not None else ""


def _memory(row: Row) -> float | None:
    if row.memory is not None:
        return row.memory.model_resident or None
    return row.memory_bytes.value or None if row.memory_bytes is not None else None


@dataclass(frozen=True)
class Quantity:
    """What is compared of two rows.

    Attributes:
        read: Its value in a row; None where it was not measured.
        judge: What the values before and now mean; raises where they cannot be compared.
    """

    name: str
    unit: str
    read: Callable[[Row], float | None]
    judge: Callable[[RowPair, float, float], Judgement]


QUANTITIES = (
    Quantity("top-1", "points", lambda row: _share_in_points(row.top1), _judge_top1),
    Quantity("agreement", "points", lambda row: _share_in_points(row.agreement), _judge_agreement),
    Quantity("drop", "points", lambda row: row.drop_points, _judge_drop),
    Quantity(
        "calibration error",
        "points",
        lambda row: _share_in_points(row.calibration_error),
        _judge_calibration,
    ),
    Quantity("size", "bytes", lambda row: row.bytes or None, _judge_size),
    Quantity(
        "latency ratio",
        "of float32's",
        lambda row: row.latency_ratio.median if row.latency_ratio else None,
        _judge_latency_ratio,
    ),
    Quantity("memory", "bytes", _memory, _judge_memory),
)
"""In the order of the tables."""
