"""A small network whose channels' ranges differ, as in trained networks, and pictures for it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.network.fold import FoldedNetwork
from mobile_assets.preprocessing import Preprocessing

SIDE = 32
OBJECTS = 10
CONTRACT = Preprocessing(height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.5,) * 3)


class Block(nn.Module):
    """An inverted residual without batch normalisation, as MobileNets and EfficientNets have."""

    def __init__(self, width: int) -> None:
        """Makes a block of `width` channels, six times as many inside."""
        super().__init__()
        self.expand = nn.Conv2d(width, 6 * width, 1)
        self.depthwise = nn.Conv2d(6 * width, 6 * width, 3, padding=1, groups=6 * width)
        self.project = nn.Conv2d(6 * width, width, 1)
        self.relu = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        """`[N, width, H, W]` to the same."""
        inner: Tensor = self.project(self.relu(self.depthwise(self.relu(self.expand(x)))))
        return x + inner


def small_network() -> FoldedNetwork:
    """Three blocks whose channels' ranges differ by up to eight, as in trained networks."""
    torch.manual_seed(0)
    width = 8
    stem, narrow = nn.Conv2d(3, 24, 3, stride=2), nn.Conv2d(24, width, 1)
    blocks = [Block(width) for _ in range(3)]
    spread = torch.logspace(-1.5, 1.5, width, base=2).reshape(-1, 1, 1, 1)
    with torch.no_grad():
        for layer in (stem, narrow, *blocks):
            for conv in [m for m in layer.modules() if isinstance(m, nn.Conv2d)]:
                conv.weight *= torch.exp(torch.randn_like(conv.weight))  # a few are much larger
        stem.weight *= 0.03
        narrow.weight *= 4 * spread
        for block in blocks:
            block.project.weight *= spread
            block.depthwise.weight *= 2
    head = [nn.Conv2d(width, 64, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    body = nn.Sequential(stem, nn.ReLU6(), narrow, *blocks, *head, nn.Linear(64, OBJECTS))
    with torch.no_grad():
        body[-1].weight *= 4  # type: ignore[assignment, operator]
    network = FoldedNetwork(torch.full((1, 3, 1, 1), 127.5), (0, 1, 0, 1), body)
    return network.eval().requires_grad_(False)


def pictures(count: int, seed: int) -> NDArray[np.uint8]:
    """Smooth coloured pictures `[count, SIDE, SIDE, 3]`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((count, 3, 5, 5), generator=generator) * 255
    smooth = nn.functional.interpolate(coarse, size=SIDE, mode="bicubic").clamp(0, 255)
    return smooth.permute(0, 2, 3, 1).byte().numpy()


def to_torch(photos: NDArray[np.uint8]) -> Tensor:
    """`[N, 3, H, W]` float32 of `[N, H, W, 3]` uint8."""
    return torch.from_numpy(photos).permute(0, 3, 1, 2).float()
