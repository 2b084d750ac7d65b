"""Checks what can be checked of a Core ML package where Core ML itself cannot run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobile_assets.bundle import INPUT_NAME, OUTPUT_NAME, TensorInfo
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing

PREDICTED_LABEL = "classLabel"

FLOAT16_LAYERS = "artefact-id.float16_layers"
"""The fact of a package that names the layers, space between, whose weights are not in 8 bits."""

COMPRESSED = {"int8-weights": "int8", "w8a8": "int8"} | {
    f"palette{bits}": f"palette{bits}" for bits in (4, 6, 8)
}
"""Precisions with layers' weights of their own kind; what else is constant is float16."""

_DATA_TYPES = dict.fromkeys(COMPRESSED, "float16")
LAYERS = ("conv", "linear")

SMALL = 16
"""Constants of up to so many values may be float32: they are settings, not weights."""


@dataclass(frozen=True)
class CoreMLStructure:
    """What a package declares.

    Attributes:
        input_name: Name of its one input; empty if it has none or several.
        colour: The image input's colour space, such as `RGB`; empty if the input is no image.
        height: Image height in pixels.
        width: Image width in pixels.
        outputs: Names and kinds (`stringType`, `dictionaryType`, …) of the outputs, in order.
        predicted_label: Name of the output that holds the best label.
        probabilities: Name of the output that holds all probabilities.
        labels: The classifier's labels in class order.
        weight_types: Data types of the constants with more than `SMALL` values, sorted.
        layer_weights: How the weights of convolutions and linear layers are kept, sorted: a data
            type, or `palette6` for numbers of one of 64 values.
        float16_layers: Names of the constants that are weights of layers in float16, sorted.
        operations: The program's operations that compute, in order.
    """

    input_name: str
    colour: str
    height: int
    width: int
    outputs: tuple[tuple[str, str], ...]
    predicted_label: str
    probabilities: str
    labels: tuple[str, ...]
    weight_types: tuple[str, ...]
    layer_weights: tuple[str, ...]
    float16_layers: tuple[str, ...]
    operations: tuple[str, ...]
    user_defined: dict[str, str]


def read_structure(package: Path) -> CoreMLStructure:
    """Reads a package's declarations and program.

    Raises:
        DamagedError: It is no ML Program package or cannot be parsed.
    """
    specification = specification_of(package)
    description = specification.description
    inputs = list(description.input)
    image = inputs[0].type.imageType if len(inputs) == 1 else None
    operations = list(operations_of(specification))
    layers = list(_layer_weights(operations))
    return CoreMLStructure(
        input_name=inputs[0].name if len(inputs) == 1 else "",
        colour=enum_name(image, "colorSpace") if image and image.width else "",
        height=int(image.height) if image else 0,
        width=int(image.width) if image else 0,
        outputs=tuple((out.name, str(out.type.WhichOneof("Type"))) for out in description.output),
        predicted_label=description.predictedFeatureName,
        probabilities=description.predictedProbabilitiesName,
        labels=_labels(operations),
        weight_types=tuple(sorted(set(_weight_types(operations)))),
        layer_weights=tuple(sorted({kept for _, kept in layers})),
        float16_layers=tuple(sorted(name for name, kept in layers if kept == "float16")),
        operations=tuple(op.type for op in operations if op.type != "const"),
        user_defined=dict(description.metadata.userDefined),
    )


def specification_of(package: Path) -> Any:
    """The protobuf message of a package with one ML Program.

    Raises:
        DamagedError: There is none, or it cannot be read.
    """
    from coremltools.proto import Model_pb2
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    files = sorted(package.rglob("*.mlmodel"))
    if len(files) != 1:
        raise DamagedError(f"{package} is not a Core ML package: export the bundle again.")
    try:
        specification = Model_pb2.Model.FromString(files[0].read_bytes())
    except DecodeError:
        raise DamagedError(f"{files[0]} is damaged: export the bundle again.") from None
    if specification.WhichOneof("Type") != "mlProgram":
        raise DamagedError(f"{package} is not an ML Program: export the bundle again.")
    return specification


def operations_of(specification: Any) -> Iterator[Any]:
    """Every operation of a specification's program, as protobuf messages."""
    for function in specification.mlProgram.functions.values():
        for block in function.block_specializations.values():
            yield from block.operations


def enum_name(message: Any, field: str) -> str:
    """Name of the value of a message's enumeration field, such as `FLOAT16`."""
    names = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(names[getattr(message, field)].name)


def type_name(value_type: Any) -> str:
    """The data type of a tensor's type, such as `float16`."""
    return enum_name(value_type.tensorType, "dataType").lower()


def differences(expected: Mapping[str, tuple[object, object]]) -> list[str]:
    """A phrase for each pair, of what is and what should be, that is not equal."""
    return [
        f"{what} is {actual!r} instead of {wanted!r}"
        for what, (actual, wanted) in expected.items()
        if actual != wanted
    ]


def _labels(operations: list[Any]) -> tuple[str, ...]:
    for operation in operations:
        if operation.type == "classify":
            values = operation.inputs["classes"].arguments[0].value.immediateValue.list.values
            return tuple(v.immediateValue.tensor.strings.values[0] for v in values)
    return ()


def _weight_types(operations: list[Any]) -> Iterator[str]:
    for operation in operations:
        if operation.type == "const":
            kind = operation.outputs[0].type
            if _size(kind.tensorType) > SMALL:
                yield type_name(kind)


def _size(tensor: Any) -> int:
    return math.prod(int(dimension.constant.size) for dimension in tensor.dimensions)


def weight_name(layer: str) -> str:
    """What the converter calls the float16 weight of a layer of that name."""
    return f"network_{layer.replace('.', '_')}_weight_to_fp16"


def _layer_weights(operations: list[Any]) -> Iterator[tuple[str, str]]:
    """Name and kind of each layer's weight."""
    made_by = {operation.outputs[0].name: operation for operation in operations}
    for operation in operations:
        if operation.type in LAYERS:
            source = made_by[operation.inputs["weight"].arguments[0].name]
            yield source.outputs[0].name, _kept(source)


def _kept(source: Any) -> str:
    """How the result of an operation without inputs is kept in the package."""
    if source.type == "constexpr_lut_to_dense":
        values = _size(source.attributes["lut"].type.tensorType)
        bits = values.bit_length() - 1
        return f"palette{bits}" if values == 2**bits else f"{values} values"
    if source.type == "constexpr_affine_dequantize":
        return type_name(source.attributes["quantized_data"].type)
    return type_name(source.outputs[0].type)


def check_coreml(
    package: Path,
    *,
    labels: LabelMap,
    contract: Preprocessing,
    weights: str = "float16",
    operations: Mapping[str, int] | None = None,
) -> CoreMLStructure:
    """Checks that a package is the classifier that the bundle describes.

    Args:
        package: A `.mlpackage` folder.
        weights: The precision that the bundle states: the data type of every weight, or a
            key of `COMPRESSED`, of which the layers that the package itself names under
            `FLOAT16_LAYERS`, and no others, are float16.
        operations: How often operations must stand in the program, by their names.

    Raises:
        CheckFailedError: It differs from what is expected; the message names every difference.
        DamagedError: It cannot be read.
    """
    structure = read_structure(package)
    expected: dict[str, tuple[object, object]] = {
        "input": (structure.input_name, INPUT_NAME),
        "colour": (structure.colour, contract.colour),
        "size": ((structure.height, structure.width), (contract.height, contract.width)),
        "outputs": (
            structure.outputs,
            ((PREDICTED_LABEL, "stringType"), (OUTPUT_NAME, "dictionaryType")),
        ),
        "predicted label": (structure.predicted_label, PREDICTED_LABEL),
        "probabilities": (structure.probabilities, OUTPUT_NAME),
        "weights": (structure.weight_types, (_DATA_TYPES.get(weights, weights),)),
        "layers' weights": (structure.layer_weights, (COMPRESSED.get(weights, weights),)),
    }
    stated = structure.user_defined.get(FLOAT16_LAYERS, "").split()
    if stated and weights in COMPRESSED:
        expected["layers' weights"] = (structure.layer_weights, ("float16", COMPRESSED[weights]))
        names = tuple(sorted(map(weight_name, stated)))
        expected["layers in float16"] = (structure.float16_layers, names)
    for name, count in (operations or {}).items():
        expected[f"number of {name}"] = (structure.operations.count(name), count)
    wrong = differences(expected) + _label_difference(structure.labels, labels.object_ids)
    if wrong:
        raise CheckFailedError(
            f"{package} is not what the bundle describes: {'; '.join(wrong)}. "
            "Do not ship it: export the bundle again."
        )
    return structure


def _label_difference(actual: tuple[str, ...], expected: tuple[str, ...]) -> list[str]:
    if len(actual) != len(expected):
        return [f"it has {len(actual)} labels instead of {len(expected)}"]
    pairs = enumerate(zip(actual, expected, strict=True))
    return next((differences({f"label {i}": pair}) for i, pair in pairs if pair[0] != pair[1]), [])


def inputs_and_outputs(
    structure: CoreMLStructure,
) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """The inputs and outputs in the bundle's terms; the image is listed as `[1, H, W, 3]`."""
    size = (1, structure.height, structure.width, 3)
    return (
        (TensorInfo(name=structure.input_name, dtype="image", shape=size),),
        (
            TensorInfo(name=structure.predicted_label, dtype="string", shape=(1,)),
            TensorInfo(
                name=structure.probabilities, dtype="float32", shape=(1, len(structure.labels))
            ),
        ),
    )
