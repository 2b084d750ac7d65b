"""The operations of an exported file, as far as accelerators ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobile_assets.log_suppression import quiet

if TYPE_CHECKING:
    from export.tflite.graph import Operator

_WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "DEQUANTIZE": 0}
"""Which input holds the weights, of the operations that have any."""


@dataclass(frozen=True)
class Operation:
    """One operation of a TFLite file or an ML Program that computes.

    Attributes:
        name: TFLite's name, such as `CONV_2D`, or MIL's, such as `conv`.
        types: Types of its inputs and outputs that are not constants, sorted, lower case.
        weights: Type of its weights, lower case; empty where it has none or they are no constants.
        kernel_width: Of a depthwise convolution; 0 for others.
    """

    name: str
    types: tuple[str, ...]
    weights: tuple[str, ...] = ()
    kernel_width: int = 0

    @property
    def label(self) -> str:
        """Name and types, such as `FULLY_CONNECTED (float32, weights int8)`."""
        weights = f", weights {' and '.join(self.weights)}" if self.weights else ""
        return f"{self.name} ({' and '.join(self.types)}{weights})"


def operations(path: Path) -> tuple[Operation, ...]:
    """The operations in the order in which they are executed.

    Args:
        path: A `.tflite` file or an `.mlpackage` folder.

    Raises:
        DamagedError: The package cannot be parsed.
    """
    return _coreml(path) if path.is_dir() else _tflite(path.read_bytes())


def _tflite(content: bytes) -> tuple[Operation, ...]:
    from export.tflite.graph import TFLiteGraph

    graph = TFLiteGraph(content)

    def types(tensors: Iterable[int]) -> tuple[str, ...]:
        return tuple(sorted({graph.type(tensor) for tensor in tensors}))

    def operation(operator: Operator) -> Operation:
        computed = [tensor for tensor in operator.inputs if not graph.constant(tensor)]
        weights: list[int] = []
        if operator.kind in _WEIGHTS:
            tensor = operator.inputs[_WEIGHTS[operator.kind]]
            weights = [] if tensor in computed else [tensor]
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        return Operation(
            operator.kind,
            types([*computed, *operator.outputs]),
            types(weights),
            graph.shape(operator.inputs[1])[2] if depthwise else 0,
        )

    return tuple(map(operation, graph.operators))


def _coreml(package: Path) -> tuple[Operation, ...]:
    from export.coreml.structure import operations_of, specification_of, type_name

    def type_of(output: Any) -> str:
        """MIL's type, such as `float16`; `dictionary` for what is no tensor."""
        tensor = output.type.WhichOneof("type") == "tensorType"
        return type_name(output.type) if tensor else "dictionary"

    with quiet():  # the first import of coremltools
        program = operations_of(specification_of(package))
    return tuple(
        Operation(str(operation.type), tuple(sorted({type_of(out) for out in operation.outputs})))
        for operation in program
        if operation.type != "const"
    )
