"""Scores of photos against a gallery in which they, or their objects, are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_assets.identification.gallery import Gallery
from mobile_assets.identification.scores import GallerySearch, ScoreFormula, combine_photos
from mobile_assets.identification.thresholds import KnownScores, photo_groups

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScoredPhotos:
    """Photos of some objects of a gallery, scored against all of its objects.

    Attributes:
        embeddings: `[photos, D]`, as one model gives them.
        objects: `[photos]`, class indices.
        scores: `[photos, objects]`, each photo alone; what stands at its own object counts the
            photo itself where it is in the gallery, and is not used.
        stored: `[photos, D]`, the same photos as they are stored in the gallery.
    """

    embeddings: Floats
    objects: NDArray[np.int64]
    scores: Floats
    stored: Floats

    def unseen(self, formula: ScoreFormula, photos: int) -> KnownScores:
        """Groups of several photos; their own objects' scores are to be left out."""
        groups = photo_groups(self.objects, photos)
        return KnownScores(
            self._combined(groups, formula), self.objects[groups[:, 0]].astype(np.int64)
        )

    def known(self, formula: ScoreFormula, photos: int) -> KnownScores:
        """Groups of several photos of objects that are enrolled with their other photos alone.

        Groups that leave no other photo of their object are left out.
        """
        groups = photo_groups(self.objects, photos)
        counts = np.bincount(self.objects)
        groups = groups[counts[self.objects[groups[:, 0]]] > photos]
        scores = self._combined(groups, formula)
        own = self.objects[groups[:, 0]].astype(np.int64)
        for row, group in enumerate(groups):
            others = np.setdiff1d(np.flatnonzero(self.objects == own[row]), group)
            alone = _own_scores(self.embeddings[group], self.stored[others], formula)
            scores[row, own[row]] = combine_photos(alone[:, None], formula)[0]
        return KnownScores(scores, own)

    def _combined(self, groups: NDArray[np.int64], formula: ScoreFormula) -> NDArray[np.float64]:
        combined = np.empty((len(groups), self.scores.shape[1]), dtype=np.float64)
        for row, group in enumerate(groups):
            combined[row] = combine_photos(self.scores[group], formula)
        return combined


def score_photos(
    gallery: Gallery,
    formula: ScoreFormula,
    embeddings: Floats,
    objects: NDArray[np.int64],
    stored: Floats,
) -> ScoredPhotos:
    """Scores photos; the arguments are those of `ScoredPhotos`."""
    scores = GallerySearch(gallery, formula).scores(embeddings)
    return ScoredPhotos(embeddings, objects, scores, stored)


def mean_direction(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The direction of an object, `[D]` of length 1: the mean of its photos' rows `[photos, D]`."""
    mean = np.asarray(rows, dtype=np.float64).mean(axis=0)
    direction: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype("f4")
    return direction


def _own_scores(photos: Floats, enrolled: Floats, formula: ScoreFormula) -> Floats:
    """Scores `[photos]` of the object that is enrolled with these rows alone."""
    direction = photos @ mean_direction(enrolled)
    if formula.name == "direction":
        return direction
    cosines = photos @ enrolled.T
    score: Floats = (direction + cosines.max(axis=1) + cosines.mean(axis=1)) / np.float32(3)
    return score
