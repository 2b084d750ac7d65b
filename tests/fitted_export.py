"""A tiny real network fitted to coloured patterns, exported once with every variant.

PYTEST_DONT_REWRITE: tests import it before pytest registers it, and it asserts nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny_run import write_tiny_run

from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle
from mobile_assets.labels import LabelMap
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.run import Run, SplitName, load_model

OBJECTS = 12
CONTRACT = Preprocessing(height=64, width=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SIDES: tuple[SplitName, ...] = ("train", "train", "train", "train", "val", "val", "test", "test")


@pytest.fixture(scope="session")
def fitted_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The register's root: a coloured pattern per object, and noisy photos of each."""
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for number in range(OBJECTS):
        folder = root / f"OBJ.{number:03d}"
        folder.mkdir()
        pattern = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        base = np.asarray(pattern.resize((80, 70))).astype(int)
        for view in range(len(SIDES)):
            noisy = base + generator.integers(-25, 26, base.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{view}.png")
    return root


@pytest.fixture(scope="session")
def fitted_run(fitted_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real run of `test_efficientnet` with the paper's head."""
    labels = LabelMap.of(
        [
            (f"OBJ.{number:03d}", "left" if number < 8 else "right", "", len(SIDES))
            for number in range(OBJECTS)
        ]
    )
    return write_tiny_run(
        fitted_root,
        tmp_path_factory.mktemp("work") / "run",
        side=lambda _photo, number: SIDES[number],
        head="paper",
        contract=CONTRACT,
        min_photos=6,
        labels=labels,
        val_top1=0.875,
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
