"""A network's layers quantised one after the other on calibration photos."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from export.network.graph import Graph, Layer, Node
from export.quantise.activation_ranges import (
    SIGMOID,
    ActivationInput,
    Range,
    RangeObserver,
    fake_quantise,
    sqnr_db,
)
from export.quantise.gptq import LayerStatistics, QuantisedLayer, keep_layer, quantise_layer

_BATCH = 16
MOST_VALUES = 12 * 10**7
"""Largest size of one node's output over all photos; two or three of them are in memory at a time:
1.4 GB at most."""

Batches = list[Any]
Work = Callable[[Layer, LayerStatistics], QuantisedLayer]


@dataclass(frozen=True)
class LayerReport:
    """What rounding did to one layer.

    Attributes:
        sqnr_db: Signal-to-quantisation-noise ratio of its output, with everything before it
            rounded, too.
    """

    name: str
    sqnr_db: float


@dataclass(frozen=True)
class QuantisedLayers:
    """A network whose layers hold rounded weights, as float32.

    Attributes:
        layers: Every layer's weight, rounded unless it was to be kept, and its bias, by name.
        ranges: Of the nodes whose outputs are int8, by the node's name; empty if none are.
        reports: One of each layer, in the order in which they run.
    """

    layers: dict[str, QuantisedLayer]
    ranges: dict[str, Range]
    reports: tuple[LayerReport, ...]
    photos: int

    @property
    def parameters(self) -> dict[str, tuple[Tensor, Tensor | None]]:
        """Weight and bias by the layer's name, as `export.network.graph.with_layers` takes them."""
        return {name: (layer.weight, layer.bias) for name, layer in self.layers.items()}

    @property
    def worst(self) -> LayerReport:
        """The layer with the lowest ratio."""
        return min(self.reports, key=lambda report: report.sqnr_db)


def quantise_layers(
    graph: Graph,
    photos: NDArray[np.uint8],
    *,
    activations: bool,
    kept: frozenset[str] = frozenset(),
    work: Work = quantise_layer,
) -> QuantisedLayers:
    """Rounds every layer's weights and corrects its bias.

    Two copies of the network run side by side: one in float32, and one in which everything before
    the present layer is rounded. So the layer's Hessian is that of the inputs that it will really
    read, and its bias makes good on average what the layers before it changed.

    Args:
        photos: `[N, H, W, 3]` uint8, N at least 1. Of many large ones only the first are used.
        activations: Whether what lies between the layers is int8, too.
        kept: Names of layers that keep their weights; their biases are corrected as the others'.
        work: Quantises a layer; to 8 bits unless another is given.
    """
    with torch.inference_mode():
        pixels = torch.from_numpy(photos).permute(0, 3, 1, 2)
        pixels = pixels[: max(1, MOST_VALUES // _largest_output(graph, pixels[:1].float()))]
        run = _Run(graph, pixels, activations=activations, kept=kept, work=work)
        for node in graph.nodes:
            run.step(node)
        return QuantisedLayers(run.layers, run.ranges, tuple(run.reports), len(pixels))


def _largest_output(graph: Graph, photo: Tensor) -> int:
    """Number of values of the largest output of any node, of one photo."""
    sizes = [1]

    def watch(_node: Node, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    graph.observe([photo], watch)
    return max(sizes)


class _Run:
    """The two copies, from node to node."""

    def __init__(
        self, graph: Graph, pixels: Tensor, *, activations: bool, kept: frozenset[str], work: Work
    ) -> None:
        self.graph = graph
        self.rounded = Graph(copy.deepcopy(graph.module))
        self.batches = [batch.float() for batch in torch.split(pixels, _BATCH)]
        self.integer = graph.int8_nodes() if activations else set()
        self.float_stem = graph.float_stem()
        self.activations = activations
        self.kept = kept
        self.work = work
        self.last = {used: node for node in graph.nodes for used in node.all_input_nodes}
        self.exact_values: dict[Node, Batches] = {}
        self.rounded_values: dict[Node, Batches] = {}
        self.layers: dict[str, QuantisedLayer] = {}
        self.ranges: dict[str, Range] = {}
        self.reports: list[LayerReport] = []

    def step(self, node: Node) -> None:
        """Runs one node in both copies and forgets what is not read any more."""
        if node.op == "output":
            return
        self.exact_values[node] = self._evaluate(self.graph, node, self.exact_values)
        layer = self.graph.layer(node)
        if layer is not None:
            self._round(node)
        self.rounded_values[node] = self._evaluate(self.rounded, node, self.rounded_values)
        if node in self.integer:
            span = self.ranges[node.name] = self._range(node)
            for batch, values in enumerate(self.rounded_values[node]):
                self.rounded_values[node][batch] = fake_quantise(values, span)
        if layer is not None:
            self.reports.append(LayerReport(str(node.target), self._ratio(node)))
        for used in node.all_input_nodes:
            if self.last[used] is node:
                del self.exact_values[used], self.rounded_values[used]

    def _round(self, node: Node) -> None:
        layer, target = self.graph.layer(node), self.rounded.layer(node)
        assert layer is not None and target is not None
        statistics = LayerStatistics.of(layer)
        (source,) = node.all_input_nodes
        pairs = zip(self.rounded_values[source], self.exact_values[node], strict=True)
        for seed, (inputs, outputs) in enumerate(pairs):
            statistics.add(layer, inputs, outputs, seed=seed)
        work = keep_layer if str(node.target) in self.kept else self.work
        result = work(layer, statistics)
        target.weight = nn.Parameter(result.weight, requires_grad=False)
        if result.bias is not None:
            target.bias = nn.Parameter(result.bias, requires_grad=False)
        self.layers[str(node.target)] = result

    def _ratio(self, node: Node) -> float:
        """Of a layer's output, or of what a SiLU or sigmoid makes of it."""
        activation = self.graph.activation(node) or torch.clone
        pairs = zip(self.exact_values[node], self.rounded_values[node], strict=True)
        # Cloned, since the activation may overwrite its input.
        return sqnr_db((activation(a.clone()), activation(b.clone())) for a, b in pairs)

    def _range(self, node: Node) -> Range:
        """The range of a node's int8 output, as the full-integer form has it."""
        if self.graph.is_sigmoid(node):
            return SIGMOID
        batches, activation = self.rounded_values[node], self.graph.activation(node)
        inputs = {}
        if activation is not None:
            inputs[node] = ActivationInput(activation, self.graph.channel_importance(node))
        observer = RangeObserver(inputs, batches=len(batches))
        for values in batches:
            observer.observe(node, values.movedim(1, -1))
        return observer.ranges()[node]

    def _evaluate(self, graph: Graph, node: Node, values: dict[Node, Batches]) -> Batches:
        if node.op == "placeholder":
            return self.batches
        if node.op == "get_attr":
            return [getattr(graph.module, str(node.target))] * len(self.batches)
        integer = self.activations and graph is self.rounded and node not in self.float_stem
        if integer and graph.is_silu(node):
            # TFLite has no SiLU: the sigmoid is a tensor of its own, before it is multiplied.
            read = values[node.all_input_nodes[0]]
            return [part * fake_quantise(torch.sigmoid(part), SIGMOID) for part in read]
        return [
            run_node(graph, node, lambda used, at=batch: values[used][at])  # type: ignore[misc]
            for batch in range(len(self.batches))
        ]


def run_node(graph: Graph, node: Node, value: Callable[[Node], Any]) -> Any:
    """Runs one node that calls something."""
    args: Any = fx.node.map_arg(node.args, value)
    options: Any = fx.node.map_arg(node.kwargs, value)
    if node.op == "call_module":
        return graph.module.get_submodule(str(node.target))(*args, **options)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **options)
    assert callable(node.target)
    return node.target(*args, **options)
