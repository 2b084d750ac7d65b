"""Where a TFLite file has a SiLU or a sigmoid, and what that means for its 8-bit form.

The same as `Graph.curve`, `Graph.reach` and `Graph.beginning` say of a network; gates reach the
layer behind the product, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from export.quantise.activation_ranges import Curve
from export.tflite.flatbuffer import read_model

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_CHANNELWISE = ("LOGISTIC", "MUL", "PAD")
"""Operators whose output has its input's channels, each for itself."""


@dataclass(frozen=True)
class Operator:
    """One operator of a file.

    Attributes:
        kind: Such as `CONV_2D`.
        reads: Indices of its inputs.
        gives: Index of its output.
        answer: Its output's name.
    """

    kind: str
    reads: tuple[int, ...]
    gives: int
    answer: str


@dataclass(frozen=True)
class ActivationInput:
    """A tensor that one activation alone reads.

    Attributes:
        curve: The SiLU or sigmoid.
        reach: How much each channel does in the layers behind; None where that cannot be said.
    """

    curve: Curve
    reach: Tensor | None


class ActivationFile:
    """A float32 file of `export.tflite.convert.convert_float32`, looked at for SiLUs and sigmoids."""

    def __init__(self, content: bytes) -> None:
        """Reads the file."""
        from ai_edge_litert import schema_py_generated as schema

        names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
        self._model = read_model(content)
        self._graph = self._model.subgraphs[0]
        self.operators = [
            Operator(
                kind=names[_code(self._model.operatorCodes[one.opcodeIndex])],
                reads=tuple(map(int, one.inputs)),
                gives=int(one.outputs[0]),
                answer=self._graph.tensors[int(one.outputs[0])].name.decode(),
            )
            for one in self._graph.operators
        ]
        self._readers: dict[int, list[Operator]] = {}
        for operator in self.operators:
            for index in operator.reads:
                self._readers.setdefault(index, []).append(operator)

    def curved(self) -> dict[int, ActivationInput]:
        """Every tensor that one activation alone reads, by its index."""
        curves = {one.gives: self._curve(one.gives) for one in self.operators}
        return {
            index: ActivationInput(curve, self._reach(index))
            for index, curve in curves.items()
            if curve is not None
        }

    def bounds(self) -> dict[int, tuple[int, Curve]]:
        """Tensors whose largest value another's bounds, in the order in which they are computed.

        By the tensor's index, the other's and what the bound becomes: behind a SiLU that of its
        largest input, behind a gate, which is at most 1, what it was.
        """
        found: dict[int, tuple[int, Curve]] = {}
        gates = {one.gives: one.reads[0] for one in self.operators if one.kind == "LOGISTIC"}
        for one in self.operators:
            if one.kind == "PAD" and one.reads[0] in found:
                found[one.gives] = (one.reads[0], torch.clone)
            gate = next((index for index in one.reads if index in gates), None)
            if one.kind != "MUL" or gate is None or len(one.reads) != 2:
                continue
            other = sum(one.reads) - gate
            if gates[gate] == other:
                found[one.gives] = (other, functional.silu)
            elif other in found:
                found[one.gives] = (other, torch.clone)
        return found

    def beginning(self) -> list[Operator]:
        """The operators up to the first layer without an activation, if a SiLU is among them."""
        for place, operator in enumerate(self.operators):
            if operator.kind in _LAYERS and self._is_plain(operator.gives):
                found = self.operators[: place + 1]
                return found if any(self._curve(one.gives) for one in found) else []
        return []

    def _is_plain(self, index: int) -> bool:
        kinds = {one.kind for one in self._readers.get(index, [])}
        return self._curve(index) is None and not any("RELU" in kind for kind in kinds)

    def _curve(self, index: int) -> Curve | None:
        """A SiLU is a sigmoid and a multiplication, which both read the tensor."""
        using = self._readers.get(index, [])
        gates = [one.gives for one in using if one.kind == "LOGISTIC"]
        others = [one for one in using if one.kind != "LOGISTIC"]
        if len(gates) != 1:
            return None
        if not others:
            return torch.sigmoid
        silu = all(one.kind == "MUL" and gates[0] in one.reads for one in others)
        return functional.silu if silu else None

    def _reach(self, index: int) -> Tensor | None:
        found: list[Tensor] = []
        waiting = list(self._readers.get(index, []))
        seen: set[int] = set()
        while waiting:
            reader = waiting.pop()
            if reader.gives in seen:
                continue
            seen.add(reader.gives)
            if reader.kind in _LAYERS:
                # Output channels first, but a depthwise layer's weights are [1, H, W, channels].
                weights = self._weights(reader.reads[1])
                found.append(weights.square().reshape(-1, weights.shape[-1]).sum(dim=0))
            elif reader.kind in _CHANNELWISE:
                waiting += self._readers.get(reader.gives, [])
        same = len({len(weights) for weights in found}) == 1
        return torch.stack(found).sum(dim=0) if same else None

    def _weights(self, index: int) -> Tensor:
        tensor = self._graph.tensors[index]
        data = np.asarray(self._model.buffers[tensor.buffer].data, dtype=np.uint8)
        return torch.from_numpy(data.view(np.float32).reshape(tensor.shape).copy())


def _code(operator: Any) -> int:
    """Older files hold the operator's code in another field; the larger of the two counts."""
    return max(int(operator.builtinCode), int(operator.deprecatedBuiltinCode))
