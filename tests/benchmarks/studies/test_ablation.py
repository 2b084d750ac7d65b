"""The ablation at tiny scale: variants differ in one point, nothing asked was trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from conftest import object_picture, tiny_weights

from benchmarks.studies.domain_shift import half_of
from benchmarks.studies.recipe_ablation import VARIANTS, demo_task, grocery_task, main
from benchmarks.studies.recipe_ablation_page import Published, page
from train.recipes import FIELD

PUBLISHED = Path(__file__).parents[3] / "benchmarks/studies" / "recipe_ablation.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ablation")
    for number in range(3):
        name = f"O-{number}"
        (root / "grocery" / "studio" / "Box").mkdir(parents=True, exist_ok=True)
        object_picture(number, 0).save(root / "grocery" / "studio" / "Box" / f"{name}.jpg")
        for folder, count in (
            ("grocery/photos", 12),
            ("demo/register", 3),
            ("demo/extra", 2),
            ("demo/field", 2),
        ):
            place = root / folder / "Box" / name
            place.mkdir(parents=True)
            for view in range(count):
                object_picture(number, view + 7 * len(folder)).save(place / f"{view:03}.jpg")
    return root


def test_variants_differ_from_the_recipe_in_one_point() -> None:
    whole = {"paper's recipe", "probe"}
    for name, recipe in VARIANTS.items():
        ours, theirs = FIELD.settings(), recipe.settings()
        if name == "without augmentation":
            assert recipe.augmentation is None
            continue
        different = [key for key in ours if ours[key] != theirs.get(key)]
        assert (name in whole) == (len(different) > 2), name
        assert name in {"field", *whole} or len(different) == (2 if " and " in name else 1)
        assert (name == "field") == (recipe == FIELD)


def test_nothing_asked_was_trained_on(root: Path) -> None:
    for task in (
        demo_task(root / "demo"),
        grocery_task(root / "grocery", 0, alone=False),
        grocery_task(root / "grocery", 0, alone=True),
    ):
        trained = {path for path, _ in task.train}
        asked = {path for files in task.asked.values() for path, _ in files}
        assert trained
        assert asked
        assert not trained & asked
    names = [f"{n:03}.jpg" for n in range(12)]
    phone = {p.name for p in trained | asked if "photos" in p.parts}
    assert phone == set(half_of(names, "dev"))


def test_whole_ablation_at_tiny_scale(root: Path, tmp_path: Path) -> None:
    words = ["--grocery", str(root / "grocery"), "--demo", str(root / "demo")]
    words += ["--out", str(tmp_path / "out"), "--seeds", "0", "--table", str(tmp_path / "a.md")]
    words += ["--backbone", "test_efficientnet", "--weights", str(tiny_weights(tmp_path))]
    words += ["--input-size", "32", "--epochs", "1", "--only", "field,linear head"]
    assert main(words) == 0
    published = Published.read(tmp_path / "a.json")
    assert len(published.results) == 3 * 2
    text = (tmp_path / "a.md").read_text(encoding="utf-8")
    assert text == page(published)
    assert "| linear head |" in text
    changed = published.results[1].model_copy(update={"cpu_seconds": 1e9})
    others = (published.results[0], changed, *published.results[2:])
    assert page(published.model_copy(update={"results": others})) != text
    assert main([*words[:-1], "linear head"]) == 0  # what is there stays on the page
    assert len(Published.read(tmp_path / "a.json").results) == 3 * 2
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.json")}
    assert before
    assert main(words) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.json")} == before


def test_published_page_is_regenerated_from_its_rows() -> None:
    published = Published.read(PUBLISHED)
    assert page(published) == PUBLISHED.with_suffix(".md").read_text(encoding="utf-8")
    shipped = {result.variant: result.settings for result in published.results}["field"]
    few = dataclasses.asdict(FIELD)
    assert shipped["epochs"] == few["epochs"]
    assert shipped["frozen_share"] == few["frozen_share"]
