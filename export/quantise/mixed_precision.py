"""Mixed precision: which layers of a network with rounded weights stay in float16."""

from __future__ import annotations

import copy
import operator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.network.fold import batches
from export.network.graph import Graph, Layer, Node
from export.quantise.layerwise import QuantisedLayers, run_node

TARGET_DB = 50.0
"""Signal-to-noise ratio of the logits that is aimed at, as the sum of the layers' own noises."""

MOST_FLOAT = 0.3
"""Largest share of the weights that stays in float16: with one byte more for each, a file is at
most 0.34 of a float32 file."""

_PHOTOS, _BATCH = 16, 4


def layers_kept_in_float(
    graph: Graph, rounded: QuantisedLayers, photos: NDArray[np.uint8], *, most: float = MOST_FLOAT
) -> frozenset[str]:
    """Names of the layers that do most damage for their size when they are rounded.

    Each layer is rounded alone and the change of the logits measured. Such changes are small and
    those of different layers nearly uncorrelated, so their squares add up to the network's noise.
    The layers with the most noise for each byte are kept, greedily, until the rest reaches
    `TARGET_DB` or too much is in float.

    Args:
        graph: The network in float32.
        rounded: What `round_network` made of it.
        photos: `[N, H, W, 3]` uint8 calibration photos; the first few are used.
        most: Largest share of the weights that is kept.
    """
    layers = graph.layers()
    noise, signal = _noises(_without_overwriting(graph), rounded, photos[:_PHOTOS])
    sizes = {name: layer.weight.numel() for name, layer in layers.items()}
    left, room = sum(noise.values()), most * sum(sizes.values())
    kept: set[str] = set()
    for name in sorted(noise, key=lambda name: noise[name] / sizes[name], reverse=True):
        if left <= signal / 10 ** (TARGET_DB / 10):
            break
        if sizes[name] <= room:
            kept.add(name)
            room -= sizes[name]
            left -= noise[name]
    return frozenset(kept)


def _without_overwriting(graph: Graph) -> Graph:
    """A copy whose nodes leave their inputs as they are, so that these can be read again."""
    made = Graph(copy.deepcopy(graph.module))
    for module in made.module.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    for node in made.nodes:
        if node.target is operator.iadd:
            node.target = operator.add
    return made


def _noises(
    graph: Graph, rounded: QuantisedLayers, photos: NDArray[np.uint8]
) -> tuple[dict[str, float], float]:
    """Sum of the squared changes of the logits for each layer's rounding, and that of the logits.

    Logits count from their mean, which the softmax does not see.
    """
    noise = dict.fromkeys(graph.layers(), 0.0)
    signal = 0.0
    with torch.inference_mode():
        for batch in batches(photos, _BATCH):
            plain = _run(graph, {}, batch)
            exact = _logits(graph, plain)
            signal += float(exact.square().sum())
            for index, node in enumerate(graph.nodes):
                layer = graph.layer(node)
                if layer is None:
                    continue
                (source,) = node.all_input_nodes
                weight = rounded.layers[str(node.target)].weight
                changed = _answer(layer, weight, plain[source], plain[node])
                values = dict(list(plain.items())[:index]) | {node: changed}
                rounded_logits = _logits(graph, _run(graph, values, batch))
                noise[str(node.target)] += float((rounded_logits - exact).square().sum())
    return noise, signal


def _answer(layer: Layer, weight: Tensor, inputs: Tensor, plain: Tensor) -> Tensor:
    """What a layer answers with other weights, its bias made good on average."""
    original = layer.weight
    layer.weight = nn.Parameter(weight, requires_grad=False)
    change = torch.as_tensor(layer(inputs)) - plain
    layer.weight = original
    axes = [axis for axis in range(change.ndim) if axis != 1]
    return plain + change - change.mean(dim=axes, keepdim=True)


def _run(graph: Graph, values: dict[Node, Any], batch: Tensor) -> dict[Node, Any]:
    """Runs the nodes that have no value yet; those before the last that has one must."""
    for node in graph.nodes:
        if node in values or node.op == "output":
            continue
        if node.op == "placeholder":
            values[node] = batch
        elif node.op == "get_attr":
            values[node] = getattr(graph.module, str(node.target))
        else:
            values[node] = run_node(graph, node, values.__getitem__)
    return values


def _logits(graph: Graph, values: dict[Node, Any]) -> Tensor:
    """The answer, each photo's about its mean."""
    (last,) = graph.nodes[-1].all_input_nodes
    logits = torch.as_tensor(values[last])
    return logits - logits.mean(dim=1, keepdim=True)
