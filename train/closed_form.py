"""The head in closed form, fitted to photos as they are, moved and lit anew, and made worse."""

from __future__ import annotations

from collections.abc import Callable, Sized

import numpy as np
import torch
from torch import Tensor

from train.batches import Enrolment, Photos, augmented, seed_for, to_images
from train.degradation import degrade
from train.depths import stage_channels
from train.device import Compute
from train.discriminant import Discriminant, Scatter, fit_discriminant
from train.heads import EmbeddingHead
from train.model import ArtefactModel
from train.parallel import SingleProcess
from train.recipes import Recipe

FEW_PHOTOS = 1.5
"""With fewer photos of an object, on the average, most have one alone. What stages answer then
tells the photo rather than the object: on development photos (groceries, one studio picture each),
27 to 39 % were right with it and 42 to 54 % without."""


def fitted_photos(recipe: Recipe, train: Sized, val: Sized, enrolment: Enrolment | None) -> int:
    """How many photos the head is fitted to, each version of a photo counted."""
    if not recipe.closed_form:
        return 0
    photos = len(train) + (len(val) if recipe.fit_validation else 0)
    enrolled = 0
    if enrolment is not None:
        enrolled = len(enrolment.train) + (len(enrolment.val) if recipe.fit_validation else 0)
    return photos * _views(recipe, enrolled=False) + enrolled * _views(recipe, enrolled=True)


def _views(recipe: Recipe, *, enrolled: bool) -> int:
    """Versions of each photo: itself, others, and as many made worse unless it is enrolled.

    Those made worse count in no mean, and an enrolled photo counts in nothing else.
    """
    return 1 + recipe.head_views * (1 if enrolled else 2)


def start_head(head: EmbeddingHead, features: Tensor, truth: Tensor, *, seed: int) -> None:
    """Gives a head weights in closed form, from which training by gradients goes on.

    Args:
        features: `[views, N, features]` of the frozen backbone. Weights of features beyond these,
            which gradients do not train, become 0.
        truth: `[N]` class indices.
    """
    width = features.shape[2]
    scatter = Scatter(width, head.objects, versions=len(features))
    for view in features:
        scatter.add(view, truth)
    fitted = fit_discriminant(scatter, head.size, seed=seed_for(seed, "rotation"))
    # The length of the rows changes no cosine, but how far a step of a given rate turns them.
    length = np.linalg.norm(fitted.weight, axis=1).mean()
    _widened(fitted, head.features, length).write(head)


def _widened(fitted: Discriminant, features: int, length: float = 1.0) -> Discriminant:
    """One that reads further features, and makes nothing of them, its rows divided by a length."""
    further = features - fitted.weight.shape[1]
    weight = np.pad(fitted.weight / length, ((0, 0), (0, further)))
    return Discriminant(weight, fitted.bias / length, fitted.directions)


class HeadFit:
    """Fits a model's `EmbeddingHead` to photos that may come in several parts.

    The backbone stays as it is.
    """

    def __init__(
        self,
        model: ArtefactModel,
        recipe: Recipe,
        compute: Compute,
        *,
        seed: int,
        processes: SingleProcess,
        on_batch: Callable[[int], object],
    ) -> None:
        """No photo yet.

        Args:
            seed: Of the augmentation; the result depends on no other chance.
            on_batch: Called with the number of photos after each batch.
        """
        head = model.head
        assert isinstance(head, EmbeddingHead), "the plan refuses other heads"
        self._model, self._head, self._recipe, self._compute = model, head, recipe, compute
        self._seed, self._processes, self._on_batch = seed, processes, on_batch
        self._scatter = Scatter(head.features, head.objects, versions=_views(recipe, enrolled=True))

    def add(self, photos: Photos, part: str, *, enrolled: bool = False) -> None:
        """Counts photos in.

        Args:
            part: Name of the photos: each part is augmented by chances of its own.
            enrolled: Whether they decide over nothing but their own objects' directions.
        """
        recipe, compute = self._recipe, self._compute
        self._model.eval()
        for view in range(_views(recipe, enrolled=enrolled)):
            generator = torch.Generator().manual_seed(seed_for(self._seed, part, view))
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
                    features = self._processes.shared(self._model.features, images)
                self._scatter.add(features, photos.truth[rows], degraded=worse, enrolled=enrolled)
                self._on_batch(len(images))

    def write(self) -> None:
        """Replaces the weights of the head by those fitted to all photos so far.

        Where most objects have one photo alone, it makes nothing of the stages' outputs: how these
        differ between photos of one object, versions of one photo do not show.
        """
        scatter = self._scatter
        if scatter.photos_per_object < FEW_PHOTOS:
            stages = sum(stage_channels(self._model.backbone, self._model.depths))
            scatter = scatter.leading(self._head.features - stages)
        fitted = fit_discriminant(scatter, self._head.size, seed=seed_for(self._seed, "rotation"))
        _widened(fitted, self._head.features).write(self._head)
