"""Photos and registers that the tests share: small, real files on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from mobile_assets.bundle import Bundle
from mobile_assets.files import sha256_file
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing
from train.run import PhotoCounts, Run, RunInfo, Split, SplitPhoto, TemperatureInfo, read_run

if TYPE_CHECKING:
    from benchmarks.results.measurement import BenchmarkCase

pillow_heif.register_heif_opener()

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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


def finish_run(
    folder: Path, labels: LabelMap, split: Split, *, preprocessing: Preprocessing, head: str
) -> Run:
    """Completes a run of a small network whose `model.safetensors` is already in `folder`."""
    split.write(folder / "split.json")
    labels.write(folder, text=False)
    counts = {side: len(split.of(side)) for side in ("train", "val", "test")}
    RunInfo(
        name="tiny",
        created="2026-01-01T00:00:00+00:00",
        register_name="patterns",
        objects=len(labels),
        min_photos=split.min_photos,
        backbone="test_efficientnet",
        head=head,
        recipe="least-squares",
        recipe_settings={},
        weights="random",
        seed=0,
        preprocessing=preprocessing,
        photos=PhotoCounts(**counts, unreadable=0),
        photo_list_sha256=split.sha256,
        labels_sha256=labels.sha256,
        model_sha256=sha256_file(folder / "model.safetensors"),
        versions={},
        host={},
        temperature=TemperatureInfo(value=0.8, photos=max(1, counts["val"])),
    ).write(folder / "run.json")
    return read_run(folder)


def tiny_weights(folder: Path, backbone: str = "test_efficientnet") -> Path:
    """Weights of a tiny network, as a file as one gives without a network connection."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = folder / "tiny.safetensors"
    save_file(timm.create_model(backbone, pretrained=False, num_classes=0).state_dict(), path)
    return path


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


@pytest.fixture(scope="session")
def golden_run(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small network with weights that nobody trained, and validation photos."""
    import torch
    from safetensors.torch import save_file

    from train.model import build_model
    from train.readers import read_register

    contract = Preprocessing(height=64, width=64, mean=(0.5,) * 3, std=(0.25,) * 3)
    folder = tmp_path_factory.mktemp("golden") / "run"
    folder.mkdir()
    register = read_register(register_folder)
    labels = register.label_map()
    torch.manual_seed(0)
    model = build_model("test_efficientnet", "linear", objects=len(labels), preprocessing=contract)
    with torch.no_grad():  # apart from one another, so that a change of order is seen
        model.head.weight.mul_(800)  # type: ignore[operator,union-attr]
    save_file(model.state_dict(), folder / "model.safetensors")
    photos = tuple(
        SplitPhoto(
            path=photo.path,
            object_id=photo.object_id,
            sha256=sha256_file(register_folder / photo.path),
            split="train" if number % 3 else "val",
        )
        for number, photo in enumerate(register.photos)
    )
    split = Split(strategy="stratified", seed=0, min_photos=3, photos=photos)
    return finish_run(folder, labels, split, preprocessing=contract, head="linear")


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
