"""The ablation at tiny scale: variants differ in one point, nothing asked was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import object_picture, tiny_weights

from benchmarks.studies.domain_shift import half_of
from benchmarks.studies.recipe_ablation import VARIANTS, RecipeAblationStudy
from benchmarks.studies.recipe_tasks import HARD, demo_task, eth80_task, grocery_task
from train.recipes import DISCRIMINANT


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
            ("eth80", 14),
        ):
            photos = root / folder / "Box" / name
            photos.mkdir(parents=True)
            for view in range(count):
                object_picture(number, view + 7 * len(folder)).save(photos / f"{view:03}.jpg")
    return root


def test_variants_differ_from_the_recipe_in_one_point() -> None:
    for name, recipe in VARIANTS.items():
        ours, theirs = DISCRIMINANT.settings(), recipe.settings()
        different = [key for key in ours if ours[key] != theirs.get(key)]
        if name != "field":  # the recipe before it
            assert len(different) == (name != "discriminant"), name


def test_nothing_asked_was_trained_on(root: Path) -> None:
    for task in (
        demo_task(root / "demo"),
        eth80_task(root / "eth80", 0),
        grocery_task(root / "grocery"),
    ):
        trained = {path for path, _ in task.train}
        tested = {path for files in [*task.test.values(), task.unknown] for path, _ in files}
        assert not {own for _, own in task.train} & {own for _, own in task.unknown}
        assert trained
        assert tested
        assert not trained & tested
    names = [f"{n:03}.jpg" for n in range(12)]
    phone = {p.name for p in trained | tested if "photos" in p.parts}
    assert phone == set(half_of(names, "dev"))


def test_whole_ablation_at_tiny_scale(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: VARIANTS[name] for name in ("discriminant", "field")}
    monkeypatch.setattr("benchmarks.studies.recipe_ablation.VARIANTS", few)
    out, table = tmp_path / "out", tmp_path / "page.md"
    words = ["--out", str(out)]
    for name in ("eth80", "grocery", "demo"):
        words += [f"--{name}", str(root / name)]
    words += ["--table", str(table), "--backbone", "test_efficientnet", "--input-size", "32"]
    words += ["--weights", str(tiny_weights(tmp_path)), "--epochs", "1"]
    assert RecipeAblationStudy.main(words) == 0
    study = RecipeAblationStudy.read(table.with_suffix(".json"))
    assert len(study.results) == 3 * 2
    assert "| field |" in table.read_text(encoding="utf-8")
    objects = study.rows("ETH-80, a third of the objects unknown")[0]
    worse = sum(sum(own.tested) for own in objects.asked if "made worse" in own.photos)
    known = sum(sum(own.tested) for own in objects.asked) - worse
    assert worse == len(HARD) * known
    assert objects.refusal is not None
    assert objects.refusal.known == known
    assert 0 <= objects.refusal.auroc <= 1
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.json")}
    assert len(before) == 3 * 2
    assert RecipeAblationStudy.main(words) == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.json")} == before


def test_published_recipe_is_the_shipped_one() -> None:
    study = RecipeAblationStudy.read(RecipeAblationStudy.published().with_suffix(".json"))
    assert {result.variant for result in study.results} == set(VARIANTS)
    shipped = {result.variant: result.settings for result in study.results}["discriminant"]
    for name in ("epochs", "rate", "frozen_share", "trained_side", "degraded", "head_views"):
        assert shipped[name] == DISCRIMINANT.settings()[name], name
