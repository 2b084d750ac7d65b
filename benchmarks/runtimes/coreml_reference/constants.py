"""Constants of a Core ML program, compressed ones included, in the form that operations take."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mobile_assets.errors import DamagedError

CONSTEXPR = (
    "constexpr_affine_dequantize",
    "constexpr_blockwise_shift_scale",
    "constexpr_cast",
    "constexpr_lut_to_dense",
    "constexpr_lut_to_sparse",
    "constexpr_sparse_blockwise_shift_scale",
    "constexpr_sparse_to_dense",
)
"""The operations that unpack compressed constants. Core ML unpacks at load time or when it runs;
the values are the same."""

_PLAIN = 4
"""Axes of an image tensor, whose values are laid out channels last: torch is quicker so."""

Constant = Tensor | str | bool | int | tuple[int, ...]


class Constants:
    """Unpacks constants, each once."""

    def __init__(self) -> None:
        self._known: dict[int, Any] = {}

    def find(self, variable: Any) -> Any | None:
        """A variable's value, a numpy array or scalar or a string, unpacked; None if computed."""
        operation = variable.op
        if operation is None:
            return None
        if operation.op_type == "const":
            return variable.val
        if operation.op_type not in CONSTEXPR:
            return None
        # The variables are alive as long as the program is, so no identity is used twice.
        if id(variable) not in self._known:
            results = self._unpack(operation)
            for output, value in zip(operation.outputs, results, strict=True):
                self._known[id(output)] = value
        return self._known[id(variable)]

    def _unpack(self, operation: Any) -> tuple[Any, ...]:
        values: dict[str, Any] = {
            name: None if variable is None else self.find(variable)
            for name, variable in operation.inputs.items()
        }
        if operation.op_type == "constexpr_cast":
            return (np.asarray(values["source_val"], dtype=np.float32),)
        if operation.op_type == "constexpr_lut_to_dense" and values["lut"].ndim == 1:
            return (_from_palette(values["lut"], values["indices"], values["shape"]),)
        # The formulas of the format's own library, which wrote the packages.
        unpack: Callable[..., Any] = type(operation).decompress
        result = unpack(**{name: values.get(name) for name in signature(unpack).parameters})
        return result if isinstance(result, tuple) else (result,)


def _from_palette(lut: Any, packed: Any, shape: Any) -> Any:
    """Values of a palette, as iOS 16 has it; the library's own way repeats it for every weight.

    Args:
        lut: `[2 ** bits]`.
        packed: Indices one after the other, their lowest bit first, as bytes.
    """
    bits = len(lut).bit_length() - 1
    count = int(np.prod(shape))
    if 8 * packed.size < count * bits:  # the rest would be made up of zeros
        raise DamagedError(f"A Core ML program makes {count:,} values of {packed.size:,} bytes.")
    single = np.unpackbits(packed, count=count * bits, bitorder="little").reshape(count, bits)
    return lut[np.packbits(single, axis=1, bitorder="little")[:, 0]].reshape(shape)


def as_argument(value: Any, *, half: bool) -> Constant:
    """A constant as operations take it.

    Args:
        value: A numpy array or scalar, or a string.
        half: Whether the program says float16; it is rounded if it is not yet.

    Returns:
        Strings, truth values and int32 as Python's own, lists of int32 as tuples, everything else
        as tensors: floats as float32, int8 and uint8 as they are.
    """
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.dtype.kind == "b" and array.ndim == 0:
        return bool(array)
    if array.dtype in (np.int32, np.uint32, np.int64):
        return int(array) if array.ndim == 0 else tuple(int(item) for item in array.reshape(-1))
    if array.dtype.kind == "f":
        return _floats(array, half=half)
    if array.dtype in (np.int8, np.uint8):
        return torch.from_numpy(np.array(array))
    raise DamagedError(f"A Core ML program has a constant of type {array.dtype}, not known here.")


def _floats(array: Any, *, half: bool) -> Tensor:
    tensor = torch.from_numpy(np.array(array, dtype=np.float32))
    # Unpacked constants come in float32; the program computes with what float16 keeps of them.
    if half:
        tensor = tensor.half().float()
    if tensor.ndim == _PLAIN:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return tensor
