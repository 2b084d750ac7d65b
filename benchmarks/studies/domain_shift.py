r"""From studio to phone: trained on one clean picture per object, asked about phone photos.

    python -m benchmarks.studies.domain_shift --photos GROCERY --out DIR --seeds 0,1,2 \
        --phone-seeds 0 --table benchmarks/studies/domain_shift.md

`GROCERY` holds `studio/<collection>/<object>.jpg` and `photos/<collection>/<object>/<photo>`. The
phone photos of each object are divided for good into a development half, on which a recipe may be
developed (see `recipe_ablation`), and a test half, on which it is measured here. Further phone
photos for training come from the development half. Called again, it keeps what is finished.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np

from benchmarks.results.cluster_bootstrap import Estimate, accuracy_ratio, share_of
from benchmarks.studies.console import Terminal
from benchmarks.studies.recipe_runs import (
    RECIPES,
    RecipeStudy,
    TrainingJob,
    add_training_options,
    copy_register,
    score_jobs,
    shares_by_seed,
    train_jobs,
    training_options,
    whole_numbers,
)
from benchmarks.studies.study_statistics import Target
from mobile_assets.errors import InputError
from mobile_assets.photos import is_photo_file
from train.recipes import PAPER
from train.registers.readers import read_register

Half = Literal["dev", "test"]

PHONE_PHOTOS: Mapping[str, int] = {"studio": 0, "studio+2": 2, "studio+4": 4}
"""Phone photos for training beside the studio picture, by setting."""

LEAST_RATIO = 2.0
"""Target: with the studio pictures alone, the default's top-1 is so many times the paper's."""

Copy = tuple[Path, str]
"""A file, and where it belongs in a register."""


class DomainShiftStudy(RecipeStudy):
    """Recipes from studio to phone; the setting of a run is one of `PHONE_PHOTOS`."""

    NAME: ClassVar[str] = "domain_shift"

    half: Literal["test"] = "test"

    def ratio_to_paper(self, setting: str, recipe: str) -> Estimate:
        """Top-1 by the paper recipe's; undefined where that was not trained."""
        if not self.rows_of(setting, PAPER.name):
            return Estimate(None)
        ours, paper = (self.pooled(setting, name) for name in (recipe, PAPER.name))
        return accuracy_ratio(ours, paper)

    def values(self) -> Mapping[str, object]:
        """Seeds, and the rows by setting and recipe."""
        phone = {row.seed for row in self.runs if PHONE_PHOTOS[row.setting]}
        return {
            "seeds": sorted({row.seed for row in self.runs}),
            "phone_seeds": sorted(phone),
            "groups": [
                (setting, recipe, rows)
                for setting in PHONE_PHOTOS
                for recipe in RECIPES
                if (rows := self.rows_of(setting, recipe))
            ],
            "share": lambda *key: share_of(self.pooled(*key)).text(".1%"),
            "by_seed": shares_by_seed,
        }

    def targets(self) -> list[Target]:
        """The default recipe beside the paper's, with the studio pictures alone."""
        ratio = self.ratio_to_paper("studio", self.recipes[0])
        what = "top-1 with the studio pictures alone, default to paper"
        return [Target(what, LEAST_RATIO, ratio, at_least=True)]

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the photos and what to train."""
        parser.add_argument("--photos", type=Path, required=True, help="with studio/ and photos/")
        parser.add_argument(
            "--phone-seeds",
            type=whole_numbers,
            help="seeds that are trained with phone photos too (default: all)",
        )
        add_training_options(parser)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Trains what is missing and asks every run."""
        jobs = prepare_jobs(arguments)
        terminal = Terminal()
        scores = score_jobs(jobs, train_jobs(jobs, terminal), terminal)
        return cls.measured_now(backbone=jobs[0].options.backbone, runs=scores)


@dataclass(frozen=True)
class Source:
    """The collection of photos, by object.

    Attributes:
        studio: The studio picture; its folder is named by the object's collection.
        phone: The phone photos, in the order of their names.
    """

    studio: Mapping[str, Path]
    phone: Mapping[str, tuple[Path, ...]]


def read_source(root: Path) -> Source:
    """Reads studio pictures and phone photos.

    Raises:
        InputError: There are none, or they do not show the same objects.
    """
    studio: dict[str, Path] = {}
    for file in sorted((root / "studio").glob("*/*")):
        if is_photo_file(file):
            if file.stem in studio:
                raise InputError(f"{root}/studio has two pictures of {file.stem}. Keep one.")
            studio[file.stem] = file
    register = read_register(root / "photos", layout="collection")
    phone: dict[str, list[Path]] = defaultdict(list)
    for photo in register.photos:
        phone[photo.object_id].append(register.path(photo))
    if not studio or set(studio) != set(phone):
        odd = ", ".join(sorted(set(studio) ^ set(phone))[:5]) or "no picture in studio/"
        raise InputError(
            f"{root}: studio pictures and phone photos do not show the same objects ({odd}). "
            "Name studio/<collection>/<object>.jpg as photos/<collection>/<object>/."
        )
    return Source(studio, {name: tuple(phone[name]) for name in sorted(phone)})


def half_of(names: Sequence[str], half: Half) -> tuple[str, ...]:
    """The names of one object's phone photos that belong to a half, sorted.

    Every other photo, in the order of their names; never by a seed. So a recipe developed on the
    photos of even number was not developed on those that are asked about in the end.

    Args:
        half: Which half; of an odd number the development half has one more.
    """
    return tuple(sorted(names)[{"dev": 0, "test": 1}[half] :: 2])


def in_half(source: Source, half: Half) -> dict[str, list[Path]]:
    """The phone photos of a half, by object, in the order of their names."""
    chosen: dict[str, list[Path]] = {}
    for object_id, photos in source.phone.items():
        kept = half_of([path.name for path in photos], half)
        chosen[object_id] = [path for path in photos if path.name in kept]
    return chosen


def photos_asked(source: Source) -> list[Copy]:
    """The photos that are asked about."""
    return [
        (path, f"{source.studio[object_id].parent.name}/{object_id}/{path.name}")
        for object_id, photos in in_half(source, "test").items()
        for path in photos
    ]


def training_photos(source: Source, extra: int, seed: int) -> list[Copy]:
    """What one setting trains on.

    Raises:
        InputError: An object has too few phone photos.
    """
    generator = np.random.default_rng(seed)
    chosen: list[Copy] = []
    for object_id, photos in in_half(source, "dev").items():
        if len(photos) < extra:
            raise InputError(
                f"{object_id} has {len(photos)} phone photos to train on, not {extra}."
            )
        studio = source.studio[object_id]
        folder = f"{studio.parent.name}/{object_id}"
        phone = [photos[index] for index in generator.permutation(len(photos))[:extra]]
        chosen.append((studio, f"{folder}/studio{studio.suffix}"))
        chosen += [(path, f"{folder}/phone-{path.name}") for path in phone]
    return chosen


def prepare_jobs(arguments: argparse.Namespace) -> list[TrainingJob]:
    """All runs; the photos of the test and of every setting and seed are copied, once."""
    source = read_source(arguments.photos)
    base: Path = arguments.out / "test"
    copy_register(photos_asked(source), base / "asked")
    phone_seeds = arguments.seeds if arguments.phone_seeds is None else arguments.phone_seeds
    jobs: list[TrainingJob] = []
    for seed in arguments.seeds:
        for setting, extra in PHONE_PHOTOS.items():
            if extra and seed not in phone_seeds:
                continue
            folder = base / f"seed{seed}" / setting
            copy_register(training_photos(source, extra, seed), folder / "register")
            # With phone photos the paper's recipe takes five times as long as all the rest.
            for recipe in [name for name in RECIPES if not extra or name != PAPER.name]:
                options = replace(
                    training_options(arguments, recipe, seed),
                    min_photos=1,
                    layout="collection",
                    cache=folder / "prepared",
                )
                run, register = folder / recipe, folder / "register"
                jobs.append(TrainingJob(setting, run, register, base / "asked", options))
    return jobs


if __name__ == "__main__":
    sys.exit(DomainShiftStudy.main())
