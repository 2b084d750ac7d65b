"""Objects on other grounds: finding the studio's ground in a photo, and putting another there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 56
"""Side of the small picture in which the ground is looked for; a mask is drawn no finer."""

_RING = 3
"""Width of the border that is taken for ground, in pixels of the small picture."""

_FAR = 4.0
"""How many deviations of the ground's colour a pixel of the object lies away from it, at least."""

_FINEST = 4.0
"""Least deviation that is assumed, in grey levels: what JPEG leaves on a plain ground."""

_PLAINEST = 14.0
"""Largest deviation, in grey levels, of a ground that still counts as plain."""


def object_masks(images: Tensor) -> tuple[Tensor, Tensor]:
    """Parts the object from a plain ground, without a trained network or a mask file.

    The ground's colour is a quadratic surface fitted to the photo's border, so that a lit backdrop
    may fade; what is like it and hangs together with the border is ground, all else the object.

    Args:
        images: `[N, 3, H, W]` float RGB 0–255.

    Returns:
        Masks `[N, 1, SIDE, SIDE]` float, 1 on the object, soft at its edge; and `[N]` bool, whether
        the ground is plain and the object of a sensible size, without which a mask means nothing.
    """
    small = functional.interpolate(images.contiguous(), size=(SIDE, SIDE), mode="area")
    distance, plain = _distance_from_ground(small)
    masks = 1 - _reached_from_border((distance < _FAR).float())
    # An erosion and a dilation remove specks of a pixel or two.
    masks = functional.max_pool2d(-functional.max_pool2d(-masks, 3, 1, 1), 3, 1, 1)
    area = masks.mean(dim=(1, 2, 3))
    soft = functional.avg_pool2d(functional.pad(masks, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return soft, plain & (area > 0.03) & (area < 0.85)


def replace_background(
    images: Tensor, masks: Tensor, chosen: Tensor, generator: torch.Generator
) -> Tensor:
    """Puts objects on grounds that they were not photographed on.

    A ground is a clutter of colours or an enlarged part of another photo of the batch.

    Args:
        images: `[N, 3, H, W]` float RGB 0–255.
        masks: `[N, 1, SIDE, SIDE]`, of `object_masks`.
        chosen: `[N]` bool, which photos get another ground.

    Returns:
        `[N, 3, H, W]` float RGB 0–255.
    """
    rows = chosen.nonzero()[:, 0].cpu()
    if not len(rows):
        return images
    count, (height, width) = len(rows), images.shape[2:]
    lenders = torch.randint(len(images), (count,), generator=generator)
    borrow = torch.rand(count, generator=generator) < 0.4
    grounds = _clutter(count, height, width, generator).to(images.device)
    if borrow.any():
        grounds[borrow] = _parts(images[lenders[borrow]], generator)
    kept = functional.interpolate(
        masks[rows], (height, width), mode="bilinear", align_corners=False
    )
    swapped = images.clone()
    swapped[rows] = images[rows] * kept + grounds * (1 - kept)
    return swapped


def _distance_from_ground(small: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each pixel from the ground's colour, in deviations; and whether it is plain."""
    count, _, height, width = small.shape
    pixels = small.reshape(count, 3, -1).permute(0, 2, 1)
    surface = _surface(height, width).to(small)
    border = _border(height, width).to(small.device)
    at, seen = surface[border], pixels[:, border]
    weights = torch.ones_like(seen[..., :1])
    ridge = 1e-3 * torch.eye(at.shape[1]).to(small)
    # Least squares, again and again with less weight on what does not fit: the object may reach
    # into the border.
    for _ in range(4):
        weighted = weights * at
        fitted = torch.linalg.solve(at.T @ weighted + ridge, weighted.transpose(1, 2) @ seen)
        off = (seen - at @ fitted).norm(dim=-1, keepdim=True)
        spread = off.median(dim=1, keepdim=True).values.clamp(min=2.0)
        weights = 1 / (1 + (off / (2 * spread)) ** 2)
    deviation = spread.clamp(min=_FINEST)
    distance = (pixels - surface @ fitted).norm(dim=-1) / deviation[..., 0]
    fits = (off / deviation < _FAR).float().mean(dim=(1, 2)) > 0.85
    return distance.reshape(count, 1, height, width), fits & (spread[:, 0, 0] < _PLAINEST)


def _surface(height: int, width: int) -> Tensor:
    """`[height * width, 5]`: the terms of a quadratic surface at every pixel."""
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    return torch.stack([torch.ones_like(x), x, y, x * x, y * y], dim=-1).reshape(-1, 5)


def _border(height: int, width: int) -> Tensor:
    """`[height * width]` bool: the outermost pixels."""
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[_RING:-_RING, _RING:-_RING] = True
    return ~inside.reshape(-1)


def _reached_from_border(alike: Tensor) -> Tensor:
    """What of `[N, 1, H, W]` 0 or 1 hangs together with the border, as 0 or 1."""
    start = torch.ones_like(alike)
    start[:, :, 1:-1, 1:-1] = 0
    reached = alike * start
    while True:
        further = functional.max_pool2d(reached, 3, 1, 1) * alike
        if torch.equal(further, reached):
            return reached
        reached = further


def _clutter(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Coarse to fine random colours, softly joined: `[count, 3, height, width]` 0–255."""
    total = torch.zeros(count, 3, height, width)
    for cells, amount in ((2, 1.0), (6, 0.6), (20, 0.35), (72, 0.2)):
        colours = torch.rand(count, 3, cells, cells, generator=generator) * 2 - 1
        greys = torch.rand(count, 1, cells, cells, generator=generator) - 0.5
        share = torch.rand(count, 1, 1, 1, generator=generator)
        total += functional.interpolate(
            amount * (colours * share + greys), (height, width), mode="bicubic", align_corners=False
        )
    colour = torch.rand(count, 3, 1, 1, generator=generator)
    grey = torch.rand(count, 1, 1, 1, generator=generator)
    depth = torch.rand(count, 1, 1, 1, generator=generator) / 2
    return (255 * (0.1 + 0.4 * (colour + grey) + depth * total)).clamp(0, 255)


def _parts(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random part of each photo, 30 to 70 % of its side, enlarged to the whole."""
    count = len(images)

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    zero = torch.zeros(count)
    rows = [
        torch.stack([draw(0.3, 0.7), zero, draw(-0.6, 0.6)], dim=1),
        torch.stack([zero, draw(0.3, 0.7), draw(-0.6, 0.6)], dim=1),
    ]
    grid = functional.affine_grid(
        torch.stack(rows, dim=1).to(images.device), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
