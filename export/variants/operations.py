"""The operations of an exported file, as far as accelerators ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_assets.log_suppression import quiet

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
    from ai_edge_litert import schema_py_generated as schema

    from export.tflite.flatbuffer import read_model

    types = {code: name.lower() for name, code in vars(schema.TensorType).items() if name.isupper()}
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = read_model(content)
    graph = model.subgraphs[0]

    def constant(index: int) -> bool:
        data = model.buffers[graph.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def types_of(indices: list[int]) -> tuple[str, ...]:
        return tuple(sorted({types[graph.tensors[index].type] for index in indices}))

    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(int(code.builtinCode), int(code.deprecatedBuiltinCode))]
        inputs = [int(index) for index in operator.inputs if index >= 0]
        fixed = [index for index in inputs if constant(index)]
        moving = [index for index in inputs if index not in fixed]
        wide = name == "DEPTHWISE_CONV_2D"
        found.append(
            Operation(
                name,
                types_of([*moving, *map(int, operator.outputs)]),
                types_of([index for index in inputs[_WEIGHTS[name] :][:1] if index in fixed])
                if name in _WEIGHTS
                else (),
                int(graph.tensors[inputs[1]].shape[2]) if wide else 0,
            )
        )
    return tuple(found)


def _coreml(package: Path) -> tuple[Operation, ...]:
    from export.coreml.structure import operations_of, specification_of

    with quiet():  # the first import of coremltools
        found = operations_of(specification_of(package))
    return tuple(
        Operation(str(operation.type), tuple(sorted({_type(out) for out in operation.outputs})))
        for operation in found
        if operation.type != "const"
    )


def _type(output: Any) -> str:
    """MIL's type of an output, such as `float16`; `dictionary` for what is no tensor."""
    if output.type.WhichOneof("type") != "tensorType":
        return "dictionary"
    tensor = output.type.tensorType
    names = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number
    return str(names[tensor.dataType].name).lower()
