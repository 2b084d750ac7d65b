"""Questions about photos of registered and of unknown objects, and what is counted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.study_statistics import Counts, Names
from mobile_assets.schema import Record

Kind = Literal["register", "unknown", "stranger"]
KINDS: Mapping[Kind, str] = {
    "register": "registered objects",
    "unknown": "unknown objects of the same collections",
    "stranger": "photos of other things",
}

SCALE = 10_000
"""Scores are kept as whole numbers of this part."""

MATCH, SHORTLIST, REFUSED, UNFIT = range(4)

SHOWN = 3
"""Candidates that an officer looks at."""


class Questions(Record):
    """What one embedding model answered to photos of one kind; one number for each question.

    Attributes:
        photos: Photos of one object in each question.
        owner: Which of the objects it shows.
        best: Best score, in parts of `SCALE`.
        rank: Place of the right object, from 0; -1 where it is not registered.
        answer: Position in `mobile_assets.identification.decision.ANSWERS`, at the default rate.
        looser: The same at the second rate.
        listed: Objects in the answer.
    """

    seed: int
    model: str
    photos: int
    kind: Kind
    objects: Names
    owner: Counts
    best: Counts
    rank: Counts
    answer: Counts
    looser: Counts
    listed: Counts


def holds(row: Questions, what: str) -> NDArray[np.bool_]:
    """`[questions]` whether something holds of each.

    Args:
        what: `match`, `looser match`, `refused`, `unfit`; of registered objects also `right match`,
            `wrong match`, `looser right match`, `right` and `found`: matched rightly, or among the
            first candidates.
    """
    answer, looser, rank = (np.array(v) for v in (row.answer, row.looser, row.rank))
    listed = np.minimum(np.array(row.listed), SHOWN)
    right = rank == 0
    found: dict[str, NDArray[np.bool_]] = {
        "match": answer == MATCH,
        "looser match": looser == MATCH,
        "refused": answer == REFUSED,
        "unfit": answer == UNFIT,
        "right match": (answer == MATCH) & right,
        "wrong match": (answer == MATCH) & ~right,
        "looser right match": (looser == MATCH) & right,
        "right": right,
        "found": (rank >= 0) & (rank < listed),
    }
    return found[what]


def by_object(
    row: Questions, held: NDArray[np.bool_]
) -> tuple[Sequence[str], Sequence[int], Sequence[int]]:
    """Object ids, and of each its questions and those of which something holds."""
    owner = np.array(row.owner)
    tested = np.bincount(owner, minlength=len(row.objects))
    right = np.bincount(owner, weights=held, minlength=len(row.objects))
    return row.objects, tested.tolist(), right.astype(int).tolist()


def auroc(known: NDArray[np.int64], unknown: NDArray[np.int64]) -> float:
    """The share of pairs in which the known one is higher; ties count half."""
    order = np.sort(unknown)
    below = np.searchsorted(order, known, side="left")
    not_above = np.searchsorted(order, known, side="right")
    return float((below + not_above).mean() / (2 * len(order)))
