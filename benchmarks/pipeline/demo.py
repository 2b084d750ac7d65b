"""The main job on the demo register: photos in, bundles and a parity report out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pipeline.benchmark import REPORT_PACKAGES, BenchmarkOptions
from benchmarks.pipeline.callbacks import Callbacks
from benchmarks.pipeline.sweep import SweepOptions, can_go_on, run_sweep
from benchmarks.pipeline.time_estimate import estimated
from benchmarks.results.schema import Results
from export.variants.options import VARIANTS, variant_packages
from mobile_assets.files import check_output
from mobile_assets.plan_checks import check_packages, check_room
from train.decode_pool import available_cores
from train.registers.inspection import THRESHOLDS
from train.training_plan import TrainOptions

if TYPE_CHECKING:
    from train.demo import DemoRegister


@dataclass(frozen=True)
class DemoScale:
    """How much the demo does.

    Attributes:
        extra_views: Studio views per object that are tested and never trained on.
        field_views: Views per object in field scenes; rendered for trying out, not tested.
        input_size: Side of the network's input in pixels; None for the backbone's own.
        variants_above: What is exported above the lowest threshold; None for everything.
        notes: What is left out, a sentence each, for the report.
    """

    objects: int
    extra_views: int
    field_views: int
    input_size: int | None
    epochs: int | None
    variants_above: tuple[str, ...] | None
    calibration_photos: int
    benchmark: BenchmarkOptions
    notes: tuple[str, ...]


QUICK = DemoScale(
    objects=24,
    extra_views=5,
    field_views=1,
    input_size=192,
    epochs=6,
    variants_above=("tflite-float32", "tflite-int8", "coreml-float16", "coreml-w8a8"),
    calibration_photos=48,
    benchmark=BenchmarkOptions(
        latency_runs=20, warmup=5, threads=(1, 2), starts=1, speed_above=False, preprocessing=40
    ),
    notes=(
        "The quick demo: 24 objects, pictures of 192 pixels, 6 passes of training, weights rounded "
        "on 48 photos. The command artefact-id demo --full leaves nothing out.",
        "Speed is that of the lowest threshold: the networks of the others differ in their last "
        "layer alone.",
    ),
)
"""Minutes on a laptop."""

FULL = DemoScale(
    objects=36,
    extra_views=6,
    field_views=1,
    input_size=None,
    epochs=None,
    variants_above=None,
    calibration_photos=128,
    benchmark=BenchmarkOptions(),
    notes=(),
)
"""As a register of one's own is trained and measured."""


_DEMO_BYTES = 300_000_000
"""About what the quick demo writes."""

_VARIANT_SECONDS = {
    "tflite-float32": 8,
    "tflite-float16": 1,
    "tflite-int8-weights": 30,
    "tflite-int8": 15,
    "coreml-float32": 3,
    "coreml-float16": 2,
    "coreml-int8-weights": 2,
    "coreml-palette6": 20,
    "coreml-w8a8": 8,
}
"""Seconds of one processor that each export of the quick demo takes."""


def stage_seconds(variants_above: tuple[str, ...] | None) -> dict[str, float]:
    """Seconds of processor time per stage of the quick demo; the full one shares them alike."""
    seconds: dict[str, float] = {"rendering photos": 70}
    for minimum, training in zip(THRESHOLDS, (30, 25, 20, 18), strict=True):
        lowest = minimum == THRESHOLDS[0]
        variants = tuple(_VARIANT_SECONDS) if lowest else variants_above or tuple(_VARIANT_SECONDS)
        seconds[f"min{minimum}: training"] = training
        for variant in variants:
            seconds[f"min{minimum}: {variant}"] = _VARIANT_SECONDS[variant]
        seconds[f"min{minimum}: Making golden vectors"] = 6
        seconds[f"register min{minimum}: validation"] = 0.15 * len(variants)
        seconds[f"register min{minimum}"] = 1.5 * len(variants)
        seconds[f"register min{minimum}: speed"] = 80 if lowest else 0
    return seconds


@dataclass(frozen=True)
class DemoOptions:
    """What can be chosen of the demo.

    Attributes:
        force: Replace a finished demo; pictures already rendered are kept, and a demo of the same
            options that was broken off goes on.
    """

    full: bool = False
    objects: int | None = None
    seed: int = 2667
    extra_views: int | None = None
    field_views: int | None = None
    only_photos: bool = False
    force: bool = False


@dataclass(frozen=True)
class DemoResult:
    """What the demo made.

    Attributes:
        results: What was measured; None if only photos were asked for.
    """

    results: Results | None
    report: Path
    bundle: Path
    photo: Path


def run_demo(out: Path, options: DemoOptions, callbacks: Callbacks | None = None) -> DemoResult:
    """Renders the register and sweeps the four thresholds, two side by side.

    Called again after it was broken off, it keeps what is finished.

    Raises:
        InputError: `out` is there already, or an option is out of range.
        KeyboardInterrupt: Ctrl-C; what is finished is kept.
    """
    callbacks = callbacks or Callbacks()
    scale = FULL if options.full else QUICK
    report = out / "sweep" / "report"
    if not (out / "photos" / "demo.json").is_file() or report.exists():
        check_output(out, force=options.force, what="demo")
    if not options.only_photos:
        check_packages((*REPORT_PACKAGES, *variant_packages(VARIANTS)))
        check_room(out, _DEMO_BYTES, what="The demo")
        callbacks = estimated(callbacks, stage_seconds(scale.variants_above))
    register = _render(out / "photos", scale, options, callbacks)
    callbacks.say(f"{register.objects} objects, {register.photos} photos: {register.register}")
    photo = min((register.field or register.extra or register.register).rglob("*.jpg"))
    bundle = out / "sweep" / "min3" / "bundle"
    if options.only_photos:
        return DemoResult(None, report, bundle, photo)
    chosen = SweepOptions(
        train=TrainOptions(
            seed=options.seed,
            hold_out_test=register.extra is None,
            input_size=scale.input_size,
            epochs=scale.epochs,
        ),
        benchmark=replace(scale.benchmark, notes=scale.notes),
        test_photos=register.extra,
        variants_above=scale.variants_above,
        calibration_photos=scale.calibration_photos,
        processes=min(2, available_cores()),
    )
    sweep = out / "sweep"
    force = options.force and not can_go_on(register.register, sweep, chosen)
    results = run_sweep(register.register, sweep, replace(chosen, force=force), callbacks)
    return DemoResult(results, report, bundle, photo)


def _render(
    folder: Path, scale: DemoScale, options: DemoOptions, callbacks: Callbacks
) -> DemoRegister:
    from train.demo import DemoError, DemoSpec, generate_demo_register

    def chosen(name: str) -> int:
        value = getattr(options, name)
        return int(getattr(scale, name) if value is None else value)

    progress = callbacks.steps("rendering photos")
    spec = DemoSpec(
        objects=chosen("objects"),
        seed=options.seed,
        extra_views=chosen("extra_views"),
        field_views=chosen("field_views"),
    )
    try:
        return generate_demo_register(folder, spec, progress=progress)
    except DemoError:
        if not options.force:
            raise
        shutil.rmtree(folder)  # of another specification, and --force was given
        return generate_demo_register(folder, spec, progress=progress)
