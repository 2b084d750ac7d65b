"""Runs whose head was fitted to validation photos: what an export and a benchmark make of these."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import object_picture, tiny_weights

from benchmarks.evaluation.ensemble import choose_photos, read_ensemble
from benchmarks.measure.evaluation_set import validation_photos
from export import ExportOptions, export_bundle
from train.run import Run
from train.trainer import train_run
from train.training_plan import TrainOptions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def register(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("register")
    for number in range(34):
        folder = root / f"OBJ-{number:02}"
        folder.mkdir()
        for view in range(5):
            object_picture(number, view, 32).save(folder / f"{view}.png")
    return root


@pytest.fixture(scope="module")
def runs(register: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Run]:
    """By whether validation photos were fitted."""
    folder = tmp_path_factory.mktemp("runs")
    weights = tiny_weights(folder)
    return {
        fitted: train_run(
            register,
            folder / f"run-{fitted}",
            TrainOptions(
                backbone="test_efficientnet", recipe="discriminant", input_size=32, epochs=1,
                device="cpu", weights=weights, cache=folder / "cache", fit_validation=fitted,
            ),
        )
        for fitted in (False, True)
    }  # fmt: skip


def test_cards_say_what_was_fitted(runs: dict[bool, Run], register: Path, tmp_path: Path) -> None:
    options = ExportOptions(variants=("tflite-float32",), recommend=True)
    bundles = {
        fitted: export_bundle(run, tmp_path / f"{fitted}", options=options, photos=register)
        for fitted, run in runs.items()
    }
    why = {fitted: bundle.info.recommended[0].why for fitted, bundle in bundles.items()}
    assert "fitted to these photos too" in why[True]
    assert "fitted to these photos too" not in why[False]
    for fitted, bundle in bundles.items():
        text = " ".join((bundle.folder / "DETAILS.md").read_text(encoding="utf-8").split())
        assert "16 objects were kept out of training to set thresholds." in text
        assert ("was fitted to the validation photos too" in text) == fitted


def test_photos_that_were_fitted_are_no_evidence(runs: dict[bool, Run], register: Path) -> None:
    assert validation_photos(runs[True], register) == ()
    assert len(validation_photos(runs[False], register)) == len(runs[False].split.of("val"))
    folders = [runs[False].folder, runs[True].folder]
    assert choose_photos(read_ensemble(folders[:1], register), None).validation
    # What one of them was fitted to shows nothing of both together.
    assert choose_photos(read_ensemble(folders, register), None).validation == ()
