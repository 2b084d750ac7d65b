"""Reference implementations, not Core ML's own: operations that work value by value, and sums.

Each function takes the operation's inputs by the names that MIL, Core ML's intermediate language,
gives them. Floats are float32 tensors, whatever the program says; whoever calls rounds the result
where the program says float16.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mobile_assets.errors import DamagedError

Ints = tuple[int, ...]

_GELU = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}


def relu6(x: Tensor) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return x.clamp(0, 6)


def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`min(max(x, alpha), beta)`."""
    return x.clamp(alpha.item(), beta.item())


def sigmoid_hard(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`min(max(alpha x + beta, 0), 1)`."""
    return (alpha * x + beta).clamp(0, 1)


def thresholded_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """`x` where it is at least `alpha`, otherwise 0."""
    return torch.where(x >= alpha, x, 0.0)


def clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`min(beta, x if x >= 0 else alpha x)`."""
    return torch.where(x >= 0, x, alpha * x).clamp(max=beta.item())


def leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """`x if x >= 0 else alpha x`."""
    return torch.where(x >= 0, x, alpha * x)


def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Gaussian error linear unit, exact or by one of MIL's two approximations."""
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    return functional.gelu(x, approximate=_GELU[mode])


def softmax(x: Tensor, axis: int) -> Tensor:
    """Softmax along one axis."""
    return x.softmax(dim=axis)


def add(x: Tensor, y: Tensor) -> Tensor:
    """`x + y`, broadcast."""
    return x + y


def sub(x: Tensor, y: Tensor) -> Tensor:
    """`x - y`, broadcast."""
    return x - y


def mul(x: Tensor, y: Tensor) -> Tensor:
    """`x * y`, broadcast."""
    return x * y


def real_div(x: Tensor, y: Tensor) -> Tensor:
    """`x / y`, broadcast."""
    return x / y


def power(x: Tensor, y: Tensor) -> Tensor:
    """`x` to the power of `y`, broadcast."""
    return x**y


def maximum(x: Tensor, y: Tensor) -> Tensor:
    """The larger of both, broadcast."""
    return torch.maximum(x, y)


def minimum(x: Tensor, y: Tensor) -> Tensor:
    """The smaller of both, broadcast."""
    return torch.minimum(x, y)


def rsqrt(x: Tensor, epsilon: Tensor) -> Tensor:
    """`1 / sqrt(x + epsilon)`."""
    # Inside the root, as MIL says; beside it, small values would come out far larger.
    return 1 / (x + epsilon).sqrt()


def inverse(x: Tensor, epsilon: Tensor) -> Tensor:
    """`1 / (x + epsilon)`."""
    return 1 / (x + epsilon)


def log(x: Tensor, epsilon: Tensor) -> Tensor:
    """`log(x + epsilon)`."""
    return (x + epsilon).log()


def reduce_mean(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
    """Mean over the axes; over all without any."""
    return x.mean(_axes(x, axes), keepdim=keep_dims)


def reduce_sum(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
    """Sum over the axes."""
    return x.sum(_axes(x, axes), keepdim=keep_dims)


def reduce_sum_square(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
    """Sum of the squares over the axes."""
    return (x * x).sum(_axes(x, axes), keepdim=keep_dims)


def reduce_l1_norm(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
    """Sum of the absolute values over the axes."""
    return x.abs().sum(_axes(x, axes), keepdim=keep_dims)


def reduce_l2_norm(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
    """Euclidean length over the axes."""
    return (x * x).sum(_axes(x, axes), keepdim=keep_dims).sqrt()


def reduce_max(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
    """Largest value over the axes."""
    return x.amax(_axes(x, axes), keepdim=keep_dims)


def reduce_min(x: Tensor, keep_dims: bool, axes: Ints | None = None) -> Tensor:
    """Smallest value over the axes."""
    return x.amin(_axes(x, axes), keepdim=keep_dims)


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


def _axes(x: Tensor, axes: Ints | None) -> Ints:
    return tuple(range(x.ndim)) if axes is None else axes


def _along(values: Tensor, x: Tensor, axis: int | None) -> Tensor:
    """A vector laid along one axis of `x`; a scalar as it is."""
    if values.ndim == 0 or axis is None:
        return values
    shape = [1] * x.ndim
    shape[axis] = -1
    return values.reshape(shape)
