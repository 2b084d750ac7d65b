"""The command `train`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from artefact_id.options import (
    add_out,
    add_photos,
    add_training,
    command,
    register_heif,
    train_options,
)

if TYPE_CHECKING:
    from train.run import Run


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
        "  torchrun --nproc-per-node 2 -m artefact_id train photos --out run",
    )
    add_photos(parser)
    add_out(parser, "RUN")
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


def _train(options: argparse.Namespace) -> None:
    from artefact_id.terminal import Terminal
    from train.parallel import is_first_process
    from train.trainer import train_run

    register_heif()
    with Terminal() as terminal:
        reporter = terminal.callbacks.reporter()
        run = train_run(options.photos, options.out, train_options(options), reporter)
    if is_first_process():
        _print(run)


def _print(run: Run) -> None:
    """Says what a training reached."""
    from artefact_id.terminal import messages
    from mobile_assets.visible_text import visible

    metrics = run.require_metrics()
    reached = (
        "no validation photos"
        if metrics.val_top1 is None
        else f"{metrics.val_top1:.1%} top-1 on {metrics.val_photos} validation photos"
    )
    if metrics.enrolled_top1 is not None:
        reached += (
            f", {metrics.enrolled_top1:.1%} on {metrics.enrolled_photos} of the "
            f"{len(run.held_out)} objects kept out"
        )
    messages().print(
        visible(f"{run.folder}: {run.info.objects} objects, {reached}, {metrics.seconds:.0f} s"),
        markup=False,
        soft_wrap=True,
    )
