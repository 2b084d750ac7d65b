"""Channels of a tensor brought to the same range, without changing what the network computes.

In 8 bits all channels of a tensor share one scale, and a channel a hundred times smaller than the
largest has two or three steps. Where nothing but convolutions, sums and averages touch a tensor, a
channel may be multiplied by any number if the layers that write it multiply their weights and
those that read it divide theirs (Nagel et al., Data-free quantization, ICCV 2019). That holds
between the blocks of a MobileNet or EfficientNet, whose tensors have no activation. Behind a relu
that ends at 6 it holds only as long as nothing reaches 6, and photos unlike those of calibration
were worse for it: these tensors are left alone.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.network.fold import batches
from export.network.graph import Graph, Layer, Node

LARGEST_FACTOR = 16.0
"""A channel of almost nothing is not scaled up further: it hardly counts in what follows."""

_BATCH = 16


def equalise(graph: Graph, photos: NDArray[np.uint8]) -> int:
    """Equalises channels in place, wherever that is exact.

    Args:
        graph: The network; its layers' weights and biases are changed.
        photos: `[N, H, W, 3]` uint8, on which the channels' largest values are taken.

    Returns:
        How many sets of tensors that share their channels were equalised.
    """
    with torch.inference_mode():
        sets = _sets(graph)
        largest = _largest(graph, photos, {node for nodes in sets for node in nodes})
        done = 0
        for nodes in sets:
            if len({len(largest[node]) for node in nodes}) == 1:  # else channels were rearranged
                channels = torch.stack([largest[node] for node in nodes]).amax(dim=0)
                factor = (channels.max() / channels.clamp_min(1e-12)).clamp(1, LARGEST_FACTOR)
                _multiply(graph, set(nodes), factor)
                done += 1
    return done


def _sets(graph: Graph) -> list[list[Node]]:
    """Sets of nodes whose outputs must have the same factors, because sums join them."""
    nodes = graph.nodes
    parent = {node: node for node in nodes}

    def root(node: Node) -> Node:
        while parent[node] is not node:
            node = parent[node]
        return node

    fixed: set[Node] = set()
    for node in nodes:
        layer, read = graph.layer(node), node.all_input_nodes
        if layer is not None:
            fixed.update((node, *read) if not _is_scalable(layer) else ())
        elif graph.is_addition(node) or graph.is_pooling(node) or graph.keeps_values(node):
            for used in read:
                parent[root(used)] = root(node)
        else:
            fixed.update((node, *read))
    kept = {root(node) for node in fixed}
    sets: dict[Node, list[Node]] = defaultdict(list)
    for node in nodes:
        if root(node) not in kept:
            sets[root(node)].append(node)
    return list(sets.values())


def _is_scalable(layer: Layer) -> bool:
    """Whether each output channel reads either all input channels or the one of its place."""
    if isinstance(layer, nn.Linear) or layer.groups == 1:
        return True
    return layer.groups == layer.in_channels == layer.out_channels


def _largest(graph: Graph, photos: NDArray[np.uint8], nodes: set[Node]) -> dict[Node, Tensor]:
    """Largest absolute value `[channels]` of the output of each of the nodes."""
    maxima: dict[Node, Tensor] = {}

    def watch(node: Node, output: Tensor) -> None:
        if node in nodes:
            largest = output.abs().transpose(0, 1).flatten(1).amax(dim=1)
            maxima[node] = torch.maximum(maxima[node], largest) if node in maxima else largest

    graph.observe(batches(photos, _BATCH), watch)
    return maxima


def _multiply(graph: Graph, nodes: set[Node], factor: Tensor) -> None:
    """Multiplies what is written to the nodes' outputs, and divides by it where it is read."""
    for node in graph.nodes:
        layer = graph.layer(node)
        if layer is None:
            continue
        weight, ones = layer.weight, [1] * (layer.weight.dim() - 2)
        if node in nodes:
            weight = weight * factor.reshape(-1, 1, *ones)
            if layer.bias is not None:
                layer.bias = nn.Parameter(layer.bias * factor, requires_grad=False)
        if node.all_input_nodes[0] in nodes:
            alone = isinstance(layer, nn.Conv2d) and layer.groups > 1
            weight = weight / factor.reshape((-1, 1, *ones) if alone else (1, -1, *ones))
        layer.weight = nn.Parameter(weight, requires_grad=False)
