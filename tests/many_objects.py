"""Bundles of a tiny network with as many objects as one likes."""

from __future__ import annotations

from pathlib import Path

import torch
from conftest import finish_run
from safetensors.torch import save_file

from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle
from mobile_assets.files import sha256_file
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing
from train.model import build_model
from train.readers import read_register
from train.run import Run, Split, SplitPhoto

CONTRACT = Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def museum_labels(objects: int, known: tuple[str, ...]) -> LabelMap:
    """Labels like accession numbers, among them those of a register's objects."""
    made = (f"DURMA.{1900 + n % 97}.{n:05}é" for n in range(objects - len(known)))
    return LabelMap.of([(name, "", f"Object {name}", 3) for name in sorted((*made, *known))])


def tiny_run(folder: Path, register_folder: Path, objects: int, head: str = "linear") -> Run:
    """A run whose network nobody trained; the photos are those of six of its objects."""
    folder.mkdir(parents=True)
    register = read_register(register_folder)
    photos = tuple(
        SplitPhoto(
            path=photo.path,
            object_id=photo.object_id,
            sha256=sha256_file(register_folder / photo.path),
            split="train",
        )
        for photo in register.photos
    )
    known = tuple(sorted({photo.object_id for photo in photos}))
    torch.manual_seed(0)
    model = build_model("test_efficientnet", head, objects=objects, preprocessing=CONTRACT)
    with torch.no_grad():  # apart from one another, so that a change of order is seen
        for parameter in model.head.parameters():  # type: ignore[union-attr]
            if parameter.ndim == 2 and head == "linear":
                parameter.mul_(40)
    save_file(model.state_dict(), folder / "model.safetensors")
    split = Split(strategy="stratified", seed=0, min_photos=3, photos=photos)
    labels = museum_labels(objects, known)
    return finish_run(folder, labels, split, preprocessing=CONTRACT, head=head)


def tiny_bundle(
    folder: Path,
    register_folder: Path,
    variants: tuple[str, ...],
    *,
    objects: int = 6,
    head: str = "linear",
    shortlist: int | None = None,
) -> Bundle:
    """The run, exported."""
    run = tiny_run(folder / "run", register_folder, objects, head)
    options = ExportOptions(variants=variants, calibration_photos=12, shortlist=shortlist)
    return export_bundle(run, folder / "bundle", options=options, photos=register_folder)
