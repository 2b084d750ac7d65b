"""The training loop: epochs of a stage, what is kept of them, and what is told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.batches import (
    Enrolment,
    Photos,
    class_weights,
    seed_for,
    shuffled_batches,
)
from train.checkpoint import Checkpoint
from train.closed_form import fitted_photos
from train.device import Compute
from train.freezing import early_parameters, train_mode
from train.model import ArtefactModel
from train.parallel import SingleProcess
from train.progress import OnProgress, StageTimer
from train.recipes import Recipe
from train.run import EpochRecord
from train.schedule import (
    Stage,
    first_settled_epoch,
    is_validated,
    next_epoch,
    set_rate,
)
from train.signals import InterruptHandler, TrainingInterrupted
from train.teacher import Teacher
from train.training_state import (
    BestWeights,
    EpochProgress,
    TrainingState,
    optimiser_tensors,
    random_state,
    restore_optimiser,
    restore_random_state,
)

EpochCallback = Callable[[EpochRecord, int], None]
"""Called after each epoch with its record and the number of epochs of the stage."""


class TrainingLoop:
    """Goes through the epochs of a stage, keeps its state, and tells how far it is."""

    def __init__(
        self,
        model: ArtefactModel,
        recipe: Recipe,
        train: Photos,
        val: Photos,
        compute: Compute,
        *,
        seed: int,
        enrolment: Enrolment | None = None,
        on_epoch: EpochCallback | None = None,
        on_progress: OnProgress | None = None,
        checkpoint: Checkpoint | None = None,
        interrupts: InterruptHandler | None = None,
        processes: SingleProcess | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """Moves the model to the device; nothing is trained yet.

        Args:
            seed: Of the order of photos, the augmentation and dropout.
            enrolment: Photos of objects that are kept out of training; None for no such objects.
            on_epoch: Called after each epoch.
            on_progress: Called after each batch.
            checkpoint: Where the state is kept now and then; None to keep none.
            interrupts: Who may ask for an end; None for nobody.
            processes: Those that share the work; None for this one alone.
            teacher: Guides the stage of all weights; None for none.
        """
        self.model = model.to(compute.device).to(memory_format=compute.memory_format)
        for parameter in early_parameters(self.model.backbone, recipe.frozen_share):
            parameter.requires_grad_(False)
        if recipe.closed_form:
            self.model.ignore_depths()
        self.recipe = recipe
        self.train = train
        self.val = val
        self.compute = compute
        self.seed = seed
        self.best = BestWeights()
        self.history: list[EpochRecord] = []
        last = [module for module in self.model.head.modules() if isinstance(module, nn.Linear)][-1]
        self.enrolment = enrolment
        self._trained = _trained_classes(last.out_features, enrolment)
        weights = _weights(train.truth, last.out_features, self._trained)
        self.weights = weights.to(compute.device)
        self.on_epoch = on_epoch
        self.on_progress = on_progress
        self.checkpoint = checkpoint
        self.interrupts = interrupts or InterruptHandler()
        self.processes = processes or SingleProcess()
        self.teacher = teacher
        if teacher is not None:
            teacher.to(compute.device).to(memory_format=compute.memory_format)
        self._teacher_loss: Tensor | None = None
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._generator = torch.Generator()
        self._clock = self._stage_timer()
        self._start_clocks(None)

    def _stage_timer(self) -> StageTimer:
        recipe, photos = self.recipe, len(self.train)
        return StageTimer(
            train=photos,
            val=len(self.val),
            views=max(1, recipe.head_views),
            head_epochs=recipe.head_epochs,
            epochs=recipe.epochs,
            validations=sum(is_validated(recipe, n) for n in range(1, recipe.epochs + 1)),
            start_views=recipe.start_views,
            closed_form=fitted_photos(recipe, self.train, self.val, self.enrolment),
            taught=photos if self.teacher is not None else 0,
        )

    def _fit(self, stage: Stage, resume: TrainingState | None) -> None:
        self._stage, midway = stage, None
        if resume is not None:
            restore_optimiser(stage.optimiser, resume.optimiser)
            midway = resume.midway
        self._count_as_done(stage, midway)
        epoch = self._next(stage)
        while epoch is not None:
            self.processes.begin_epoch(self.model)
            self.run_epoch(stage, epoch, midway)
            midway = None
            following = self._next(stage)
            if following is not None and following > epoch + 1:
                self._clock.skip(stage.name, (following - epoch - 1) * len(self.train))
            epoch = following

    def _next(self, stage: Stage) -> int | None:
        if stage.name == "all":
            return next_epoch(self.recipe, self.history)
        done = sum(record.stage == "head" for record in self.history)
        return done + 1 if done < stage.epochs else None

    def run_epoch(self, stage: Stage, epoch: int, midway: EpochProgress | None = None) -> None:
        """One pass over all training photos, its validation and its record.

        Args:
            epoch: Which, from 1.
            midway: Where it was broken off; None to begin it.
        """
        started = time.perf_counter()
        done = self.train_epoch(stage, epoch, midway)
        trained = time.perf_counter() - started + done.seconds
        validated = stage.name == "head" or is_validated(self.recipe, epoch)
        logits = stage.validate() if validated else None
        self._record(
            stage,
            epoch,
            loss=done.loss / done.photos,
            logits=logits,
            rate=max(group["lr"] for group in stage.optimiser.param_groups),
            trained=trained,
            seconds=time.perf_counter() - started + done.seconds,
        )
        self._pause_between(stage, None)

    def train_epoch(
        self, stage: Stage, epoch: int, midway: EpochProgress | None = None
    ) -> EpochProgress:
        """One pass over all training photos, or the rest of one; returns its sums."""
        started = time.perf_counter()
        done = midway or EpochProgress(epoch)
        train_mode(self.model, self.recipe, head_only=stage.name == "head")
        self._generator.manual_seed(seed_for(self.seed, "augment", epoch))
        truth = self.train.truth.to(self.compute.device)
        seed = seed_for(self.seed, stage.name, epoch)
        batches = list(shuffled_batches(len(self.train), self.recipe.batch, seed))
        if done.random_state:
            restore_random_state(done.random_state, self.compute.device, self._generator)
        total, count = done.loss, done.photos
        # The rate of the last step done is set again: it is told even if no other step follows.
        for step in range(max(0, done.step - 1), len(batches)):
            if stage.name == "all":
                set_rate(stage.optimiser, self.recipe, epoch - 1 + step / len(batches))
            if step < done.step:
                continue
            rows = batches[step]
            loss = self._step(stage, rows, truth[rows], epoch)
            total, count = total + loss * len(rows), count + len(rows)
            self._clock.work(stage.name, len(rows), trained=True)
            self._report(stage.name, epoch, stage.epochs)
            seconds = time.perf_counter() - started + done.seconds
            self._pause_between(stage, EpochProgress(epoch, step + 1, total, count, seconds))
        return EpochProgress(epoch, len(batches), total, count, done.seconds)

    def _step(self, stage: Stage, rows: Tensor, truth: Tensor, epoch: int) -> float:
        stage.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(stage.logits(rows, epoch, self._generator), truth)
        if self._teacher_loss is not None:
            loss, self._teacher_loss = loss + self._teacher_loss, None
        loss.backward()  # type: ignore[no-untyped-call]
        stage.optimiser.step()
        return loss.item()

    def _among_trained(self, logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and truth among the objects that are trained on, if some are kept out.

        Otherwise gradients would learn what tells the others' photos from those kept out: nothing.
        """
        if self._trained is None:
            return logits, truth
        trained = self._trained.to(logits.device)
        return logits[:, trained], torch.searchsorted(trained, truth)

    def _loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        logits, truth = self._among_trained(logits, truth)
        return functional.cross_entropy(
            logits.float(), truth, weight=self.weights, label_smoothing=self.recipe.label_smoothing
        )

    # --- what is kept and told ------------------------------------------------------------------

    def _start_clocks(self, resume: TrainingState | None) -> None:
        self._started, self._cpu_started = time.perf_counter(), time.process_time()
        self._cpu_before = resume.cpu_seconds if resume is not None else 0.0
        if resume is not None:
            self._started -= resume.seconds

    def _count_as_done(self, stage: Stage, midway: EpochProgress | None) -> None:
        if stage.name == "all":
            self._clock.skip("features")
            self._clock.skip("head")
        done = [record.epoch for record in self.history if record.stage == stage.name]
        photos = (done[-1] if done else 0) * len(self.train)
        self._clock.skip(stage.name, photos + (midway.photos if midway else 0))

    def _report(self, stage: str, epoch: int, epochs: int) -> None:
        if self.on_progress is not None:
            known = (r.val_top1 for r in reversed(self.history) if not math.isnan(r.val_top1))
            top1 = next(known, math.nan)
            self.on_progress(self._clock.moment(stage, epoch, epochs, top1))

    def _pause(self, keep: Callable[[], object], where: Callable[[], str]) -> None:
        """Keeps the state if it is time to, or if somebody asked for an end; then ends."""
        end = self.processes.any(self.interrupts.asked)
        kept = self.checkpoint
        if kept is not None and self.processes.first and (end or kept.due):
            keep()
        if end:
            self.processes.any(False)  # none ends before the first has written
            raise TrainingInterrupted(
                f"Interrupted {where()}. "
                + (f"The state is kept in {kept.folder}: " if kept is not None else "")
                + "give the same command again to go on."
            )

    def _pause_between(self, stage: Stage, midway: EpochProgress | None) -> None:
        def state() -> TrainingState:
            chances = random_state(self.compute.device, self._generator) if midway else {}
            return TrainingState(
                stage=stage.name,
                model=self.model.state_dict(),
                optimiser=optimiser_tensors(stage.optimiser),
                best=self.best,
                history=self.history,
                seconds=time.perf_counter() - self._started,
                cpu_seconds=self._cpu_before
                + (time.process_time() - self._cpu_started) * self.processes.size,
                midway=replace(midway, random_state=chances) if midway else None,
            )

        def keep() -> None:
            if self.checkpoint is not None:
                self.checkpoint.save(state())

        self._pause(keep, lambda: state().place())

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
        top1 = val_loss = math.nan
        if logits is not None:
            truth = self.val.truth
            if stage.name != "closed form":
                logits, truth = self._among_trained(logits, truth)
            top1 = (logits.argmax(dim=1) == truth).double().mean().item()
            val_loss = functional.cross_entropy(logits, truth).item()
        record = EpochRecord.model_construct(
            stage=stage.name,
            epoch=epoch,
            train_loss=loss,
            val_loss=val_loss,
            val_top1=top1,
            seconds=seconds,
            rate=rate,
            photos_per_second=len(self.train) / trained,
        )
        self.history.append(record)
        self._offer(record)
        if self.on_epoch is not None:
            self.on_epoch(record, stage.epochs)

    def _offer(self, record: EpochRecord) -> None:
        """Lets validation choose, of all weights among the epochs that have settled."""
        if record.stage == "head":
            self.best.offer(record, self.model.head, "head.")
            return
        if record.stage == "closed form":
            self.best = BestWeights()  # the head by gradients no longer stands against it
            self.best.offer(record, self.model)
            return
        first = first_settled_epoch(self.recipe)
        if record.epoch == first and self.recipe.settled < 1:
            self.best = BestWeights()  # the head alone no longer stands against them
        if record.epoch >= first:
            self.best.offer(record, self.model)


def _trained_classes(objects: int, enrolment: Enrolment | None) -> Tensor | None:
    """Sorted class indices of the objects that are trained on; None for all."""
    if enrolment is None:
        return None
    trained = torch.ones(objects, dtype=torch.bool)
    trained[enrolment.classes] = False
    return trained.nonzero().flatten()


def _weights(truth: Tensor, objects: int, trained: Tensor | None) -> Tensor:
    """Of the classes that are trained on, in the loss."""
    if trained is None:
        return class_weights(truth, objects)
    return class_weights(torch.searchsorted(trained, truth), len(trained))
