"""What a training is refused for, found out in seconds, before any photo is prepared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mobile_assets.errors import InputError, first_line
from mobile_assets.plan_checks import check_packages, check_place, check_room
from mobile_assets.preprocessing import Preprocessing
from train.recipes import Recipe
from train.registers.register import Register
from train.split import Strategy, check_strategy

if TYPE_CHECKING:
    from train.model import ArtefactModel

PACKAGES = ("torch", "timm", "safetensors", "filelock", "tensorboardX")

_STATES = 5
"""How often the weights are written at most: model, best, two moments of Adam's, and the run."""


def check_training_place(out: Path, photos: Path) -> None:
    """Refuses a run folder that would replace the photos.

    Raises:
        InputError: It would, or its name cannot be recorded.
    """
    check_place(out, [photos], what="run")


def check_register(register: Register, *, min_photos: int, strategy: Strategy) -> None:
    """Refuses a register that no threshold data set can come of, by the files that are there.

    Args:
        register: All photos, none of them decoded yet.
        min_photos: The threshold.
        strategy: How its photos will be divided.

    Raises:
        InputError: Fewer than two objects have so many photos, or the manifest lacks a split.
    """
    missing = [photo.path for photo in register.photos if not register.path(photo).is_file()]
    dataset = threshold_dataset(register.without(missing), min_photos)
    check_strategy(dataset, strategy)


def check_network(
    contract: Preprocessing,
    recipe: Recipe,
    *,
    backbone: str,
    head: str,
    objects: int,
    weights: Path | None,
    device: str,
    out: Path | None,
) -> None:
    """Refuses what cannot be trained: a head, an input, weights, a device, a disk too full.

    The network is made without memory for its weights, and looks at a photo that has no pixels.

    Args:
        contract: The preprocessing contract.
        recipe: How it will be trained.
        backbone: Name of the backbone.
        head: Name of the head.
        objects: About how many classes it will have.
        weights: A checkpoint of the backbone; None to find ImageNet weights.
        device: `auto`, `cpu`, `cuda` or `mps`.
        out: Where the run will be written; None where another check has seen to it.

    Raises:
        InputError: Something cannot be used; the message says what to give instead.
        MissingDependencyError: No source has the weights.
        ModuleNotFoundError: A package is not installed.
    """
    check_packages(PACKAGES)
    from train.device import check_device
    from train.weights import check_weights

    check_device(device)
    model = _network(contract, backbone, head, objects, recipe.depths)
    check_weights(model.backbone, backbone, weights=weights)
    if out is not None:
        parameters = sum(tensor.numel() for tensor in model.state_dict().values())
        check_room(out, _STATES * 4 * parameters, what=f"Training with the recipe {recipe.name}")


def _network(
    contract: Preprocessing, backbone: str, head: str, objects: int, depths: tuple[int, ...]
) -> ArtefactModel:
    """A network that takes pictures of the contract's size, its weights left as they came."""
    import torch

    from train.model import build_model

    for device in ("meta", "cpu"):  # some of timm's networks cannot be made without memory
        try:
            with torch.device(device), torch.no_grad():
                model = build_model(
                    backbone, head, objects=objects, preprocessing=contract, depths=depths
                ).eval()
                model(torch.zeros(1, 3, contract.height, contract.width))
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = first_line(error)
        else:
            return model
    raise InputError(
        f"{backbone} does not take pictures of {contract.height} × {contract.width} pixels "
        f"({reason}). Give another --input-size."
    )


def threshold_dataset(register: Register, min_photos: int) -> Register:
    """The objects with enough readable photos.

    Raises:
        InputError: Fewer than two objects have so many photos.
    """
    if min_photos < 1:
        raise InputError(f"--min-photos {min_photos}: give 1 or more.")
    dataset = register.threshold(min_photos)
    objects = len(dataset.object_ids)
    if objects >= 2:
        return dataset
    counts = register.photos_per_object
    most = max(counts.values(), default=0)
    raise InputError(
        f"{register.root} has {objects} object{'s' if objects != 1 else ''} with at least "
        f"{min_photos} readable photos (of {len(counts)}; the most photographed has {most}). "
        "At least 2 are needed: add photos or lower --min-photos."
    )
