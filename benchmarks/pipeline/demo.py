"""The main job on the demo register: photos in, bundles and a parity report out."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_assets.errors import InputError
from mobile_assets.files import check_output

if TYPE_CHECKING:
    from benchmarks.pipeline.terminal import Terminal
    from train.demo import DemoRegister


@dataclass(frozen=True)
class DemoOptions:
    """What can be chosen of the demo.

    Attributes:
        objects: Number of objects.
        seed: Of the objects, the photos, the split and the training.
        extra_views: Studio views per object that are tested and never trained on.
        field_views: Views per object in field scenes; rendered for trying out, not tested.
        only_photos: Render and stop.
        force: Replace a demo that is there; pictures already rendered are kept.
    """

    objects: int = 36
    seed: int = 2667
    extra_views: int = 6
    field_views: int = 1
    only_photos: bool = False
    force: bool = False


def run_demo(out: Path, options: DemoOptions, terminal: Terminal) -> None:
    """Renders the register, sweeps the four thresholds and prints the parity table.

    Args:
        out: Folder of the demo: `photos` and `sweep` in it.
        options: What was chosen.
        terminal: Where progress and the result go.

    Raises:
        InputError: `out` is there already, or an option is out of range.
    """
    from benchmarks.pipeline.sweep import SweepOptions, run_sweep
    from train.training_plan import TrainOptions

    finished = out / "sweep" / "report"
    if not (out / "photos" / "demo.json").is_file() or finished.exists():
        check_output(out, force=options.force, what="demo")
    register = _render(out / "photos", options, terminal)
    terminal.say(f"{register.objects} objects, {register.photos} photos: {register.register}")
    if options.only_photos:
        return
    results = run_sweep(
        register.register,
        out / "sweep",
        SweepOptions(
            train=TrainOptions(seed=options.seed, hold_out_test=register.extra is None),
            test_photos=register.extra,
            force=options.force,
        ),
        terminal,
    )
    terminal.results(results, out / "sweep" / "report")
    photo = next(iter(sorted((register.field or register.register).rglob("*.jpg"))))
    terminal.say(f"Try: artefact-id identify {out / 'sweep' / 'min3' / 'bundle'} {photo}")


def _render(folder: Path, options: DemoOptions, terminal: Terminal) -> DemoRegister:
    from train.demo import DemoError, DemoSpec, generate_demo_register

    try:
        spec = DemoSpec(
            objects=options.objects,
            seed=options.seed,
            extra_views=options.extra_views,
            field_views=options.field_views,
        )
        try:
            return generate_demo_register(
                folder, spec, progress=terminal.progress("rendering photos")
            )
        except DemoError:
            if not options.force:
                raise
            shutil.rmtree(folder)  # of another specification, and --force was given
            return generate_demo_register(
                folder, spec, progress=terminal.progress("rendering photos")
            )
    except DemoError as error:
        raise InputError(str(error)) from None
