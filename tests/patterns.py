"""A register of coloured patterns and a small network fitted to them: quick, and mostly right."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from conftest import finish_run
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks.pipeline.benchmark import BenchmarkOptions
from mobile_assets.files import sha256_file
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.model import build_model
from train.readers import read_register
from train.run import Run, Split, SplitName, SplitPhoto

OBJECTS, VIEWS = 10, 12
# Equal channels, so that swapping the first layer's inputs is swapping the photo's channels.
CONTRACT = Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
QUICK = BenchmarkOptions(measure_speed=False, bootstrap=500, preprocessing=0)


def draw_photos(
    root: Path, *, views: int = VIEWS, noise: int = 30, collections: bool = True
) -> None:
    """Noisy views of one coloured pattern per object."""
    generator = np.random.default_rng(1)
    for number in range(OBJECTS):
        cells = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        base = np.asarray(Image.fromarray(cells).resize((72, 60), Image.Resampling.BICUBIC))
        collection = ("north" if number < 6 else "south") if collections else "."
        folder = root / collection / f"OBJ-{number}"
        folder.mkdir(parents=True)
        for view in range(views):
            noisy = base.astype(int) + generator.integers(-noise, noise + 1, base.shape)
            shifted = np.roll(noisy, view % 3, axis=1).clip(0, 255).astype(np.uint8)
            Image.fromarray(shifted).save(folder / f"{view:02}.png")


def side_of(view: int) -> SplitName:
    return "train" if view < 5 else "val" if view == 5 else "test"


def fit(model: torch.nn.Module, pixels: torch.Tensor, truth: torch.Tensor) -> None:
    """One pass for the statistics, then the last layer by least squares."""
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.momentum = None
    with torch.no_grad():
        model.train()(pixels)
        hidden = model.eval().features(pixels).double()  # type: ignore[operator]
        wanted = torch.nn.functional.one_hot(truth, OBJECTS).double() * 6
        ridge = hidden.T @ hidden + 0.1 * torch.eye(hidden.shape[1], dtype=torch.float64)
        model.head.weight.copy_(torch.linalg.solve(ridge, hidden.T @ wanted).T)  # type: ignore
        model.head.bias.zero_()  # type: ignore


def write_run(root: Path, folder: Path) -> Run:
    register = read_register(root)
    labels = register.label_map()
    torch.manual_seed(0)
    model = build_model("test_efficientnet", "linear", objects=OBJECTS, preprocessing=CONTRACT)
    entries = tuple(
        SplitPhoto(
            path=photo.path,
            object_id=photo.object_id,
            sha256=sha256_file(root / photo.path),
            split=side_of(int(Path(photo.path).stem)),
        )
        for photo in register.photos
    )
    split = Split(strategy="stratified", seed=0, min_photos=6, photos=entries)
    training = split.of("train")
    pixels = np.stack([load(root / photo.path, CONTRACT) for photo in training])
    truth = torch.tensor([labels.object_ids.index(photo.object_id) for photo in training])
    fit(model, torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), truth)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    return finish_run(folder, labels, split, preprocessing=CONTRACT, head="linear")


def with_weights(run: Run, folder: Path, change: str) -> Run:
    """A copy of the run whose network is broken in one way."""
    shutil.copytree(run.folder, folder)
    tensors = load_file(folder / "model.safetensors")
    if change == "swap channels":
        name = "backbone.conv_stem.weight"
        tensors[name] = tensors[name].flip(1).contiguous()
    save_file(tensors, folder / "model.safetensors")
    return finish_run(folder, run.labels, run.split, preprocessing=CONTRACT, head="linear")
