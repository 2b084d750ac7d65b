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

MOVED_WEIGHT = 0.02
"""How much a moved and newly lit version of a photo counts in the covariance, beside 1 of a photo.

In the means of the objects it does not count. How an object's own photos differ is worth more than
how versions of them do; but of what the photos do not show, blur above all, the versions tell. Of
one photo of each object they are all there is. On development photos (ETH-80, three draws, 27 of 40
objects registered) the weights 1 and 0.25 of before, with the moved versions in the means, gave
94.1 % right, 88.1 % on blurred, shaken and badly lit photos, and 34 % right matches at 1 % false
ones; 0.02 gave 95.2, 88.3 and 44 %; no versions at all 95.3, 69 and 44 %."""

DEGRADED_WEIGHT = 0.01
"""The same of a version that is made worse."""


def fitted_photos(recipe: Recipe, train: Sized, val: Sized, enrolment: Enrolment | None) -> int:
    """How many photos the head is fitted to, each version of a photo counted."""
    if not recipe.closed_form:
        return 0
    photos = len(train) + (len(val) if recipe.fit_validation else 0)
    enrolled = 0
    if enrolment is not None:
        enrolled = len(enrolment.train) + (len(enrolment.val) if recipe.fit_validation else 0)
    return photos * (1 + 2 * recipe.head_views) + enrolled


def start_head(head: EmbeddingHead, features: Tensor, truth: Tensor, *, seed: int) -> None:
    """Gives a head weights in closed form, from which training by gradients goes on.

    Args:
        features: `[views, N, features]` of the frozen backbone. Weights of features beyond these,
            which gradients do not train, become 0.
        truth: `[N]` class indices.
    """
    width = features.shape[2]
    scatter = Scatter(width, head.objects)
    for view, rows in enumerate(features):
        scatter.add(rows, truth, version_weight=MOVED_WEIGHT if view else None)
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
        self._scatter = Scatter(head.features, head.objects)

    def add(self, photos: Photos, part: str, *, enrolled: bool = False) -> None:
        """Counts photos in.

        Args:
            part: Name of the photos: each part is augmented by chances of its own.
            enrolled: Whether they decide over nothing but their own objects' directions.
        """
        recipe, compute = self._recipe, self._compute
        self._model.eval()
        for view in range(1 if enrolled else 1 + 2 * recipe.head_views):
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
                weight = (DEGRADED_WEIGHT if worse else MOVED_WEIGHT) if view else None
                self._scatter.add(
                    features, photos.truth[rows], version_weight=weight, enrolled=enrolled
                )
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
