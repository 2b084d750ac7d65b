"""Reading and editing TFLite files: names, an unsigned input, embedded metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobile_assets.bundle import INPUT_NAME, OUTPUT_NAME, TensorInfo

IDENTIFIER = b"TFL3"
_ALIGNMENT = 16
"""The schema's alignment of constants, in bytes; runtimes map them straight from the file."""


def read_model(content: bytes) -> Any:
    """Parses a TFLite file into the schema's mutable `ModelT`.

    The quantiser puts constants behind the FlatBuffer and refers to them by their place in the
    file. Here they come inside: every edit would move them, and older runtimes do not find them.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.data is None and buffer.size:
            outside = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(outside, dtype=np.uint8)
            buffer.offset = buffer.size = 0
    return model


class _AlignedBuffer:
    """Packs a `BufferT` on a multiple of `_ALIGNMENT`, which the generated code does not."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the generated code calls it so
        from ai_edge_litert import schema_py_generated as schema

        data = self._buffer.data
        vector = None
        if data is not None and len(data):
            raw = np.asarray(data, dtype=np.uint8).tobytes()
            builder.StartVector(1, len(raw), _ALIGNMENT)
            builder.head -= len(raw)
            builder.Bytes[builder.Head() : builder.Head() + len(raw)] = raw
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        packed: int = schema.BufferEnd(builder)
        return packed


def _sharing_builder() -> Any:
    """A builder that stores equal vectors once.

    Each channel of a quantised layer has two zero points of eight bytes, of its weight and of its
    bias, and all are zero: as a vector for each tensor they take a twelfth of a small file.
    Vectors are referred to by their place, so readers notice nothing.
    """
    import flatbuffers

    class Sharing(flatbuffers.Builder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(1024)
            self._places: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802 - as in the base class
            key = (x.dtype.str, x.tobytes())
            if key not in self._places:
                self._places[key] = super().CreateNumpyVector(x)
            return self._places[key]

    return Sharing()


def write_model(model: Any) -> bytes:
    """Packs a `ModelT` into a TFLite file whose constants are aligned."""
    builder = _sharing_builder()
    buffers = model.buffers
    model.buffers = [_AlignedBuffer(buffer) for buffer in buffers]
    try:
        builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    finally:
        model.buffers = buffers
    return bytes(builder.Output())


def schema_names(enumeration: str) -> dict[int, str]:
    """Names of the values of one of the schema's enumerations, such as `TensorType`."""
    from ai_edge_litert import schema_py_generated as schema

    values = vars(getattr(schema, enumeration))
    return {code: name for name, code in values.items() if name.isupper()}


def operator_code(operator: Any) -> int:
    """Older files hold the operator's code in another field; the larger of the two counts."""
    return max(int(operator.builtinCode), int(operator.deprecatedBuiltinCode))


def inputs_and_outputs(content: bytes) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """The inputs and outputs as the file declares them."""
    types = schema_names("TensorType")
    graph = read_model(content).subgraphs[0]

    def info(index: int) -> TensorInfo:
        tensor = graph.tensors[index]
        return TensorInfo.model_validate(
            {
                "name": tensor.name.decode(),
                "dtype": types[tensor.type].lower(),
                "shape": tuple(int(n) for n in tensor.shape),
            }
        )

    return tuple(map(info, graph.inputs)), tuple(map(info, graph.outputs))


def name_inputs_and_outputs(
    content: bytes, *, description: str, outputs: tuple[str, ...] = (OUTPUT_NAME,)
) -> bytes:
    """Names the one input and the outputs, as tensors and in the signature.

    Args:
        outputs: Names of its outputs in their order.

    Raises:
        ValueError: The file has more than one subgraph, signature or input, or other outputs.
    """
    model = read_model(content)
    if len(model.subgraphs) != 1 or len(model.signatureDefs) != 1:
        raise ValueError("the converter made more than one subgraph or signature")
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != len(outputs):
        raise ValueError(f"the converter made other than one input and {len(outputs)} outputs")
    _shorten_names(graph.tensors, outputs)
    graph.tensors[graph.inputs[0]].name = INPUT_NAME.encode()
    signature.inputs[0].name = INPUT_NAME.encode()
    signed = {int(entry.tensorIndex): entry for entry in signature.outputs}
    for index, name in zip(graph.outputs, outputs, strict=True):
        entry = signed[int(index)]
        if len(outputs) > 1 and entry.name != name.encode():
            raise ValueError("the converter put the outputs in another order")
        graph.tensors[index].name = entry.name = name.encode()
    model.description = description.encode()
    return write_model(model)


def _shorten_names(tensors: list[Any], outputs: tuple[str, ...]) -> None:
    """Names tensors by the layers' names in the network, `body.0.conv_stem`.

    The converter's names hold the class and the module of every layer around; in 8 bits they take
    as much as the biases.
    """
    used = {INPUT_NAME, *outputs}
    for tensor in tensors:
        short = _short_name(tensor.name.decode())
        unique, number = short, 1
        while unique in used:
            unique, number = f"{short}~{number}", number + 1
        used.add(unique)
        tensor.name = unique.encode()


def _short_name(name: str) -> str:
    """`a.b.Sequential_body/c.EfficientNet_0/d.Conv2d_stem;1` → `body.0.stem`."""
    parts = [part.rpartition(".")[2] for part in name.split(";", maxsplit=1)[0].split("/")]
    layers = [part.lstrip("_").partition("_")[2] for part in parts]
    return ".".join(layer for layer in layers if layer) or parts[-1]


def unsigned_input(content: bytes) -> bytes:
    """Puts a QUANTIZE operator before an int8 input, so that the file takes uint8 0–255.

    The new input has scale 1 and zero point 0: its bytes are the photo's bytes.

    Raises:
        ValueError: The input is not int8.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(content)
    graph = model.subgraphs[0]
    inner = graph.tensors[graph.inputs[0]]
    if inner.type != schema.TensorType.INT8:
        raise ValueError("the quantiser left the input in another type than int8")
    outer = schema.TensorT()
    outer.name, outer.shape, outer.hasRank = INPUT_NAME.encode(), inner.shape, True
    outer.type, outer.buffer = schema.TensorType.UINT8, 0
    outer.quantization = schema.QuantizationParametersT()
    outer.quantization.scale, outer.quantization.zeroPoint = [1.0], [0]
    inner.name = f"{INPUT_NAME}_int8".encode()
    graph.tensors.append(outer)
    index = len(graph.tensors) - 1
    operator = schema.OperatorT()
    operator.opcodeIndex = _operator_index(model, schema.BuiltinOperator.QUANTIZE)
    operator.inputs, operator.outputs = [index], [int(graph.inputs[0])]
    operator.builtinOptionsType = schema.BuiltinOptions.QuantizeOptions
    operator.builtinOptions = schema.QuantizeOptionsT()
    graph.operators.insert(0, operator)
    graph.inputs = np.array([index], dtype=np.int32)
    model.signatureDefs[0].inputs[0].tensorIndex = index
    return write_model(model)


def _operator_index(model: Any, code: int) -> int:
    """Index of an operator code, added if the file does not have it."""
    from ai_edge_litert import schema_py_generated as schema

    for index, operator in enumerate(model.operatorCodes):
        if operator_code(operator) == code:
            return index
    added = schema.OperatorCodeT()
    added.builtinCode, added.deprecatedBuiltinCode, added.version = code, code, 1
    model.operatorCodes.append(added)
    return len(model.operatorCodes) - 1


def add_metadata_buffer(content: bytes, *, name: str, data: bytes) -> bytes:
    """Embeds a named metadata buffer, replacing one of the same name."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(content)
    model.metadata = [m for m in model.metadata or [] if m.name != name.encode()]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(data, dtype=np.uint8)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name.encode(), len(model.buffers) - 1
    model.metadata.append(entry)
    return write_model(model)


def metadata_buffer(content: bytes, name: str) -> bytes | None:
    """The content of a named metadata buffer, or None."""
    model = read_model(content)
    for entry in model.metadata or []:
        if entry.name == name.encode():
            data: NDArray[np.uint8] = np.asarray(model.buffers[entry.buffer].data, dtype=np.uint8)
            return data.tobytes()
    return None
