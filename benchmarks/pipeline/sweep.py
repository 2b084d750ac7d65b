"""Training, exporting and benchmarking at the four thresholds; and benchmarking bundles."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from benchmarks.pipeline.benchmark import REPORT_PACKAGES, BenchmarkOptions, benchmark_bundles
from benchmarks.pipeline.callbacks import Callbacks, Say
from benchmarks.pipeline.worker_processes import Job, run_jobs
from benchmarks.results.schema import Results
from export.variants.options import (
    CALIBRATION_PHOTOS,
    VARIANTS,
    ExportOptions,
    variant_packages,
)
from mobile_assets.bundle import read_bundle
from mobile_assets.errors import ArtefactError, InputError
from mobile_assets.files import sha256_bytes, write_json
from mobile_assets.output_lock import claimed
from mobile_assets.plan_checks import check_packages, check_place
from mobile_assets.schema import Document
from train.recipes import Recipe, recipe_named
from train.registers.inspection import THRESHOLDS
from train.registers.readers import read_register, register_root
from train.run import Run, read_run
from train.trainer import train_run
from train.training_plan import Reporter, TrainingPlan, TrainOptions, check_run, plan_run


@dataclass(frozen=True)
class SweepOptions:
    """What can be chosen of a sweep.

    Attributes:
        train: How each model is trained; its threshold and cache are set by the sweep.
        test_photos: Further photos of the same objects; None to test on held-out ones.
        variants_above: Names of those that are exported above the lowest threshold, too; None for
            the same.
        references: Further runs, measured in torch only: pairs of threshold and recipe.
        processes: How many thresholds are trained and exported side by side.
    """

    train: TrainOptions = field(default_factory=TrainOptions)
    benchmark: BenchmarkOptions = field(default_factory=BenchmarkOptions)
    thresholds: tuple[int, ...] = THRESHOLDS
    test_photos: Path | None = None
    variants: tuple[str, ...] | None = None
    variants_above: tuple[str, ...] | None = None
    calibration_photos: int = 128
    references: tuple[tuple[int, str], ...] = ()
    processes: int = 1
    force: bool = False


class SweepMark(Document):
    """The content of `sweep.json`: which sweep this folder belongs to."""

    settings_sha256: str


def run_sweep(
    photos: Path, out: Path, options: SweepOptions, callbacks: Callbacks | None = None
) -> Results:
    """Trains, exports and benchmarks one model per threshold.

    Writes `out/min3/run`, `out/min3/bundle` and so on, and `out/report`. Called again with the
    same photos and options after it was broken off, it keeps what is finished.

    Raises:
        InputError: `out` holds something else or a finished sweep, or the photos cannot be used.
        KeyboardInterrupt: Ctrl-C; what is finished is kept.
    """
    with claimed(out):
        check_sweep(photos, out, options)
        return _sweep(photos, out, options, callbacks or Callbacks())


def _sweep(photos: Path, out: Path, options: SweepOptions, callbacks: Callbacks) -> Results:
    _claim(out, photos, options)
    prepared = replace(
        options.train,
        cache=options.train.cache or out / "prepared",
        # Every recipe that is compared sees the same photos, whatever its own way of dividing.
        split=options.train.split or recipe_named(options.train.recipe_name).split,
        force=True,
    )
    chosen = replace(options, train=prepared)
    if options.processes > 1:  # photos are decoded, and thresholds without objects refused, once
        for minimum in options.thresholds:
            reporter = callbacks.reporter(f"min{minimum}")
            plan_run(photos, replace(prepared, min_photos=minimum), reporter)
    jobs = [Job(train_and_export, (photos, out, minimum, chosen)) for minimum in options.thresholds]
    run_jobs(jobs, callbacks, processes=options.processes)
    return benchmark_bundles(
        [out / f"min{minimum}" / "bundle" for minimum in options.thresholds],
        photos,
        out / "report",
        test_photos=options.test_photos,
        layout=options.train.layout,
        options=replace(options.benchmark, force=True),
        progress=callbacks.progress,
        cache=prepared.cache,
        references=[
            read_run(out / f"min{minimum}" / recipe)
            for minimum in options.thresholds
            for threshold, recipe in options.references
            if threshold == minimum
        ],
    )


def check_sweep(photos: Path, out: Path, options: SweepOptions) -> None:
    """Refuses at once what one of the thresholds, exports or reports would be refused for later.

    Raises:
        ArtefactError: The photos, an option or the machine cannot be used.
        ModuleNotFoundError: A package is not installed.
    """
    if not options.thresholds or min(options.thresholds) < 1:
        raise InputError(f"Thresholds {options.thresholds}: give numbers of 1 or more.")
    check_place(out, [photos, options.test_photos], what="sweep")
    check_packages(REPORT_PACKAGES)
    for names in (options.variants, options.variants_above):
        chosen = ExportOptions(
            variants=VARIANTS if names is None else names,
            calibration_photos=options.calibration_photos,
        )
        check_packages(variant_packages(chosen.checked_variants()))
    if options.test_photos is not None:
        read_register(options.test_photos, layout=options.train.layout)
    for minimum in options.thresholds:
        recipes = [options.train.recipe_name, *(r for at, r in options.references if at == minimum)]
        for recipe in recipes:
            own = recipe == options.train.recipe_name
            training = replace(options.train, min_photos=minimum, recipe=recipe)
            folder = out / f"min{minimum}" / ("run" if own else recipe)
            # What is trained already needs neither weights nor room.
            if options.force or _finished_run(folder) is None:
                check_run(photos, folder, training if own else _reference(training, recipe))


def _reference(options: TrainOptions, recipe: str) -> TrainOptions:
    """The options of a run that is only compared with: it is trained on all objects."""
    return replace(
        options, recipe=recipe, head=None, epochs=None, hold_out_objects=0.0, fit_validation=None
    )


def train_and_export(
    photos: Path, out: Path, minimum: int, options: SweepOptions, callbacks: Callbacks
) -> None:
    """Makes the run, the bundle and the runs to compare with of one threshold."""
    folder = out / f"min{minimum}"
    chosen = replace(options.train, min_photos=minimum)
    run = _run(photos, folder / "run", chosen, callbacks)
    above = minimum > min(options.thresholds) and options.variants_above is not None
    export_run(
        run,
        photos,
        folder / "bundle",
        options.variants_above if above else options.variants,
        callbacks.say,
        calibration_photos=options.calibration_photos,
        cache=options.train.cache,
    )
    for threshold, recipe in options.references:
        if threshold == minimum:
            _run(photos, folder / recipe, _reference(chosen, recipe), callbacks)


def _run(photos: Path, folder: Path, options: TrainOptions, callbacks: Callbacks) -> Run:
    name = f"{folder.parent.name}{'' if folder.name == 'run' else ' ' + folder.name}"
    reporter = callbacks.reporter(name)
    plan = plan_run(photos, options, reporter)
    return trained_run(photos, folder, options, plan, reporter)


def trained_run(
    photos: Path, folder: Path, options: TrainOptions, plan: TrainingPlan, reporter: Reporter
) -> Run:
    """The run at `folder` if it is the one that would be trained, else a newly trained one."""
    run = _finished_run(folder)
    if run is not None and (
        run.info.photo_list_sha256 == plan.split.sha256
        and _with_defaults(run.info.recipe_settings) == plan.recipe.settings()
        and run.info.backbone == options.backbone
        and run.info.head == (options.head or plan.recipe.head)
        and run.info.seed == options.seed
        and run.info.preprocessing == plan.contract
    ):
        reporter.said("trained before, kept")
        return run
    run = train_run(photos, folder, options, reporter, plan=plan)
    metrics = run.require_metrics()
    reached = "" if metrics.val_top1 is None else f", validation top-1 {metrics.val_top1:.1%}"
    reporter.said(f"trained in {metrics.seconds:.0f} s{reached}")
    return run


def _with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run, with those that recipes had not got then as they were in effect."""
    known = {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}
    return known | dict(settings)


def _finished_run(folder: Path) -> Run | None:
    try:
        return read_run(folder)
    except ArtefactError:
        return None


def export_run(
    run: Run,
    photos: Path,
    folder: Path,
    variants: tuple[str, ...] | None,
    say: Say,
    *,
    calibration_photos: int = CALIBRATION_PHOTOS,
    cache: Path | None = None,
) -> None:
    """Exports a run, unless the bundle of just this run is already there.

    Args:
        variants: Names of the variants; None for all.
        say: Called with a line for the person who waits.
    """
    from benchmarks.verify.golden_predictor import golden_plan
    from export import VARIANTS, ExportOptions, export_bundle

    try:
        bundle = read_bundle(folder)
        if bundle.info.source.model_sha256 == run.info.model_sha256:
            say(f"{folder.parent.name}: exported before, kept")
            return
    except ArtefactError:
        pass  # not there, or not whole: export it
    export_bundle(
        run,
        folder,
        options=ExportOptions(
            variants=variants or VARIANTS,
            name=f"{run.info.register_name} min{run.info.min_photos}",
            calibration_photos=calibration_photos,
            cache=cache,
            force=True,
        ),
        photos=register_root(photos),
        golden=golden_plan(),
        progress=lambda text: say(f"{folder.parent.name}: {text}"),
    )


def _claim(out: Path, photos: Path, options: SweepOptions) -> None:
    """Takes the folder for this sweep, refusing what is not ours to replace."""
    mark = out / "sweep.json"
    settings = _settings_hash(photos, options)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not mark.is_file())):
        raise InputError(f"{out} exists and is not a sweep's folder. Give another --out.")
    if mark.is_file() and not options.force:
        if SweepMark.read(mark).settings_sha256 != settings:
            raise InputError(
                f"{out} holds a sweep of other photos or options. "
                "Give another --out, or --force to replace it."
            )
        if (out / "report").exists():
            raise InputError(
                f"{out} holds a finished sweep. Give another --out, or --force to do it again."
            )
    if options.force and out.exists():
        for name in ("report", "prepared", *(f"min{n}" for n in range(1, 100))):
            shutil.rmtree(out / name, ignore_errors=True)
    write_json(mark, SweepMark(settings_sha256=settings).model_dump())


def can_go_on(photos: Path, out: Path, options: SweepOptions) -> bool:
    """Whether `out` holds a sweep of these photos and options that was broken off."""
    mark = out / "sweep.json"
    return (
        mark.is_file()
        and SweepMark.read(mark).settings_sha256 == _settings_hash(photos, options)
        and not (out / "report").exists()
    )


def _settings_hash(photos: Path, options: SweepOptions) -> str:
    values: dict[str, Any] = asdict(options)
    values.pop("force")
    values.pop("processes")
    values["benchmark"].pop("gates")  # what is asked of the results changes none of them
    values["photos"] = photos.resolve()
    return sha256_bytes(repr(sorted(values.items())).encode("utf-8"))
