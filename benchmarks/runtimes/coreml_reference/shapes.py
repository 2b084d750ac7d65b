"""Reference implementations, not Core ML's own: operations that move values and change none.

Arguments and values as in `operations`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mobile_assets.errors import DamagedError

Ints = tuple[int, ...]

_DTYPES = {
    "fp16": torch.float32,  # rounded afterwards, by the type that the program says
    "fp32": torch.float32,
    "int32": torch.int32,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}


def cast(x: Tensor, dtype: str) -> Tensor:
    """The value in another type; fractions are cut off for an integer."""
    if dtype not in _DTYPES:
        raise DamagedError(f"A Core ML program casts to {dtype}, which is not known here.")
    return x.to(_DTYPES[dtype])


def reshape(x: Tensor, shape: Ints) -> Tensor:
    """Another shape; -1 stands for what is left, 0 for the size that the input has there."""
    return x.reshape([x.shape[axis] if side == 0 else side for axis, side in enumerate(shape)])


def expand_dims(x: Tensor, axes: Ints) -> Tensor:
    """With axes of size 1 at those positions of the result."""
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def concat(values: tuple[Tensor, ...], axis: int, interleave: bool = False) -> Tensor:
    """One after the other along an axis, or in turns."""
    if not interleave:
        return torch.cat(values, dim=axis)
    axis %= values[0].ndim
    return torch.stack(values, dim=axis + 1).flatten(axis, axis + 1)


def pad(x: Tensor, pad: Ints, mode: str, constant_val: Tensor) -> Tensor:
    """With values added; `pad` holds before and after of each of the last axes, in order."""
    pairs = [(pad[start], pad[start + 1]) for start in range(0, len(pad), 2)]
    while pairs and pairs[0] == (0, 0):
        pairs.pop(0)  # torch reflects and replicates the last axes only
    flat = [side for pair in reversed(pairs) for side in pair]
    if mode == "constant":
        return pad_constant(x, flat, constant_val.item())
    return functional.pad(x, flat, mode=mode)


def pad_constant(x: Tensor, flat: list[int], value: float) -> Tensor:
    """With a constant around, the last axis first; an image stays laid out channels last."""
    if x.ndim != 4 or len(flat) > 4:
        return functional.pad(x, flat, value=value)
    # Left to itself, torch pads into a layout on which convolutions are several times slower.
    return functional.pad(x.permute(0, 2, 3, 1), [0, 0, *flat], value=value).permute(0, 3, 1, 2)


def topk(
    x: Tensor,
    k: int = 1,
    axis: int = -1,
    ascending: bool = False,
    sort: bool = True,  # noqa: ARG001 - sorted is one of the orders that it may have
    return_indices: bool = True,
    output_indices_dtype: str = "int32",  # noqa: ARG001 - int32 holds what 16 bits do
) -> tuple[Tensor, ...]:
    """The largest or smallest values, best first, and where they stand; of equal ones the first.

    MIL does not say which of equal values comes first, nor any order where `sort` is false.
    """
    values, indices = torch.sort(x, dim=axis, descending=not ascending, stable=True)
    wanted = x.shape[axis] if k < 0 else k
    best = values.narrow(axis, 0, wanted)
    return (best, indices.narrow(axis, 0, wanted).int()) if return_indices else (best,)
