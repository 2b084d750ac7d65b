"""Keeping a backbone's early layers as ImageNet left them."""

from __future__ import annotations

from torch import nn

from train.model import ArtefactModel
from train.recipes import Recipe


def early_parameters(backbone: nn.Module, share: float) -> list[nn.Parameter]:
    """Parameters of the first layer groups of a timm backbone.

    The early layers, whose pictures are the largest, take a third of the time of a training and
    more. Left as they are, the network is less often right and knows strangers less well.

    Args:
        backbone: A timm network; its own grouping is used (stem, stages, last layers).
        share: Share of the groups, from the input on, rounded down.

    Returns:
        The parameters; none where timm does not group this network.
    """
    from timm.models import group_parameters

    matcher = getattr(backbone, "group_matcher", None)
    if not share or matcher is None:
        return []
    groups: dict[int, list[str]] = group_parameters(backbone, matcher(coarse=True))
    early = sorted(groups)[: int(share * len(groups))]
    named = dict(backbone.named_parameters())
    return [named[name] for group in early for name in groups[group]]


def train_mode(model: ArtefactModel, recipe: Recipe, *, head_only: bool) -> None:
    """Puts the layers that are trained into training mode; batch statistics as the recipe says."""
    if head_only:
        model.head.train()
        return
    model.train()
    if recipe.freeze_statistics:
        for module in model.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
