"""Core ML packages whose layers' weights are of a few values; arithmetic stays float16.

A layer multiplies by its palette's values, and what it gives by a scale per channel. The scale
could be part of the weight, too: Core ML Tools then repeats the palette for every channel up to
iOS 18, which doubles a package, and notes that the Neural Engine wants it after the layer. So it
is there, and the format's operations are those of iOS 16.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.coreml.convert import convert_coreml
from export.coreml.structure import weight_name
from export.network.description import ModelDescription
from export.network.fold import FoldedNetwork
from export.network.graph import Layer
from export.quantise.palette import Palette
from mobile_assets.labels import LabelMap
from mobile_assets.log_suppression import quiet
from mobile_assets.preprocessing import Preprocessing

_FUSION = "common::fuse_conv_scale"
"""The converter's step that would put scales back into weights."""


class ScaledPalette(nn.Module):
    """A layer whose weights are a palette's values, and a scale per channel after it.

    Attributes:
        layer: As the network's, with the weight and the bias divided by the scale.
        scale: `[channels, 1, 1]` after a convolution, `[channels]` after a linear layer.
    """

    scale: Tensor

    def __init__(self, layer: Layer, palette: Palette) -> None:
        super().__init__()
        scale = torch.from_numpy(palette.scale.astype(np.float32))
        values = torch.from_numpy(palette.values.astype(np.float32)[palette.indices])
        layer.weight = nn.Parameter(values, requires_grad=False)
        if layer.bias is not None:
            layer.bias = nn.Parameter(layer.bias / scale, requires_grad=False)
        self.layer = layer
        axes = (-1, 1, 1) if isinstance(layer, nn.Conv2d) else (-1,)
        self.register_buffer("scale", scale.reshape(axes))

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gave as a whole."""
        return torch.as_tensor(self.layer(x)) * self.scale


def convert_palettised(
    network: FoldedNetwork,
    palettes: Mapping[str, Palette],
    contract: Preprocessing,
    labels: LabelMap,
    *,
    description: ModelDescription,
    user_defined: dict[str, str],
) -> Any:
    """Converts a network to an ML Program whose layers' weights are of palettes.

    Args:
        palettes: By the layer's name; layers without one stay in float16.

    Returns:
        A `coremltools.models.MLModel` for iOS 16 or later, not yet saved.
    """
    taken_apart = copy.deepcopy(network)
    for name, palette in palettes.items():
        layer = taken_apart.get_submodule(name)
        assert isinstance(layer, Layer)
        taken_apart.set_submodule(name, ScaledPalette(layer, palette))
    model = convert_coreml(
        taken_apart,
        contract,
        labels,
        description=description,
        user_defined=user_defined,
        without_passes=(_FUSION,),
    )
    with quiet():
        from coremltools.optimize import coreml as optimize

        chosen = optimize.OptimizationConfig(
            op_name_configs={
                weight_name(f"{name}.layer"): optimize.OpPalettizerConfig(
                    mode="custom", lut_function=_as_it_is(palette), weight_threshold=0
                )
                for name, palette in palettes.items()
            }
        )
        return optimize.palettize_weights(model, chosen)


def _as_it_is(palette: Palette) -> Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[np.uint8]]]:
    """What tells coremltools a layer's palette and indices, whatever it asks of the weight."""

    def values_and_indices(weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        return palette.values.astype(weight.dtype), palette.indices.reshape(-1)

    return values_and_indices
