"""Features of several depths in the exported network: one linear layer per depth, summed.

In 8 bits a concatenation has one scale for all that it joins, and the outputs of stages differ in
size from the last features by far. A linear layer of joined features is the sum of one layer per
depth, each over its own columns of the weights: then each depth keeps its own scale.

The converter names what it makes of a layer by the modules that were called on the way to it, so
every module here is called by its place in the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from train.depths import stage_channels


class _Stages(nn.Sequential):
    """Stages in turn; answers with the outputs of some of them, and the last one's in front."""

    def __init__(self, stages: Sequence[nn.Module], depths: tuple[int, ...]) -> None:
        super().__init__(*stages)
        self.depths = depths

    def forward(self, values: Tensor) -> list[Tensor]:
        outputs = []
        for index, stage in enumerate(self):
            values = stage(values)
            if index in self.depths:
                outputs.append(values)
        return [values, *outputs]


class DepthFeatures(nn.Module):
    """A backbone that answers with the features of every depth.

    Its layers have the names that they have in the backbone.
    """

    def __init__(self, backbone: nn.Module, depths: tuple[int, ...]) -> None:
        """Takes the layers of a timm `EfficientNet`, and the stages to be pooled."""
        super().__init__()
        network: Any = backbone
        self.conv_stem, self.bn1 = network.conv_stem, network.bn1
        self.blocks = _Stages(list(network.blocks), depths)
        self.conv_head, self.bn2 = network.conv_head, network.bn2
        self.global_pool = network.global_pool

    def forward(self, image: Tensor) -> list[Tensor]:
        """`[N, features]` and each stage's `[N, channels]` of a normalised `[N, 3, H, W]`."""
        last, *outputs = self.blocks(self.bn1(self.conv_stem(image)))
        features = self.bn2(self.conv_head(last))
        return [self.global_pool(values) for values in (features, *outputs)]


class SummedLinear(nn.ModuleList):
    """The sum of one linear layer per depth, each of which reads the features of its own."""

    def forward(self, features: list[Tensor]) -> Tensor:
        """`[N, outputs]` of the features of every depth."""
        first, *others = (layer(f) for layer, f in zip(self, features, strict=True))
        total: Tensor = first
        for other in others:
            total = total + other
        return total


def split_by_depth(head: nn.Module, backbone: nn.Module, depths: Sequence[int]) -> nn.Module:
    """A folded head that reads the features of each depth apart.

    Args:
        head: A linear layer, or several layers of which the first is linear.
        backbone: A timm `EfficientNet`.
        depths: Its stages whose pooled outputs follow the last features.
    """
    first, *rest = head if isinstance(head, nn.Sequential) else (head,)
    assert isinstance(first, nn.Linear)
    stages = stage_channels(backbone, depths)
    widths = [first.in_features - sum(stages), *stages]
    columns = torch.split(first.weight, widths, dim=1)
    summed = SummedLinear([_layer(weight) for weight in columns])
    summed[0].bias = first.bias
    return nn.Sequential(summed, *rest) if rest else summed


def _layer(weight: Tensor) -> nn.Linear:
    """A linear layer whose bias is 0: there to be corrected when weights are rounded."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight = nn.Parameter(weight.clone())
    nn.init.zeros_(layer.bias)
    return layer
