"""Approximate search by usearch, where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gallery_files import random_gallery

from benchmarks.pipeline.vector_index import ApproximateSearch, RowIndex
from mobile_assets.identification.scores import GallerySearch, ScoreFormula

pytest.importorskip("usearch")


def test_it_finds_what_the_exact_search_finds(tmp_path: Path) -> None:
    gallery = random_gallery(400, 3, 64)
    made = RowIndex.of(gallery.embeddings)
    made.save(tmp_path / "index")
    mapped = RowIndex.mapped(tmp_path / "index")
    photos = gallery.embeddings.dequantised()[::40]
    exact = GallerySearch(gallery, ScoreFormula()).scores(photos)
    for index in (made, mapped):
        search = ApproximateSearch(gallery, ScoreFormula(), index)
        for photo, scores in zip(photos, exact, strict=True):
            objects, found = search.scores(photo[None])
            best = int(scores.argmax())
            assert best in objects
            assert found[0] == pytest.approx(scores[objects], abs=1e-6)
            assert objects[found[0].argmax()] == best
    several, _ = ApproximateSearch(gallery, ScoreFormula(), made).scores(photos[:3])
    assert set(exact[:3].argmax(axis=1)) <= set(several)
    assert np.all(np.diff(several) > 0)
