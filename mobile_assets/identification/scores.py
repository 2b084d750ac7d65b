"""How well an object fits one photo or several, from their embeddings."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mobile_assets.identification.gallery import Gallery
from mobile_assets.schema import Record

FormulaName = Literal["direction", "direction-nearest-mean"]

_CACHED_BYTES = 64 * 2**20
"""Galleries of up to so many bytes in float32 are kept so; larger ones are converted piece by
piece, again for every search."""

_ROWS_AT_ONCE = 16_384

Floats = NDArray[np.float32]


class ScoreFormula(Record):
    """How a score is made, as `decision.json` says it.

    Attributes:
        name: `direction`: `v = e·d` with the object's direction `d`. `direction-nearest-mean`:
            `v = (e·d + max e·g + mean e·g) / 3` over the object's gallery rows `g`.
        sharpness: Several photos have `V = ln(mean of exp(sharpness · v)) / sharpness`.
    """

    name: FormulaName = "direction-nearest-mean"
    sharpness: float = Field(default=24.0, gt=0, le=1000)


class GallerySearch:
    """Scores of every object by exact search over a gallery."""

    def __init__(self, gallery: Gallery, formula: ScoreFormula) -> None:
        """Prepares a search.

        Raises:
            ValueError: The formula needs gallery rows and there are none.
        """
        self.gallery, self.formula = gallery, formula
        rows = gallery.embeddings
        self._with_rows = formula.name == "direction-nearest-mean"
        if self._with_rows and not len(rows):
            raise ValueError(f"the score {formula.name} needs gallery rows, and there are none")
        # The rows of an object stand together.
        counts = np.bincount(gallery.row_objects, minlength=gallery.objects)
        self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._counts = counts.astype(np.float32)
        self._directions = gallery.directions.dequantised()
        small = 4 * rows.values.size <= _CACHED_BYTES
        self._rows = rows.dequantised() if small and self._with_rows else None

    def scores(self, embeddings: Floats) -> Floats:
        """Scores of single photos.

        Args:
            embeddings: `[photos, dimensions]` float32 of length 1, as the bundle's model gives
                them.

        Returns:
            `[photos, objects]`, at most 1.
        """
        by_direction = np.asarray(embeddings @ self._directions.T, dtype=np.float32)
        if not self._with_rows:
            return by_direction
        cosines = self._row_cosines(embeddings)
        nearest = np.maximum.reduceat(cosines, self._starts, axis=1)
        mean = np.add.reduceat(cosines, self._starts, axis=1) / self._counts
        return np.asarray((by_direction + nearest + mean) / 3, dtype=np.float32)

    def _row_cosines(self, embeddings: Floats) -> Floats:
        """`[photos, rows]`."""
        if self._rows is not None:
            return embeddings @ self._rows.T
        rows = self.gallery.embeddings
        cosines = np.empty((len(embeddings), len(rows)), dtype=np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            cosines[:, part] = embeddings @ rows.dequantised(part).T
        return cosines


def score_objects(
    gallery: Gallery, formula: ScoreFormula, embeddings: Floats, objects: NDArray[np.integer[Any]]
) -> Floats:
    """The same scores as `GallerySearch` gives, of some objects only.

    Args:
        gallery: The gallery.
        formula: The score.
        embeddings: `[photos, dimensions]` float32.
        objects: Class indices, rising, `[candidates]`.

    Returns:
        `[photos, candidates]`.
    """
    starts = np.searchsorted(gallery.row_objects, objects, side="left")
    counts = np.searchsorted(gallery.row_objects, objects, side="right") - starts
    rows = np.concatenate([np.arange(n) + start for start, n in zip(starts, counts, strict=True)])
    part = Gallery(
        embeddings=gallery.embeddings.take(rows),
        row_objects=np.repeat(np.arange(len(objects), dtype=np.int32), counts),
        row_photos=gallery.row_photos[rows],
        directions=gallery.directions.take(objects),
    )
    return GallerySearch(part, formula).scores(embeddings)


def combine_photos(scores: NDArray[np.floating[Any]], formula: ScoreFormula) -> NDArray[np.float64]:
    """Scores of several photos of one object, taken together.

    Args:
        scores: `[photos, objects]` with at least one photo.
        formula: It has the sharpness.

    Returns:
        `[objects]`; of one photo its own scores.
    """
    exact = np.asarray(scores, dtype=np.float64)
    best = exact.max(axis=0)
    mean = np.exp(formula.sharpness * (exact - best)).mean(axis=0)
    combined: NDArray[np.float64] = best + np.log(mean) / formula.sharpness
    return combined
