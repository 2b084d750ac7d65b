"""Sets of development photos on which recipes are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.studies.corruptions import PERTURBATIONS, Scene, generator_of
from benchmarks.studies.domain_shift import in_half, read_source
from benchmarks.studies.eth80 import draw_photos
from mobile_assets.files import sha256_file
from mobile_assets.photos import decode, load
from mobile_assets.preprocessing import Preprocessing, resize
from train.registers.readers import read_register

PhotoFile = tuple[Path, str]
"""A photo with its object."""

Pixels = NDArray[np.uint8]

TURNED = "turned by 90°"
"""How the name of photos ends that are shown turned."""

HARD = (
    "out of focus, strong",
    "shaken, strong",
    "noise, strong",
    "JPEG quality 10",
    "at 45 % of its size",
    "2 stops darker",
    "finger, thick",
    "light from one side",
)
"""The perturbations that cost most, of `corruptions`."""

MADE_WORSE = "made worse in 8 ways"
"""How the name of photos ends that are shown under each of `HARD`."""

UNKNOWN_SHARE = 3
"""One object of so many is left out of the register, and asked about all the same."""


@dataclass(frozen=True)
class Task:
    """Photos to train on and, by name, photos to test on.

    Attributes:
        unknown: Photos of objects that are not trained on.
    """

    train: list[PhotoFile]
    test: dict[str, list[PhotoFile]]
    unknown: list[PhotoFile] = field(default_factory=list)


def demo_task(root: Path) -> Task:
    """A generated register, asked about further studio views and about messy scenes."""

    def files(folder: str) -> list[PhotoFile]:
        return [(path, path.parent.name) for path in sorted((root / folder).glob("*/*/*.jpg"))]

    studio = files("extra")
    test = {"studio views": studio, f"these {TURNED}": studio, "messy scenes": files("field")}
    return Task(files("register"), test)


def grocery_task(root: Path) -> Task:
    """Groceries of the development half: one studio picture of each, asked about phone photos.

    Args:
        root: With `studio/` and `photos/`.
    """
    source = read_source(root)
    half = in_half(source, "dev")
    train = [(source.studio[object_id], object_id) for object_id in half]
    test = [(path, object_id) for object_id, photos in half.items() for path in photos]
    return Task(train, {"phone photos": test})


def eth80_task(root: Path, seed: int, *, photos: int = 700, worse: int = 60) -> Task:
    """Objects of ETH-80 drawn as in Table 2a, a third of them unknown.

    Args:
        seed: Decides about the register's photos, the unknown objects, and the photos asked about.
        photos: How many photos are asked about, those of unknown objects among them.
        worse: How many of these, of known objects, are shown under each of `HARD` too.
    """
    register = read_register(root)
    drawn, left = draw_photos(register.photos, seed)
    objects = sorted({photo.object_id for photo in register.photos})
    order = np.random.default_rng(1000 + seed).permutation(len(objects))
    unknown = {objects[i] for i in order[: len(objects) // UNKNOWN_SHARE]}
    shown = np.random.default_rng(seed).permutation(len(left))[:photos]
    asked = [(register.path(left[i]), left[i].object_id) for i in shown]
    known = [row for row in asked if row[1] not in unknown]
    return Task(
        [(register.path(p), p.object_id) for p in drawn if p.object_id not in unknown],
        {"other views": known, f"{min(worse, len(known))} of these {MADE_WORSE}": known[:worse]},
        [row for row in asked if row[1] in unknown],
    )


def pixels_of(files: list[PhotoFile], contract: Preprocessing) -> Pixels:
    """`[photos, height, width, 3]` uint8."""
    return np.stack([load(path, contract) for path, _ in files])


def shown_as(view: str, files: list[PhotoFile], contract: Preprocessing) -> list[Pixels]:
    """The photos `[photos, height, width, 3]` once for each way in which a view shows them."""
    if view.endswith(TURNED):
        return [np.rot90(pixels_of(files, contract), axes=(1, 2))]
    if not view.endswith(MADE_WORSE):
        return [pixels_of(files, contract)]
    changes = {p.name: p for p in PERTURBATIONS}
    size = (contract.width, contract.height)

    def changed(path: Path, name: str) -> Pixels:
        scene = Scene(generator_of(sha256_file(path), name), size)
        return resize(changes[name](decode(path), scene), contract)

    return [np.stack([changed(path, name) for path, _ in files]) for name in HARD]


def tasks_of(folders: Mapping[str, Path | None], seed: int) -> dict[str, Callable[[], Task]]:
    """Makers of the sets of photos whose folders are given, by name."""
    eth80, grocery, demo = (folders.get(name) for name in ("eth80", "grocery", "demo"))
    tasks: dict[str, Callable[[], Task]] = {}
    if eth80:
        tasks["ETH-80, a third of the objects unknown"] = lambda: eth80_task(eth80, seed)
    if grocery:
        tasks["one studio picture"] = lambda: grocery_task(grocery)
    if demo:
        tasks["rendered"] = lambda: demo_task(demo)
    return tasks
