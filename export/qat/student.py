"""A network that is trained as it will be in 8 bits: weights and activations rounded as it runs.

The forward pass rounds what the integer files round, on the grids that they have: weights to
-127 … 127 steps of a scale per output channel, activations to -128 … 127 steps of a scale and zero
point per tensor, after a relu that is part of the layer, both sides of a sum, and the sigmoid of a
SiLU. The backward pass takes rounding for the identity (straight-through), and clipping for what it
is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from export.network.fold import FoldedNetwork
from export.network.graph import Graph, Layer, trace, with_layers
from export.quantise.activation_ranges import HIGH, LOW, Range, scale_and_zero_point
from export.quantise.channel_equalisation import equalise
from export.quantise.fake_quantised import QuantizeDequantize, insert_fake_quantisation, int8_nodes
from export.quantise.gptq import STEPS
from export.quantise.layerwise import quantise_layers

LEAN = 0.49
"""How far from its step a weight may begin, in steps: where the float network would have it."""


_LEARNED = "parametrizations.weight.original"


class FakeEightBits(nn.Module):
    """Rounds a tensor to int8 and back, with gradients for what is not clipped."""

    def __init__(self, span: Range) -> None:
        """Takes scale and zero point from the smallest and the largest value."""
        super().__init__()
        self.scale, self.zero = scale_and_zero_point(span)

    def forward(self, values: Tensor) -> Tensor:
        """What is left of float values of any shape once they were int8."""
        return torch.fake_quantize_per_tensor_affine(values, self.scale, self.zero, LOW, HIGH)


class RoundedSiLU(nn.Module):
    """A SiLU as TFLite runs it: values times their sigmoid, which is an int8 tensor of its own."""

    def __init__(self) -> None:
        """Its sigmoid has the one range that TFLite knows for it."""
        super().__init__()
        self.rounded = FakeEightBits((0.0, 255 / 256))

    def forward(self, values: Tensor) -> Tensor:
        """Of values of any shape; what it gives is not rounded yet."""
        product: Tensor = values * self.rounded(torch.sigmoid(values))
        return product


class OnSteps(nn.Module):
    """A weight that is learned in steps of its channel's scale and used rounded.

    Attributes:
        scale: Of each output channel, `[channels, 1, …]`.
        pinned: Weights at the end of their channel's range. They stay there: whoever takes the
            scale from a channel's largest weight must find this one.
    """

    scale: Tensor
    pinned: Tensor

    def __init__(self, scale: Tensor, pinned: Tensor) -> None:
        """See the class's attributes."""
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("pinned", pinned)

    def forward(self, steps: Tensor) -> Tensor:
        """The weight, of a number of steps that need not be whole."""
        free = torch.where(self.pinned, steps.detach(), steps)
        rounded = free.detach().round().clamp(-STEPS, STEPS)
        return (free + (rounded - free.detach())) * self.scale

    def right_inverse(self, weight: Tensor) -> Tensor:
        """The steps of a weight."""
        return weight / self.scale


@dataclass(frozen=True)
class Student:
    """A network to be trained, and the one that it was made of.

    Attributes:
        module: Photos `[N, 3, H, W]` float RGB 0–255 → logits, rounding as it runs.
        network: The folded float network, whose layers have the same names.
    """

    module: nn.Module
    network: FoldedNetwork

    def layers(self) -> dict[str, Layer]:
        """Every layer by its name in the network."""
        return {n: m for n, m in self.module.named_modules() if isinstance(m, Layer)}

    def steps(self) -> list[nn.Parameter]:
        """What is learned of the weights, in steps."""
        learned = (layer.get_parameter(_LEARNED) for layer in self.layers().values())
        return list(learned)

    def biases(self) -> list[nn.Parameter]:
        """The biases, as they are."""
        layers = self.layers().values()
        return [layer.get_parameter("bias") for layer in layers if layer.bias is not None]

    def weights(self) -> dict[str, tuple[Tensor, Tensor | None]]:
        """Every layer's weight, on its steps, and bias, by name."""
        return {
            name: (
                layer.weight.detach().cpu(),
                None if layer.bias is None else layer.bias.detach().cpu(),
            )
            for name, layer in self.layers().items()
        }


def make_student(network: FoldedNetwork, photos: NDArray[np.uint8]) -> Student | None:
    """Makes a student that begins where rounding after training ends.

    Args:
        network: The folded float network; it is not changed.
        photos: `[N, H, W, 3]` uint8, on which channels are equalised, weights rounded and the
            ranges of activations taken, as in an export.

    Returns:
        The student, or None if the network's layers cannot be followed one by one.
    """
    graph = trace(network)
    if graph is None:
        return None
    equalise(graph, photos)
    wanted = {name: layer.weight.detach().clone() for name, layer in graph.layers().items()}
    rounded = quantise_layers(graph, photos, activations=True)
    start = trace(with_layers(network, rounded.parameters))
    assert start is not None, "the same network with other numbers"
    inner = {node.name for node in int8_nodes(start)}
    ranges = {name: span for name, span in rounded.ranges.items() if name in inner}
    module = insert_fake_quantisation(start, ranges)
    for name, child in list(module.named_modules()):
        if isinstance(child, QuantizeDequantize):
            module.set_submodule(name, FakeEightBits(child.span))
        elif isinstance(child, nn.SiLU):
            module.set_submodule(name, RoundedSiLU())
    for name, layer in Graph(module).layers().items():
        _learn_in_steps(layer, wanted[name])
    return Student(module, network)


def _learn_in_steps(layer: Layer, wanted: Tensor) -> None:
    """Makes a layer on 8-bit steps trainable, beginning between its steps and the wanted weight."""
    weight = layer.weight.detach()
    rest = tuple(range(1, weight.dim()))
    scale = (weight.abs().amax(dim=rest, keepdim=True) / STEPS).clamp_min(1e-20)
    steps = (weight / scale).round()
    begin = torch.minimum(torch.maximum(wanted / scale, steps - LEAN), steps + LEAN)
    pinned = steps.abs() >= STEPS
    layer.weight = nn.Parameter(torch.where(pinned, steps, begin) * scale)
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach().clone())
    parametrize.register_parametrization(layer, "weight", OnSteps(scale, pinned))
