"""Small galleries and scores for the tests of identification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobile_assets.identification.gallery import Gallery, QuantisedRows


def unit_rows(rows: int, dimensions: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Random rows of length 1."""
    drawn = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def random_gallery(
    objects: int, photos: int, dimensions: int = 32, *, seed: int = 0, unseen: int = 0
) -> Gallery:
    """A gallery of random rows around a random centre of each object; the last ones unseen."""
    centres = unit_rows(objects, dimensions, seed=seed)
    owners = np.repeat(np.arange(objects, dtype=np.int32), photos)
    rows = centres[owners] + 0.5 * unit_rows(len(owners), dimensions, seed=seed + 1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    hashes = np.random.default_rng(seed).integers(0, 256, (len(owners), 32), dtype=np.uint8)
    return Gallery(
        embeddings=QuantisedRows.of(rows),
        row_objects=owners,
        row_photos=hashes,
        directions=QuantisedRows.of(centres),
        unseen_objects=tuple(range(objects - unseen, objects)),
    )
