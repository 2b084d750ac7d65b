"""A tiny real network fitted to coloured patterns, exported once with every variant.

PYTEST_DONT_REWRITE: tests import it before pytest registers it, and it asserts nothing.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import finish_run
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle
from mobile_assets.files import sha256_file
from mobile_assets.labels import LabelMap
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.model import build_model
from train.run import (
    Run,
    RunMetrics,
    Split,
    SplitName,
    SplitPhoto,
    load_model,
)

OBJECTS = 12

CONTRACT = Preprocessing(height=64, width=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SIDES: tuple[SplitName, ...] = ("train", "train", "train", "train", "val", "val", "test", "test")


def write_photos(root: Path) -> tuple[SplitPhoto, ...]:
    """Draws coloured patterns, one per object, and noisy photos of each."""
    generator = np.random.default_rng(0)
    photos = []
    for number in range(OBJECTS):
        pattern = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        base = np.asarray(pattern.resize((80, 70))).astype(int)
        for view, side in enumerate(SIDES):
            path = root / f"OBJ.{number:03d}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noisy = base + generator.integers(-25, 26, base.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
            name = path.relative_to(root).as_posix()
            photos.append(
                SplitPhoto(
                    path=name, object_id=path.parent.name, sha256=sha256_file(path), split=side
                )
            )
    return tuple(photos)


def fit(model: Any, pixels: torch.Tensor, truth: torch.Tensor) -> None:
    """Gives the network sensible statistics and the last layer weights by least squares."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # a plain average: one pass sets the statistics
    with torch.no_grad():
        model.train()(pixels)
        model.eval()
        hidden = torch.nn.Sequential(*list(model.head)[:-1])(model.features(pixels)).double()
        wanted = torch.nn.functional.one_hot(truth, OBJECTS).double() * 6
        hidden = torch.cat([hidden, torch.ones(len(hidden), 1)], dim=1)
        ridge = hidden.T @ hidden + 1e-1 * torch.eye(hidden.shape[1])
        weights = torch.linalg.solve(ridge, hidden.T @ wanted)
        model.head[-1].weight.copy_(weights[:-1].T)
        model.head[-1].bias.copy_(weights[-1])


def write_run(folder: Path, photos: tuple[SplitPhoto, ...], root: Path) -> Run:
    """Writes a real run folder of a fitted `test_efficientnet` with the paper's head."""
    torch.manual_seed(0)
    model = build_model("test_efficientnet", "paper", objects=OBJECTS, preprocessing=CONTRACT)
    training = [photo for photo in photos if photo.split == "train"]
    pixels = np.stack([load(root / photo.path, CONTRACT) for photo in training])
    truth = torch.tensor([int(photo.object_id[-3:]) for photo in training])
    fit(model, torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), truth)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    entries = [
        (f"OBJ.{n:03d}", "left" if n < 8 else "right", f"Object {n}", len(SIDES))
        for n in range(OBJECTS)
    ]
    labels = LabelMap.of(entries)
    split = Split(strategy="stratified", seed=0, min_photos=6, photos=photos)
    RunMetrics(
        best_epoch=1,
        best_stage="head",
        val_top1=0.875,
        val_photos=2 * OBJECTS,
        seconds=1.0,
        train_photos_per_second=1.0,
    ).write(folder / "metrics.json")
    return finish_run(folder, labels, split, preprocessing=CONTRACT, head="paper")


@pytest.fixture(scope="session")
def fitted_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The register's root."""
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="session")
def fitted_run(fitted_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real run."""
    return write_run(
        tmp_path_factory.mktemp("work") / "run", write_photos(fitted_root), fitted_root
    )


@pytest.fixture(scope="session")
def fitted_bundle(fitted_run: Run, fitted_root: Path) -> Bundle:
    """All variants of the run, converted for real."""
    options = ExportOptions(name="tiny-bundle", calibration_photos=24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return export_bundle(
            fitted_run, fitted_run.folder.parent / "bundle", options=options, photos=fitted_root
        )


@pytest.fixture(scope="session")
def fitted_pixels(fitted_run: Run, fitted_root: Path) -> NDArray[np.uint8]:
    """The test photos, decoded."""
    return np.stack(
        [load(fitted_root / photo.path, CONTRACT) for photo in fitted_run.split.of("test")]
    )


@pytest.fixture(scope="session")
def fitted_answers(fitted_run: Run, fitted_pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The trained network's own probabilities, without anything of the exporter."""
    with torch.inference_mode():
        photos = torch.from_numpy(fitted_pixels).permute(0, 3, 1, 2).float()
        return torch.softmax(load_model(fitted_run)(photos), dim=1).numpy()


def content(bundle: Bundle, name: str) -> bytes:
    """A variant's file."""
    return bundle.path(bundle.info.variant(name)).read_bytes()
