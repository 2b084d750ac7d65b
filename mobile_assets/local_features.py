"""Local features: points of a photo that are found again in a reference picture of an object.

An embedding says how alike two pictures are as a whole. Where a surface carries texture, lettering
or relief, single points of it decide more: SIFT key points (Lowe, 2004) with RootSIFT descriptors
(Arandjelović and Zisserman, 2012) are matched between photo and reference, and of the pairs those
count on which one map from picture to picture agrees (`spatial_verification`). They re-order the
best candidates and are shown to the user as evidence. Smooth objects have none and stay where the
embedding put them.

OpenCV is an optional extra and is imported where it is used; without it nothing is re-ordered. It
gets pixels only and never decodes a file. `benchmarks/studies/local_features.py` measures what it
brings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.errors import MissingDependencyError
from mobile_assets.spatial_verification import KeyPoints, agreeing_pairs

MISSING = (
    "Candidates are not compared point by point: OpenCV is not installed. "
    "Install it with pip install 'artefact-id[local]'."
)
"""What to tell a user without OpenCV."""

CANDIDATES = 10
"""How many of the best candidates are compared; further ones keep their order behind them."""

WEIGHT = 0.2
"""Weight of the logarithm of the inliers beside a score in cosines.

Chosen with `CHANCE_INLIERS` on development photos. From studio picture to phone photo three
networks had 54.1, 50.5 and 44.6 % of 410 photos right, with local features 59.0, 52.9 and 55.4 %
(76 won, 2 lost); of 500 photos of smooth objects none was won or lost. With 0.5 and 4, the best for
the phone photos alone, 12 of the 500 were lost."""

CHANCE_INLIERS = 8
"""Inliers that pictures of different objects have, by chance or by a like shape; only further ones
count."""

LARGEST_SIDE = 320
"""Pixels of the longer side to which a larger picture is reduced. Bounds time and memory."""

SMALLEST_SIDE = 16
"""A picture with a shorter side has no key points."""

KEY_POINTS = 1000
"""Key points of a picture at the most, the strongest."""

DISTANCE_RATIO = 0.85
"""A descriptor's nearest neighbour must be nearer than so many times its second nearest."""

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class LocalFeatures:
    """The key points of one picture, computed once and matched with many.

    Attributes:
        key_points: The `n` strongest, in pixels of the reduced picture.
        descriptors: `[n, 128]` float32 RootSIFT, rows of length 1.
        width: Of the reduced picture.
        height: Likewise.
    """

    key_points: KeyPoints
    descriptors: Floats
    width: int
    height: int

    def relative(self, rows: NDArray[np.intp]) -> Floats:
        """`[len(rows), 2]`: points from (0, 0), top left, to (1, 1), bottom right."""
        size = np.array([self.width, self.height], np.float32)
        # A pixel's middle has whole coordinates.
        inside: Floats = np.clip((self.key_points.points[rows] + 0.5) / size, 0, 1)
        return inside


@dataclass(frozen=True)
class Match:
    """The points of a photo that were found in a reference picture, all by one map.

    Attributes:
        points_photo: `[inliers, 2]` float32, x and y from 0 to 1 in the upright photo.
        points_reference: `[inliers, 2]`, likewise in the reference picture.
    """

    points_photo: Floats
    points_reference: Floats

    @property
    def inliers(self) -> int:
        """How many points agree."""
        return len(self.points_photo)

    def as_json(self) -> list[list[float]]:
        """`[x, y, x, y]` of every pair: in the photo, then in the reference."""
        pairs = np.concatenate([self.points_photo, self.points_reference], axis=1)
        return [[round(float(value), 4) for value in pair] for pair in pairs]


@dataclass(frozen=True)
class Reranked:
    """A candidate in its new place.

    It has no new score: thresholds judge the score that was handed in. Points in common do not tell
    known objects from unknown ones of the same make, and made that worse when they were added.

    Attributes:
        index: Where it stands in the list that was handed in.
        match: With that of its references that has the most inliers; None if it was not compared.
        reference: Which of its references that is.
    """

    index: int
    match: Match | None = None
    reference: int | None = None


@cache
def available() -> bool:
    """Whether OpenCV is installed and can be loaded."""
    try:
        import cv2  # noqa: F401
    except ImportError:
        return False
    return True


def local_features(picture: Picture) -> LocalFeatures:
    """Finds the key points of a picture.

    Args:
        picture: `[height, width, 3]` uint8 RGB of any size.

    Raises:
        MissingDependencyError: OpenCV is not installed.
    """
    if not available():
        raise MissingDependencyError(MISSING)
    import cv2

    grey = _reduced(Image.fromarray(picture))
    height, width = grey.shape
    numbers = np.zeros((0, 4), np.float32)
    descriptors = np.zeros((0, 128), np.float32)
    if min(height, width) >= SMALLEST_SIDE:
        found, described = cv2.SIFT.create(nfeatures=KEY_POINTS).detectAndCompute(grey, None)
        if found:
            # OpenCV returns more where the last ones are equally strong.
            found = found[:KEY_POINTS]
            numbers = np.array([(*key.pt, key.size, key.angle) for key in found], np.float32)
            descriptors = np.asarray(described, np.float32)[:KEY_POINTS]
    key_points = KeyPoints(numbers[:, :2], numbers[:, 2], numbers[:, 3])
    sums = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-7)
    return LocalFeatures(key_points, np.sqrt(descriptors / sums), width, height)


def _reduced(photo: Image.Image) -> Picture:
    """Grey values, `[height, width]` uint8, at `LARGEST_SIDE` or its own size if that is less."""
    scale = LARGEST_SIDE / max(photo.size)
    if scale < 1:
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        photo = photo.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(photo.convert("L"), np.uint8)


def match(photo: Picture | LocalFeatures, reference: Picture | LocalFeatures) -> Match:
    """Finds points of a photo again in a reference picture; the same input, the same points.

    Args:
        photo: `[height, width, 3]` uint8 RGB, or its features.
        reference: Likewise.

    Raises:
        MissingDependencyError: OpenCV is not installed, and a picture was given.
    """
    ours, theirs = (
        side if isinstance(side, LocalFeatures) else local_features(side)
        for side in (photo, reference)
    )
    rows, columns = _nearest(ours.descriptors, theirs.descriptors)
    kept = agreeing_pairs(ours.key_points[rows], theirs.key_points[columns])
    return Match(ours.relative(rows[kept]), theirs.relative(columns[kept]))


def rerank(
    photo: Picture | LocalFeatures,
    scores: Sequence[float],
    references: Sequence[Sequence[Picture | LocalFeatures]],
) -> tuple[Reranked, ...]:
    """Re-orders candidates by the points that they share with a photo.

    Without OpenCV the scores alone decide. A candidate without references keeps its score.

    Args:
        photo: `[height, width, 3]` uint8 RGB, or its features.
        scores: Of the candidates, in cosines.
        references: Pictures of each candidate; none where there are none.

    Returns:
        All candidates, the best first: the `CANDIDATES` best by their score in a new order, and
        the others behind them.
    """
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    if not available():
        return tuple(Reranked(index) for index in order)
    ours = photo if isinstance(photo, LocalFeatures) else local_features(photo)
    first = [_compared(ours, index, references[index]) for index in order[:CANDIDATES]]

    def rank(candidate: Reranked) -> tuple[float, int]:
        points = candidate.match.inliers if candidate.match else 0
        return -(scores[candidate.index] + evidence(points)), candidate.index

    return (*sorted(first, key=rank), *(Reranked(index) for index in order[CANDIDATES:]))


def evidence(inliers: int) -> float:
    """What so many inliers add to a score in cosines."""
    return WEIGHT * float(np.log1p(max(0, inliers - CHANCE_INLIERS)))


def _compared(
    photo: LocalFeatures, index: int, references: Sequence[Picture | LocalFeatures]
) -> Reranked:
    """A candidate with the best match of its references."""
    matches = [match(photo, reference) for reference in references]
    if not matches:
        return Reranked(index)
    best = max(range(len(matches)), key=lambda number: (matches[number].inliers, -number))
    return Reranked(index, matches[best], best)


def _nearest(ours: Floats, theirs: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of descriptors, and of each its nearest among the others where that is distinct."""
    nothing = np.zeros(0, np.intp)
    if len(theirs) < 2 or not len(ours):
        return nothing, nothing
    cosines = ours @ theirs.T
    best = cosines.argmax(axis=1)
    rows = np.arange(len(ours))
    nearest = cosines[rows, best]
    cosines[rows, best] = -1
    # Squared distances of unit vectors are 2 - 2 cosines.
    distinct = 1 - nearest < DISTANCE_RATIO**2 * (1 - cosines.max(axis=1))
    return rows[distinct], best[distinct]
