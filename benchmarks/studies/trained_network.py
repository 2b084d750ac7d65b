"""A network trained in memory on a list of photos, for studies that compare many."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.studies.recipe_tasks import PhotoFile, pixels_of
from mobile_assets.preprocessing import Preprocessing
from train.recipes import Recipe
from train.training_plan import preprocessing_of

if TYPE_CHECKING:
    from train.batches import Photos
    from train.device import Compute
    from train.model import ArtefactModel


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with what it was trained on.

    Attributes:
        objects: Ids in class order.
        photos: Of the training, with their class indices.
        cpu_seconds: Processor time of the training.
    """

    model: ArtefactModel
    objects: list[str]
    photos: Photos
    contract: Preprocessing
    compute: Compute
    cpu_seconds: float


def train_network(
    recipe: Recipe, files: Sequence[PhotoFile], seed: int, arguments: argparse.Namespace
) -> TrainedNetwork:
    """Trains by a recipe on all of the photos; none are spent on validation.

    Args:
        arguments: With `backbone`, `input_size` and `weights`.
    """
    import torch

    from train.batches import Photos, seed_for
    from train.device import choose_compute, keep_freed_memory
    from train.engine import Trainer
    from train.model import build_model
    from train.weights import load_imagenet

    contract = preprocessing_of(arguments.backbone, arguments.input_size)
    objects = sorted({object_id for _, object_id in files})
    keep_freed_memory()
    torch.manual_seed(seed_for(seed, "head"))
    model = build_model(
        arguments.backbone,
        recipe.head,
        objects=len(objects),
        preprocessing=contract,
        depths=recipe.depths,
    )
    load_imagenet(model.backbone, arguments.backbone, weights=arguments.weights)
    compute = choose_compute("cpu")
    truth = torch.tensor([objects.index(object_id) for _, object_id in files])
    photos = Photos(pixels_of(list(files), contract), truth)
    no_photos = Photos(photos.pixels[:0], photos.truth[:0])
    trainer = Trainer(model, recipe, photos, no_photos, compute, seed=seed)
    model.load_state_dict(trainer.fit().weights)
    return TrainedNetwork(model, objects, photos, contract, compute, trainer.cpu_seconds)
