"""A register of coloured patterns and a small network fitted to them: quick, and mostly right."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_run import CONTRACT, finish_run, write_tiny_run

from benchmarks.pipeline.benchmark import BenchmarkOptions
from train.run import Run, SplitName

OBJECTS, VIEWS = 10, 12
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


def write_run(root: Path, folder: Path) -> Run:
    """The network, fitted to the training photos."""
    return write_tiny_run(
        root, folder, side=lambda photo, _: side_of(int(Path(photo.path).stem)), min_photos=6
    )


def with_weights(run: Run, folder: Path, change: str) -> Run:
    """A copy of the run whose network is broken in one way."""
    shutil.copytree(run.folder, folder)
    tensors = load_file(folder / "model.safetensors")
    if change == "swap channels":
        name = "backbone.conv_stem.weight"
        tensors[name] = tensors[name].flip(1).contiguous()
    save_file(tensors, folder / "model.safetensors")
    return finish_run(folder, run.labels, run.split, preprocessing=CONTRACT, head="linear")
