"""Features of several depths: stage outputs pooled beside the last features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


def usable_depths(backbone: nn.Module, depths: Sequence[int]) -> tuple[int, ...]:
    """Those of the stages that the backbone has, ascending; none where it has no such stages.

    Args:
        backbone: A timm network; the EfficientNets, and the MobileNets of their class, have stages.
        depths: Indices of stages, from 0.
    """
    from timm.models.efficientnet import EfficientNet

    stages = len(backbone.blocks) if isinstance(backbone, EfficientNet) else 0
    return tuple(sorted({depth for depth in depths if 0 <= depth < stages}))


def stage_channels(backbone: nn.Module, depths: Sequence[int]) -> tuple[int, ...]:
    """Number of channels of each of the stages' outputs."""
    network: Any = backbone
    ends = [network.blocks[depth][-1] for depth in depths]
    return tuple(end.feature_info("bottleneck")["num_chs"] for end in ends)


def pooled_by_depth(backbone: nn.Module, image: Tensor, depths: Sequence[int]) -> list[Tensor]:
    """Runs a backbone once and pools the outputs of its stages too.

    Args:
        backbone: A timm `EfficientNet`.
        image: `[N, 3, H, W]`, normalised.
        depths: Of `usable_depths`.

    Returns:
        `[N, features]`, as the backbone itself answers, and after it `[N, channels]` of each stage:
        the mean over its positions.
    """
    network: Any = backbone
    values = network.bn1(network.conv_stem(image))
    pooled = []
    for index, stage in enumerate(network.blocks):
        values = stage(values)
        if index in depths:
            pooled.append(network.global_pool(values))
    return [network.forward_head(network.bn2(network.conv_head(values))), *pooled]
