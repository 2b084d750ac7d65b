"""Photos as a hurried hand takes them: out of focus, shaken, noisy, badly lit, partly covered.

Objects stay where they are and as large as they are; `train.augment` moves and turns them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

_SKIN = (225.0, 172.0, 140.0)


def degrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Makes each photo worse in some of seven ways, each drawn on its own.

    Args:
        images: `[N, 3, H, W]` float RGB 0–255.
        generator: Where chance comes from; the result depends on nothing else.

    Returns:
        `[N, 3, H, W]` float RGB 0–255.
    """
    for share, change in _CHANGES:
        rows = torch.nonzero(torch.rand(len(images), generator=generator) < share)[:, 0]
        if len(rows):
            own = torch.Generator().manual_seed(
                int(torch.randint(2**62, (1,), generator=generator))
            )
            changed = change(images[rows.to(images.device)], own).clamp(0, 255)
            images = images.index_copy(0, rows.to(images.device), changed)
    return images


def degraded(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Makes a share of the photos worse, each drawn on its own; 0 draws nothing.

    Args:
        images: `[N, 3, H, W]` float RGB 0–255.
    """
    if not share:
        return images
    rows = torch.nonzero(torch.rand(len(images), generator=generator) < share)[:, 0]
    if not len(rows):
        return images
    rows = rows.to(images.device)
    return images.index_copy(0, rows, degrade(images[rows], generator))


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """`[count]` values spread evenly from `low` to `high`."""
    return low + (high - low) * torch.rand(count, generator=generator)


def _covered(images: Tensor, generator: torch.Generator) -> Tensor:
    """A finger reaches into the picture from a random side."""
    angle, width, reach, tone = (
        _uniform(len(images), low, high, generator)[:, None, None]
        for low, high in ((0, 2 * math.pi), (0.2, 0.48), (0.0, 0.5), (0.35, 1.0))
    )
    x, y = _coordinates(images)
    along = x * torch.cos(angle) + y * torch.sin(angle) - reach
    across = y * torch.cos(angle) - x * torch.sin(angle)
    nail = along.square() + across.square() < (width / 2).square()
    finger = ((along > 0) & (across.abs() < width / 2)) | nail
    skin = torch.tensor(_SKIN).reshape(1, 3, 1, 1) * tone[:, None]
    return torch.where(finger[:, None].to(images.device), skin.to(images.device), images)


def _exposed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Two stops too dark to one stop too bright."""
    stops = _uniform(len(images), -2, 1, generator).to(images.device)
    return images * torch.exp2(stops)[:, None, None, None]


def _shaded(images: Tensor, generator: torch.Generator) -> Tensor:
    """Light from one side: the other loses 30 to 90 % of it."""
    angle, depth = (
        _uniform(len(images), low, high, generator)[:, None, None]
        for low, high in ((0, 2 * math.pi), (0.3, 0.9))
    )
    x, y = _coordinates(images)
    away = (0.5 + 0.5 * (x * torch.cos(angle) + y * torch.sin(angle))).clamp(0, 1)
    return images * (1 - depth * away)[:, None].to(images.device)


def _blurred(images: Tensor, generator: torch.Generator) -> Tensor:
    """Out of focus: a Gaussian with a deviation of 0.2 to 1.6 % of the photo's side."""
    side = images.shape[-1]
    sigma = _uniform(len(images), 0.002, 0.016, generator)[:, None] * side
    reach = max(1, math.ceil(3 * 0.016 * side))
    steps = torch.arange(-reach, reach + 1)
    weights = torch.exp(-steps.square() / (2 * sigma.square()))
    weights = weights / weights.sum(dim=1, keepdim=True)
    return _convolved(_convolved(images, weights[:, None, :]), weights[:, :, None])


def _shaken(images: Tensor, generator: torch.Generator) -> Tensor:
    """Moved while the shutter was open, by 2 to 8 % of the photo's side, along a line."""
    side = images.shape[-1]
    length = _uniform(len(images), 0.02, 0.08, generator) * side
    angle = _uniform(len(images), 0, math.pi, generator)
    reach = max(1, math.ceil(0.04 * side))
    path = torch.linspace(-0.5, 0.5, 6 * reach)[None] * length[:, None]
    column = (path * torch.cos(angle)[:, None]).round().long() + reach
    row = (path * torch.sin(angle)[:, None]).round().long() + reach
    size = 2 * reach + 1
    kernels = torch.zeros(len(images), size * size)
    kernels.scatter_add_(1, row * size + column, torch.full(path.shape, 1 / path.shape[1]))
    return _convolved(images, kernels.reshape(-1, size, size))


def _noisy(images: Tensor, generator: torch.Generator) -> Tensor:
    """Sensor noise with a deviation of 4 to 28 of 255, each channel and pixel on its own."""
    sigma = _uniform(len(images), 4, 28, generator)[:, None, None, None]
    noise = torch.randn(images.shape, generator=generator) * sigma
    return images + noise.to(images.device)


def _compressed(images: Tensor, generator: torch.Generator) -> Tensor:
    """Saved as JPEG at a quality of 8 to 40."""
    qualities = _uniform(len(images), 8, 40, generator).round().int().tolist()
    pixels = images.clamp(0, 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    rows = []
    for photo, quality in zip(pixels, qualities, strict=True):
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=quality)
        rows.append(np.asarray(Image.open(file, formats=("JPEG",))))
    return torch.from_numpy(np.stack(rows)).to(images.device).permute(0, 3, 1, 2).float()


def _coordinates(images: Tensor) -> tuple[Tensor, Tensor]:
    """X and y `[1, H, W]` of each pixel, -1 … 1."""
    height, width = images.shape[-2:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    return x[None], y[None]


def _convolved(images: Tensor, kernels: Tensor) -> Tensor:
    """Each photo with a kernel of its own, `[N, h, w]` with odd sides; edges are repeated."""
    count, channels, height, width = images.shape
    h, w = kernels.shape[-2:]
    padded = functional.pad(images.contiguous(), (w // 2, w // 2, h // 2, h // 2), "replicate")
    weights = kernels.to(images).repeat_interleave(channels, dim=0)[:, None]
    flat = padded.reshape(1, count * channels, height + h - 1, width + w - 1)
    mixed = functional.conv2d(flat, weights, groups=count * channels)
    return mixed.reshape(count, channels, height, width)


# In the order in which they happen: in front of the lens, in the lens, on the sensor, in the file.
_CHANGES: tuple[tuple[float, Callable[[Tensor, torch.Generator], Tensor]], ...] = (
    (0.1, _covered),
    (0.2, _exposed),
    (0.2, _shaded),
    (0.35, _blurred),
    (0.2, _shaken),
    (0.2, _noisy),
    (0.2, _compressed),
)
"""Shares of the photos, and what happens to these."""
