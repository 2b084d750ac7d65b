"""Changing training photos as a camera would, whole batches at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from train.recipes import Augmentation


def augment(images: Tensor, amount: Augmentation, generator: torch.Generator) -> Tensor:
    """Rotates, zooms, shifts and shears each photo, and changes its light and colour.

    Args:
        images: `[N, 3, H, W]` float RGB 0–255.
        amount: The ranges.
        generator: Where chance comes from; the result depends on nothing else.

    Returns:
        `[N, 3, H, W]` float RGB 0–255, edges repeated outwards where the photo ends.
    """
    count = images.shape[0]
    grid = functional.affine_grid(
        _affine(count, amount, generator).to(images.device), list(images.shape), align_corners=False
    )
    moved = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return _colour(moved, amount, generator)


def _draw(count: int, span: float, generator: torch.Generator) -> Tensor:
    """`[count]` values spread evenly over ± `span`."""
    return (torch.rand(count, generator=generator) * 2 - 1) * span


def _affine(count: int, amount: Augmentation, generator: torch.Generator) -> Tensor:
    """`[count, 2, 3]` maps from places in the result to places in the photo, in -1 … 1."""
    angle = _draw(count, math.radians(amount.rotation), generator)
    shear = torch.tan(_draw(count, math.radians(amount.shear), generator))
    zoom = torch.exp(_draw(count, math.log1p(amount.zoom), generator))
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = [2 * _draw(count, amount.shift, generator) for _ in range(2)]
    rows = [
        torch.stack([cos, shear * cos - sin, shift[0]], dim=1),
        torch.stack([sin, shear * sin + cos, shift[1]], dim=1),
    ]
    return torch.stack(rows, dim=1)


def _colour(images: Tensor, amount: Augmentation, generator: torch.Generator) -> Tensor:
    count = images.shape[0]

    def factor(span: float, channels: int = 1) -> Tensor:
        values = 1 + _draw(count * channels, span, generator)
        return values.reshape(count, channels, 1, 1).to(images.device)

    images = images * (factor(amount.brightness) * factor(amount.tint, 3))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * factor(amount.contrast)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * factor(amount.saturation)
    return images.clamp(0, 255)
