"""Real runs of a tiny network, written in a second: untrained, or with a fitted last layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from mobile_assets.bundle import BundleInfo, Source, Variant
from mobile_assets.decision import DecisionThresholds
from mobile_assets.files import sha256_file
from mobile_assets.labels import LabelMap
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.model import ArtefactModel, build_model
from train.registers.readers import read_register
from train.registers.register import Photo
from train.run import (
    PhotoCounts,
    Run,
    RunInfo,
    RunMetrics,
    Split,
    SplitName,
    SplitPhoto,
    TemperatureInfo,
    read_run,
)

# Equal channels, so that swapping the first layer's inputs is swapping the photo's channels.
CONTRACT = Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))

Side = Callable[[Photo, int], SplitName]
"""On which side a photo stands, by the photo and its number among its object's."""


def finish_run(
    folder: Path,
    labels: LabelMap,
    split: Split,
    *,
    preprocessing: Preprocessing,
    head: str,
    depths: tuple[int, ...] = (),
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
        depths=depths,
        recipe="least-squares",
        recipe_settings={},
        weights="random",
        seed=split.seed,
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


def write_metrics(folder: Path, *, val_top1: float, val_photos: int) -> None:
    """The `metrics.json` of a run."""
    RunMetrics(
        best_epoch=1,
        best_stage="head",
        val_top1=val_top1,
        val_photos=val_photos,
        seconds=1.0,
        train_photos_per_second=None,
    ).write(folder / "metrics.json")


def fit(
    model: Any, pixels: torch.Tensor, truth: torch.Tensor, *, scale: float, ridge: float
) -> None:
    """One pass for the batch norms' statistics, then the last layer by ridge regression.

    Args:
        model: Its head ends in a linear layer.
        pixels: `[N, 3, H, W]` float32, 0–255.
        truth: `[N]` class indices.
        scale: The right object's logit, before the ridge takes some of it.
        ridge: Added to the diagonal; small values fit the training photos closely.
    """
    for norm in (
        m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)
    ):
        norm.momentum = None  # a plain average: one pass sets the statistics
    with torch.no_grad():
        model.train()(pixels)
        features = model.eval().features(pixels)
        layers = list(model.head) if isinstance(model.head, torch.nn.Sequential) else [model.head]
        last = layers[-1]
        hidden = torch.nn.Sequential(*layers[:-1])(features).double()
        targets = torch.nn.functional.one_hot(truth, last.out_features).double() * scale
        hidden = torch.cat([hidden, torch.ones(len(hidden), 1, dtype=torch.float64)], dim=1)
        gram = hidden.T @ hidden + ridge * torch.eye(hidden.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(gram, hidden.T @ targets)
        last.weight.copy_(weights[:-1].T)
        last.bias.copy_(weights[-1])


def split_photos(root: Path, photos: tuple[Photo, ...], side: Side) -> tuple[SplitPhoto, ...]:
    """The photos of a register, divided."""
    numbers: dict[str, int] = {}
    entries = []
    for photo in photos:
        number = numbers[photo.object_id] = numbers.get(photo.object_id, -1) + 1
        entries.append(
            SplitPhoto(
                path=photo.path,
                object_id=photo.object_id,
                sha256=sha256_file(root / photo.path),
                split=side(photo, number),
            )
        )
    return tuple(entries)


def write_tiny_run(
    root: Path,
    folder: Path,
    *,
    side: Side,
    head: str = "linear",
    contract: Preprocessing = CONTRACT,
    seed: int = 0,
    min_photos: int = 3,
    labels: LabelMap | None = None,
    without: str = "",
    scale: float | None = 6,
    ridge: float = 0.1,
    change: Callable[[ArtefactModel], None] | None = None,
    val_top1: float | None = None,
) -> Run:
    """Writes a run of `test_efficientnet` over the register at `root`.

    Args:
        root: Folder of photos.
        folder: The run's folder.
        side: Which photo stands on which side.
        head: Name of the head.
        contract: Preprocessing.
        seed: Of the random weights and of the split.
        min_photos: The threshold that the run states.
        labels: More objects than the register has; None for just these.
        without: An object to leave out.
        scale: As in `fit`; None to leave the weights random.
        ridge: As in `fit`.
        change: What is done to the network before it is saved.
        val_top1: What `metrics.json` states; None for no such file.
    """
    register = read_register(root)
    photos = tuple(photo for photo in register.photos if photo.object_id != without)
    labels = labels or replace(register, photos=photos).label_map()
    torch.manual_seed(seed)
    model = build_model("test_efficientnet", head, objects=len(labels), preprocessing=contract)
    entries = split_photos(root, photos, side)
    split = Split(strategy="stratified", seed=seed, min_photos=min_photos, photos=entries)
    if scale is not None:
        training = split.of("train")
        pixels = np.stack([load(root / photo.path, contract) for photo in training])
        truth = torch.tensor([labels.object_ids.index(photo.object_id) for photo in training])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        fit(model, images, truth, scale=scale, ridge=ridge)
    if change is not None:
        with torch.no_grad():
            change(model)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    if val_top1 is not None:
        write_metrics(folder, val_top1=val_top1, val_photos=len(split.of("val")))
    return finish_run(folder, labels, split, preprocessing=contract, head=head)


def describe_bundle(
    labels: LabelMap, preprocessing: Preprocessing, variants: tuple[Variant, ...] = ()
) -> BundleInfo:
    """The description of a bundle that no export has written."""
    source = Source(
        run="../run",
        model_sha256="0" * 64,
        backbone="b",
        head="linear",
        recipe="r",
        seed=0,
        min_photos=3,
        photo_list_sha256="1" * 64,
    )
    return BundleInfo(
        name="described",
        created="2026-01-01T00:00:00+00:00",
        objects=len(labels),
        labels_sha256=labels.sha256,
        preprocessing=preprocessing,
        decision=DecisionThresholds(match=0.8, reject=0.2, validation_photos=9),
        variants=variants,
        source=source,
        calibration=None,
        versions={"python": "3.11"},
    )
