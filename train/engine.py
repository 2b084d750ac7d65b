"""The stages of a recipe over prepared photos and cached features."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from train.batches import (
    Photos,
    augmented,
    predict_batches,
    to_images,
)
from train.closed_form import refit_head
from train.features import FeatureStore, cached_features
from train.loop import TrainingLoop
from train.recipes import Recipe
from train.schedule import (
    Stage,
    head_optimiser,
    optimiser_of,
)
from train.training_state import (
    BestWeights,
    TrainingState,
)
from train.training_state import tensors_of as copied


class Trainer(TrainingLoop):
    """Trains one model by one recipe. Deterministic for a seed, device and number of threads."""

    def fit(self, resume: TrainingState | None = None) -> BestWeights:
        """Trains the head, then all weights, and returns the best checkpoint.

        Args:
            resume: A state that a training with the same arguments kept; the result is the same as
                without the interruption.

        Raises:
            TrainingInterrupted: Somebody asked for an end; the state is kept.
            InputError: The state cannot be written.
        """
        self._start_clocks(resume)
        if resume is not None:
            self.model.load_state_dict(resume.model)
            self.best, self.history = resume.best, list(resume.history)
        taught = self._taught() if self.teacher is not None and self.recipe.epochs else None
        if self.recipe.head_epochs and (resume is None or resume.stage == "head"):
            self._fit_head(resume)
        if self.recipe.epochs:
            self._fit_all(resume if resume is not None and resume.stage == "all" else None, taught)
        if self.recipe.closed_form:
            self._refit_head()
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = self._cpu_before + self.processes.total(
            time.process_time() - self._cpu_started
        )
        return self.best

    def _fit_head(self, resume: TrainingState | None) -> None:
        """Trains the head on features that are computed once."""
        train = self._features(self.train, self.recipe, "train")
        once = replace(self.recipe, head_views=1)
        val = self._features(self.val, once, "val") if len(self.val) else None
        if resume is None:
            # Only the head changes in this stage, so the backbone is copied once.
            self.best.weights = copied(self.model)

        def logits(rows: Tensor, epoch: int, _: torch.Generator) -> Tensor:
            return self.model.head(train[epoch % len(train)][rows])  # type: ignore[no-any-return]

        def validate() -> Tensor | None:
            self.model.head.eval()
            with torch.inference_mode():
                return self.model.head(val[0]).cpu() if val is not None else None

        optimiser = head_optimiser(self.model, self.recipe)
        self._fit(Stage("head", self.recipe.head_epochs, optimiser, logits, validate), resume)

    def _features(self, photos: Photos, recipe: Recipe, name: str) -> Tensor:
        teacher = self.teacher if name == "teacher" else None
        stage = "features" if teacher is None else "teacher"

        def batch(count: int, keep: Callable[[], None] | None) -> None:
            if keep is None:
                self._clock.skip(stage, count)
                return
            self._clock.work(stage, count, trained=False)
            self._report(stage, 0, 0)
            self._pause(keep, lambda: "before the head was trained")

        alone = self.checkpoint is not None and self.processes.size == 1
        return cached_features(
            teacher or self.model,
            photos,
            recipe,
            self.compute,
            # The validation photos are seen as they are: nothing is drawn.
            seed=self.seed if name == "train" else 0,
            processes=self.processes,
            store=FeatureStore(self.checkpoint, name) if alone and self.checkpoint else None,
            on_batch=batch,
        )

    def _taught(self) -> Tensor:
        """What the teacher makes of each training photo as it is, `[N, features]` float32."""
        return self._features(self.train, replace(self.recipe, head_views=1), "teacher")[0]

    def _fit_all(self, resume: TrainingState | None, taught: Tensor | None) -> None:
        """Trains all weights on photos.

        Args:
            taught: The teacher's features of the training photos; None without a teacher.
        """
        self.processes.begin(self.model, frozen_statistics=self.recipe.freeze_statistics)

        def logits(rows: Tensor, _: int, generator: torch.Generator) -> Tensor:
            images = augmented(self._images(rows), self.recipe, generator)
            with self.compute.autocast():
                features = self.processes.features(self.model, images)
                logits: Tensor = self.model.head(features)
            if self.teacher is not None and taught is not None:
                self._teacher_loss = self.teacher.loss(features.float(), taught[rows])
            return logits

        optimiser = optimiser_of(self.model, self.recipe)
        stage = Stage("all", self.recipe.epochs, optimiser, logits, self._validation_logits)
        self._fit(stage, resume)

    def _validation_logits(self) -> Tensor | None:
        if not len(self.val):
            return None
        return predict_batches(
            self.model,
            self.val.pixels,
            self.compute,
            processes=self.processes,
            on_batch=lambda count: self._clock.work("all", count, trained=False),
        )

    def _refit_head(self) -> None:
        """Replaces the head of the best checkpoint by one in closed form."""
        self.model.load_state_dict(self.best.weights)
        started, last = time.perf_counter(), self._stage

        def batch(count: int) -> None:
            self._clock.work("closed form", count, trained=False)
            self._report("closed form", 0, 0)
            self._pause_between(last, None)

        refit_head(
            self.model,
            self.train,
            self.recipe,
            self.compute,
            seed=self.seed,
            processes=self.processes,
            on_batch=batch,
        )
        fitted = time.perf_counter() - started
        self._record(
            replace(last, name="closed form", epochs=1),
            1,
            loss=math.nan,
            logits=self._validation_logits(),
            rate=math.nan,
            trained=fitted,
            seconds=time.perf_counter() - started,
        )

    def _images(self, rows: Tensor) -> Tensor:
        return to_images(self.train.pixels[rows.numpy()], self.compute)
