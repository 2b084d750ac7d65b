"""Recipes trained on the same photos and asked about the same test photos, restartably."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import model_validator

from benchmarks.measure.evaluation_set import (
    decode_chunks,
    exclude_training_photos,
    from_register,
    list_hash,
)
from benchmarks.pipeline.sweep import trained_run
from benchmarks.results.classification import Indices, join_answers, reduce_answers
from benchmarks.results.cluster_bootstrap import Tally, tally
from benchmarks.results.measurement import Skipped, TestPhoto
from benchmarks.runtimes.torch_runtime import open_reference
from benchmarks.studies.study_statistics import Counts, Names
from mobile_assets.errors import DamagedError
from mobile_assets.schema import Document
from train.readers import read_register
from train.recipes import FIELD, PAPER, PROBE, recipe_named
from train.run import Run, RunMetrics
from train.training_plan import TrainOptions, plan_run

if TYPE_CHECKING:
    from benchmarks.studies.console import Terminal

CONTESTANTS = (FIELD.name, PROBE.name, PAPER.name)
"""The default recipe, the floor, and the paper's; the quick ones first."""


@dataclass(frozen=True)
class Job:
    """One run that is wanted.

    Attributes:
        name: What the person who waits reads.
        photos: The register.
        folder: Where the run belongs.
        options: How it is trained.
    """

    name: str
    photos: Path
    folder: Path
    options: TrainOptions


class Scored(Document):
    """How one run answered its test photos; the raw row behind the published pages.

    Attributes:
        setting: Which photos it was trained on, such as a threshold.
        seed: Of the draw of photos and of the training.
        recipe: How it was trained.
        model_sha256: Of the weights.
        photos_sha256: Of the list of test photos.
        train_photos: Photos trained on.
        val_photos: Photos that chose the checkpoint.
        seconds: How long training took.
        cpu_seconds: Its processor time, where known.
        objects: Object ids that test photos show.
        tested: Test photos of each.
        top1: How many of them had the right object first.
        top3: How many had it among the first three.
        top5: How many had it among the first five.
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


def train_jobs(jobs: Sequence[Job], terminal: Terminal) -> list[Run]:
    """Trains the runs that are not there yet; another process may do the same at the same time.

    A run that another process is training is left to it and read when it is done; one that was
    broken off goes on where it was.

    Args:
        jobs: The runs wanted.
        terminal: Where progress goes.

    Returns:
        The runs, in the order of the jobs.
    """
    from filelock import Timeout

    runs: dict[Path, Run] = {}
    for job in jobs:
        try:
            runs[job.folder] = _train(job, terminal, wait=False)
        except Timeout:
            terminal.say(f"{job.name}: another process trains it")
    for job in jobs:
        if job.folder not in runs:
            runs[job.folder] = _train(job, terminal, wait=True)
    return [runs[job.folder] for job in jobs]


def _train(job: Job, terminal: Terminal, *, wait: bool) -> Run:
    from filelock import FileLock

    job.folder.parent.mkdir(parents=True, exist_ok=True)
    assert job.options.cache is not None  # the callers keep it in the benchmark's folder
    job.options.cache.mkdir(parents=True, exist_ok=True)
    reporter = terminal.callbacks.reporter(job.name)
    # The system frees a lock when its process ends, however that comes about.
    mine = FileLock(job.folder.with_name(f".{job.folder.name}.lock"))
    with mine.acquire(timeout=-1 if wait else 0):
        # Photos are prepared by one process; the other finds them in the cache.
        with FileLock(job.options.cache / ".lock"):
            plan = plan_run(job.photos, job.options, reporter)
        options = replace(job.options, force=True)
        return trained_run(job.photos, job.folder, options, plan, reporter)


def score(run: Run, photos: Path, setting: str) -> Scored:
    """Asks a run about photos of its objects; a run asked before is not asked again.

    Args:
        run: The run; the answers are kept beside its folder.
        photos: Test photos, a register. Objects that the run does not know are left out.
        setting: What to call the photos that it was trained on.

    Raises:
        InputError: No photo shows an object of the run.
    """
    found, _ = from_register(read_register(photos), run)
    chosen, _ = exclude_training_photos(found, run)
    kept = run.folder.with_name(f"{run.folder.name}.scored.json")
    try:
        known = Scored.read(kept)
        if (known.model_sha256, known.photos_sha256, known.setting) == (
            run.info.model_sha256,
            list_hash(chosen),
            setting,
        ):
            return known
    except DamagedError:
        pass  # not there, or of another release: ask
    rank, shown = ranks(run, chosen)
    scored = _scored(run, shown, rank, setting=setting, photos_sha256=list_hash(chosen))
    scored.write(kept)
    return scored


def ranks(run: Run, photos: Sequence[TestPhoto]) -> tuple[Indices, list[TestPhoto]]:
    """The place of the right object among a run's answers, 0 is first.

    Returns:
        `[photos]` places, and the photos that could be read, in the same order.
    """
    from train.device import keep_freed_memory

    keep_freed_memory()  # asking takes half the time
    unreadable: list[Skipped] = []
    shown: list[TestPhoto] = []
    parts = []
    with open_reference(run) as session:
        for good, pixels in decode_chunks(photos, run.info.preprocessing, unreadable):
            truth = np.array([photo.object_index for photo in good], dtype=np.int64)
            parts.append(reduce_answers(session.predict(pixels), truth, keep=1))
            shown.extend(good)
    return join_answers(parts).rank, shown


def count_by_object(
    photos: Sequence[TestPhoto], objects: Sequence[str], chosen: Sequence[bool]
) -> tuple[int, ...]:
    """How many of each object's photos are chosen."""
    counts = dict.fromkeys(objects, 0)
    for photo, yes in zip(photos, chosen, strict=True):
        counts[photo.object_id] += bool(yes)
    return tuple(counts.values())


def _scored(
    run: Run, photos: Sequence[TestPhoto], rank: Indices, *, setting: str, photos_sha256: str
) -> Scored:
    objects = sorted({photo.object_id for photo in photos})
    metrics = RunMetrics.read(run.folder / "metrics.json")
    return Scored(
        setting=setting,
        seed=run.info.seed,
        recipe=run.info.recipe,
        model_sha256=run.info.model_sha256,
        photos_sha256=photos_sha256,
        train_photos=run.info.photos.train,
        val_photos=run.info.photos.val,
        seconds=metrics.seconds,
        cpu_seconds=metrics.cpu_seconds,
        objects=tuple(objects),
        tested=count_by_object(photos, objects, [True] * len(photos)),
        top1=count_by_object(photos, objects, (rank < 1).tolist()),
        top3=count_by_object(photos, objects, (rank < 3).tolist()),
        top5=count_by_object(photos, objects, (rank < 5).tolist()),
    )


def pooled(rows: Sequence[Scored], setting: str, recipe: str, k: int = 1) -> Tally:
    """The right answers among the first k of one recipe in one setting, over all seeds."""
    chosen = [row for row in rows if (row.setting, row.recipe) == (setting, recipe)]
    hits = {1: "top1", 3: "top3", 5: "top5"}[k]
    return tally((row.objects, row.tested, getattr(row, hits)) for row in chosen)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Adds options with which a small trial of the whole benchmark takes seconds."""
    for name in ("--backbone", "--weights", "--input-size", "--epochs"):
        parser.add_argument(name, help=argparse.SUPPRESS)


def training_options(arguments: argparse.Namespace, recipe: str, seed: int) -> TrainOptions:
    """How a recipe is trained in a contest: same photos for all, none spent on a test."""
    options = TrainOptions(recipe=recipe, seed=seed, hold_out_test=False, split="stratified")
    if arguments.backbone:
        options = replace(options, backbone=arguments.backbone)
    if arguments.weights:
        options = replace(options, weights=Path(arguments.weights))
    if arguments.input_size:
        options = replace(options, input_size=int(arguments.input_size))
    if arguments.epochs:
        epochs = min(int(arguments.epochs), recipe_named(recipe).epochs)
        options = replace(options, epochs=epochs)
    return options


def whole_numbers(text: str) -> tuple[int, ...]:
    """Numbers given as `0,1,2`, for argparse."""
    return tuple(int(word) for word in text.split(",") if word.strip())


def recipe_names(text: str) -> tuple[str, ...]:
    """Recipes given as `field,paper`, for argparse."""
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    if not set(names) <= set(CONTESTANTS):
        raise argparse.ArgumentTypeError(f"choose from {', '.join(CONTESTANTS)}")
    return names
