"""Unknown objects: what is counted, and a small trial from photos to the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import object_picture, tiny_weights

from benchmarks.studies.open_set import OpenSetStudy, grouped, left_out
from benchmarks.studies.open_set_questions import Questions, auroc, by_object, holds

OBJECTS, VIEWS = 50, 15


def questions() -> Questions:
    return Questions(
        seed=0, model="m", photos=1, kind="register", objects=("a", "b"),
        owner=(0, 0, 1, 1), best=(9000, 8000, 7000, 6000), rank=(0, 1, 0, 2),
        answer=(0, 0, 1, 2), looser=(0, 0, 0, 1), listed=(1, 1, 2, 0),
    )  # fmt: skip


def test_what_is_counted() -> None:
    row = questions()
    expected = {
        "match": [1, 1, 0, 0],
        "looser match": [1, 1, 1, 0],
        "right match": [1, 0, 0, 0],
        "wrong match": [0, 1, 0, 0],
        "found": [1, 0, 1, 0],
        "refused": [0, 0, 0, 1],
        "right": [1, 0, 1, 0],
    }
    for what, values in expected.items():
        assert holds(row, what).tolist() == [bool(value) for value in values], what
    assert by_object(row, holds(row, "match")) == (("a", "b"), [2, 2], [2, 0])


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert auroc(np.array([3, 2]), np.array([1, 2])) == pytest.approx(3.5 / 4)


def test_objects_are_left_out_and_photos_grouped_by_seed_alone() -> None:
    names = [f"o{n}" for n in range(12)]
    assert len(left_out(names, 1)) == 4 and left_out(names, 1) == left_out(names, 1)
    assert left_out(names, 1) != left_out(names, 2)
    groups = grouped(["a"] * 7 + ["b"] * 3, 3, 0)
    assert [len(group) for group in groups] == [3, 3, 3]
    assert len(set(np.concatenate(groups).tolist())) == 9
    assert all(len({"a" if index < 7 else "b" for index in group}) == 1 for group in groups)


@pytest.mark.slow  # a training and an export: 40 s
def test_a_small_trial(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number in range(OBJECTS):
        folder = photos / f"c{number % 2}" / f"o{number:02}"
        folder.mkdir(parents=True)
        for view in range(VIEWS):
            object_picture(number, view, 48).save(folder / f"{view}.png")
    page = tmp_path / "page.md"
    words = [
        "--photos", str(photos), "--out", str(tmp_path / "out"), "--seeds", "3",
        "--table", str(page), "--backbone", "test_efficientnet", "--epochs", "1",
        "--weights", str(tiny_weights(tmp_path)), "--input-size", "48",
    ]  # fmt: skip
    assert OpenSetStudy.main(words) == 0
    study = OpenSetStudy.read(page.with_suffix(".json"))
    assert study.held_out == (16,) and study.registered == (33,)
    assert {row.kind for row in study.questions} == {"register", "unknown"}
    for model in study.models:
        assert study.asked(model, 1, "unknown") == 17 * VIEWS
        assert 0 <= (study.share(model, 1, "unknown", "match").value or 0) <= 1
    assert "3 photos of one object together" in page.read_text()
