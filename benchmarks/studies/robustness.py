r"""How far each recipe's accuracy falls on photos that are not taken as in the studio.

    python -m benchmarks.studies.robustness RUN=PHOTOS... --masks MASKS --grounds PICTURES \
        --table benchmarks/studies/robustness.md

Each `RUN` is a run's folder, given with its test photos; runs of one recipe are pooled. Every
recipe needs a run for every folder of test photos, and is shown the very same pictures. `MASKS`
holds `<collection>/<object>/<view>.png` beside the photos' `<collection>/<object>/<view>.jpg`;
without it no ground is swapped.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from benchmarks.measure.evaluation_set import exclude_training_photos, from_register, list_hash
from benchmarks.results.cluster_bootstrap import (
    Estimate,
    Floats,
    Tally,
    drawn_shares,
    interval,
    ratio_of,
    share_of,
    tally,
)
from benchmarks.results.measurement import TestPhoto
from benchmarks.runtimes.interface import Pixels
from benchmarks.runtimes.torch_runtime import open_reference
from benchmarks.studies.console import Terminal
from benchmarks.studies.corruptions import PERTURBATIONS, Perturbation, Picture, Scene, generator_of
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Counts, Names, Target, count_by_object
from mobile_assets.errors import InputError
from mobile_assets.photos import decode, is_photo_file
from mobile_assets.preprocessing import resize
from mobile_assets.schema import Record
from train.recipes import DISCRIMINANT, FIELD, PAPER
from train.registers.readers import read_register
from train.run import Run, read_run

CHUNK = 16
"""Photos in memory at a time, each with all its perturbations: about 90 MB of pixels."""

CLEAN = "as it is"
"""Name of the rows of unchanged photos."""

LARGEST_RATIO = 0.5
"""Target: the default's worst-case drop is at most so much of the paper recipe's."""


class PhotoSet(Record):
    """One set of test photos."""

    seed: int
    photos_sha256: str
    models_sha256: dict[str, str]
    objects: Names
    tested: Counts


class PerturbedAnswers(Record):
    """How many photos of each object of a set were answered right under one perturbation."""

    seed: int
    recipe: str
    perturbation: str
    right: Counts


class RobustnessStudy(MeasuredStudy):
    """Recipes on perturbed photos."""

    NAME: ClassVar[str] = "robustness"

    groups: tuple[PhotoSet, ...]
    rows: tuple[PerturbedAnswers, ...]

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes, the default first."""
        names = dict.fromkeys(row.recipe for row in self.rows)
        defaults = (DISCRIMINANT.name, FIELD.name)
        return tuple(sorted(names, key=lambda name: (name not in defaults, name)))

    @property
    def perturbations(self) -> tuple[str, ...]:
        """What was measured, unchanged photos first."""
        return tuple(dict.fromkeys(row.perturbation for row in self.rows))

    def tally(self, recipe: str, perturbation: str = CLEAN) -> Tally:
        """The right answers of all sets."""
        groups = {group.seed: group for group in self.groups}
        return tally(
            (groups[row.seed].objects, groups[row.seed].tested, row.right)
            for row in self.rows
            if (row.recipe, row.perturbation) == (recipe, perturbation)
        )

    def drop(self, recipe: str, perturbation: str) -> Estimate:
        """Points lost to a perturbation."""
        clean, changed = self.tally(recipe), self.tally(recipe, perturbation)
        drawn = 100 * (drawn_shares(clean) - drawn_shares(changed))
        return Estimate(100 * (clean.share - changed.share), interval(drawn))

    def drops(self, recipe: str, *, relative: bool) -> tuple[Floats, Floats]:
        """All drops, 0–1: `[perturbations]` measured and `[perturbations, DRAWS]` drawn."""
        clean = self.tally(recipe)
        changed = [self.tally(recipe, name) for name in self.perturbations[1:]]
        share, shares = np.array(clean.share), drawn_shares(clean)
        drops = share - np.array([own.share for own in changed])
        drawn = shares - np.stack([drawn_shares(own) for own in changed])
        if relative:
            return ratio_of(drops, share), ratio_of(drawn, shares)
        return drops, drawn

    def worst(self, recipe: str, *, relative: bool, scale: float = 1.0) -> Estimate:
        """The largest drop, found anew in each draw of the interval."""
        drops, drawn = self.drops(recipe, relative=relative)
        return Estimate(scale * float(drops.max()), interval(scale * drawn.max(axis=0)))

    def worst_name(self, recipe: str) -> str:
        """The perturbation with the largest drop."""
        drops, _ = self.drops(recipe, relative=False)
        return self.perturbations[1 + int(drops.argmax())]

    def worst_ratio(self, *, relative: bool) -> Estimate:
        """The default's worst drop divided by the paper recipe's."""
        ours, paper = (
            self.drops(name, relative=relative) for name in (self.recipes[0], PAPER.name)
        )
        if paper[0].max() <= 0:
            return Estimate(None)  # nothing made the paper's recipe worse: there is no ratio
        drawn = ratio_of(ours[1].max(axis=0), paper[1].max(axis=0))
        return Estimate(float(ours[0].max() / paper[0].max()), interval(drawn))

    def values(self) -> Mapping[str, object]:
        """What turns the rows into text."""
        return {
            "clean": CLEAN,
            "photos": [sum(group.tested) for group in self.groups],
            "objects": len({name for group in self.groups for name in group.objects}),
            "share_of": share_of,
        }

    def targets(self) -> list[Target]:
        """The worst case, in points and as shares of what each recipe can."""
        if PAPER.name not in self.recipes[1:]:
            return []
        words = "worst-case drop, default to paper"
        forms = {"in points": False, "as shares of each one's own accuracy": True}
        return [
            Target(f"{words}, {form}", LARGEST_RATIO, self.worst_ratio(relative=relative))
            for form, relative in forms.items()
        ]

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds runs, masks and grounds."""
        parser.add_argument("runs", nargs="+", type=run_with_photos, metavar="RUN=PHOTOS")
        parser.add_argument("--masks", type=Path, help="masks of the objects, to swap the ground")
        parser.add_argument("--grounds", type=Path, help="real pictures to lay objects on")
        parser.add_argument("--limit", type=int, default=400, help="photos per folder (400)")

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Shows every run every picture."""
        contests = group_runs(arguments.runs, arguments.limit)
        backgrounds = Backgrounds(arguments.masks, read_pictures(arguments.grounds))
        rows: list[PerturbedAnswers] = []
        terminal = Terminal()
        for number, contest in enumerate(contests):
            rows += measure_contest(contest, backgrounds, number, terminal)
        groups = [contest.photo_set(number) for number, contest in enumerate(contests)]
        return cls.measured_now(groups=groups, rows=rows)


@dataclass(frozen=True)
class Contest:
    """The runs that are shown one folder of test photos."""

    photos: Path
    runs: Mapping[str, Run]
    chosen: tuple[TestPhoto, ...]

    @property
    def shown(self) -> list[str]:
        """`[photos]` the object that each photo shows."""
        return [photo.object_id for photo in self.chosen]

    def photo_set(self, number: int) -> PhotoSet:
        """What the rows say of the photos."""
        objects = tuple(sorted(set(self.shown)))
        return PhotoSet(
            seed=number,
            photos_sha256=list_hash(self.chosen),
            models_sha256={recipe: run.info.model_sha256 for recipe, run in self.runs.items()},
            objects=objects,
            tested=count_by_object(objects, self.shown, [True] * len(self.shown)),
        )


@dataclass(frozen=True)
class Backgrounds:
    """Where masks lie, and the pictures of other places."""

    masks: Path | None
    pictures: tuple[Picture, ...]

    def allow(self, perturbation: Perturbation) -> bool:
        """Whether all that the perturbation needs was given."""
        available = {"mask": self.masks is not None, "grounds": bool(self.pictures)}
        return all(available[need] for need in perturbation.needs)

    def mask_of(self, photo: TestPhoto, photos: Path) -> Picture | None:
        """The mask of a photo; None where no masks were given.

        Raises:
            InputError: There is no mask of this photo.
        """
        if self.masks is None:
            return None
        path = self.masks / photo.path.relative_to(photos).with_suffix(".png")
        if not path.is_file():
            raise InputError(f"{photo.path} has no mask {path}. Give the masks of these photos.")
        return decode(path).convert("L")


def group_runs(pairs: Sequence[tuple[Path, Path]], limit: int) -> list[Contest]:
    """Groups runs by their test photos.

    Raises:
        InputError: A run or photos cannot be used, or recipes cannot be compared.
    """
    groups: dict[Path, dict[str, Run]] = defaultdict(dict)
    for folder, photos in pairs:
        run = read_run(folder)
        if run.info.recipe in groups[photos]:
            raise InputError(
                f"{folder} and {groups[photos][run.info.recipe].folder} are both of the recipe "
                f"{run.info.recipe} and on {photos}. Give one run per recipe and photos."
            )
        groups[photos][run.info.recipe] = run
    first = set(next(iter(groups.values())))
    for photos, runs in groups.items():
        if set(runs) != first:
            raise InputError(
                f"{photos} is given with the recipes {', '.join(sorted(runs))}, another folder "
                f"with {', '.join(sorted(first))}. Give a run of every recipe for every folder."
            )
    return [_contest(photos, runs, limit) for photos, runs in groups.items()]


def _contest(photos: Path, runs: Mapping[str, Run], limit: int) -> Contest:
    first = next(iter(runs.values()))
    size = (first.info.preprocessing.height, first.info.preprocessing.width)
    for run in runs.values():
        if run.labels.object_ids != first.labels.object_ids:
            raise InputError(f"{run.folder} and {first.folder} do not know the same objects.")
        if (run.info.preprocessing.height, run.info.preprocessing.width) != size:
            raise InputError(f"{run.folder} and {first.folder} have inputs of different sizes.")
    chosen, _ = from_register(read_register(photos), first)
    for run in runs.values():
        chosen, _ = exclude_training_photos(chosen, run)
    return Contest(photos, runs, spread_photos(chosen, limit))


def spread_photos(photos: Sequence[TestPhoto], limit: int) -> tuple[TestPhoto, ...]:
    """Some of the photos, about as many from each object, by the hashes of their content."""
    by_object: dict[str, list[TestPhoto]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: photo.sha256):
        by_object[photo.object_id].append(photo)
    turns = [(turn, p.sha256, p) for own in by_object.values() for turn, p in enumerate(own)]
    kept = {photo.path for _, _, photo in sorted(turns, key=lambda entry: entry[:2])[:limit]}
    return tuple(photo for photo in photos if photo.path in kept)


def measure_contest(
    contest: Contest, backgrounds: Backgrounds, number: int, terminal: Terminal
) -> Iterator[PerturbedAnswers]:
    """Shows every run each photo as it is and under every perturbation.

    Yields:
        One row per recipe and perturbation, unchanged photos included.
    """
    from train.device import keep_freed_memory

    keep_freed_memory()  # asking takes half the time
    used = tuple(p for p in PERTURBATIONS if backgrounds.allow(p))
    names = (CLEAN, *(p.name for p in used))
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    draw = partial(perturbed_versions, contest=contest, backgrounds=backgrounds, used=used)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor() as pool:
        sessions = {
            recipe: stack.enter_context(open_reference(run)) for recipe, run in contest.runs.items()
        }
        for start in range(0, len(contest.chosen), CHUNK):
            chunk = contest.chosen[start : start + CHUNK]
            pictures = np.stack(list(pool.map(draw, chunk)), axis=1)
            truth = np.array([photo.object_index for photo in chunk])
            for name, batch in zip(names, pictures, strict=True):
                for recipe, session in sessions.items():
                    answers = session.predict(batch).argmax(axis=1)
                    right[recipe, name] += (answers == truth).tolist()
            terminal.step(f"set {number}: photos", start + len(chunk), len(contest.chosen))
    objects = tuple(sorted(set(contest.shown)))
    for (recipe, name), hits in right.items():
        counts = count_by_object(objects, contest.shown, hits)
        yield PerturbedAnswers(seed=number, recipe=recipe, perturbation=name, right=counts)


def perturbed_versions(
    photo: TestPhoto, contest: Contest, backgrounds: Backgrounds, used: Sequence[Perturbation]
) -> Pixels:
    """One photo as it is and perturbed, `[1 + perturbations, height, width, 3]` uint8 RGB.

    Raises:
        PhotoError: The photo or its mask cannot be decoded.
        InputError: There is no mask.
    """
    # The size of the input is the same for all runs.
    contract = next(iter(contest.runs.values())).info.preprocessing
    picture, mask = decode(photo.path), backgrounds.mask_of(photo, contest.photos)
    versions = [resize(picture, contract)]
    for perturbation in used:
        generator = generator_of(photo.sha256, perturbation.name)
        scene = Scene(generator, (contract.width, contract.height), mask, backgrounds.pictures)
        versions.append(resize(perturbation(picture, scene), contract))
    return np.stack(versions)


def read_pictures(folder: Path | None) -> tuple[Picture, ...]:
    """Pictures to lay objects on, at most 100, spread evenly over the folder's sorted files.

    Raises:
        InputError: The folder holds no pictures.
    """
    if folder is None:
        return ()
    files = sorted(p for p in folder.rglob("*") if is_photo_file(p))
    if not files:
        raise InputError(f"--grounds {folder} holds no pictures.")
    indices = np.unique(np.linspace(0, len(files) - 1, min(100, len(files))).round().astype(int))
    return tuple(decode(files[index]) for index in indices)


def run_with_photos(text: str) -> tuple[Path, Path]:
    """A run with its test photos, given as `RUN=PHOTOS`, for argparse."""
    run, mark, photos = text.partition("=")
    if not mark:
        raise argparse.ArgumentTypeError(f"{text}: give its test photos, as RUN=PHOTOS")
    return Path(run), Path(photos)


if __name__ == "__main__":
    sys.exit(RobustnessStudy.main())
