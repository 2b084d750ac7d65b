"""How the answers of an exported form differ from its network's: counts and intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.classification import wilson_interval
from benchmarks.results.cluster_bootstrap import DRAWS, Estimate, drawn_shares, interval, tally
from benchmarks.studies.study_statistics import Counts, Names, count_by_object
from mobile_assets.schema import Record


class ObjectFlips(Record):
    """Photos that only the network has right (lost), or only its exported form, by object."""

    objects: Names
    tested: Counts
    lost: Counts
    won: Counts


class AnswerCounts(Record):
    """How the answers of an exported form differ from its network's.

    Attributes:
        same: Photos with the network's first answer.
        lost: Photos that only the network has right.
        won: Photos that only this has right.
        bytes: Size of the file or package; 0 for the network itself.
        by_object: Lost and won by object; null in rows of before it was kept.
    """

    right: int
    same: int
    lost: int
    won: int
    bytes: int = 0
    by_object: ObjectFlips | None = None


def flips_by_object(
    shown: Sequence[str], reference: NDArray[np.bool_], form: NDArray[np.bool_]
) -> ObjectFlips:
    """Counts flips by object.

    Args:
        shown: `[photos]` the object that each photo shows.
        reference: `[photos]` whether the network has it right.
        form: `[photos]` whether the exported form has it right.
    """
    objects = tuple(sorted(set(shown)))
    return ObjectFlips(
        objects=objects,
        tested=count_by_object(objects, shown, [True] * len(shown)),
        lost=count_by_object(objects, shown, reference & ~form),
        won=count_by_object(objects, shown, ~reference & form),
    )


def percentage(count: int, photos: int) -> Estimate:
    """A number of photos in per cent, with Wilson's interval."""
    low, high = wilson_interval(count, photos) or (0.0, 1.0)
    return Estimate(100 * count / photos, (100 * low, 100 * high))


def points_lost(
    lost: int, won: int, photos: int, by_object: Sequence[ObjectFlips | None]
) -> Estimate:
    """Points of top-1 lost, with its interval by a paired bootstrap.

    Whole objects are drawn where the rows say which object each photo shows. Older rows hold totals
    only: of these single photos are drawn, which makes the interval too narrow.

    Args:
        by_object: The same by object, of each seed; None where it is not known.
    """
    points = 100 * (lost - won) / photos
    known = [flips for flips in by_object if flips is not None]
    if known and len(known) == len(by_object):
        losses = tally((flips.objects, flips.tested, flips.lost) for flips in known)
        gains = tally((flips.objects, flips.tested, flips.won) for flips in known)
        return Estimate(points, interval(100 * (drawn_shares(losses) - drawn_shares(gains))))
    shares = np.array([lost, won, photos - lost - won]) / photos
    draws = np.random.default_rng(0).multinomial(photos, shares, size=DRAWS)
    low, high = np.quantile(100 * (draws[:, 0] - draws[:, 1]) / photos, [0.025, 0.975])
    return Estimate(points, (float(low), float(high)))
