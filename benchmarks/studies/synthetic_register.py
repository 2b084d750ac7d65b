"""Registers of the paper's proportions, generated cheaply: for measuring time and memory only."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.studies.eth80 import OBJECTS_BY_PHOTOS
from mobile_assets.files import new_folder

COLLECTIONS = {"Oriental": 2993, "Egyptian": 820, "Fulling Mill": 309, "Castle": 210}
"""Objects of each collection in the paper's Table 2b."""

_MANY = 12
_MOST = (15, 16)
_SIXTEENS = 9
_LARGE = (4000, 3000)


def photo_counts(objects: int) -> list[int]:
    """Photos of each object; for 4,332 objects those of Table 2a, 24,502 in all.

    The table's last row, 10 photos or more, has 4,059 photos of 270 objects: 15 each, nine with 16.
    """
    counts: list[int] = []
    for photos, number in OBJECTS_BY_PHOTOS.items():
        if photos == _MANY:
            counts += [_MOST[0]] * (number - _SIXTEENS) + [_MOST[1]] * _SIXTEENS
        else:
            counts += [photos] * number
    # Evenly spaced picks keep the proportions for any number of objects.
    return [counts[math.floor((i + 0.5) * len(counts) / objects)] for i in range(objects)]


def collections(objects: int) -> list[str]:
    """The collection of each object, in the proportions of Table 2b."""
    names = [name for name, number in COLLECTIONS.items() for _ in range(number)]
    return [names[math.floor((i + 0.5) * len(names) / objects)] for i in range(objects)]


def generate(folder: Path, objects: int, seed: int, *, size: tuple[int, int], every: int) -> None:
    """Writes `folder/<collection>/<object>/<view>.jpg`, unless it is there already."""
    if folder.is_dir():
        return
    order = np.random.default_rng(seed).permutation(objects)
    counts, names = photo_counts(objects), collections(objects)
    with new_folder(folder, force=False, what="register") as root, ThreadPoolExecutor() as pool:
        number = 0
        jobs = []
        for i in range(objects):
            object_folder = root / names[int(order[i])] / f"OBJ.{i:05}"
            object_folder.mkdir(parents=True)
            large = [every > 0 and (number + view) % every == 0 for view in range(counts[i])]
            jobs.append(pool.submit(_photograph, object_folder, (seed, i), size, large))
            number += counts[i]
        for job in jobs:
            job.result()


def _photograph(
    folder: Path, seed: tuple[int, int], size: tuple[int, int], large: list[bool]
) -> None:
    """Photos of one object: its own pattern, turned, moved and scaled, on its own plain ground."""
    rng = np.random.default_rng(seed)
    cells = int(rng.integers(5, 13))
    pattern = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
    texture = pattern.resize((256, 256), Image.Resampling.BICUBIC)
    ground = tuple(int(v) for v in rng.integers(90, 200, 3))
    for view, big in enumerate(large):
        angle, zoom = rng.uniform(-math.pi, math.pi), rng.uniform(0.7, 1.1)
        c, s = math.cos(angle) / zoom, math.sin(angle) / zoom
        x, y = 160 + rng.uniform(-20, 20), 120 + rng.uniform(-15, 15)
        matrix = (c, s, 128 - c * x - s * y, -s, c, 128 + s * x - c * y)
        photo = texture.transform(
            (320, 240), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=ground
        )
        photo.resize(_LARGE if big else size).save(folder / f"{view:02}.jpg", quality=88)
