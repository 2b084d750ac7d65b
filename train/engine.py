"""The stages of a recipe over prepared photos and cached features."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from train.batches import (
    Photos,
    augmented,
    predict_batches,
    to_images,
)
from train.closed_form import HeadFit, start_head
from train.degradation import degraded
from train.depths import stage_channels
from train.features import FeatureStore, cached_features
from train.folding import folded_statistics
from train.heads import EmbeddingHead
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


@dataclass(frozen=True)
class ValidatedPhotos:
    """Answers to validation photos of a network that was not fitted to them.

    Attributes:
        logits: `[N, objects]` float32, before any temperature.
        truth: `[N]` int64 class indices.
        trained: So many photos, the first, show objects that were trained on; the others show
            objects that were enrolled.
    """

    logits: Tensor
    truth: Tensor
    trained: int

    @property
    def enrolled_top1(self) -> float | None:
        """Share of right answers among the photos of enrolled objects; None without any."""
        right = self.logits[self.trained :].argmax(dim=1) == self.truth[self.trained :]
        return right.double().mean().item() if len(right) else None


class Trainer(TrainingLoop):
    """Trains one model by one recipe. Deterministic for a seed, device and number of threads.

    Attributes:
        validated: What a head in closed form answered before it was fitted to validation photos
            too; None where there is no such head or no validation photo.
        validation_fitted: Whether it was then fitted to them.
    """

    validated: ValidatedPhotos | None = None
    validation_fitted = False

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
        with contextlib.ExitStack() as folded:
            if self.recipe.freeze_statistics:
                folded.enter_context(folded_statistics(self.model.backbone))
            self._fit_stages(resume)
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = self._cpu_before + self.processes.total(
            time.process_time() - self._cpu_started
        )
        return self.best

    def _fit_stages(self, resume: TrainingState | None) -> None:
        taught = self._taught() if self.teacher is not None and self.recipe.epochs else None
        if self.recipe.start_views and resume is None:
            self._start_head()
        if self.recipe.head_epochs and (resume is None or resume.stage == "head"):
            self._fit_head(resume)
        if self.recipe.epochs:
            self._fit_all(resume if resume is not None and resume.stage == "all" else None, taught)
        if self.recipe.closed_form:
            self._refit_head()

    def _start_head(self) -> None:
        """Gives the head weights in closed form, from features of the frozen backbone."""
        head = self.model.head
        assert isinstance(head, EmbeddingHead), "the plan refuses other heads"
        views = replace(self.recipe, head_views=self.recipe.start_views)
        features = self._features(self.train, views, "train")
        last = head.features - sum(stage_channels(self.model.backbone, self.model.depths))
        start_head(head, features[..., :last], self.train.truth, seed=self.seed)

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
        stages = sum(stage_channels(self.model.backbone, self.model.depths))

        def logits(rows: Tensor, _: int, generator: torch.Generator) -> Tensor:
            side = self.recipe.trained_side
            images = augmented(self._images(rows), self.recipe, generator, side=side)
            images = degraded(images, self.recipe.degraded, generator)
            images = images.contiguous(memory_format=self.compute.memory_format)
            with self.compute.autocast():
                features = self.processes.features(self.model, images)
                logits: Tensor = self.model.head(features)
            if self.teacher is not None and taught is not None:
                last = features[:, : features.shape[1] - stages].float()
                self._teacher_loss = self.teacher.loss(last, taught[rows])
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

        head = HeadFit(
            self.model,
            self.recipe,
            self.compute,
            seed=self.seed,
            processes=self.processes,
            on_batch=batch,
        )
        head.add(self.train, "closed form")
        if self.enrolment is not None:
            head.add(self.enrolment.train, "enrolled", enrolled=True)
        head.write()
        fitted = time.perf_counter() - started
        logits = self._validation_logits()
        self._record(
            replace(last, name="closed form", epochs=1),
            1,
            loss=math.nan,
            logits=logits,
            rate=math.nan,
            trained=fitted,
            seconds=time.perf_counter() - started,
        )
        self.validated = self._validated(logits)
        if self.recipe.fit_validation and self.validated is not None:
            head.add(self.val, "closed form, validation")
            if self.enrolment is not None:
                head.add(self.enrolment.val, "enrolled, validation", enrolled=True)
            head.write()
            self.validation_fitted = True
            self.best.weights |= copied(self.model)

    def _validated(self, logits: Tensor | None) -> ValidatedPhotos | None:
        """All validation photos with answers of a head that was fitted without them."""
        logits_of, truth = [], []
        if logits is not None:
            logits_of, truth = [logits], [self.val.truth]
        if self.enrolment is not None and len(self.enrolment.val):
            enrolled = self.enrolment.val
            logits_of.append(
                predict_batches(self.model, enrolled.pixels, self.compute, processes=self.processes)
            )
            truth.append(enrolled.truth)
        if not truth:
            return None
        return ValidatedPhotos(torch.cat(logits_of), torch.cat(truth), trained=len(self.val))

    def _images(self, rows: Tensor) -> Tensor:
        return to_images(self.train.pixels[rows.numpy()], self.compute)
