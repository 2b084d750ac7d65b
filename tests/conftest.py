"""Photos and registers that the tests share: small, real files on disk."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from tiny_run import Side, write_tiny_run

from mobile_assets.bundle import Bundle
from train.model import ArtefactModel
from train.run import Run

if TYPE_CHECKING:
    from benchmarks.results.measurement import BenchmarkCase, Measurement

pillow_heif.register_heif_opener()

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Nothing that a test prepares goes into the user's own cache.
os.environ["ARTEFACT_ID_CACHE"] = tempfile.mkdtemp(prefix="artefact-id-tests-")
atexit.register(shutil.rmtree, os.environ["ARTEFACT_ID_CACHE"], ignore_errors=True)
# Networks this small gain nothing from threads, and lose much on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def picture(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    """A smooth coloured picture of its own for every seed, that survives JPEG compression."""
    generator = np.random.default_rng(seed)
    cells = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


def object_picture(number: int, view: int, side: int = 64) -> Image.Image:
    """View `view` of object `number`: its own colours, shifted and lit a little differently."""
    base = np.asarray(picture(1000 + number, side, side)).astype(np.int16)
    moved = np.roll(base, (3 * view, -2 * view), axis=(0, 1)) + 6 * (view % 3)
    return Image.fromarray(moved.clip(0, 255).astype(np.uint8))


def tiny_weights(folder: Path, backbone: str = "test_efficientnet") -> Path:
    """Weights of a tiny network, as a file as one gives without a network connection."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = folder / "tiny.safetensors"
    save_file(timm.create_model(backbone, pretrained=False, num_classes=0).state_dict(), path)
    return path


_DEAR_FIXTURES = ("fitted_bundle", "gallery_bundle", "golden_bundle", "pattern_case")
"""Exports that take many seconds; a process that needs one makes its own."""


@cache
def _group(file: str) -> str:
    text = (Path(__file__).parents[1] / file).read_text(encoding="utf-8")
    return next((name for name in _DEAR_FIXTURES if name in text), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each file to one of several processes, and files with the same export to the same."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduler(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid.split("::", maxsplit=1)[0])

    return Scheduler(config, log)


@pytest.fixture(scope="session")
def register_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two collections, six objects, 3 to 8 photos each: all four thresholds differ."""
    root = tmp_path_factory.mktemp("photos")
    for number, count in enumerate((3, 4, 5, 6, 7, 8)):
        folder = root / ("Egyptian" if number % 2 else "Oriental") / f"OBJ-{number}"
        folder.mkdir(parents=True)
        for view in range(count):
            object_picture(number, view).save(folder / f"{view:03}.png")
    return root


def alternately() -> Side:
    """Every third photo of the whole register is for validation."""
    numbers = itertools.count()
    return lambda *_: "train" if next(numbers) % 3 else "val"


def apart(model: ArtefactModel) -> None:
    """Scales the last layer until objects are apart, so that a change of their order is seen."""
    model.head.weight.mul_(800)  # type: ignore[operator,union-attr]


@pytest.fixture(scope="session")
def golden_run(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small network with weights that nobody trained, and validation photos."""
    return write_tiny_run(
        register_folder,
        tmp_path_factory.mktemp("golden") / "run",
        side=alternately(),
        scale=None,
        change=apart,
    )


@pytest.fixture(scope="session")
def golden_bundle(golden_run: Run, register_folder: Path) -> Bundle:
    """A bundle of that network with golden vectors; nobody may change it."""
    from benchmarks.verify.golden_predictor import golden_plan
    from export import ExportOptions, export_bundle

    variants = ("tflite-float32", "tflite-float16", "tflite-int8", "coreml-float16")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return export_bundle(
            golden_run,
            golden_run.folder.parent / "bundle",
            options=ExportOptions(variants=variants, name="golden", calibration_photos=12),
            photos=register_folder,
            golden=golden_plan(["2"]),
        )


@pytest.fixture(scope="session")
def pattern_case(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkCase:
    """A run of coloured patterns with its bundle and held-out photos; nobody may change it."""
    from patterns import draw_photos, write_run

    from benchmarks.measure.evaluation_set import held_out
    from benchmarks.results.measurement import BenchmarkCase
    from export import ExportOptions, export_bundle

    root = tmp_path_factory.mktemp("patterns")
    draw_photos(root)
    run = write_run(root, tmp_path_factory.mktemp("fitted") / "run")
    options = ExportOptions(variants=("tflite-float32", "tflite-int8"), calibration_photos=20)
    bundle = export_bundle(run, run.folder.parent / "bundle", options=options, photos=root)
    return BenchmarkCase(bundle, run, root, *held_out(run, root))


@pytest.fixture(scope="session")
def noise_case(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkCase:
    """A register of noise in which nothing is executed; nobody may change it."""
    from report_case import make_case

    return make_case(tmp_path_factory.mktemp("squares"))


@pytest.fixture(scope="session")
def measured(noise_case: BenchmarkCase) -> Measurement:
    """Its answers: of 36 photos one is wrong, for the reference and for full integer alike."""
    from report_case import measured_with

    return measured_with(noise_case, [3], [3])
