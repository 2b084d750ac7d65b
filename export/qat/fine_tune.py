"""Quantisation-aware fine-tuning: 8-bit weights that answer as the float network does.

The run's own network is the teacher. The student is the same network with weights and activations
rounded as in the integer files, and learns to give the teacher's logits for augmented training
photos: what a photo shows does not matter, only that answers stay the same.

The rounding is our own and not that of torchao's PT2E flow (tried: torchao 0.18, litert-torch
0.10). Preparing for training with litert-torch's quantiser stops with an error on its patterns of
convolution and batch norm; with these left out it trains and converts, but into files with a
float32 input and a float32 stretch around every padding and SiLU (25 pairs of conversions in an
EfficientNet-Lite0, where the full-integer file has one), and Core ML would need a second quantiser
with other grids.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from export.network.fold import fold_network
from export.qat.photos import held_out, pixels_of, training_photos
from export.qat.run_files import Learned
from export.qat.student import make_student
from export.qat.trainer import QatTrainer
from mobile_assets.errors import InputError
from mobile_assets.files import check_output
from train.batches import Photos, predict_batches
from train.checkpoint import Checkpoint
from train.device import choose_compute, keep_freed_memory
from train.prepare import Prepared, default_cache, prepare
from train.readers import Layout, read_register
from train.recipes import FIELD, Recipe
from train.run import Run, load_model, read_run
from train.signals import InterruptHandler
from train.training_plan import Reporter

CALIBRATION = 128
"""On so many photos the student is begun; as many as an export takes unless told otherwise."""

PASSES = 4
"""At least so many epochs, however many photos there are: the rate has to fall."""


@dataclass(frozen=True)
class QatOptions:
    """What can be chosen of a quantisation-aware fine-tuning.

    Attributes:
        steps: How many batches are trained on.
        batch: Photos of a batch.
        rate: The highest learning rate; for weights in 8-bit steps.
        seed: Of the choice and order of photos and the augmentation.
        layout: How folders are meant.
        device: `auto`, `cpu`, `cuda` or `mps`.
        cache: Folder of prepared photos; None for the user's cache folder.
        force: Replace a run that is already there.
    """

    steps: int = 200
    batch: int = 16
    rate: float = 0.001
    seed: int = 0
    layout: Layout = "auto"
    device: str = "auto"
    cache: Path | None = None
    force: bool = False

    def recipe(self, photos: int) -> Recipe:
        """How a student is trained on so many photos."""
        epochs = max(PASSES, round(self.steps * self.batch / photos))
        return Recipe(
            name="qat",
            head="",
            head_epochs=0,
            head_views=0,
            head_rate=0.0,
            epochs=epochs,
            rate=self.rate,
            backbone_rate=1.0,
            optimiser="adam",
            weight_decay=0.0,
            schedule="cosine",
            batch=self.batch,
            freeze_statistics=True,
            label_smoothing=0.0,
            settled=0.25,
            augmentation=FIELD.augmentation,
        )


def fine_tune(
    photos: Path, run: Run, out: Path, options: QatOptions, reporter: Reporter | None = None
) -> Run:
    """Fine-tunes a finished run for 8 bits and writes a run that holds both networks.

    Args:
        photos: The register that the run was trained on.
        run: The finished run; its network is the teacher and stays as it is.
        out: The run folder to write; it appears whole or not at all.
        options: What was chosen.
        reporter: Where progress goes.

    Raises:
        InputError: The photos, the run or `out` cannot be used.
        TrainingInterrupted: Somebody asked for an end; the same call goes on from there.
    """
    from export.qat.run_files import write_run

    reporter = reporter or Reporter()
    check_output(out, force=options.force, what="run")
    _check(run, options)
    prepared = prepare(
        read_register(photos, layout=options.layout),
        run.info.preprocessing,
        options.cache or default_cache(),
        progress=reporter.prepared,
        said=reporter.said,
    )
    settings = dataclasses.replace(options, cache=None, force=False)
    checkpoint = Checkpoint.beside(out, run.info.model_dump_json(), settings)
    with checkpoint.kept_if_disk_is_full(checkpoint.folder):
        learned = _learn(run, prepared, options, reporter, checkpoint)
    with checkpoint.kept_if_disk_is_full(out):
        write_run(run, learned, out, force=options.force)
    checkpoint.remove()
    return read_run(out)


def _check(run: Run, options: QatOptions) -> None:
    if run.info.quantised is not None:
        raise InputError(
            f"{run.folder} was already fine-tuned for 8 bits. Give the run that it was made from "
            f"({run.info.quantised.source})."
        )
    if options.steps < 1 or options.batch < 2:
        raise InputError(f"--qat-steps {options.steps}: give 1 or more.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "--qat runs in one process: start it without torchrun. Its threads use all cores."
        )


def _learn(
    run: Run, prepared: Prepared, options: QatOptions, reporter: Reporter, checkpoint: Checkpoint
) -> Learned:
    train = training_photos(run, prepared)
    compute = choose_compute(options.device)
    if compute.device.type == "cpu":
        keep_freed_memory()
    reporter.said("rounding the network, as an export does")
    teacher = fold_network(load_model(run), run.info.preprocessing)
    student = make_student(teacher, pixels_of(prepared, train[:CALIBRATION])[:])
    if student is None:
        raise InputError(
            f"The layers of {run.info.backbone} cannot be followed one by one, so it cannot be "
            "fine-tuned for 8 bits. Choose another backbone, or export without."
        )
    chosen = train[: max(2, options.steps * options.batch // PASSES)]
    recipe = options.recipe(len(chosen))
    others = held_out(run, prepared, train, recipe, seed=options.seed)
    answers = predict_batches(teacher, others.pixels, compute)  # type: ignore[arg-type]
    trainer = QatTrainer(
        student,
        teacher,
        answers,
        recipe=recipe,
        train=Photos(pixels_of(prepared, chosen), torch.zeros(len(chosen), dtype=torch.int64)),
        val=Photos(others.pixels, answers.argmax(dim=1)),
        compute=dataclasses.replace(compute, bfloat16=False),  # eight bits are learned in more
        seed=options.seed,
        on_epoch=reporter.epoch,
        on_progress=reporter.progress,
        checkpoint=checkpoint,
    )
    resume = checkpoint.load()
    reporter.said(
        f"going on {resume.place()}: this training was broken off"
        if resume is not None
        else f"learning 8 bits from {len(chosen)} photos, {recipe.epochs} times; "
        f"{len(others.pixels)} others, {others.copies} of them altered copies, choose the epoch"
    )
    with InterruptHandler() as interrupts:
        trainer.interrupts = interrupts
        best = trainer.fit(resume)
    trainer.model.load_state_dict(best.weights)
    return Learned(
        student,
        tuple(trainer.history),
        best.epoch,
        photos=len(others.pixels),
        copies=others.copies,
        settings=recipe.settings(),
        seconds=trainer.seconds,
    )
