"""The ETH-80 benchmark: the draw, and a small trial of it all."""

from __future__ import annotations

import csv
import json
from argparse import Namespace
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import object_picture, tiny_weights

from benchmarks.pipeline.sweep import trained_run
from benchmarks.results.cluster_bootstrap import share_of
from benchmarks.studies.eth80 import OBJECTS_BY_PHOTOS, Eth80Study, draw_photos
from benchmarks.studies.recipe_runs import (
    RECIPES,
    WITHOUT_VALIDATION,
    RunScore,
    compared_name,
    training_options,
)
from mobile_assets.errors import InputError
from train.recipes import DISCRIMINANT, FIELD
from train.registers.register import Photo
from train.run import Run
from train.training_plan import Reporter, TrainOptions, plan_run

VIEWS = [Photo(f"o{n:03}", f"o{n:03}/{v:02}.jpg") for n in range(400) for v in range(20)]


def test_draw_follows_table_2a_and_leaves_the_rest() -> None:
    drawn, left = draw_photos(VIEWS, seed=0)
    assert sorted((*drawn, *left)) == sorted(VIEWS)
    sizes = Counter(Counter(photo.object_id for photo in drawn).values())
    total = sum(OBJECTS_BY_PHOTOS.values())
    for count, objects in OBJECTS_BY_PHOTOS.items():
        assert sizes[count] / 400 == pytest.approx(objects / total, abs=0.07)
    assert draw_photos(VIEWS, seed=0) == (drawn, left)
    assert draw_photos(VIEWS, seed=1) != (drawn, left)


def test_numbers_are_the_papers() -> None:
    table = Path(__file__).parents[4] / "shared/paper/table2a_photos_per_object.csv"
    if not table.is_file():
        pytest.skip("the paper's tables are not beside the project")
    rows = [int(row["objects"]) for row in csv.DictReader(table.open())]
    assert list(OBJECTS_BY_PHOTOS.values()) == rows


def test_a_score_refuses_counts_that_do_not_fit() -> None:
    rows = json.loads(Eth80Study.published().with_suffix(".json").read_text(encoding="utf-8"))
    row = rows["runs"][0]
    RunScore.model_validate(row)
    with pytest.raises(ValueError, match="not one count for each object"):
        RunScore.model_validate(row | {"top1": row["top1"].rsplit(" ", 1)[0]})


def test_a_run_of_before_a_setting_was_added_is_kept(register_folder: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        backbone="test_efficientnet", weights=tiny_weights(tmp_path), input_size=32, epochs=1,
        cache=tmp_path / "cache",
    )  # fmt: skip
    plan, messages = plan_run(register_folder, options), []
    reporter = Reporter(said=messages.append)

    def trained() -> str:
        run = trained_run(register_folder, tmp_path / "run", options, plan, reporter)
        return run.info.created

    first = trained()
    path = tmp_path / "run/run.json"
    value = json.loads(path.read_text())
    assert value["recipe_settings"].pop("split") == "stratified"
    path.write_text(json.dumps(value))
    assert trained() == first
    assert messages[-1] == "trained before, kept"
    value["recipe_settings"]["split"] = "paper"
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="already exists"):
        trained()


@pytest.mark.parametrize("name", [
    "field", "discriminant", f"discriminant{WITHOUT_VALIDATION}"
])  # fmt: skip
def test_compared_recipes_see_all_objects_and_their_rows_say_which_photos(
    name: str, golden_run: Run
) -> None:
    nothing = Namespace(backbone=None, weights=None, input_size=None, epochs=None)
    options = training_options(nothing, name, seed=0)
    assert options.hold_out_objects == 0
    assert options.fit_validation is (False if name.endswith(WITHOUT_VALIDATION) else None)
    recipe = FIELD if name == "field" else DISCRIMINANT
    if options.fit_validation is not None:
        recipe = replace(recipe, fit_validation=options.fit_validation)
    settings = {"recipe": options.recipe, "recipe_settings": recipe.settings()}
    info = golden_run.info.model_copy(update=settings)
    assert compared_name(replace(golden_run, info=info)) == name


@pytest.mark.slow
def test_trial_trains_asks_and_keeps_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        folder = tmp_path / "photos" / ("even" if number % 2 == 0 else "odd") / f"OBJ-{number}"
        folder.mkdir(parents=True)
        for view in range(16):
            object_picture(number, view).save(folder / f"{view:02}.png")
    table, out = tmp_path / "eth80.md", tmp_path / "out"
    words = ["--photos", str(tmp_path / "photos"), "--out", str(out), "--table", str(table)]
    words += ["--seeds", "0,1", "--thresholds", "3", "--backbone", "test_efficientnet"]
    words += ["--weights", str(tiny_weights(tmp_path)), "--input-size", "64", "--epochs", "1"]
    assert Eth80Study.main([*words, "--only", "probe"]) == 0
    assert [path.name for path in (out / "seed1/min3").iterdir()] == ["probe"]
    assert not table.exists()
    assert Eth80Study.main(words) == 0
    study = Eth80Study.read(table.with_suffix(".json"))
    assert {(row.seed, row.recipe) for row in study.runs} == {
        (seed, recipe) for seed in (0, 1) for recipe in RECIPES
    }
    assert all(sum(row.tested) == study.draws[row.seed].left for row in study.runs)
    probe = study.pooled(3, "probe")
    assert probe.photos == sum(draw.left for draw in study.draws)
    assert share_of(probe).text(".1%") in table.read_text(encoding="utf-8")
    capsys.readouterr()
    assert Eth80Study.main(words) == 0
    messages = capsys.readouterr().err
    assert messages.count("trained before, kept") == 2 * len(RECIPES)
    assert "trained in" not in messages
