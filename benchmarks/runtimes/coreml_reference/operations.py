"""Reference implementations, not Core ML's own, of MIL's operations: Core ML's program language.

Each takes the operation's inputs by the names that MIL gives them. Floats are float32 tensors,
whatever the program says; whoever calls rounds the result where the program says float16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.runtimes.coreml_reference import layers, shapes
from benchmarks.runtimes.coreml_reference.shapes import Ints
from mobile_assets.errors import DamagedError

CLASSIFY = "classify"
"""The operation that pairs probabilities with labels. It ends a classifier and computes nothing."""

_GELU = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}

_Compute = Callable[..., Any]
"""Gives a tensor, or a tuple of them for an operation with several results."""


@dataclass(frozen=True)
class Operation:
    """How an operation is computed.

    Attributes:
        exact: Whether its results are always among its inputs' values or bounds, so that float16
            stays float16 and needs no rounding.
    """

    compute: _Compute
    exact: bool = False

    def only(self, index: int) -> Self:
        """The operation with one of its several results."""
        return replace(self, compute=lambda **inputs: self.compute(**inputs)[index])


def _unary(function: Callable[[Tensor], Tensor]) -> _Compute:
    """A function of torch's that takes one tensor, by the name that MIL gives it."""
    return lambda x: function(x)  # noqa: PLW0108 - torch calls it `input`


def _reduce(function: Callable[..., Tensor]) -> _Compute:
    """A reduction over the axes; over all without any."""

    def compute(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
        return function(x, tuple(range(x.ndim)) if axes is None else axes, keepdim=keep_dims)

    return compute


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Gaussian error linear unit, exact or by one of MIL's two approximations."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return functional.gelu(x, approximate=_GELU[mode])


def quantize(
    input: Tensor,  # noqa: A002 - MIL's name
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """`clip(round(input / scale) + zero_point)` as int8 or uint8; halves go to the even number."""
    dtype = {"int8": torch.int8, "uint8": torch.uint8}.get(output_dtype)
    if dtype is None:
        raise DamagedError(f"A Core ML program cannot quantize to {output_dtype}.")
    # torch rounds halves to the even number, as MIL says. The zero point is added afterwards: it is
    # whole, and added before it would decide anew which way an odd half goes.
    steps = (input / _along(scale, input, axis)).round()
    if zero_point is not None:
        steps = steps + _along(zero_point, input, axis).float()
    # Saturates: a cast alone would wrap 128 around to -128.
    limits = torch.iinfo(dtype)
    return steps.clamp(limits.min, limits.max).to(dtype)


def dequantize(
    input: Tensor,  # noqa: A002 - MIL's name
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: int | None = None,
) -> Tensor:
    """`scale * (input - zero_point)` of int8 or uint8."""
    # Subtracted in float32, where every difference of two bytes is exact; in 8 bits it would wrap.
    steps = input.float()
    if zero_point is not None:
        steps = steps - _along(zero_point, input, axis).float()
    return _along(scale, input, axis) * steps


def _along(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """A vector laid along one axis of `x`; a scalar as it is."""
    if values.ndim == 0 or axis is None:
        return values
    shape = [1] * x.ndim
    shape[axis] = -1
    return values.reshape(shape)


_ROUNDED: dict[str, _Compute] = {
    "add": lambda x, y: x + y,
    "avg_pool": layers.avg_pool,
    "batch_norm": layers.batch_norm,
    "cast": shapes.cast,
    "clamped_relu": lambda x, alpha, beta: torch.where(x >= 0, x, alpha * x).clamp(max=beta.item()),
    "conv": layers.conv,
    "dequantize": dequantize,
    "erf": _unary(torch.erf),
    "exp": _unary(torch.exp),
    "gelu": gelu,
    "inverse": lambda x, epsilon: 1 / (x + epsilon),
    "layer_norm": layers.layer_norm,
    "leaky_relu": lambda x, alpha: torch.where(x >= 0, x, alpha * x),
    "linear": lambda x, weight, bias=None: functional.linear(x, weight, bias),
    "log": lambda x, epsilon: (x + epsilon).log(),
    "matmul": lambda x, y, transpose_x, transpose_y: (
        (x.mT if transpose_x else x) @ (y.mT if transpose_y else y)
    ),
    "mul": lambda x, y: x * y,
    "pow": lambda x, y: x**y,
    "real_div": lambda x, y: x / y,
    "reduce_l1_norm": _reduce(lambda x, axes, keepdim: x.abs().sum(axes, keepdim)),
    "reduce_l2_norm": _reduce(lambda x, axes, keepdim: (x * x).sum(axes, keepdim).sqrt()),
    "reduce_mean": _reduce(torch.mean),
    "reduce_sum": _reduce(torch.sum),
    "reduce_sum_square": _reduce(lambda x, axes, keepdim: (x * x).sum(axes, keepdim)),
    # Inside the root, as MIL says; beside it, small values would come out far larger.
    "rsqrt": lambda x, epsilon: 1 / (x + epsilon).sqrt(),
    "sigmoid": _unary(torch.sigmoid),
    "sigmoid_hard": lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1),
    "silu": _unary(functional.silu),
    "softmax": lambda x, axis: x.softmax(dim=axis),
    "sqrt": _unary(torch.sqrt),
    "square": _unary(torch.square),
    "sub": lambda x, y: x - y,
    "tanh": _unary(torch.tanh),
}
_EXACT: dict[str, _Compute] = {
    "abs": _unary(torch.abs),
    "clip": lambda x, alpha, beta: x.clamp(alpha.item(), beta.item()),
    "concat": shapes.concat,
    "expand_dims": shapes.expand_dims,
    "identity": lambda x: x,
    "max_pool": layers.max_pool,
    "maximum": lambda x, y: x.maximum(y),
    "minimum": lambda x, y: x.minimum(y),
    "pad": shapes.pad,
    "quantize": quantize,
    "reduce_max": _reduce(torch.amax),
    "reduce_min": _reduce(torch.amin),
    "relu": _unary(torch.relu),
    "relu6": lambda x: x.clamp(0, 6),
    "reshape": shapes.reshape,
    "squeeze": lambda x, axes=None: x.squeeze() if axes is None else x.squeeze(axes),
    "thresholded_relu": lambda x, alpha: torch.where(x >= alpha, x, 0.0),
    "topk": shapes.topk,
    "transpose": lambda x, perm: x.permute(perm),
}

OPERATIONS: dict[str, Operation] = {
    **{name: Operation(compute) for name, compute in _ROUNDED.items()},
    **{name: Operation(compute, exact=True) for name, compute in _EXACT.items()},
}
"""Every operation that is executed on photos. `const`, `classify` and those of `constants` are
dealt with when a package is loaded."""
