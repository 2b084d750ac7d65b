"""The runs of an evaluation: that they belong together, and which photos none of them has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure.evaluation_set import (
    choose_test_photos,
    exclude_training_photos,
    short_path,
    validation_photos,
)
from benchmarks.results.measurement import Skipped, TestPhoto
from mobile_assets.errors import InputError
from mobile_assets.labels import LabelMap
from train.registers.readers import Layout, register_root
from train.run import Run, read_run


@dataclass(frozen=True)
class Ensemble:
    """Runs over the same register, with names of their own and their top-1 on validation photos.

    `root` is the folder that the register's paths are relative to.
    """

    runs: tuple[Run, ...]
    names: tuple[str, ...]
    val_top1: tuple[float | None, ...]
    root: Path

    @property
    def labels(self) -> LabelMap:
        """The label map that all share."""
        return self.runs[0].labels

    @property
    def lead(self) -> int:
        """Position of the member with the best validation accuracy; of equal ones the first."""
        reached = [-1.0 if value is None else value for value in self.val_top1]
        return reached.index(max(reached))


@dataclass(frozen=True)
class PhotoSelection:
    """Photos to answer, none trained on by a member, and those left out, with why.

    Validation photos chose a checkpoint; test photos no member saw.
    """

    test: tuple[TestPhoto, ...]
    validation: tuple[TestPhoto, ...]
    left_out: tuple[Skipped, ...]


def read_ensemble(folders: Sequence[Path], photos: Path) -> Ensemble:
    """Reads the runs and checks that they know the same objects by the same numbers.

    Raises:
        InputError: A folder is no run, a run is given twice, or they are of different registers.
        DamagedError: A run is incomplete.
    """
    runs = tuple(read_run(folder) for folder in folders)
    first = runs[0]
    for other in runs[1:]:
        if other.labels.sha256 != first.labels.sha256:
            raise InputError(
                f"{other.folder} and {first.folder} cannot vote together: their labels.json differ "
                f"({other.info.objects} objects of {other.info.register_name} with at least "
                f"{other.info.min_photos} photos, and {first.info.objects} of "
                f"{first.info.register_name} with {first.info.min_photos}). "
                "Give runs that were trained on the same register with the same --min-photos."
            )
    models = [run.info.model_sha256 for run in runs]
    if len(set(models)) < len(models):
        twice = next(run for n, run in enumerate(runs) if models[n] in models[:n])
        raise InputError(f"{twice.folder} was given twice: it would vote twice. Give it once.")
    root = register_root(photos)
    val_top1 = tuple(run.metrics.val_top1 if run.metrics else None for run in runs)
    return Ensemble(runs, _names(runs), val_top1, root)


def _names(runs: Sequence[Run]) -> tuple[str, ...]:
    """Names of the folders; where two are alike, with the folder above or a number."""
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.folder.resolve().parent.name}/{run.folder.resolve().name}" for run in runs]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({names[: n + 1].count(name)})"
        for n, name in enumerate(names)
    )


def choose_photos(
    ensemble: Ensemble, further: Path | None, layout: Layout = "auto"
) -> PhotoSelection:
    """The photos that every member may be judged on.

    Raises:
        InputError: No test photo is left.
    """
    photos, skipped = choose_test_photos(ensemble.runs[0], ensemble.root, further, layout)
    for name, run in zip(ensemble.names, ensemble.runs, strict=True):
        photos, trained = exclude_training_photos(photos, run)
        skipped = (*skipped, *(Skipped(s.path, f"{s.reason} of {name}") for s in trained))
    if not photos:
        raise InputError(
            f"No test photo is left for {', '.join(ensemble.names)}: all {len(skipped)} were left "
            f"out (first: {short_path(skipped[0].path)}: {skipped[0].reason}). "
            "Give runs with the same --split and --seed, or photos of the same objects with "
            "--test-photos FOLDER."
        )
    # Unseen is what some member has no training photo of.
    known = set(ensemble.labels.object_ids)
    for run in ensemble.runs:
        known &= {photo.object_id for photo in run.split.of("train")}
    test = tuple(replace(photo, seen=photo.object_id in known) for photo in photos)
    return PhotoSelection(test, _validation(ensemble), skipped)


def _validation(ensemble: Ensemble) -> tuple[TestPhoto, ...]:
    """The first run's validation photos that no member was fitted to and that are as they were."""
    first = ensemble.runs[0]
    fitted = {photo.sha256 for run in ensemble.runs for photo in run.fitted_photos}
    known = {photo.object_id for photo in first.split.of("train")}
    return tuple(
        replace(photo, seen=True)
        for photo in validation_photos(first, ensemble.root)
        if photo.sha256 not in fitted and photo.object_id in known
    )
