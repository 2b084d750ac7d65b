"""Registers of the paper's proportions, generated cheaply: for measuring time and memory only."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from mobile_assets.files import new_folder
from train.demo import photo_counts
from train.demo.plan import COLLECTIONS

_LARGE = (4000, 3000)


def collections(objects: int) -> list[str]:
    """The collection of each object, in the proportions of Table 2b."""
    names = [name for name, _, number, _ in COLLECTIONS for _ in range(number)]
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
