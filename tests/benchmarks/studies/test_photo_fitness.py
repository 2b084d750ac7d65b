"""The defects on a drawn photo, the shares of the page, and a small measurement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.studies.corruptions import Scene, generator_of
from benchmarks.studies.photo_fitness import (
    DEFECTS,
    FRAMES,
    JudgedPhotos,
    PhotoFitnessStudy,
    called,
    counted,
    kinds_of,
    share_called,
)
from mobile_assets.fitness_vectors import SIDE, DrawnPhoto, draw

PHOTO = Image.fromarray(draw(DrawnPhoto(radius=60, texture=30))).resize((300, 280))


@pytest.mark.slow
def test_every_severe_defect_is_seen() -> None:
    assert called(PHOTO) is None
    for severity, defect in DEFECTS:
        scene = Scene(generator_of("a", defect.name), (SIDE, SIDE))
        if severity == "severe":
            assert called(defect(PHOTO, scene)) is not None, defect.name


@pytest.mark.parametrize(("name", "frame"), FRAMES, ids=[name for name, _ in FRAMES])
def test_every_frame_without_an_object_is_unfit(name: str, frame: object) -> None:
    assert callable(frame)
    assert called(frame(generator_of("a", name))) is not None
    first, second = (np.asarray(frame(generator_of("a", name))) for _ in range(2))
    assert np.array_equal(first, second)


def row(photos: int, **unfit: int) -> JudgedPhotos:
    return JudgedPhotos.model_validate(
        {"photos_from": "a", "change": "b", "severity": "good", "photos": photos, "unfit": unfit}
    )


def test_shares_are_of_all_photos_of_the_rows() -> None:
    rows = [row(60, dark=1), row(40, dark=1, blurred=4)]
    assert share_called(rows, unfit=True).value == pytest.approx(0.06)
    estimate = share_called(rows, unfit=False)
    assert estimate.value == pytest.approx(0.94)
    assert estimate.bounds == pytest.approx((0.8752, 0.9722), abs=1e-4)  # Wilson
    assert share_called([], unfit=True).value is None
    assert kinds_of(rows) == "blurred 4, dark 2"
    assert kinds_of([row(3)]) == "–"
    assert counted("a", "b", "good", [None, "dark", None]) == row(3, dark=1)


@pytest.mark.slow
def test_a_small_measurement(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "photos/object").mkdir(parents=True, exist_ok=True)
        PHOTO.rotate(5 * number).save(tmp_path / f"photos/object/{number}.png")
    words = [f"own={tmp_path / 'photos'}", "--limit", "2", "--table", str(tmp_path / "page.md")]
    assert PhotoFitnessStudy.main(words) == 0
    study = PhotoFitnessStudy.read(tmp_path / "page.json")
    (good,) = study.rows_of("good")
    assert (good.photos, good.unfit) == (3, {})
    assert all(row.photos in (2, 100) for row in study.rows_of("usable", "between", "severe"))
    assert all(target.met for target in study.targets())
    (tmp_path / "empty").mkdir()
    assert PhotoFitnessStudy.main([f"own={tmp_path / 'empty'}", *words[1:]]) == 2
