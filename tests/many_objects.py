"""Bundles of a tiny network with as many objects as one likes."""

from __future__ import annotations

from pathlib import Path

from tiny_run import write_tiny_run

from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle
from mobile_assets.labels import LabelMap
from train.model import ArtefactModel
from train.registers.readers import read_register
from train.run import Run


def museum_labels(objects: int, known: tuple[str, ...]) -> LabelMap:
    """Labels like accession numbers, among them those of a register's objects."""
    made = (f"DURMA.{1900 + n % 97}.{n:05}é" for n in range(objects - len(known)))
    return LabelMap.of([(name, "", f"Object {name}", 3) for name in sorted((*made, *known))])


def tiny_run(folder: Path, register_folder: Path, objects: int, head: str = "linear") -> Run:
    """A run whose network nobody trained; the photos are those of six of its objects."""
    known = tuple(sorted({photo.object_id for photo in read_register(register_folder).photos}))

    def apart(model: ArtefactModel) -> None:  # so that a change of order is seen
        if head == "linear":
            model.head.weight.mul_(40)  # type: ignore[operator,union-attr]

    return write_tiny_run(
        register_folder,
        folder,
        side=lambda *_: "train",
        head=head,
        labels=museum_labels(objects, known),
        scale=None,
        change=apart,
    )


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
