"""A small trained run with held-out objects, and its bundle with a gallery.

PYTEST_DONT_REWRITE: tests import it before pytest registers it, and it asserts nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import object_picture, tiny_weights

from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle
from train.run import Run
from train.trainer import train_run
from train.training_plan import TrainOptions

OBJECTS, VIEWS = 40, 5
VARIANTS = ("tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8")
CREATED = "1700000000"


def draw_objects(root: Path, numbers: range, views: int = VIEWS) -> Path:
    """A register `ROOT/OBJ-<number>/<view>.png` of coloured pictures."""
    for number in numbers:
        folder = root / f"OBJ-{number:02}"
        folder.mkdir(parents=True)
        for view in range(views):
            object_picture(number, view, 48).save(folder / f"{view}.png")
    return root


@pytest.fixture(scope="session")
def gallery_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_objects(tmp_path_factory.mktemp("register"), range(OBJECTS))


@pytest.fixture(scope="session")
def gallery_run(gallery_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained in seconds by the recipe `discriminant`; some objects are held out."""
    folder = tmp_path_factory.mktemp("gallery")
    options = TrainOptions(
        backbone="test_efficientnet",
        recipe="discriminant",
        input_size=48,
        epochs=1,
        device="cpu",
        weights=tiny_weights(folder),
        cache=folder / "cache",
        hold_out_test=False,
    )
    return train_run(gallery_root, folder / "run", options)


@pytest.fixture(scope="session")
def gallery_bundle(gallery_run: Run, gallery_root: Path) -> Bundle:
    """TFLite variants, golden vectors, gallery and references; nobody may change it."""
    from benchmarks.verify.golden_predictor import golden_plan

    options = ExportOptions(variants=VARIANTS, shortlist=3, calibration_photos=16, name="gallery")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", CREATED)
        return export_bundle(
            gallery_run,
            gallery_run.folder.parent / "bundle",
            options=options,
            photos=gallery_root,
            golden=golden_plan(["1"]),
        )
