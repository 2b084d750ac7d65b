"""The head in closed form, fitted to photos as they are, moved and lit anew, and made worse."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from train.batches import Photos, augmented, seed_for, to_images
from train.degradation import degrade
from train.device import Compute
from train.discriminant import Scatter, fit_discriminant
from train.heads import EmbeddingHead
from train.model import ArtefactModel
from train.parallel import SingleProcess
from train.recipes import Recipe


def fitted_views(recipe: Recipe) -> int:
    """Versions of each photo that the head is fitted to: itself, and two kinds of others."""
    return 1 + 2 * recipe.head_views if recipe.closed_form else 0


def refit_head(
    model: ArtefactModel,
    photos: Photos,
    recipe: Recipe,
    compute: Compute,
    *,
    seed: int,
    processes: SingleProcess,
    on_batch: Callable[[int], object],
) -> None:
    """Replaces the weights of a model's `EmbeddingHead`; the backbone stays as it is.

    Args:
        photos: Training photos.
        seed: Of the augmentation; the result depends on no other chance.
        on_batch: Called with the number of photos after each batch.
    """
    head = model.head
    assert isinstance(head, EmbeddingHead), "the plan refuses other heads"
    model.eval()
    scatter = Scatter(head.features, head.objects)
    for view in range(fitted_views(recipe)):
        generator = torch.Generator().manual_seed(seed_for(seed, "closed form", view))
        worse = view > recipe.head_views
        for start in range(0, len(photos), recipe.batch):
            rows = slice(start, start + recipe.batch)
            images: Tensor = to_images(photos.pixels[rows], compute)
            if view:
                images = augmented(images, recipe, generator)
            if worse:
                images = degrade(images, generator)
            images = images.contiguous(memory_format=compute.memory_format)
            with torch.inference_mode(), compute.autocast():
                features = processes.shared(model.features, images)
            scatter.add(features, photos.truth[rows], degraded=worse)
            on_batch(len(images))
    fit_discriminant(scatter, head.size, seed=seed_for(seed, "rotation")).write(head)
