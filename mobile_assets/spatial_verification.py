"""Which matched key points agree on one map from picture to picture.

A key point has a place, a size and a direction, so one pair of matched points alone says how the
picture was moved, turned and enlarged. Every pair proposes its map, the one that most others agree
with wins, and an affine map is then fitted to these (Philbin et al., Object retrieval with large
vocabularies and fast spatial matching, CVPR 2007). Unlike RANSAC nothing is drawn by chance. A
pair agrees if its place, its size and its direction do, which pairs of different objects do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 6.0
"""Pixels by which an agreeing point may lie beside where the map puts it. Objects are not flat, and
an affine map knows no perspective."""

FIRST_TOLERANCE = 9.0
"""Likewise for the maps that single pairs propose, which are less exact."""

ANGLE = 20.0
"""Degrees by which the directions of agreeing points may be turned otherwise than the picture."""

OCTAVES = 0.7
"""Powers of two by which the sizes of agreeing points may be enlarged otherwise."""

LARGEST_ENLARGEMENT = 3.3
"""Powers of two by which a pair's points may differ in size to propose a map."""

SCALES = (0.2, 5.0)
"""Least and largest enlargement of an affine map that is believed."""

STRETCH = 3.0
"""Most by which an affine map that is believed enlarges one direction more than another."""

REFITS = 3
"""Times at the most that the affine map is fitted again to the pairs that agree with it."""

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class KeyPoints:
    """Key points of one picture.

    Attributes:
        points: `[n, 2]` float32, x and y in pixels.
        sizes: `[n]` float32 diameters in pixels.
        angles: `[n]` float32 degrees, clockwise from the right.
    """

    points: NDArray[np.float32]
    sizes: NDArray[np.float32]
    angles: NDArray[np.float32]

    def __len__(self) -> int:
        """How many."""
        return len(self.points)

    def __getitem__(self, rows: Rows) -> KeyPoints:
        """These rows."""
        return KeyPoints(self.points[rows], self.sizes[rows], self.angles[rows])


def agreeing_pairs(ours: KeyPoints, theirs: KeyPoints) -> Rows:
    """The pairs on which one map agrees, each place of either picture once.

    Args:
        ours: Key points of one picture.
        theirs: Of the other, pair by pair.

    Returns:
        Rows in rising order.
    """
    if not len(ours):
        return np.zeros(0, np.intp)
    octaves = np.log2(theirs.sizes / ours.sizes).astype(np.float64)
    turns = (theirs.angles - ours.angles).astype(np.float64)
    ours_at, theirs_at = ours.points.astype(np.float64), theirs.points.astype(np.float64)
    maps = _similarities(octaves, turns, ours_at, theirs_at)
    agree = _near(maps, ours_at, theirs_at, FIRST_TOLERANCE)
    agree &= _alike(octaves[:, None], turns[:, None], octaves, turns)
    agree[np.abs(octaves) > LARGEST_ENLARGEMENT] = False
    best = agree[agree.sum(axis=1).argmax()]
    for _ in range(REFITS):
        fitted = _affine(ours_at[best], theirs_at[best])
        if fitted is None:
            break
        again = _near(fitted[None], ours_at, theirs_at, TOLERANCE)[0]
        again &= _alike(*_enlargement_and_turn(fitted), octaves, turns)
        if (again == best).all():
            break
        best = again
    return _once(np.nonzero(best)[0], ours_at, theirs_at)


def _similarities(
    octaves: NDArray[np.float64], turns: NDArray[np.float64], ours: Floats, theirs: Floats
) -> NDArray[np.float64]:
    """`[n, 2, 3]`: the map that each pair proposes."""
    scales, radians = 2.0**octaves, np.deg2rad(turns)
    cosines, sines = scales * np.cos(radians), scales * np.sin(radians)
    linear = np.stack([cosines, -sines, sines, cosines], axis=1).reshape(-1, 2, 2)
    shift = theirs - np.einsum("nij,nj->ni", linear, ours)
    return np.concatenate([linear, shift[:, :, None]], axis=2)


def _near(maps: NDArray[np.float64], ours: Floats, theirs: Floats, tolerance: float) -> Mask:
    """`[maps, n]`: whether each map takes each point to where its partner is."""
    moved = ours @ maps[:, :, :2].transpose(0, 2, 1) + maps[:, None, :, 2]
    near: Mask = ((moved - theirs) ** 2).sum(axis=2) < tolerance**2
    return near


def _alike(
    octave: NDArray[np.float64] | float,
    turn: NDArray[np.float64] | float,
    octaves: NDArray[np.float64],
    turns: NDArray[np.float64],
) -> Mask:
    """Whether pairs are enlarged and turned as one pair or map is."""
    apart = np.abs((turns - turn + 180) % 360 - 180)
    alike: Mask = (apart < ANGLE) & (np.abs(octaves - octave) < OCTAVES)
    return alike


def _affine(ours: Floats, theirs: Floats) -> NDArray[np.float64] | None:
    """`[2, 3]`: the affine map with the least squared distances; None if it is not believed.

    Not believed are maps that mirror, or that flatten a picture to a line or a spot, onto which any
    points would fall.
    """
    if len(ours) < 4:
        return None
    places = np.concatenate([ours, np.ones((len(ours), 1))], axis=1)
    fitted: NDArray[np.float64] = np.linalg.lstsq(places, theirs, rcond=None)[0].T
    most, least = np.linalg.svd(fitted[:, :2], compute_uv=False)
    sized = SCALES[0] < least and most < min(SCALES[1], STRETCH * least)
    return fitted if sized and np.linalg.det(fitted[:, :2]) > 0 else None


def _enlargement_and_turn(fitted: NDArray[np.float64]) -> tuple[float, float]:
    """Of an affine map: powers of two of its enlargement, and degrees."""
    (a, b), (c, d) = fitted[:, :2]
    turn = np.rad2deg(np.arctan2(c - b, a + d))
    return float(np.log2(a * d - b * c) / 2), float(turn)


def _once(rows: Rows, ours: Floats, theirs: Floats) -> Rows:
    """Rows without a second one from or to the same pixel: SIFT doubles points that turn."""
    for points in (ours, theirs):
        _, first = np.unique(np.round(points[rows]), axis=0, return_index=True)
        rows = rows[np.sort(first)]
    return rows
