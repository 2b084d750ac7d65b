"""Features of the frozen backbone, computed once for the head's stage, kept if that takes long."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from train.batches import Photos, augmented, seed_for, to_images
from train.checkpoint import Checkpoint, metadata
from train.device import Compute
from train.model import ArtefactModel
from train.parallel import SingleProcess
from train.recipes import Recipe

OnBatch = Callable[[int, Callable[[], None] | None], None]
"""Called after each batch with its number of photos and a function that stores what is not stored
yet; None for a batch that was stored by the training that this one goes on with."""


class FeatureStore:
    """Features that are already computed, in blocks on disk beside the training's state."""

    def __init__(self, checkpoint: Checkpoint, name: str) -> None:
        self._checkpoint = checkpoint
        self._name = name
        self._blocks = 0

    def load(self, generator: torch.Generator) -> list[Tensor]:
        """The blocks `[rows, features]` in order; the generator is put where it stood then."""
        from safetensors.torch import load

        blocks: list[Tensor] = []
        while (data := self._checkpoint.read(self._file(len(blocks)))) is not None:
            if metadata(data).get("key") != self._checkpoint.key:
                break
            block = load(data)
            blocks.append(block["features"])
            generator.set_state(block["generator"])
        self._blocks = len(blocks)
        return blocks

    def save(self, features: Tensor, generator: torch.Generator) -> None:
        """Writes one more block.

        Raises:
            InputError: The disk is full.
        """
        from safetensors.torch import save

        tensors = {"features": features.cpu().contiguous(), "generator": generator.get_state()}
        data = save(tensors, {"key": self._checkpoint.key})
        self._checkpoint.write(self._file(self._blocks), data)
        self._blocks += 1

    def _file(self, number: int) -> str:
        return f"features-{self._name}-{number:04}.bin"


def cached_features(
    model: ArtefactModel,
    photos: Photos,
    recipe: Recipe,
    compute: Compute,
    *,
    seed: int,
    processes: SingleProcess | None = None,
    store: FeatureStore | None = None,
    on_batch: OnBatch | None = None,
) -> Tensor:
    """Frozen features of `recipe.head_views` versions of each photo, `[views, N, features]`.

    Args:
        model: The model; it is put into evaluation mode.
        recipe: How many versions, and how they differ from the photo.
        on_batch: Called after each batch.
    """
    model.eval()
    processes = processes or SingleProcess()
    generator = torch.Generator()
    parts = [part.to(compute.device) for part in (store.load(generator) if store else [])]
    done, stored = sum(len(part) for part in parts), len(parts)

    def keep() -> None:
        nonlocal stored
        if store is not None and stored < len(parts):
            store.save(torch.cat(parts[stored:]), generator)
            stored = len(parts)

    views = max(1, recipe.head_views)
    for view, start in _batches(views, len(photos), recipe.batch):
        count = min(recipe.batch, len(photos) - start)
        known = view * len(photos) + start < done
        if not known:
            if start == 0:
                generator.manual_seed(seed_for(seed, "view", view))
            images = to_images(photos.pixels[start : start + count], compute)
            if view:
                images = augmented(images, recipe, generator)
            with torch.inference_mode(), compute.autocast():
                parts.append(processes.shared(model.features, images).float())
        if on_batch is not None:
            on_batch(count, None if known else keep)
    return torch.cat(parts).reshape(views, len(photos), -1)


def _batches(views: int, photos: int, batch: int) -> list[tuple[int, int]]:
    """View and first photo of each batch."""
    return [(view, start) for view in range(views) for start in range(0, photos, batch)]
