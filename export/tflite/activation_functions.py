"""Where a TFLite file has a SiLU or a sigmoid, and what that means for its 8-bit form."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from export.network.graph import Activation
from export.quantise.activation_ranges import ActivationInput
from export.tflite.graph import LAYERS, Operator, TFLiteGraph

_CHANNELWISE = ("LOGISTIC", "MUL", "PAD")
"""Operators whose output has its input's channels, each computed alone."""


class ActivationGraph(TFLiteGraph):
    """A float32 file of `export.tflite.convert.convert_float32` with its activations.

    What is said of SiLUs and sigmoids here, `export.network.graph.Graph` says of the network in
    torch. Both are needed: ranges for the file are those of its own tensors as its own kernels
    compute them, since the last bits of a range decide scales; and its operators are others than
    torch's, for the converter fuses relus, splits SiLUs in two and pads in its own places. What is
    made of both is one: `export.quantise.activation_ranges.RangeObserver`.
    """

    def activation_inputs(self) -> dict[int, ActivationInput]:
        """Every tensor that one SiLU or sigmoid alone reads, by its index."""
        activations = {operator.output: self._activation(operator) for operator in self.operators}
        return {
            index: ActivationInput(activation, self._channel_importance(index))
            for index, activation in activations.items()
            if activation is not None
        }

    def range_limits(self) -> Iterator[tuple[int, int, Activation]]:
        """As `Graph.range_limits`, by the tensors' indices."""
        limited: set[int] = set()
        gates = {op.output: op.inputs[0] for op in self.operators if op.kind == "LOGISTIC"}
        for operator in self.operators:
            inputs, output = operator.inputs, operator.output
            if operator.kind == "PAD" and inputs[0] in limited:
                limited.add(output)
                yield output, inputs[0], torch.clone
            gate = next((index for index in inputs if index in gates), None)
            if operator.kind != "MUL" or gate is None or len(inputs) != 2:
                continue
            other = sum(inputs) - gate
            if gates[gate] == other:
                limited.add(output)
                yield output, other, functional.silu
            elif other in limited:
                limited.add(output)
                yield output, other, torch.clone

    def float_stem(self) -> list[Operator]:
        """As `Graph.float_stem`, with the layer that ends it."""
        for index, operator in enumerate(self.operators):
            if operator.kind in LAYERS and self._is_bare(operator):
                stem = self.operators[: index + 1]
                return stem if any(map(self._activation, stem)) else []
        return []

    def _is_bare(self, operator: Operator) -> bool:
        kinds = {reader.kind for reader in self.readers.get(operator.output, [])}
        return self._activation(operator) is None and not any("RELU" in kind for kind in kinds)

    def _activation(self, operator: Operator) -> Activation | None:
        """The SiLU, a sigmoid and a multiplication, or sigmoid that reads the operator's output."""
        readers = self.readers.get(operator.output, [])
        gates = [reader.output for reader in readers if reader.kind == "LOGISTIC"]
        others = [reader for reader in readers if reader.kind != "LOGISTIC"]
        if len(gates) != 1:
            return None
        if not others:
            return torch.sigmoid
        silu = all(other.kind == "MUL" and gates[0] in other.inputs for other in others)
        return functional.silu if silu else None

    def _channel_importance(self, tensor: int) -> Tensor | None:
        """As `Graph.channel_importance`."""
        sums: list[Tensor] = []
        readers = list(self.readers.get(tensor, []))
        seen: set[int] = set()
        while readers:
            reader = readers.pop()
            if reader.output in seen:
                continue
            seen.add(reader.output)
            if reader.kind in LAYERS:
                # Output channels first, but a depthwise layer's weights are [1, H, W, channels].
                weights = self._weights(reader.inputs[1])
                sums.append(weights.square().reshape(-1, weights.shape[-1]).sum(dim=0))
            elif reader.kind in _CHANNELWISE:
                readers += self.readers.get(reader.output, [])
        same = len({len(channels) for channels in sums}) == 1
        return torch.stack(sums).sum(dim=0) if same else None

    def _weights(self, tensor: int) -> Tensor:
        values = np.frombuffer(self.constant(tensor), dtype=np.float32)
        return torch.from_numpy(values.reshape(self.shape(tensor)).copy())
