"""The network as a graph of steps, for whatever changes its numbers and not its answers."""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from export.network.fold import FoldedNetwork

Node = fx.Node
Layer = nn.Conv2d | nn.Linear

_RELUS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_CURVES = (nn.SiLU, nn.Sigmoid)
_NOTHING = (nn.Identity, nn.Dropout)
_ADDITIONS = (operator.add, operator.iadd, torch.add)
_PRODUCTS = (operator.mul, operator.imul, torch.mul)
_RESHAPES = ("flatten", "view", "reshape")
_POOLS = (nn.AdaptiveAvgPool2d,)


class _Tracer(fx.Tracer):
    """Takes every convolution as one step, also those of classes of our own and of timm."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Layer) or super().is_leaf_module(m, module_qualified_name)


@dataclass(frozen=True)
class Graph:
    """A copy of a `FoldedNetwork` whose forward pass is a list of steps.

    Attributes:
        module: The copy; its layers have the names that they have in the original.
    """

    module: fx.GraphModule

    @property
    def nodes(self) -> list[Node]:
        """The steps in the order in which they run."""
        return list(self.module.graph.nodes)

    def layer(self, node: Node) -> Layer | None:
        """The convolution or linear layer that the step runs, or None."""
        found = self._module(node)
        return found if isinstance(found, Layer) else None

    def layers(self) -> dict[str, Layer]:
        """Every step's layer by its name, in the order in which they run."""
        found = ((str(node.target), self.layer(node)) for node in self.nodes)
        return {name: layer for name, layer in found if layer is not None}

    def is_relu(self, node: Node) -> bool:
        """Whether the step cuts off negative values, and perhaps those above a bound."""
        return isinstance(self._module(node), _RELUS)

    def is_addition(self, node: Node) -> bool:
        """Whether the step adds two tensors."""
        return (
            node.op == "call_function"
            and node.target in _ADDITIONS
            and len(node.all_input_nodes) == 2
        )

    def is_pooling(self, node: Node) -> bool:
        """Whether the step averages over places."""
        return isinstance(self._module(node), _POOLS)

    def keeps_values(self, node: Node) -> bool:
        """Whether the step's output holds its input's values, and perhaps zeros beside them."""
        return (
            isinstance(self._module(node), nn.Flatten)
            or (node.op == "call_method" and node.target in _RESHAPES)
            or node.target is functional.pad
        )

    def is_fused(self, node: Node) -> bool:
        """Whether TFLite runs the step and the relu that reads it as one operator.

        Its own values then never exist in 8 bits.
        """
        readers = list(node.users)
        return (
            len(readers) == 1
            and self.is_relu(readers[0])
            and (self.layer(node) is not None or self.is_addition(node))
        )

    def is_silu(self, node: Node) -> bool:
        """Whether the step multiplies values by their sigmoid."""
        return isinstance(self._module(node), nn.SiLU)

    def is_sigmoid(self, node: Node) -> bool:
        """Whether the step is a sigmoid."""
        return isinstance(self._module(node), nn.Sigmoid)

    def curve(self, node: Node) -> nn.Module | None:
        """The SiLU or sigmoid that alone reads the step's output, or None.

        It makes nearly the same of all values far below zero, so a range need not hold them.
        """
        readers = list(node.users)
        found = self._module(readers[0]) if len(readers) == 1 else None
        return found if isinstance(found, _CURVES) else None

    def beginning(self) -> set[Node]:
        """The steps before the first layer without an activation, if a SiLU is among them.

        They and that layer compute in float in the full-integer form, and what it gives is rounded
        to 8 bits, as is what each step behind it gives. Channels of the first layers differ by
        hundreds of times in size, and behind a SiLU nothing cuts the large ones off, nor may they
        be equalised: with one scale for all, these few layers do more damage than the others
        together.
        """
        nodes = self.nodes
        for place, node in enumerate(nodes):
            plain = self.layer(node) is not None and self.curve(node) is None
            if plain and not any(self.is_relu(reader) for reader in node.users):
                found = set(nodes[:place])
                return found if any(self.is_silu(step) for step in found) else set()
        return set()

    def beginning_layers(self) -> frozenset[str]:
        """Names of the layers of the `beginning` and of the one that ends it."""
        nodes, found = self.nodes, self.beginning()
        if not found:
            return frozenset()
        layers = [str(node.target) for node in found if self.layer(node) is not None]
        return frozenset([*layers, str(nodes[len(found)].target)])

    def eight_bit_steps(self) -> set[Node]:
        """The steps whose outputs are int8 tensors in the full-integer form.

        A photo has 8 bits as it is, and what is fused or only rearranged makes no values of its
        own.
        """
        floating = self.tail() | self.beginning()
        return {
            node
            for node in self.nodes
            if node.op not in ("placeholder", "get_attr", "output")
            and node not in floating
            and not self.is_fused(node)
            and not self.keeps_values(node)
        }

    def reach(self, node: Node) -> Tensor | None:
        """How much each channel of the step's output does in the layers that read it, `[channels]`.

        The sum of the squares of a channel's weights, of layers behind activations and products
        too, but not behind a mean. None where that cannot be said.
        """
        found: list[Tensor] = []
        waiting = list(node.users)
        while waiting:
            reader = waiting.pop()
            layer = self.layer(reader)
            if layer is not None:
                alone = isinstance(layer, nn.Conv2d) and layer.groups > 1
                rows = layer.weight if alone else layer.weight.transpose(0, 1)
                found.append(rows.square().flatten(1).sum(dim=1))
            elif self.is_silu(reader) or self.is_product(reader) or self.keeps_values(reader):
                waiting += reader.users
        same = len({len(weights) for weights in found}) == 1
        return torch.stack(found).sum(dim=0) if same else None

    def is_product(self, node: Node) -> bool:
        """Whether the step multiplies two tensors."""
        return (
            node.op == "call_function"
            and node.target in _PRODUCTS
            and len(node.all_input_nodes) == 2
        )

    def tail(self) -> set[Node]:
        """The steps from the last layer, or an embedding's layer, to the end.

        They answer in float32 in the full-integer form, as `export.tflite.flatbuffer.float_tail` finds
        them in a file.
        """
        nodes = self.nodes
        dense = [i for i, node in enumerate(nodes) if isinstance(self.layer(node), nn.Linear)]
        if not dense:
            return set()
        roots = [i for i, node in enumerate(nodes) if node.target is torch.rsqrt]
        embeds = bool(roots) and len(dense) > 1 and dense[-2] < roots[-1] < dense[-1]
        return set(nodes[dense[-2] if embeds else dense[-1] :])

    def _module(self, node: Node) -> nn.Module | None:
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None


def trace(network: FoldedNetwork) -> Graph | None:
    """Traces a copy of a network.

    Returns:
        The graph, or None if the network's way depends on its input or it has a layer that is
        used twice: such a network is left as it is.
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
    made = Graph(module.eval())
    layers = [target for target in targets if str(target) in made.layers()]
    return made if layers and len(set(layers)) == len(layers) else None


def with_layers(
    network: FoldedNetwork, layers: dict[str, tuple[Tensor, Tensor | None]]
) -> FoldedNetwork:
    """A copy of a network with other weights and biases in some layers.

    Args:
        network: What `trace` was given.
        layers: New weight and bias by the layer's name; None keeps a layer without a bias.
    """
    made = copy.deepcopy(network)
    for name, (weight, bias) in layers.items():
        layer = made.get_submodule(name)
        assert isinstance(layer, Layer)
        layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
        layer.bias = None if bias is None else nn.Parameter(bias.clone(), requires_grad=False)
    return made
