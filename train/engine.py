"""The training loop: one stage of a recipe over prepared photos or cached features."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.augment import augment
from train.batches import Photos, cached_features, class_weights, predict, seed_for, to_images
from train.device import Compute
from train.model import ArtefactModel
from train.recipes import Recipe
from train.run import EpochRecord
from train.state import Best, State, optimiser_tensors, tensors_of

EpochCallback = Callable[[EpochRecord, int], None]
"""Called after each epoch with its record and the number of epochs of the stage."""


class Trainer:
    """Trains one model by one recipe. Deterministic for a seed, device and number of threads."""

    def __init__(
        self,
        model: ArtefactModel,
        recipe: Recipe,
        train: Photos,
        val: Photos,
        compute: Compute,
        *,
        seed: int,
        on_epoch: EpochCallback | None = None,
        on_state: Callable[[State], None] | None = None,
    ) -> None:
        """Moves the model to the device; nothing is trained yet."""
        self.model = model.to(compute.device).to(memory_format=compute.memory_format)
        self.recipe = recipe
        self.train = train
        self.val = val
        self.compute = compute
        self.seed = seed
        self.best = Best()
        self.history: list[EpochRecord] = []
        objects = int(self._objects())
        self.weights = class_weights(train.truth, objects).to(compute.device)
        self.on_epoch = on_epoch
        self.on_state = on_state
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    def _objects(self) -> int:
        last = [module for module in self.model.head.modules() if isinstance(module, nn.Linear)][-1]
        return last.out_features

    def fit(self, resume: State | None = None) -> Best:
        """Trains the head, then all weights, and returns the best checkpoint.

        Args:
            resume: The state that `on_state` was given by a training with the same arguments; the
                result is the same as without the interruption.
        """
        self._started, self._cpu_started = time.perf_counter(), time.process_time()
        if resume is not None:
            self._started -= resume.seconds
            self._cpu_started -= resume.cpu_seconds
            self.model.load_state_dict(resume.model)
            self.best, self.history = resume.best, list(resume.history)
        elif self.recipe.head_epochs:
            self._fit_head()
        if self.recipe.epochs:
            self._fit_all(resume)
        self.seconds = time.perf_counter() - self._started
        self.cpu_seconds = time.process_time() - self._cpu_started
        return self.best

    def _loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        return functional.cross_entropy(
            logits.float(), truth, weight=self.weights, label_smoothing=self.recipe.label_smoothing
        )

    def _fit_head(self) -> None:
        """Trains the head on features that are computed once, which takes seconds."""
        train = cached_features(self.model, self.train, self.recipe, self.compute, seed=self.seed)
        val = (
            cached_features(
                self.model, self.val, replace(self.recipe, head_views=1), self.compute, seed=0
            )[0]
            if len(self.val)
            else None
        )
        recipe = self.recipe
        # Only the head changes in this stage, so the backbone is copied once.
        self.best.weights = tensors_of(self.model)
        optimiser = torch.optim.AdamW(
            self.model.head.parameters(), lr=recipe.head_rate, weight_decay=recipe.weight_decay
        )
        for epoch in range(1, recipe.head_epochs + 1):
            started = time.perf_counter()
            views = train[epoch % len(train)]
            loss = self._head_epoch(views, optimiser, epoch)
            self.model.head.eval()
            with torch.inference_mode():
                logits = self.model.head(val).cpu() if val is not None else None
            self._record(
                stage="head",
                epoch=epoch,
                train_loss=loss,
                logits=logits,
                started=started,
                epochs=recipe.head_epochs,
            )

    def _head_epoch(self, features: Tensor, optimiser: torch.optim.Optimizer, epoch: int) -> float:
        self.model.head.train()
        truth = self.train.truth.to(self.compute.device)
        total, count = 0.0, 0
        for rows in self._batches("head", epoch):
            optimiser.zero_grad(set_to_none=True)
            loss = self._loss(self.model.head(features[rows]), truth[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, count = total + loss.item() * len(rows), count + len(rows)
        return total / count

    def _fit_all(self, resume: State | None) -> None:
        optimiser = self._optimiser()
        done = 0
        if resume is not None:
            done = resume.epoch
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": resume.optimiser, "param_groups": groups})
        else:
            self._keep(0, optimiser)
        for epoch in range(done + 1, self.recipe.epochs + 1):
            started = time.perf_counter()
            loss = self._epoch(optimiser, epoch)
            logits = predict(self.model, self.val.pixels, self.compute) if len(self.val) else None
            self._record(
                stage="all",
                epoch=epoch,
                train_loss=loss,
                logits=logits,
                started=started,
                epochs=self.recipe.epochs,
            )
            self._keep(epoch, optimiser)

    def _epoch(self, optimiser: torch.optim.Optimizer, epoch: int) -> float:
        """One pass over all weights; returns the mean training loss."""
        self._train_mode()
        generator = torch.Generator().manual_seed(seed_for(self.seed, "augment", epoch))
        truth = self.train.truth.to(self.compute.device)
        batches = list(self._batches("all", epoch))
        total, count = 0.0, 0
        for step, rows in enumerate(batches):
            self._set_rate(optimiser, epoch - 1 + step / len(batches))
            images = to_images(self.train.pixels[rows.numpy()], self.compute)
            if self.recipe.augmentation is not None:
                images = augment(images, self.recipe.augmentation, generator)
            optimiser.zero_grad(set_to_none=True)
            with self.compute.autocast():
                logits = self.model(images)
            loss = self._loss(logits, truth[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, count = total + loss.item() * len(rows), count + len(rows)
        return total / count

    def _keep(self, epoch: int, optimiser: torch.optim.Optimizer) -> None:
        if self.on_state is not None:
            state = State(
                epoch,
                self.model.state_dict(),
                optimiser_tensors(optimiser),
                self.best,
                self.history,
                time.perf_counter() - self._started,
                time.process_time() - self._cpu_started,
            )
            self.on_state(state)

    def _train_mode(self) -> None:
        self.model.train()
        if self.recipe.freeze_statistics:
            for module in self.model.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _optimiser(self) -> torch.optim.Optimizer:
        recipe = self.recipe
        groups = [
            {"params": list(part.parameters()), "factor": factor, "lr": recipe.rate * factor}
            for part, factor in (
                (self.model.backbone, recipe.backbone_rate),
                (self.model.head, 1.0),
            )
        ]
        if recipe.optimiser == "adam":
            return torch.optim.Adam(groups)
        decayed = [_split_decay(group, recipe.weight_decay) for group in groups]
        return torch.optim.AdamW([part for pair in decayed for part in pair])

    def _set_rate(self, optimiser: torch.optim.Optimizer, epochs_done: float) -> None:
        factor = 1.0
        if self.recipe.schedule == "cosine":
            rest = max(self.recipe.epochs - 1, 1)
            progress = max(0.0, epochs_done - 1) / rest
            factor = min(1.0, epochs_done + 0.1) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = self.recipe.rate * group["factor"] * factor

    def _batches(self, stage: str, epoch: int) -> Iterator[Tensor]:
        """Rows of each batch, shuffled anew; a last batch of one is left out for batch norm."""
        seed = seed_for(self.seed, stage, epoch)
        torch.manual_seed(seed)  # dropout draws from the global generator
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))
        for rows in torch.split(order, self.recipe.batch):
            if len(rows) > 1 or len(order) == 1:
                yield rows

    def _record(
        self,
        *,
        stage: str,
        epoch: int,
        train_loss: float,
        logits: Tensor | None,
        started: float,
        epochs: int,
    ) -> None:
        top1 = loss = math.nan
        if logits is not None:
            top1 = (logits.argmax(dim=1) == self.val.truth).double().mean().item()
            loss = functional.cross_entropy(logits, self.val.truth).item()
        record = EpochRecord.model_construct(
            stage=stage,
            epoch=epoch,
            train_loss=train_loss,
            val_loss=loss,
            val_top1=top1,
            seconds=time.perf_counter() - started,
        )
        self.history.append(record)
        self._offer(record, epochs)
        if self.on_epoch is not None:
            self.on_epoch(record, epochs)

    def _offer(self, record: EpochRecord, epochs: int) -> None:
        """Lets validation choose, of all weights among the epochs that have settled."""
        if record.stage == "head":
            self.best.offer(record, self.model.head, "head.")
            return
        first = epochs - max(1, round(self.recipe.settled * epochs)) + 1
        if record.epoch == first and self.recipe.settled < 1:
            self.best = Best()  # the head alone no longer stands against them
        if record.epoch >= first:
            self.best.offer(record, self.model)


def _split_decay(
    group: dict[str, object], weight_decay: float
) -> tuple[dict[str, object], dict[str, object]]:
    """Biases and batch-norm parameters are not decayed: they have no scale to keep small."""
    parameters: list[nn.Parameter] = group.pop("params")  # type: ignore[assignment]
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    return (
        group | {"params": matrices, "weight_decay": weight_decay},
        group | {"params": vectors, "weight_decay": 0.0},
    )
