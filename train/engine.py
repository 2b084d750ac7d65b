"""The training loop: one stage of a recipe over prepared photos or cached features."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from train.augment import augment
from train.device import Compute
from train.model import ArtefactModel
from train.recipes import Recipe
from train.run import EpochRecord

EpochCallback = Callable[[EpochRecord, int], None]
"""Called after each epoch with its record and the number of epochs of the stage."""


@dataclass(frozen=True)
class Photos:
    """Prepared photos of one side of the split.

    Attributes:
        pixels: `[N, H, W, 3]` uint8 RGB, possibly mapped from disk.
        truth: `[N]` int64 class indices.
    """

    pixels: NDArray[np.uint8]
    truth: Tensor

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.truth)


@dataclass
class Best:
    """The best weights so far by validation accuracy, then by validation loss."""

    stage: str = ""
    epoch: int = 0
    top1: float = -1.0
    loss: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, record: EpochRecord, part: nn.Module, prefix: str = "") -> None:
        """Keeps a copy of a part's weights if they are better, or if nothing can be validated."""
        unvalidated = math.isnan(record.val_top1)
        if unvalidated or (record.val_top1, -record.val_loss) > (self.top1, -self.loss):
            self.stage, self.epoch = record.stage, record.epoch
            self.top1 = -1.0 if unvalidated else record.val_top1
            self.loss = math.inf if unvalidated else record.val_loss
            self.weights |= tensors_of(part, prefix)


def tensors_of(part: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """Copies of a module's tensors on the CPU, by name."""
    return {prefix + k: v.detach().cpu().clone() for k, v in part.state_dict().items()}


def class_weights(truth: Tensor, objects: int) -> Tensor:
    """The paper's loss weights: total photos / photos of the object, the largest scaled to 1.

    Args:
        truth: `[N]` class indices of the training photos.
        objects: Number of classes.

    Returns:
        `[objects]` float32; objects without a training photo get 1, as the rarest have.
    """
    counts = torch.bincount(truth, minlength=objects).clamp(min=1).float()
    weights = counts.sum() / counts
    return weights / weights.max()


def to_images(pixels: NDArray[np.uint8], compute: Compute) -> Tensor:
    """`[N, H, W, 3]` uint8 → `[N, 3, H, W]` float32 on the device, channels last in memory."""
    images = torch.from_numpy(np.ascontiguousarray(pixels)).to(compute.device)
    # The permuted view of NHWC memory is channels_last already; float() keeps the layout.
    return images.permute(0, 3, 1, 2).float()


def seed_for(*parts: object) -> int:
    """A 63-bit seed of its own for every stage and epoch, so that a run can go on from any."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def predict(
    model: ArtefactModel, pixels: NDArray[np.uint8], compute: Compute, *, batch: int = 32
) -> Tensor:
    """Float32 logits `[N, objects]` on the CPU, the model in evaluation mode."""
    model.eval()
    parts: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            parts.append(model(to_images(pixels[start : start + batch], compute)).float().cpu())
    return torch.cat(parts)


@torch.inference_mode()
def cached_features(
    model: ArtefactModel, photos: Photos, recipe: Recipe, compute: Compute, *, seed: int
) -> Tensor:
    """Frozen features of `recipe.head_views` versions of each photo, `[views, N, features]`."""
    model.eval()
    views: list[Tensor] = []
    for view in range(max(1, recipe.head_views)):
        parts: list[Tensor] = []
        generator = torch.Generator().manual_seed(seed_for(seed, "view", view))
        for start in range(0, len(photos), recipe.batch):
            images = to_images(photos.pixels[start : start + recipe.batch], compute)
            if view and recipe.augmentation is not None:
                images = augment(images, recipe.augmentation, generator)
            with compute.autocast():
                parts.append(model.features(images).float())
        views.append(torch.cat(parts))
    return torch.stack(views).clone()


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

    def _objects(self) -> int:
        last = [module for module in self.model.head.modules() if isinstance(module, nn.Linear)][-1]
        return last.out_features

    def fit(self) -> Best:
        """Trains the head, then all weights, and returns the best checkpoint."""
        if self.recipe.head_epochs:
            self._fit_head()
        if self.recipe.epochs:
            self._fit_all()
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

    def _fit_all(self) -> None:
        optimiser = self._optimiser()
        steps = sum(1 for _ in self._batches("all", 1))
        step = 0
        for epoch in range(1, self.recipe.epochs + 1):
            started = time.perf_counter()
            self._train_mode()
            generator = torch.Generator().manual_seed(seed_for(self.seed, "augment", epoch))
            truth = self.train.truth.to(self.compute.device)
            total, count = 0.0, 0
            for rows in self._batches("all", epoch):
                self._set_rate(optimiser, step / steps)
                images = to_images(self.train.pixels[rows.numpy()], self.compute)
                if self.recipe.augmentation is not None:
                    images = augment(images, self.recipe.augmentation, generator)
                optimiser.zero_grad(set_to_none=True)
                with self.compute.autocast():
                    logits = self.model(images)
                loss = self._loss(logits, truth[rows])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                step += 1
                total, count = total + loss.item() * len(rows), count + len(rows)
            logits = predict(self.model, self.val.pixels, self.compute) if len(self.val) else None
            self._record(
                stage="all",
                epoch=epoch,
                train_loss=total / count,
                logits=logits,
                started=started,
                epochs=self.recipe.epochs,
            )

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
        part, prefix = (self.model.head, "head.") if stage == "head" else (self.model, "")
        self.best.offer(record, part, prefix)
        if self.on_epoch is not None:
            self.on_epoch(record, epochs)


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
