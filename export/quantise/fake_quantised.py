"""A network with fake quantisation: activations rounded to int8 and back, for Core ML's w8a8."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.network.fold import FoldedNetwork, batches
from export.network.graph import Graph, Node, trace_or_refuse
from export.quantise.activation_ranges import (
    ActivationInput,
    Range,
    RangeObserver,
    scale_and_zero_point,
)

Ranges = dict[str, Range]
"""Smallest and largest value of each node's output, by the node's name."""

_BATCH = 16


class QuantizeDequantize(nn.Module):
    """Rounds a tensor to int8 and back, as operations that the converter knows."""

    def __init__(self, span: Range) -> None:
        super().__init__()
        self.scale, self.zero_point = scale_and_zero_point(span)

    def forward(self, values: Tensor) -> Tensor:
        """What is left of float values of any shape once they were int8."""
        with warnings.catch_warnings():
            # Torch means to give these operations up; the converter knows no others.
            warnings.simplefilter("ignore", UserWarning)
            steps = torch.quantize_per_tensor(values, self.scale, self.zero_point, torch.qint8)
        return steps.dequantize()


def fake_quantised_network(network: FoldedNetwork, photos: NDArray[np.uint8]) -> nn.Module:
    """A copy of a network that rounds its activations as the package will.

    Every activation from the first layer to the last is rounded to 8 bits. The centred photo, and
    what the last layer or those of an embedding give, are left as they are.

    Args:
        network: Its weights lie on 8-bit steps, as `export.quantise.quantised_network.quantise`
            leaves them.
        photos: `[N, H, W, 3]` uint8, on which the ranges are taken; N at least 1.

    Raises:
        CheckFailedError: The network cannot be followed step by step.
    """
    purpose = "its activations cannot be given 8 bits for Core ML"
    graph = trace_or_refuse(network, purpose, "coreml-w8a8")
    ranges = activation_ranges(graph, photos)
    # What a SiLU or sigmoid reads is not rounded: Core ML has each as one operation, which a
    # compiler takes together with the layer before it.
    inside = {node.name for node in graph.nodes if graph.activation(node) is not None}
    for node in graph.nodes:
        if node.name not in ranges or node.name in inside:
            continue
        name = f"eight_bits_{node.name}"
        graph.module.add_submodule(name, QuantizeDequantize(ranges[node.name]))
        with graph.module.graph.inserting_after(node):
            rounded = graph.module.graph.call_module(name)
        node.replace_all_uses_with(rounded)
        rounded.args = (node,)
    graph.module.recompile()
    return graph.module.eval()


def activation_ranges(graph: Graph, photos: NDArray[np.uint8]) -> Ranges:
    """The range of every node's output that becomes int8, see `RangeObserver.ranges`.

    Args:
        photos: `[N, H, W, 3]` uint8, N at least 1.
    """
    observed = int8_nodes(graph)
    inputs = {
        node: ActivationInput(activation, graph.channel_importance(node))
        for node in graph.nodes
        if node in observed and (activation := graph.activation(node)) is not None
    }
    observer = RangeObserver(inputs, batches=-(-len(photos) // _BATCH))

    def watch(node: Node, values: Tensor) -> None:
        if node in observed:
            observer.observe(node, values.movedim(1, -1))

    graph.observe(batches(photos, _BATCH), watch)
    with torch.inference_mode():
        ranges = observer.ranges(graph.range_limits(observed))
    return {node.name: span for node, span in ranges.items()}


def int8_nodes(graph: Graph) -> set[Node]:
    """The nodes whose outputs are int8 tensors in a Core ML package.

    As in TFLite's full-integer form, but what centres the photo for the first layer stays float16:
    around a centre of 127.5 all values lie halfway between two steps, and every second one would
    be lost.
    """
    nodes = graph.nodes
    first = next(i for i, node in enumerate(nodes) if graph.layer(node) is not None)
    return graph.int8_nodes() & set(nodes[first:])
