"""Training, exporting and benchmarking at the four thresholds; and benchmarking bundles."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pipeline.benchmark import BenchmarkOptions, benchmark_bundles
from mobile_assets.bundle import read_bundle
from mobile_assets.errors import ArtefactError, InputError
from mobile_assets.files import sha256_bytes, write_json
from mobile_assets.schema import Document
from train.inspection import THRESHOLDS
from train.recipes import Recipe, recipe_named
from train.run import Run, RunMetrics, read_run
from train.trainer import train_run
from train.training_plan import TrainingPlan, TrainOptions, plan_run

if TYPE_CHECKING:
    from benchmarks.pipeline.terminal import Terminal
    from benchmarks.results.schema import Results


@dataclass(frozen=True)
class SweepOptions:
    """What can be chosen of a sweep.

    Attributes:
        train: How each model is trained; its threshold and cache are set by the sweep.
        benchmark: How each bundle is measured.
        thresholds: The threshold data sets.
        test_photos: Further photos of the same objects; None to test on held-out ones.
        variants: Names of the variants to export; None for all.
        references: Further runs, measured in torch only: pairs of threshold and recipe.
        force: Replace a finished sweep.
    """

    train: TrainOptions = field(default_factory=TrainOptions)
    benchmark: BenchmarkOptions = field(default_factory=BenchmarkOptions)
    thresholds: tuple[int, ...] = THRESHOLDS
    test_photos: Path | None = None
    variants: tuple[str, ...] | None = None
    references: tuple[tuple[int, str], ...] = ()
    force: bool = False


class SweepMark(Document):
    """The content of `sweep.json`: which sweep this folder belongs to."""

    settings_sha256: str


def run_sweep(photos: Path, out: Path, options: SweepOptions, terminal: Terminal) -> Results:
    """Trains, exports and benchmarks one model per threshold.

    Writes `out/min3/run`, `out/min3/bundle` and so on, and `out/report`. Called again with the
    same photos and options after it was broken off, it keeps what is finished.

    Args:
        photos: The register.
        out: Folder of the sweep.
        options: What was chosen.
        terminal: Where progress goes.

    Raises:
        InputError: `out` holds something else or a finished sweep, or the photos cannot be used.
    """
    _claim(out, photos, options)
    prepared = replace(
        options.train,
        cache=options.train.cache or out / "prepared",
        # Every recipe that is compared sees the same photos, whatever its own way of dividing.
        split=options.train.split or recipe_named(options.train.recipe).split,
    )
    bundles: list[Path] = []
    references: list[Run] = []
    for minimum in options.thresholds:
        folder = out / f"min{minimum}"
        chosen = replace(prepared, min_photos=minimum, force=True)
        run = _run(photos, folder / "run", chosen, terminal)
        bundles.append(folder / "bundle")
        export_run(run, photos, folder / "bundle", options.variants, terminal)
        for threshold, recipe in options.references:
            if threshold == minimum:
                other = replace(chosen, recipe=recipe, head=None, epochs=None)
                references.append(_run(photos, folder / recipe, other, terminal))
    return benchmark_bundles(
        bundles,
        photos,
        out / "report",
        test_photos=options.test_photos,
        layout=options.train.layout,
        options=replace(options.benchmark, force=True),
        terminal=terminal,
        references=references,
    )


def _run(photos: Path, folder: Path, options: TrainOptions, terminal: Terminal) -> Run:
    name = f"{folder.parent.name}{'' if folder.name == 'run' else ' ' + folder.name}"
    plan = plan_run(photos, options, terminal.reporter(f"{name}: "))
    return trained_run(photos, folder, options, plan, terminal, name=name)


def trained_run(
    photos: Path,
    folder: Path,
    options: TrainOptions,
    plan: TrainingPlan,
    terminal: Terminal,
    *,
    name: str,
) -> Run:
    """The run at `folder` if it is the one that would be trained, else a newly trained one.

    Args:
        photos: The register.
        folder: Where the run belongs.
        options: How it is trained.
        plan: `plan_run` of these photos and options.
        terminal: Where progress goes.
        name: What to call the run there.
    """
    found = _finished_run(folder)
    if found is not None and (
        found.info.photo_list_sha256 == plan.split.sha256
        and _with_defaults(found.info.recipe_settings) == plan.recipe.settings()
        and found.info.backbone == options.backbone
        and found.info.head == (options.head or plan.recipe.head)
        and found.info.seed == options.seed
        and found.info.preprocessing == plan.contract
    ):
        terminal.say(f"{name}: trained before, kept")
        return found
    run = train_run(photos, folder, options, terminal.reporter(f"{name}: "), plan=plan)
    metrics = RunMetrics.read(run.folder / "metrics.json")
    reached = "" if metrics.val_top1 is None else f", validation top-1 {metrics.val_top1:.1%}"
    terminal.say(f"{name}: trained in {metrics.seconds:.0f} s{reached}")
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
    run: Run, photos: Path, folder: Path, variants: tuple[str, ...] | None, terminal: Terminal
) -> None:
    """Exports a run, unless the bundle of just this run is already there.

    Args:
        run: The run.
        photos: The register, for calibration.
        folder: The bundle's folder.
        variants: Names of the variants; None for all.
        terminal: Where progress goes.
    """
    from benchmarks.verify.golden_predictor import golden_plan
    from export import VARIANTS, ExportOptions, export_bundle

    try:
        bundle = read_bundle(folder)
        if bundle.info.source.model_sha256 == run.info.model_sha256:
            terminal.say(f"{folder.parent.name}: exported before, kept")
            return
    except ArtefactError:
        pass  # not there, or not whole: export it
    name = f"{run.info.register_name} min{run.info.min_photos}"
    export_bundle(
        run,
        folder,
        options=ExportOptions(variants=variants or VARIANTS, name=name, force=True),
        photos=photos.parent if photos.is_file() else photos,
        golden=golden_plan(),
        progress=lambda text: terminal.say(f"{folder.parent.name}: {text}"),
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


def _settings_hash(photos: Path, options: SweepOptions) -> str:
    values: dict[str, Any] = asdict(options)
    values.pop("force")
    values["benchmark"].pop("gates")  # what is asked of the results changes none of them
    values["photos"] = photos.resolve()
    return sha256_bytes(repr(sorted(values.items())).encode("utf-8"))
