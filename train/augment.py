"""Changing training photos as a camera would, whole batches at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from train.background_replacement import SIDE, object_masks, replace_background
from train.recipes import Augmentation

_GRID = 32
"""Pixels of the input for one of a network's last feature map."""


def augment(
    images: Tensor, amount: Augmentation, generator: torch.Generator, *, side: float = 1.0
) -> Tensor:
    """Puts objects on other grounds, moves and turns them, changes light, colour and sharpness.

    Args:
        images: `[N, 3, H, W]` float RGB 0–255.
        generator: Where chance comes from; the result depends on nothing else.
        side: Share of the photos' sides that is left of them.

    Returns:
        `[N, 3, h, w]` float RGB 0–255, edges repeated outwards where the photo ends.
    """
    count = images.shape[0]
    if amount.other_ground:
        images = _regrounded(images, _chance(count, amount.other_ground, generator), generator)
    shape = [count, images.shape[1], *(_smaller(n, side) for n in images.shape[2:])]
    affine = _affine(count, amount, generator).to(images.device)
    grid = functional.affine_grid(affine, shape, align_corners=False)
    if amount.perspective:
        grid = _tilted(grid, amount.perspective, generator)
    moved = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    lit = _colour(moved, amount, generator)
    return _blurred(lit, amount.blurred, generator) if amount.blurred else lit


def _smaller(pixels: int, share: float) -> int:
    """A share of a side, in whole steps of a network's coarsest grid."""
    return pixels if share == 1 else max(_GRID, round(pixels * share / _GRID) * _GRID)


def _regrounded(images: Tensor, wanted: Tensor, generator: torch.Generator) -> Tensor:
    """Gives the wanted photos, `[N]` bool, another ground, where theirs is plain."""
    # A generator of its own: how many photos have a plain ground changes nothing that comes after.
    own = torch.Generator().manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    rows = wanted.nonzero()[:, 0].to(images.device)
    if not len(rows):
        return images
    masks = images.new_zeros(len(images), 1, SIDE, SIDE)
    chosen = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    masks[rows], chosen[rows] = object_masks(images[rows])
    return replace_background(images, masks, chosen, own)


def _draw(count: int, span: float, generator: torch.Generator) -> Tensor:
    """`[count]` values spread evenly over ± `span`."""
    return (torch.rand(count, generator=generator) * 2 - 1) * span


def _chance(count: int, share: float, generator: torch.Generator) -> Tensor:
    """`[count]` bool, each true with the probability `share`."""
    return torch.rand(count, generator=generator) < share


def _affine(count: int, amount: Augmentation, generator: torch.Generator) -> Tensor:
    """`[count, 2, 3]` maps from places in the result to places in the photo, in -1 … 1."""
    angle = _draw(count, math.radians(amount.rotation), generator)
    if amount.any_rotation:
        anywhere = _chance(count, amount.any_rotation, generator)
        angle = torch.where(anywhere, _draw(count, math.pi, generator), angle)
    shear = torch.tan(_draw(count, math.radians(amount.shear), generator))
    zoom = torch.exp(_draw(count, math.log1p(amount.zoom), generator))
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = [2 * _draw(count, amount.shift, generator) for _ in range(2)]
    rows = [
        torch.stack([cos, shear * cos - sin, shift[0]], dim=1),
        torch.stack([sin, shear * sin + cos, shift[1]], dim=1),
    ]
    return torch.stack(rows, dim=1)


def _tilted(grid: Tensor, span: float, generator: torch.Generator) -> Tensor:
    """Places `[N, H, W, 2]` as seen by a camera that does not look straight at the photo."""
    tilt = torch.stack([_draw(len(grid), span, generator) for _ in range(2)], dim=1)
    depth = 1 + (grid * tilt.to(grid.device)[:, None, None, :]).sum(dim=-1, keepdim=True)
    return grid / depth


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


def _blurred(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Loses detail in some of the photos, as out of focus, from afar or after much compression."""
    count, _, height, width = images.shape
    chosen = _chance(count, share, generator).reshape(-1, 1, 1, 1).to(images.device)
    coarser = int(torch.randint(2, 5, (1,), generator=generator))
    small = functional.interpolate(
        images.contiguous(), size=(-(-height // coarser), -(-width // coarser)), mode="area"
    )
    soft = functional.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    return torch.where(chosen, soft, images)
