"""The network as an fx graph, for whatever changes its weights layer by layer."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from export.network.fold import FoldedNetwork
from mobile_assets.errors import CheckFailedError

Node = fx.Node
Layer = nn.Conv2d | nn.Linear
Activation = Callable[[Tensor], Tensor]
"""A SiLU or sigmoid: nearly the same output for all inputs beyond some bound."""

_RELUS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_SATURATING = (nn.SiLU, nn.Sigmoid)
_NOTHING = (nn.Identity, nn.Dropout)
_ADDITIONS = (operator.add, operator.iadd, torch.add)
_PRODUCTS = (operator.mul, operator.imul, torch.mul)
_RESHAPES = ("flatten", "view", "reshape")
_POOLS = (nn.AdaptiveAvgPool2d,)


class _Tracer(fx.Tracer):
    """Takes every convolution as one node, also those of classes of our own and of timm."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Layer) or super().is_leaf_module(m, module_qualified_name)


@dataclass(frozen=True)
class Graph:
    """A copy of a `FoldedNetwork` whose forward pass is a list of nodes.

    Attributes:
        module: The copy; its layers have the names that they have in the original.
    """

    module: fx.GraphModule

    @property
    def nodes(self) -> list[Node]:
        """The nodes in the order in which they run."""
        return list(self.module.graph.nodes)

    def observe(self, photos: Iterable[Tensor], watch: Callable[[Node, Any], None]) -> None:
        """Runs batches `[N, 3, H, W]` and hands each node's output to `watch`, in their order."""

        class Watched(fx.Interpreter):
            def run_node(self, n: Node) -> Any:
                output = super().run_node(n)
                watch(n, output)
                return output

        with torch.inference_mode():
            for batch in photos:
                Watched(self.module).run(batch)

    def layer(self, node: Node) -> Layer | None:
        """The convolution or linear layer that the node runs, or None."""
        module = self._module(node)
        return module if isinstance(module, Layer) else None

    def layers(self) -> dict[str, Layer]:
        """Every node's layer by its name, in the order in which they run."""
        named = ((str(node.target), self.layer(node)) for node in self.nodes)
        return {name: layer for name, layer in named if layer is not None}

    def is_relu(self, node: Node) -> bool:
        """Whether the node cuts off negative values, and perhaps those above a bound."""
        return isinstance(self._module(node), _RELUS)

    def is_addition(self, node: Node) -> bool:
        """Whether the node adds two tensors."""
        return (
            node.op == "call_function"
            and node.target in _ADDITIONS
            and len(node.all_input_nodes) == 2
        )

    def is_pooling(self, node: Node) -> bool:
        """Whether the node averages over positions."""
        return isinstance(self._module(node), _POOLS)

    def keeps_values(self, node: Node) -> bool:
        """Whether the node's output holds its input's values, and perhaps zeros beside them."""
        return (
            isinstance(self._module(node), nn.Flatten)
            or (node.op == "call_method" and node.target in _RESHAPES)
            or node.target is functional.pad
        )

    def is_fused(self, node: Node) -> bool:
        """Whether TFLite runs the node and the relu that reads it as one operator.

        Its own values then never exist in 8 bits.
        """
        readers = list(node.users)
        return (
            len(readers) == 1
            and self.is_relu(readers[0])
            and (self.layer(node) is not None or self.is_addition(node))
        )

    def is_silu(self, node: Node) -> bool:
        """Whether the node multiplies values by their sigmoid."""
        return isinstance(self._module(node), nn.SiLU)

    def is_sigmoid(self, node: Node) -> bool:
        """Whether the node is a sigmoid."""
        return isinstance(self._module(node), nn.Sigmoid)

    def activation(self, node: Node) -> nn.Module | None:
        """The SiLU or sigmoid that alone reads the node's output, or None."""
        readers = list(node.users)
        module = self._module(readers[0]) if len(readers) == 1 else None
        return module if isinstance(module, _SATURATING) else None

    def float_stem(self) -> set[Node]:
        """The nodes before the first layer without an activation, if a SiLU is among them.

        They and that layer compute in float in the full-integer form; from that layer's output on
        everything is rounded to 8 bits. Channels of the first layers differ by hundreds of times in
        size, and behind a SiLU nothing cuts the large ones off, nor may they be equalised: with one
        scale for all, these few layers do more damage than the others together.
        """
        nodes = self.nodes
        for index, node in enumerate(nodes):
            bare = self.layer(node) is not None and self.activation(node) is None
            if bare and not any(self.is_relu(reader) for reader in node.users):
                stem = set(nodes[:index])
                return stem if any(self.is_silu(node) for node in stem) else set()
        return set()

    def float_stem_layers(self) -> frozenset[str]:
        """Names of the layers of the `float_stem` and of the one that ends it."""
        nodes, stem = self.nodes, self.float_stem()
        if not stem:
            return frozenset()
        layers = [str(node.target) for node in stem if self.layer(node) is not None]
        return frozenset([*layers, str(nodes[len(stem)].target)])

    def int8_nodes(self) -> set[Node]:
        """The nodes whose outputs are int8 tensors in the full-integer form.

        A photo has 8 bits as it is, and what is fused or only rearranged makes no values of its
        own.
        """
        in_float = self.float_tail() | self.float_stem()
        return {
            node
            for node in self.nodes
            if node.op not in ("placeholder", "get_attr", "output")
            and node not in in_float
            and not self.is_fused(node)
            and not self.keeps_values(node)
        }

    def channel_importance(self, node: Node) -> Tensor | None:
        """How much an error of each channel of the node's output counts, `[channels]`.

        The sum of the squares of the channel's weights in the layers that read it: independent
        errors of the inputs add up like that in a layer's output. Activations and products in
        between are passed through, means are not. None where channels cannot be told.
        """
        weights: list[Tensor] = []
        readers = list(node.users)
        while readers:
            reader = readers.pop()
            layer = self.layer(reader)
            if layer is not None:
                depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
                by_channel = layer.weight if depthwise else layer.weight.transpose(0, 1)
                weights.append(by_channel.square().flatten(1).sum(dim=1))
            elif (
                self.is_silu(reader) or self.is_multiplication(reader) or self.keeps_values(reader)
            ):
                readers += reader.users
        same = len({len(sums) for sums in weights}) == 1
        return torch.stack(weights).sum(dim=0) if same else None

    def range_limits(self, observed: set[Node]) -> Iterator[tuple[Node, Node, Activation]]:
        """Nodes whose largest value follows from another's, in the order in which they run.

        Behind a SiLU it is the SiLU of its largest input, and behind a gate, which multiplies by a
        sigmoid and so by at most 1, what it was.

        Yields:
            The node, the other node, and the largest value of the one from that of the other.
        """
        limited: set[Node] = set()
        for node in self.nodes:
            inputs = node.all_input_nodes
            if self.is_silu(node) and inputs[0] in observed:
                limited.add(node)
                yield node, inputs[0], functional.silu
            elif self.is_multiplication(node) and any(map(self.is_sigmoid, inputs)):
                gated = next((used for used in inputs if used in limited), None)
                if gated is not None and node in observed:
                    limited.add(node)
                    yield node, gated, torch.clone

    def is_multiplication(self, node: Node) -> bool:
        """Whether the node multiplies two tensors."""
        return (
            node.op == "call_function"
            and node.target in _PRODUCTS
            and len(node.all_input_nodes) == 2
        )

    def float_tail(self) -> set[Node]:
        """The nodes from the last layer, or an embedding's layers, to the end.

        They answer in float32 in the full-integer form; `TFLiteGraph.float_tail` of `export.tflite`
        finds the same in a file. An embedding has several layers where features have several
        depths.
        """
        end = self.nodes[-1]
        tail = self._since_linear(end.all_input_nodes)
        read = [used for node in tail if self.layer(node) for used in node.all_input_nodes]
        before = self._since_linear(read)
        # Only an embedding's normalisation has a reciprocal square root.
        embeds = any(node.target is torch.rsqrt for node in before)
        return {end} | tail | (before if embeds else set())

    def _since_linear(self, nodes: list[Node]) -> set[Node]:
        """What nodes are computed of since the nearest linear layers, with these and themselves.

        Nothing where no linear layer is between them and the photo.
        """
        found: set[Node] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if node.op == "placeholder":
                return set()
            if node not in found:
                found.add(node)
                if not isinstance(self.layer(node), nn.Linear):
                    waiting += node.all_input_nodes
        return found

    def _module(self, node: Node) -> nn.Module | None:
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None


def trace(network: FoldedNetwork) -> Graph | None:
    """Traces a copy of a network.

    Returns:
        The graph, or None if the control flow depends on the input or a layer is used twice: such
        a network is left as it is.
    """
    work = copy.deepcopy(network)
    try:
        graph = _Tracer().trace(work)
    except (fx.proxy.TraceError, TypeError, AttributeError, ValueError):
        return None
    module = fx.GraphModule(work, graph)
    for node in list(graph.nodes):
        if node.op == "call_module" and isinstance(
            module.get_submodule(str(node.target)), _NOTHING
        ):
            node.replace_all_uses_with(node.all_input_nodes[0])
            graph.erase_node(node)
    module.recompile()
    targets = [node.target for node in graph.nodes if node.op == "call_module"]
    traced = Graph(module.eval())
    layers = [target for target in targets if str(target) in traced.layers()]
    return traced if layers and len(set(layers)) == len(layers) else None


def trace_or_refuse(network: FoldedNetwork, purpose: str, variant: str) -> Graph:
    """Traces a network for a variant that cannot do without.

    Raises:
        CheckFailedError: The network cannot be traced.
    """
    graph = trace(network)
    if graph is None:
        raise CheckFailedError(
            f"This backbone's layers cannot be followed one by one, so that {purpose}. Leave "
            f"{variant} out with --variants."
        )
    return graph


def with_layers(
    network: FoldedNetwork, layers: dict[str, tuple[Tensor, Tensor | None]]
) -> FoldedNetwork:
    """A copy of a network with other weights and biases in some layers.

    Args:
        network: What `trace` was given.
        layers: New weight and bias by the layer's name; None keeps a layer without a bias.
    """
    changed = copy.deepcopy(network)
    for name, (weight, bias) in layers.items():
        layer = changed.get_submodule(name)
        assert isinstance(layer, Layer)
        layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
        layer.bias = None if bias is None else nn.Parameter(bias.clone(), requires_grad=False)
    return changed
