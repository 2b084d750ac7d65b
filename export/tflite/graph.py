"""The operators and tensors of a TFLite file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from export.tflite.flatbuffer import operator_code, read_model, schema_names

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Operator:
    """One operator of a file.

    Attributes:
        kind: Such as `CONV_2D`.
        inputs: Indices of its input tensors, without those left out.
        outputs: Indices of its output tensors.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str

    @property
    def output(self) -> int:
        """Index of its first output tensor."""
        return self.outputs[0]


@dataclass(frozen=True)
class FloatTail:
    """The end of the graph that answers in float32 in the full-integer form.

    Attributes:
        layers: Names of its fully connected layers' outputs: the one that gives the logits, and
            before it those that give an embedding, one per depth of its features, where there are
            any.
        between: Names of the outputs between them: the embedding's sum and normalisation.
    """

    layers: tuple[str, ...]
    between: tuple[str, ...]


class TFLiteGraph:
    """The first subgraph of a file."""

    def __init__(self, content: bytes) -> None:
        kinds = schema_names("BuiltinOperator")
        self._model = read_model(content)
        self._graph = self._model.subgraphs[0]
        self._types = schema_names("TensorType")
        self.operators = [
            Operator(
                kind=kinds[operator_code(self._model.operatorCodes[operator.opcodeIndex])],
                inputs=tuple(int(index) for index in operator.inputs if index >= 0),
                outputs=tuple(map(int, operator.outputs)),
                name=self.name(int(operator.outputs[0])),
            )
            for operator in self._graph.operators
        ]
        self._makers = {index: made for made in self.operators for index in made.outputs}
        self.readers: dict[int, list[Operator]] = {}
        for operator in self.operators:
            for index in operator.inputs:
                self.readers.setdefault(index, []).append(operator)

    def name(self, tensor: int) -> str:
        """A tensor's name."""
        return str(self._graph.tensors[tensor].name.decode())

    def type(self, tensor: int) -> str:
        """A tensor's type, such as `float32`."""
        return self._types[self._graph.tensors[tensor].type].lower()

    def shape(self, tensor: int) -> tuple[int, ...]:
        """A tensor's shape."""
        return tuple(map(int, self._graph.tensors[tensor].shape))

    def constant(self, tensor: int) -> bytes:
        """A tensor's values as the file holds them; empty of a tensor that is computed."""
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return b"" if data is None else bytes(data)

    def float_activations(self) -> dict[int, str]:
        """Index and name of the float32 tensors that are not constants.

        The input comes first, then what the operators compute, in the order in which they run.
        """
        computed = [index for operator in self.operators for index in operator.outputs]
        indices = [int(self._graph.inputs[0]), *computed]
        return {index: self.name(index) for index in indices if self.type(index) == "float32"}

    def layers(self) -> dict[str, Operator]:
        """The operator of each convolution and linear layer, by the layer's name in the network.

        A layer's weight and bias are called as it is, with or without a number behind.
        """
        return {
            self.name(operator.inputs[1]).split("~")[0]: operator
            for operator in self.operators
            if operator.kind in LAYERS
        }

    def float_tail(self) -> FloatTail:
        """The end of the graph, from its last or its embedding layer to its output.

        Raises:
            ValueError: It ends neither in a softmax nor in an embedding's normalisation.
        """
        end = self.operators[-1]
        last = self._since_linear(end.inputs)
        normalises = any(operator.kind == "RSQRT" for operator in last)
        if end.kind == "MUL" and normalises:  # an embedding on its own
            return self._tail([*last, end])
        if end.kind != "SOFTMAX":
            raise ValueError("the converted graph ends neither in a softmax nor in an embedding")
        before = self._since_linear([index for operator in last for index in operator.inputs[:1]])
        # Only an embedding's normalisation has a reciprocal square root.
        if not any(operator.kind == "RSQRT" for operator in before):
            before = []
        return self._tail([*before, *last])

    def _tail(self, operators: Sequence[Operator]) -> FloatTail:
        tail = [operator for operator in self.operators if operator in operators]
        dense = tuple(op.name for op in tail if op.kind == "FULLY_CONNECTED")
        return FloatTail(dense, tuple(op.name for op in tail if op.name not in dense))

    def _since_linear(self, tensors: Sequence[int]) -> list[Operator]:
        """What tensors are computed by since the nearest fully connected layers, with these.

        Nothing where no such layer is between them and the photo.
        """
        found: list[Operator] = []
        waiting = list(tensors)
        while waiting:
            tensor = waiting.pop()
            if tensor == int(self._graph.inputs[0]):
                return []
            operator = self._makers.get(tensor)
            if operator is not None and operator not in found:
                found.append(operator)
                if operator.kind != "FULLY_CONNECTED":
                    waiting += operator.inputs
        return found


def operator_names(content: bytes) -> Counter[str]:
    """How often each operator stands in the file, such as `{"CONV_2D": 33}`."""
    return Counter(operator.kind for operator in TFLiteGraph(content).operators)
