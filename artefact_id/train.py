"""From photos to runs: `demo`, `inspect`, `train` and `evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from artefact_id.options import (
    PHOTOS_HELP,
    add_layout,
    add_out,
    add_photos,
    add_training,
    command,
    register_heif,
    train_options,
)
from mobile_assets.errors import InputError


def add_demo(commands: Any) -> None:
    """Adds the command `demo`."""
    parser = command(
        commands,
        "demo",
        _demo,
        "do the whole job on a generated register, start to report",
        "Renders museum objects, trains at the four thresholds, exports to TFLite and Core ML,\n"
        "and proves that the phone's models answer like the full-precision one.\n\n"
        "  artefact-id demo\n"
        "  artefact-id demo --objects 4332 --only-photos --out paper-sized",
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder (default: demo)")
    parser.add_argument("--force", action="store_true", help="replace a demo that is there")
    parser.add_argument("--objects", type=int, help="how many objects (default: 36; paper: 4332)")
    parser.add_argument("--seed", type=int, default=2667, help="of objects, photos and training")
    parser.add_argument(
        "--extra-views", type=int, help="test photos per object beyond the register"
    )
    parser.add_argument("--field-views", type=int, help="field photos per object")
    parser.add_argument("--only-photos", action="store_true", help="render the register and stop")


def _demo(options: argparse.Namespace) -> None:
    from benchmarks.pipeline.demo import DemoOptions, run_demo
    from benchmarks.pipeline.terminal import Terminal

    given = {
        name: getattr(options, name)
        for name in ("objects", "seed", "extra_views", "field_views", "only_photos", "force")
        if getattr(options, name) is not None
    }
    with Terminal() as terminal:
        run_demo(options.out, DemoOptions(**given), terminal)


def add_inspect(commands: Any) -> None:
    """Adds the command `inspect`."""
    parser = command(
        commands,
        "inspect",
        _inspect,
        "show what a register holds and what is wrong with it",
        "Decodes every photo once. Unreadable photos are listed with the reason.",
    )
    add_photos(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _inspect(options: argparse.Namespace) -> None:
    from benchmarks.pipeline.terminal import Terminal
    from train.inspection import inspect

    register_heif()
    with Terminal() as terminal:
        found = inspect(
            options.photos, layout=options.layout, progress=terminal.progress("decoding photos")
        )
        terminal.inspection(found, json=options.json)


_NETWORK = "the network is that of RUN, which is the teacher as well"
_PHOTOS = "the objects, and the photos of each side, are those of RUN"
_LENGTH = "fine-tuning for 8 bits has a recipe of its own, and --qat-steps says how long it takes"
NOT_BESIDE_QAT = {
    "backbone": _NETWORK,
    "head": _NETWORK,
    "input_size": _NETWORK,
    "weights": _NETWORK,
    "min_photos": _PHOTOS,
    "split": _PHOTOS,
    "hold_out_test": _PHOTOS,
    "recipe": _LENGTH,
    "epochs": _LENGTH,
    "patience": _LENGTH,
}
"""Options of training that fine-tuning for 8 bits cannot obey, and why."""


def add_train(commands: Any) -> None:
    """Adds the command `train`."""
    parser = command(
        commands,
        "train",
        _train,
        "fine-tune one model, each object a class of its own",
        "  artefact-id train photos --out run\n"
        "  artefact-id train photos --out run --min-photos 5 --recipe paper --split paper\n\n"
        "A training that is broken off goes on when the same command is given again. Several GPUs\n"
        "or processes train together when torchrun starts it:\n\n"
        "  torchrun --nproc-per-node 2 -m artefact_id train photos --out run\n\n"
        "A finished run whose 8-bit forms change too many answers can learn to live with them:\n\n"
        "  artefact-id train photos --resume run --qat --out run-qat\n"
        "  artefact-id export run-qat --photos photos --out bundle\n\n"
        "run-qat holds the float network of the run, unchanged, which was the teacher, and 8-bit\n"
        "weights beside it. tflite-int8 and coreml-w8a8 are made of these, all other variants of\n"
        "the float network, and every comparison is with the float network. Little is gained\n"
        "where rounding after training does well: 130 steps took 1.3 dB off the noise in the\n"
        "answers of an EfficientNet-Lite0, and 8 of 546 photos changed theirs, not 9. Try it\n"
        "where benchmark shows tflite-int8 to miss its gate; a table says what it came to.",
    )
    add_photos(parser)
    add_out(parser, "RUN")
    _add_qat(parser)
    parser.add_argument(
        "--min-photos", type=int, default=3, help="leave out objects with fewer (default: 3)"
    )
    parser.add_argument(
        "--no-test",
        dest="hold_out_test",
        action="store_false",
        help="hold out validation photos only: test photos come from elsewhere",
    )
    add_training(parser)
    # Where nothing is given nothing is set, so that beside --qat what is given can be refused.
    parser.set_defaults(**dict.fromkeys(NOT_BESIDE_QAT))


def _add_qat(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("quantisation-aware fine-tuning")
    group.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="begin with the network of a finished run; with --qat only (a training that was "
        "broken off goes on by itself)",
    )
    group.add_argument(
        "--qat",
        action="store_true",
        help="fine-tune that network with weights and activations rounded to 8 bits; backbone, "
        "head, objects and split are the run's, so no other option of training may be given "
        "but --seed, --device and --cache",
    )
    group.add_argument(
        "--qat-steps", type=int, metavar="N", help="with --qat: batches of 16 (default: 200)"
    )


def _train(options: argparse.Namespace) -> None:
    from benchmarks.pipeline.terminal import Terminal
    from train.parallel import is_first_process
    from train.trainer import train_run

    _check_qat(options)
    register_heif()
    if options.qat:
        _train_qat(options)
        return
    with Terminal() as terminal:
        run = train_run(options.photos, options.out, train_options(options), terminal.reporter())
        if is_first_process():
            terminal.trained(run)


def _check_qat(options: argparse.Namespace) -> None:
    """Refuses options that would change nothing."""
    if options.qat != (options.resume is not None):
        raise InputError(
            "--resume RUN and --qat go together: --qat fine-tunes the finished run RUN for 8 bits. "
            "A training that was broken off goes on by itself when the same command is given again."
        )
    if not options.qat:
        if options.qat_steps is not None:
            raise InputError(
                f"--qat-steps {options.qat_steps} is for --qat only. Add --resume RUN --qat to "
                "fine-tune a finished run for 8 bits, or say with --epochs how long to train."
            )
        return
    for name, why in NOT_BESIDE_QAT.items():
        if getattr(options, name) is not None:
            word = "no-test" if name == "hold_out_test" else name.replace("_", "-")
            raise InputError(f"--{word} changes nothing beside --qat: {why}. Leave it out.")


def _train_qat(options: argparse.Namespace) -> None:
    from benchmarks.pipeline.terminal import Terminal
    from export.qat.fine_tune import QatOptions, fine_tune
    from train.run import read_run

    names = ("seed", "layout", "device", "cache", "force")
    chosen = {name: getattr(options, name) for name in names}
    if options.qat_steps is not None:
        chosen["steps"] = options.qat_steps
    with Terminal() as terminal:
        source = read_run(options.resume)
        run = fine_tune(
            options.photos, source, options.out, QatOptions(**chosen), terminal.reporter()
        )
        terminal.fine_tuned(run)


def add_evaluate(commands: Any) -> None:
    """Adds the command `evaluate`."""
    parser = command(
        commands,
        "evaluate",
        _evaluate,
        "show the accuracy of a run, or of several that vote, in tables and figures",
        "  artefact-id evaluate run --photos photos --out evaluation\n"
        "  artefact-id evaluate run1 run2 run3 --photos photos --out evaluation\n"
        "  artefact-id evaluate run --photos photos --json\n\n"
        "Several runs must be of the same register; they vote by the mean of their probabilities.\n"
        "Photos that any of them trained on or validated with are left out.",
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of `train`")
    parser.add_argument("--photos", type=Path, required=True, help="the register: " + PHOTOS_HELP)
    parser.add_argument(
        "--test-photos", type=Path, help="further photos of the same objects, tested as well"
    )
    add_layout(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for tables and the page")
    parser.add_argument("--force", action="store_true", help="replace a folder that is there")
    parser.add_argument("--json", action="store_true", help="print evaluation.json")
    parser.add_argument(
        "--figures",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="draw figures into --out (default: yes)",
    )
    parser.add_argument(
        "--resamples", type=int, default=1000, help="draws for the intervals (default: 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws and figures (default: 0)")
    parser.add_argument("--latency-runs", type=int, default=15, help="timed runs (default: 15)")


def _evaluate(options: argparse.Namespace) -> None:
    from benchmarks.evaluation.console import print_evaluation
    from benchmarks.evaluation.evaluate import EvaluateOptions, evaluate_runs
    from benchmarks.pipeline.terminal import Terminal

    register_heif()
    for name, least in (("resamples", 0), ("latency_runs", 0), ("seed", 0)):
        value = getattr(options, name)
        if value < least:
            raise InputError(f"--{name.replace('_', '-')} {value}: give {least} or more.")
    with Terminal() as terminal:
        evaluation = evaluate_runs(
            options.runs,
            options.photos,
            further=options.test_photos,
            out=options.out,
            options=EvaluateOptions(
                resamples=options.resamples,
                seed=options.seed,
                latency_runs=options.latency_runs,
                figures=options.figures,
                layout=options.layout,
                force=options.force,
            ),
            progress=terminal.step,
        )
    print_evaluation(evaluation, options.out, json=options.json)
