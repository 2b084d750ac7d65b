"""The command `train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from artefact_id.options import (
    add_out,
    add_photos,
    add_training,
    command,
    register_heif,
    train_options,
)
from mobile_assets.errors import InputError

if TYPE_CHECKING:
    from train.run import Run

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
    from artefact_id.terminal import Terminal
    from train.parallel import is_first_process
    from train.trainer import train_run

    _check_qat(options)
    register_heif()
    if options.qat:
        _train_qat(options)
        return
    with Terminal() as terminal:
        reporter = terminal.callbacks.reporter()
        run = train_run(options.photos, options.out, train_options(options), reporter)
    if is_first_process():
        _print(run)


def _print(run: Run) -> None:
    """Says what a training reached."""
    from artefact_id.terminal import messages

    metrics = run.require_metrics()
    reached = (
        "no validation photos"
        if metrics.val_top1 is None
        else f"{metrics.val_top1:.1%} top-1 on {metrics.val_photos} validation photos"
    )
    messages().print(
        f"{run.folder}: {run.info.objects} objects, {reached}, {metrics.seconds:.0f} s",
        markup=False,
        soft_wrap=True,
    )


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
    from artefact_id.terminal import Terminal
    from export.qat.fine_tune import QatOptions, fine_tune
    from train.run import read_run

    names = ("seed", "layout", "device", "cache", "force")
    chosen = {name: getattr(options, name) for name in names}
    if options.qat_steps is not None:
        chosen["steps"] = options.qat_steps
    source = read_run(options.resume)
    with Terminal() as terminal:
        reporter = terminal.callbacks.reporter()
        run = fine_tune(options.photos, source, options.out, QatOptions(**chosen), reporter)
    _print_quantised(run)


def _print_quantised(run: Run) -> None:
    """Says what quantisation-aware fine-tuning reached."""
    from rich.table import Table

    from artefact_id.terminal import messages, output

    quantised = run.info.quantised
    assert quantised is not None
    table = Table("weights", "with the float network's answer", "divergence from it")
    for name, agreement, drift in (
        ("rounded after training", quantised.agreement_before, quantised.divergence_before),
        ("fine-tuned for 8 bits", quantised.agreement, quantised.divergence),
    ):
        table.add_row(name, _with_interval(agreement, quantised.photos), f"{drift:.5f} nats")
    output().print(table)
    copies = f", {quantised.copies} of them altered copies," if quantised.copies else ""
    messages().print(
        f"{run.folder}: 8-bit weights of epoch {quantised.epoch}, measured on {quantised.photos} "
        f"photos{copies} that were not learned from, {quantised.seconds:.0f} s",
        markup=False,
        soft_wrap=True,
    )


def _with_interval(share: float, photos: int) -> str:
    """A share of photos, as a percentage with its 95 % interval."""
    from benchmarks.results.classification import wilson_interval

    low, high = wilson_interval(round(share * photos), photos) or (0.0, 1.0)
    return f"{share:.1%} (95% interval {100 * low:.1f}-{100 * high:.1f})"
