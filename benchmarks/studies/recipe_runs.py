"""Recipes trained on the same photos and asked about the same test photos, restartably."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import model_validator

from benchmarks.measure.evaluation_set import (
    decode_chunks,
    exclude_training_photos,
    from_register,
    list_hash,
)
from benchmarks.pipeline.sweep import trained_run
from benchmarks.results.classification import join_answers, reduce_answers
from benchmarks.results.cluster_bootstrap import Tally, tally
from benchmarks.results.measurement import Skipped
from benchmarks.runtimes.torch_runtime import open_reference
from benchmarks.studies.console import Terminal
from benchmarks.studies.study import MeasuredStudy
from benchmarks.studies.study_statistics import Counts, Names, count_by_object
from mobile_assets.files import new_folder
from mobile_assets.schema import Document
from train.recipes import DISCRIMINANT, FIELD, PAPER, PROBE, recipe_named
from train.registers.readers import read_register
from train.run import Run
from train.training_plan import TrainOptions, plan_run

WITHOUT_VALIDATION = "-without-validation"
"""Behind a recipe's name: its head in closed form is fitted to training photos alone, as
those of all other recipes are."""

RECIPES = (
    DISCRIMINANT.name,
    DISCRIMINANT.name + WITHOUT_VALIDATION,
    FIELD.name,
    PROBE.name,
    PAPER.name,
)
"""The default recipe, the same with gradients alone, the floor, and the paper's."""


@dataclass(frozen=True)
class TrainingJob:
    """One run that is wanted."""

    setting: str
    folder: Path
    photos: Path
    test_photos: Path
    options: TrainOptions


class RunScore(Document):
    """How one run answered its test photos; the raw row behind the published pages.

    Attributes:
        val_photos: Photos that chose the checkpoint.
        top1: How many of them had the right object first.
    """

    setting: str
    seed: int
    recipe: str
    model_sha256: str
    photos_sha256: str
    train_photos: int
    val_photos: int
    seconds: float
    cpu_seconds: float | None
    objects: Names
    tested: Counts
    top1: Counts
    top3: Counts
    top5: Counts

    @model_validator(mode="after")
    def _as_long_as_objects(self) -> Self:
        lists = (self.tested, self.top1, self.top3, self.top5)
        if any(len(counts) != len(self.objects) for counts in lists):
            raise ValueError("not one count for each object")
        return self


def copy_register(files: Iterable[tuple[Path, str]], target: Path) -> None:
    """Copies photos to a register, unless it is there."""
    if target.is_dir():
        return
    with new_folder(target, force=False, what="register") as folder:
        for file, path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            # The time of change is kept: the cache of prepared photos goes by it.
            shutil.copy2(file, folder / path)


def train_jobs(jobs: Sequence[TrainingJob], terminal: Terminal) -> list[Run]:
    """Trains the runs that are not there yet, each from where it was broken off."""
    runs: list[Run] = []
    for job in jobs:
        name = f"seed {job.options.seed} {job.setting} {job.options.recipe_name}"
        reporter = terminal.callbacks.reporter(name)
        plan = plan_run(job.photos, job.options, reporter)
        options = replace(job.options, force=True)
        runs.append(trained_run(job.photos, job.folder, options, plan, reporter))
    return runs


def score_jobs(
    jobs: Sequence[TrainingJob], runs: Sequence[Run], terminal: Terminal
) -> list[RunScore]:
    """Asks every run about its test photos."""
    scores: list[RunScore] = []
    for job, run in zip(jobs, runs, strict=True):
        scores.append(score(run, job.test_photos, job.setting))
        terminal.step("asked", len(scores), len(jobs))
    return scores


def compared_name(run: Run) -> str:
    """The run's recipe, and whether it left out a part that recipes of its kind have."""
    settings = run.info.recipe_settings
    alone = settings.get("closed_form") and not settings.get("fit_validation")
    return f"{run.info.recipe}{WITHOUT_VALIDATION if alone else ''}"


def score(run: Run, photos: Path, setting: str) -> RunScore:
    """Asks a run about photos of its objects.

    Args:
        photos: Test photos, a register. Objects that the run does not know are left out.

    Raises:
        InputError: No photo shows an object of the run.
    """
    known_objects, _ = from_register(read_register(photos), run)
    test_photos, _ = exclude_training_photos(known_objects, run)
    from train.device import keep_freed_memory

    keep_freed_memory()  # asking takes half the time
    unreadable: list[Skipped] = []
    shown: list[str] = []
    parts = []
    with open_reference(run) as session:
        for good, pixels in decode_chunks(test_photos, run.info.preprocessing, unreadable):
            truth = np.array([photo.object_index for photo in good], dtype=np.int64)
            parts.append(reduce_answers(session.predict(pixels), truth, keep=1))
            shown.extend(photo.object_id for photo in good)
    rank = join_answers(parts).rank
    objects = tuple(sorted(set(shown)))
    metrics = run.require_metrics()
    return RunScore(
        setting=setting,
        seed=run.info.seed,
        recipe=compared_name(run),
        model_sha256=run.info.model_sha256,
        photos_sha256=list_hash(test_photos),
        train_photos=len(run.fitted_photos),
        val_photos=run.info.photos.val,
        seconds=metrics.seconds,
        cpu_seconds=metrics.cpu_seconds,
        objects=objects,
        tested=count_by_object(objects, shown, [True] * len(shown)),
        top1=count_by_object(objects, shown, rank < 1),
        top3=count_by_object(objects, shown, rank < 3),
        top5=count_by_object(objects, shown, rank < 5),
    )


class RecipeStudy(MeasuredStudy):
    """Recipes trained on the same photos, by setting; `runs` says how each run answered."""

    backbone: str
    runs: tuple[RunScore, ...]

    def rows_of(self, setting: object, recipe: str) -> list[RunScore]:
        """The rows of one recipe in one setting, by seed."""
        rows = [row for row in self.runs if (row.setting, row.recipe) == (str(setting), recipe)]
        return sorted(rows, key=lambda row: row.seed)

    @property
    def recipes(self) -> tuple[str, ...]:
        """The recipes that were measured, the default first."""
        measured = {row.recipe for row in self.runs}
        return tuple(name for name in RECIPES if name in measured)

    def pooled(self, setting: object, recipe: str, k: int = 1) -> Tally:
        """The right answers among the first k (1, 3 or 5) of one recipe, over all seeds."""
        rows = self.rows_of(setting, recipe)
        return tally((row.objects, row.tested, getattr(row, f"top{k}")) for row in rows)


def shares_by_seed(rows: Sequence[RunScore]) -> str:
    """Top-1 of each row, such as `80.1%, 81.0%`."""
    return ", ".join(f"{sum(row.top1) / sum(row.tested):.1%}" for row in rows)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Adds what to train, and options with which a small trial takes seconds."""
    parser.add_argument("--out", type=Path, required=True, help="folder to work in")
    parser.add_argument(
        "--seeds", type=whole_numbers, default=(0, 1, 2), help="of draws and trainings (0,1,2)"
    )
    parser.add_argument("--backbone", help="default: that of `artefact-id train`")
    for name, kind in (("--weights", Path), ("--input-size", int), ("--epochs", int)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)


def training_options(arguments: argparse.Namespace, recipe: str, seed: int) -> TrainOptions:
    """How a recipe is trained here: same photos for all, none spent on a test.

    Args:
        recipe: Its name; with `WITHOUT_VALIDATION` behind it, by training photos alone.
    """
    name = recipe.removesuffix(WITHOUT_VALIDATION)
    settings = {
        option: value
        for option in ("backbone", "weights", "input_size")
        if (value := getattr(arguments, option)) is not None
    }
    if arguments.epochs:
        settings["epochs"] = min(arguments.epochs, recipe_named(name).epochs)
    options = TrainOptions(
        recipe=name,
        seed=seed,
        hold_out_test=False,
        hold_out_objects=0.0,
        fit_validation=None if name == recipe else False,
        split="stratified",
    )
    return replace(options, **settings)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Numbers given as `0,1,2`, for argparse."""
    return tuple(int(word) for word in text.split(",") if word.strip())


def recipe_names(text: str) -> tuple[str, ...]:
    """Recipes given as `field,paper`, for argparse."""
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    if not set(names) <= set(RECIPES):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(RECIPES)}")
    return names
