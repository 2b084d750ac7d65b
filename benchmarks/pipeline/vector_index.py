"""Approximate search over galleries that are too large for the exact one, by usearch.

The index is made on the machine that searches, from the gallery; none comes with a bundle, since
native code reads it as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mobile_assets.errors import MissingDependencyError
from mobile_assets.identification.gallery import Gallery, QuantisedRows
from mobile_assets.identification.scores import ScoreFormula, score_objects

EXACT_OBJECTS = 100_000
"""Galleries of up to so many objects are searched exactly; so is any gallery for a few photos, as
making an index takes longer."""

CONNECTIVITY = 16
EXPANSION_ADD = 128
EXPANSION_SEARCH = 256
"""Higher ones find more and take longer."""

NEAREST_ROWS = 64
"""The objects of so many nearest rows are scored exactly."""

Floats = NDArray[np.float32]


class RowIndex:
    """An index of int8 rows by their cosines, which do not depend on the rows' scales."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def of(cls, rows: QuantisedRows, *, threads: int = 1) -> Self:
        """Makes an index: some minutes for a million rows on one thread.

        Raises:
            MissingDependencyError: `usearch` is not installed.
        """
        index = _usearch().Index(
            ndim=rows.values.shape[1],
            metric="cos",
            dtype="i8",
            connectivity=CONNECTIVITY,
            expansion_add=EXPANSION_ADD,
            expansion_search=EXPANSION_SEARCH,
        )
        index.add(np.arange(len(rows), dtype=np.uint64), rows.values, threads=threads)
        return cls(index)

    def save(self, path: Path) -> None:
        """Writes the index, for `mapped`."""
        self._index.save(str(path))

    @classmethod
    def mapped(cls, path: Path) -> Self:
        """Maps an index that this machine has written; a damaged file can end the process."""
        index = _usearch().Index.restore(str(path), view=True)
        index.expansion_search = EXPANSION_SEARCH
        return cls(index)

    def nearest(self, embedding: Floats, count: int) -> NDArray[np.int64]:
        """The rows with the highest cosines to an embedding `[dimensions]`, best first, about."""
        query = np.rint(embedding * (127 / np.abs(embedding).max())).astype(np.int8)
        return np.asarray(self._index.search(query, count, threads=1).keys, dtype=np.int64)


class ApproximateSearch:
    """Scores of the objects whose rows are the nearest."""

    def __init__(self, gallery: Gallery, formula: ScoreFormula, index: RowIndex) -> None:
        """`index` is of the gallery's embeddings."""
        self._gallery, self._formula, self._index = gallery, formula, index

    def scores(self, embeddings: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Scores of single photos against the objects that come near any of them.

        Args:
            embeddings: `[photos, dimensions]` float32 of length 1, photos of one object.

        Returns:
            Class indices, rising, `[candidates]`, and their exact scores, `[photos, candidates]`.
        """
        rows = [self._index.nearest(embedding, NEAREST_ROWS) for embedding in embeddings]
        objects = np.unique(self._gallery.row_objects[np.concatenate(rows)]).astype(np.int64)
        return objects, score_objects(self._gallery, self._formula, embeddings, objects)


def _usearch() -> Any:
    try:
        from usearch import index
    except ImportError:
        raise MissingDependencyError(
            f"A gallery of over {EXACT_OBJECTS:,} objects is searched with usearch, which is not "
            "installed. Install it with: pip install 'artefact-id[search]'"
        ) from None
    return index
