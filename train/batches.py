"""Photos as tensors: batches, augmentation, predictions, loss weights and seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.augment import augment
from train.device import Compute
from train.model import ArtefactModel
from train.parallel import SingleProcess
from train.pixel_file import Pixels
from train.recipes import Recipe


@dataclass(frozen=True)
class Photos:
    """Prepared photos of one side of the split.

    Attributes:
        pixels: `[N, H, W, 3]` uint8 RGB, possibly mapped from disk.
        truth: `[N]` int64 class indices.
    """

    pixels: Pixels
    truth: Tensor

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class Enrolment:
    """Photos of objects that training does not see; a head in closed form enrols them afterwards.

    Attributes:
        train: What they are enrolled with.
        val: What shows how well; then they are enrolled with these too.
    """

    train: Photos
    val: Photos

    @property
    def classes(self) -> Tensor:
        """Sorted class indices of the objects."""
        classes: Tensor = torch.unique(self.train.truth)
        return classes


def class_weights(truth: Tensor, objects: int) -> Tensor:
    """The paper's loss weights: total photos / photos of the object, the largest scaled to 1.

    Args:
        truth: `[N]` class indices of the training photos.

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


def augmented(
    images: Tensor, recipe: Recipe, generator: torch.Generator, *, side: float = 1.0
) -> Tensor:
    """The recipe's augmentation of a whole batch `[N, 3, H, W]`, if it has one.

    Args:
        side: Share of the photos' sides that is left of them.
    """
    if recipe.augmentation is None:
        return images
    return augment(images, recipe.augmentation, generator, side=side)


def shuffled_batches(photos: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Rows of each batch of an epoch; a last batch of one is left out for batch norm.

    Args:
        seed: Of the order, and of torch's global generator, from which dropout draws.
    """
    torch.manual_seed(seed)
    order = torch.randperm(photos, generator=torch.Generator().manual_seed(seed))
    for rows in torch.split(order, batch):
        if len(rows) > 1 or len(order) == 1:
            yield rows


def predict_batches(
    model: ArtefactModel,
    pixels: Pixels,
    compute: Compute,
    *,
    batch: int = 32,
    processes: SingleProcess | None = None,
    on_batch: Callable[[int], object] | None = None,
) -> Tensor:
    """Float32 logits `[N, objects]` on the CPU, the model in evaluation mode.

    Args:
        pixels: `[N, H, W, 3]` uint8 RGB.
        processes: Those that share the work; None for this one alone.
        on_batch: Called with the number of photos after each batch.
    """
    model.eval()
    processes = processes or SingleProcess()
    parts: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch):
            images = to_images(pixels[start : start + batch], compute)
            parts.append(processes.shared(model, images).float().cpu())
            if on_batch is not None:
                on_batch(len(images))
    return torch.cat(parts)
