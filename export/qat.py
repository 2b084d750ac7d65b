"""Quantisation-aware fine-tuning: 8-bit weights that answer as the float network does.

The run's own network is the teacher. The student is the same network with weights and activations
rounded as in the integer files, and learns to give the teacher's logits for augmented training
photos: what a photo shows does not matter, only that answers stay the same.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.calibration import calibration_order
from export.network import Deployable, deployable
from export.student import Student, make_student
from mobile_assets.errors import InputError
from mobile_assets.files import check_output
from train.batches import Photos, augmented, predict
from train.checkpoint import Checkpoint
from train.device import choose_compute, keep_freed_memory
from train.engine import Stage, Trainer
from train.interrupt import Interrupts
from train.plan import Reporter
from train.prepare import Prepared, default_cache, prepare
from train.readers import Layout, read_register
from train.recipes import FIELD, Recipe
from train.run import EpochRecord, Run, SplitName, SplitPhoto, load_model, read_run
from train.state import Best, State

CALIBRATION = 128
"""On so many photos the student is begun; as many as an export takes unless told otherwise."""

PASSES = 4
"""At least so many epochs, however many photos there are: the rate has to fall."""

TEMPERATURE = 2.0
"""Of the softmax over which answers are compared: also objects of little probability count."""

BIAS_FACTOR = 0.4
"""Share of the rate for biases, which are not counted in steps."""

ENOUGH = 0.5
"""Share of the run's training photos that must be there."""


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
            settled=1.0,
            augmentation=FIELD.augmentation,
        )


@dataclass(frozen=True)
class Learned:
    """What fine-tuning came to.

    Attributes:
        student: With the best weights.
        history: A record of each epoch, and of none before the first, numbered 0. `val_top1` is the
            share of validation photos with the teacher's answer, `val_loss` the divergence of the
            student's answers from the teacher's in nats.
        best: The epoch whose weights were taken.
        settings: The recipe's.
        seconds: Time that it took, all parts together.
    """

    student: Student
    history: tuple[EpochRecord, ...]
    best: int
    settings: dict[str, float | int | str | bool | None]
    seconds: float


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
    from export.qat_run import write_run

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
    checkpoint = Checkpoint.beside(out, run.info.model_sha256, run.split.sha256, settings)
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


def _learn(
    run: Run, prepared: Prepared, options: QatOptions, reporter: Reporter, checkpoint: Checkpoint
) -> Learned:
    train, val = _of(run, prepared, "train"), _of(run, prepared, "val")
    if len(train) < max(1, ENOUGH * len(run.split.of("train"))):
        raise InputError(
            f"Only {len(train)} of the {len(run.split.of('train'))} photos that {run.folder} was "
            "trained on are there and unchanged. Give the register that it was trained on."
        )
    reporter.said("rounding the network, as an export does")
    compute = choose_compute(options.device)
    if compute.device.type == "cpu":
        keep_freed_memory()
    teacher = deployable(load_model(run), run.info.preprocessing)
    student = make_student(teacher, prepared.take([p.path for p in train[:CALIBRATION]]))
    if student is None:
        raise InputError(
            f"The layers of {run.info.backbone} cannot be followed one by one, so it cannot be "
            "fine-tuned for 8 bits. Choose another backbone, or export without."
        )
    chosen = train[: max(2, options.steps * options.batch // PASSES)]
    recipe = options.recipe(len(chosen))
    answers = predict(teacher, _pixels(prepared, val), compute) if val else None  # type: ignore[arg-type]
    trainer = _QatTrainer(
        student,
        teacher,
        answers,
        recipe=recipe,
        train=Photos(_pixels(prepared, chosen), torch.zeros(len(chosen), dtype=torch.int64)),
        val=Photos(
            _pixels(prepared, val), torch.empty(0) if answers is None else answers.argmax(dim=1)
        ),
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
        else f"learning 8 bits from {len(chosen)} photos, {recipe.epochs} times"
    )
    with Interrupts() as interrupts:
        trainer.interrupts = interrupts
        best = trainer.fit(resume)
    trainer.model.load_state_dict(best.weights)
    return Learned(student, tuple(trainer.history), best.epoch, recipe.settings(), trainer.seconds)


def _of(run: Run, prepared: Prepared, side: SplitName) -> list[SplitPhoto]:
    """The run's photos of one side that are there and unchanged, spread over the objects."""
    order = calibration_order(run, seed=0) if side == "train" else run.split.of(side)
    return [photo for photo in order if prepared.digests.get(photo.path) == photo.sha256]


def _pixels(prepared: Prepared, photos: list[SplitPhoto]) -> Any:
    return prepared.view([photo.path for photo in photos])


class _QatTrainer(Trainer):
    """The training loop, with a student that learns the teacher's logits."""

    def __init__(
        self, student: Student, teacher: Deployable, answers: Tensor | None, **rest: Any
    ) -> None:
        """Takes what `Trainer` takes, a teacher, and its logits of the validation photos."""
        self.student = student
        self._classes = answers.shape[1] if answers is not None else 2
        super().__init__(_AsModel(student.module), **rest)  # type: ignore[arg-type]
        self.teacher = teacher.to(self.compute.device)
        self.answers = answers
        self._wanted = torch.empty(0)

    def _objects(self) -> int:
        return self._classes

    def fit(self, resume: State | None = None) -> Best:
        """Trains; weights as rounding alone leaves them are the first to be offered."""
        if resume is None and self.answers is not None:
            started = time.perf_counter()
            logits = self._predict()
            seconds = time.perf_counter() - started
            self._note(0, logits, loss=math.nan, rate=0.0, seconds=seconds, speed=math.nan)
        return super().fit(resume)

    def all_weights(self) -> Stage:
        """The stage that trains weights and biases on photos."""

        def logits(rows: Tensor, _: int, generator: torch.Generator) -> Tensor:
            images = augmented(self._images(rows), self.recipe, generator)
            images = images.contiguous(memory_format=self.compute.memory_format)
            with torch.no_grad():
                self._wanted = self.teacher(images)
            found: Tensor = self.model(images)
            return found

        def validate() -> Tensor | None:
            return self._predict() if self.answers is not None else None

        optimiser = torch.optim.Adam(
            [
                {"params": self.student.steps(), "factor": 1.0},
                {"params": self.student.biases(), "factor": BIAS_FACTOR},
            ],
            lr=self.recipe.rate,
            betas=(0.9, 0.99),
        )
        return Stage("all", self.recipe.epochs, optimiser, logits, validate)

    def _predict(self) -> Tensor:
        """Logits of the validation photos."""
        return predict(
            self.model,
            self.val.pixels,
            self.compute,
            on_batch=lambda count: self._clock.work("all", count, trained=False),
        )

    def _loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        del truth  # the teacher knows
        return divergence(logits, self._wanted, TEMPERATURE) + noise(logits, self._wanted)

    def _train_mode(self, stage: Stage) -> None:
        del stage
        self.model.eval()  # nothing in it behaves otherwise while it learns

    def _record(
        self,
        stage: Stage,
        epoch: int,
        *,
        loss: float,
        logits: Tensor | None,
        rate: float,
        trained: float,
        seconds: float,
    ) -> None:
        speed = len(self.train) / trained
        record = self._note(epoch, logits, loss=loss, rate=rate, seconds=seconds, speed=speed)
        if self.on_epoch is not None:
            self.on_epoch(record, stage.epochs)

    def _note(
        self,
        epoch: int,
        logits: Tensor | None,
        *,
        loss: float,
        rate: float,
        seconds: float,
        speed: float,
    ) -> EpochRecord:
        """Keeps an epoch's record; the least divergence from the teacher is the best."""
        drift = same = math.nan
        if logits is not None and self.answers is not None:
            drift = divergence(logits, self.answers, 1.0).item()
            same = (logits.argmax(dim=1) == self.val.truth).double().mean().item()
        record = EpochRecord.model_construct(
            stage="all",
            epoch=epoch,
            train_loss=loss,
            val_loss=drift,
            val_top1=same,
            seconds=seconds,
            rate=rate,
            photos_per_second=speed,
        )
        self.history.append(record)
        level = record.val_top1 if math.isnan(record.val_top1) else 0.0
        self.best.offer(record.model_copy(update={"val_top1": level}), self.model)
        return record


class _AsModel(nn.Module):
    """A network without parts as the training loop expects a model."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.backbone(image)
        return logits


def divergence(found: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Mean Kullback-Leibler divergence KL(wanted ‖ found) of softmaxes, times T².

    Args:
        found: Logits `[N, objects]`.
        wanted: Logits `[N, objects]`.
        temperature: T, by which logits are divided.
    """
    return temperature**2 * functional.kl_div(
        functional.log_softmax(found / temperature, dim=1),
        functional.log_softmax(wanted / temperature, dim=1),
        log_target=True,
        reduction="batchmean",
    )


def noise(found: Tensor, wanted: Tensor) -> Tensor:
    """Noise of logits as a share of their signal; each row's mean says nothing and is left out."""
    signal = wanted - wanted.mean(dim=1, keepdim=True)
    error = found - found.mean(dim=1, keepdim=True) - signal
    return error.square().sum() / signal.square().sum().clamp_min(1e-12)
