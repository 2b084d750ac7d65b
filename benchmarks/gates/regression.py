"""What became of each quantity between two rows of the same variant, and whether beyond noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

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
    """One quantity of one variant, before and now, null where it was not measured.

    Attributes:
        ci95: 95 % interval of the difference; null where there is none.
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
        counts = (
            (self.old.photos, self.old.unseen_photos),
            (self.new.photos, self.new.unseen_photos),
        )
        return before.test_photos_sha256 == now.test_photos_sha256 and counts[0] == counts[1]

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
        phones = [
            (row.device.model, row.device.delegate_used)
            for row in (self.old, self.new)
            if row.device is not None
        ]
        if len(phones) == 2:
            return phones[0] == phones[1]
        before, now = self.old_results.host, self.new_results.host
        keys = ("system", "machine", "processor", "cpus")
        return all(before.get(key) == now.get(key) for key in keys)


Measured = tuple[float, Bounds | None]
"""A value with its interval, or its spread over rounds."""

Judgement = tuple[Verdict, str, Bounds | None]
"""The verdict, how it was reached, and the 95 % interval of the difference."""


@dataclass(frozen=True)
class Quantity:
    """What is compared of two rows: how it is read, and judged where both have it."""

    name: str
    unit: str
    read: Callable[[Row], Measured | None]
    judge: Callable[[RowPair, Measured, Measured], Judgement]


def changes(pair: RowPair) -> Iterator[QuantityChange]:
    """Every quantity that one of the two rows has."""
    for quantity in QUANTITIES:
        # The reference agrees with itself.
        if pair.new.variant == REFERENCE_VARIANT and quantity.name in ("agreement", "drop"):
            continue
        old, new = quantity.read(pair.old), quantity.read(pair.new)
        fields: dict[str, Any] = {
            "quantity": quantity.name,
            "unit": quantity.unit,
            "old": old and old[0],
            "new": new and new[0],
            "verdict": "not comparable",
        }
        if old is not None and new is not None:
            try:
                verdict, why, interval = quantity.judge(pair, old, new)
                judged = {"verdict": verdict, "ci95": interval, "difference": new[0] - old[0]}
                yield QuantityChange(**(fields | judged), why=why)
            except _NotComparableError as reason:
                yield QuantityChange(**fields, why=str(reason))
        elif old is not None or new is not None:
            yield QuantityChange(**fields, why=f"not measured {'before' if old is None else 'now'}")


class _NotComparableError(Exception):
    """Why a quantity of two rows cannot be compared."""


def _beyond_noise(interval: Bounds, why: str, *, more_is_better: bool) -> Judgement:
    low, high = interval
    if low <= 0 <= high:
        return "no difference", why, interval
    return "better" if (low > 0) == more_is_better else "worse", why, interval


def _by_size(old: Measured, new: Measured, same: float, why: str) -> Judgement:
    """Of a quantity of which less is better and small relative changes mean nothing."""
    if abs(new[0] / old[0] - 1) <= same:
        return "no difference", why, None
    return "better" if new[0] < old[0] else "worse", why, None


def _known_right(pair: RowPair, *rows: Row | None) -> list[NDArray[np.int64]] | None:
    """Of each row `[photos]` 1 where the first answer is right; None where one does not tell."""
    right = [
        unpack(row.right_bits, row.photos).astype(np.int64)
        for row in rows
        if row is not None and row.right_bits is not None and row.photos == pair.new.photos
    ]
    return right if len(right) == len(rows) else None


def _won(pair: RowPair) -> NDArray[np.int64] | None:
    right = _known_right(pair, pair.old, pair.new)
    return None if right is None else right[1] - right[0]


def _drop_grown(pair: RowPair) -> NDArray[np.int64] | None:
    right = _known_right(pair, pair.old_reference, pair.old, pair.new_reference, pair.new)
    return None if right is None else (right[2] - right[3]) - (right[0] - right[1])


def _of_photos(
    pair: RowPair,
    old: Measured,
    new: Measured,
    *,
    gained: Callable[[RowPair], NDArray[np.int64] | None] = lambda _: None,
    more_is_better: bool = True,
) -> Judgement:
    """Of a quantity in points that depends on which photos were asked.

    By what each photo gained, `[photos]`; by the intervals where that is not known.
    """
    if not pair.same_photos:
        raise _NotComparableError("measured on different photos")
    by_photo = gained(pair)
    if by_photo is not None:
        objects, why = pair.photo_objects, f"photo by photo, {len(by_photo):,} photos"
        if objects is None or len(objects) != len(by_photo):
            objects = np.arange(len(by_photo))
            why += ", as if each showed an object of its own: the results do not tell which"
        else:
            why += f" of {len(np.unique(objects)):,} objects"
        interval = paired_change_interval(by_photo, objects)
    elif old[1] is not None and new[1] is not None:
        interval = difference_interval(old[0], old[1], new[0], new[1])
        why = "the same photos, but from the shares alone: a wider interval than photo by photo"
    else:
        raise _NotComparableError("no interval was measured")
    return _beyond_noise(interval, why, more_is_better=more_is_better)


def _judge_calibration(pair: RowPair, old: Measured, new: Measured) -> Judgement:
    if not pair.same_photos:
        raise _NotComparableError("measured on different photos")
    diagrams = [row.calibration for row in (pair.old, pair.new) if row.calibration is not None]
    if len(diagrams) < 2:
        raise _NotComparableError("its diagram, which tells the noise, was not measured in both")
    rise, half = new[0] - old[0], Z95 * math.hypot(*map(calibration_deviation, diagrams))
    why = "noise from drawing the photos of each range anew"
    return _beyond_noise((rise - half, rise + half), why, more_is_better=False)


def _judge_latency_ratio(pair: RowPair, old: Measured, new: Measured) -> Judgement:
    if not pair.same_machine:
        raise _NotComparableError("another machine")
    if pair.old_results.settings.threads[0] != pair.new_results.settings.threads[0]:
        raise _NotComparableError("other numbers of threads")
    before, now = old[1] or (0, 0), new[1] or (0, 0)
    why = (
        "the middle 80 % of the rounds: "
        f"{before[0]:.3f} to {before[1]:.3f}, now {now[0]:.3f} to {now[1]:.3f}"
    )
    if before[0] <= now[1] and now[0] <= before[1]:
        return "no difference", why, None
    return "better" if new[0] < old[0] else "worse", why, None


def _judge_memory(pair: RowPair, old: Measured, new: Measured) -> Judgement:
    metrics = [
        f"model at rest: {row.memory.metric}" if row.memory else row.memory_bytes.metric
        for row in (pair.old, pair.new)
        if row.memory_bytes is not None
    ]
    if metrics[0] != metrics[1]:
        raise _NotComparableError("counted in another way")
    if not pair.same_machine:
        raise _NotComparableError("another machine")
    return _by_size(old, new, SAME_MEMORY, f"{metrics[1]}; {SAME_MEMORY:.0%} either way is noise")


def _points(share: float | None, bounds: Bounds | None = None) -> Measured | None:
    if share is None:
        return None
    return POINTS * share, bounds and (POINTS * bounds[0], POINTS * bounds[1])


def _agreement(row: Row) -> Measured | None:
    return _points(
        row.agreement, wilson_interval(round((row.agreement or 0) * row.photos), row.photos)
    )


def _latency_ratio(row: Row) -> Measured | None:
    ratio = row.latency_ratio
    return None if ratio is None else (ratio.median, (ratio.p10, ratio.p90))


def _memory(row: Row) -> Measured | None:
    size = row.memory.model_resident if row.memory else row.memory_bytes and row.memory_bytes.value
    return (size, None) if size else None


QUANTITIES = (
    Quantity(
        "top-1",
        "points",
        lambda row: _points(row.top1, row.top1_ci95),
        partial(_of_photos, gained=_won),
    ),
    Quantity("agreement", "points", _agreement, _of_photos),
    Quantity(
        "drop",
        "points",
        lambda row: None if row.drop_points is None else (row.drop_points, row.drop_ci95),
        partial(_of_photos, gained=_drop_grown, more_is_better=False),
    ),
    Quantity(
        "calibration error",
        "points",
        lambda row: _points(row.calibration_error),
        _judge_calibration,
    ),
    Quantity(
        "size",
        "bytes",
        lambda row: (row.bytes, None) if row.bytes else None,
        lambda _, old, new: _by_size(old, new, SAME_SIZE, "exact"),
    ),
    Quantity("latency ratio", "of float32's", _latency_ratio, _judge_latency_ratio),
    Quantity("memory", "bytes", _memory, _judge_memory),
)
"""In the order of the tables."""
