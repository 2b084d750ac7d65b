"""The classifier of a TFLite file for other objects: its last layer with other rows.

The last layer of a network with an embedding has one row per object, the object's direction times
one length. Rows of objects that stay are kept bit for bit; a new object gets its direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.tflite.flatbuffer import read_model, schema_names, write_model
from export.tflite.graph import TFLiteGraph

Row = int | NDArray[np.float32]
"""An object of the file by its class index, or a new object's direction of length 1, `[D]`."""

_STEPS = 127
_FLOATS: dict[str, np.dtype[Any]] = {"FLOAT32": np.dtype("<f4"), "FLOAT16": np.dtype("<f2")}


class UnknownLayerError(ValueError):
    """The file's last layer is not one that this module can give other rows."""


def with_classes(content: bytes, rows: Sequence[Row]) -> bytes:
    """A classifier for other objects.

    Args:
        content: A TFLite file whose logits are cosines with the rows of its last layer.
        rows: The new classes in their order, at least 2.

    Returns:
        The file, without labels at its end.

    Raises:
        UnknownLayerError: Its last layer is of another kind.
    """
    graph = TFLiteGraph(content)
    dense = [op for op in graph.operators if op.kind == "FULLY_CONNECTED"]
    if not dense:
        raise UnknownLayerError("it has no fully connected layer")
    last = dense[-1]
    if len(last.inputs) > 2 and np.any(np.frombuffer(graph.constant(last.inputs[2]), np.uint8)):
        raise UnknownLayerError("its last layer has a bias, so it is no layer of cosines")
    stored = last.inputs[1]
    unpack = [op for op in graph.operators if op.kind == "DEQUANTIZE" and op.output == stored]
    stored = unpack[0].inputs[0] if unpack else stored
    model = read_model(content)
    tensors = model.subgraphs[0].tensors
    _replace(model, tensors[stored], graph.shape(stored), rows)
    _resize(tensors[last.inputs[1]], 0, len(rows))
    for bias in last.inputs[2:]:
        values = np.zeros(len(rows) * len(graph.constant(bias)) // graph.shape(bias)[0], np.uint8)
        _own_buffer(model, tensors[bias], values)
        _resize(tensors[bias], 0, len(rows))
    for index in _behind(graph, last.output):
        _resize(tensors[index], -1, len(rows))
    return write_model(model)


def _behind(graph: TFLiteGraph, tensor: int) -> set[int]:
    """A tensor, and all that is computed from it up to a choice of the best."""
    behind, waiting = {tensor}, [tensor]
    while waiting:
        for reader in graph.readers.get(waiting.pop(), []):
            if reader.kind != "TOPK_V2":
                waiting += set(reader.outputs) - behind
                behind |= set(reader.outputs)
    return behind


def _resize(tensor: Any, axis: int, size: int) -> None:
    for name in ("shape", "shapeSignature"):
        shape = getattr(tensor, name)
        if shape is not None and len(shape):
            changed = np.array(shape, dtype=np.int32)
            changed[axis] = size
            setattr(tensor, name, changed)


def _replace(model: Any, tensor: Any, shape: tuple[int, ...], rows: Sequence[Row]) -> None:
    """Gives the tensor of the layer's weights, `shape` `[objects, D]`, other rows."""
    raw = np.asarray(model.buffers[tensor.buffer].data, dtype=np.uint8).tobytes()
    kind = schema_names("TensorType")[tensor.type]
    if kind in _FLOATS:
        values = np.frombuffer(raw, _FLOATS[kind]).reshape(shape)
        length = float(np.linalg.norm(values.astype(np.float64), axis=1).mean())
        chosen = [values[row] if isinstance(row, int) else length * row for row in rows]
        _own_buffer(model, tensor, _bytes(np.stack(chosen).astype(_FLOATS[kind])))
    elif kind == "INT8" and len(tensor.quantization.scale) == shape[0]:
        _replace_integers(model, tensor, np.frombuffer(raw, np.int8).reshape(shape), rows)
    else:
        raise UnknownLayerError(f"its last layer's weights are {kind}")
    _resize(tensor, 0, len(rows))


def _replace_integers(
    model: Any, tensor: Any, values: NDArray[np.int8], rows: Sequence[Row]
) -> None:
    scales = np.asarray(tensor.quantization.scale, dtype=np.float32)
    length = float(np.linalg.norm(values * scales[:, None].astype(np.float64), axis=1).mean())
    new_values, new_scales = [], []
    for row in rows:
        if isinstance(row, int):
            new_values.append(values[row])
            new_scales.append(scales[row])
            continue
        exact = np.float32(length) * row
        scale = np.abs(exact).max() / np.float32(_STEPS)
        new_values.append(np.rint(exact / scale).clip(-_STEPS, _STEPS).astype(np.int8))
        new_scales.append(scale)
    _own_buffer(model, tensor, _bytes(np.stack(new_values)))
    tensor.quantization.scale = np.array(new_scales, dtype=np.float32)
    tensor.quantization.zeroPoint = np.zeros(len(rows), dtype=np.int64)
    for extreme in ("min", "max"):
        setattr(tensor.quantization, extreme, None)


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)


def _own_buffer(model: Any, tensor: Any, data: NDArray[np.uint8]) -> None:
    """Puts a constant's values into its buffer, or into a new one if others read the old."""
    users = sum(
        other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors
    )
    if users > 1:
        from ai_edge_litert import schema_py_generated as schema

        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = data
