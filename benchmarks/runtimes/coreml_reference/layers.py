"""Reference implementations, not Core ML's own: convolution, pooling, normalisation.

Arguments and values as in `operations`. Sums are accumulated in float32, the bias included, and
rounded once, which is typical of accelerators; Core ML does not document how it accumulates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.runtimes.coreml_reference.shapes import Ints, pad_constant
from mobile_assets.errors import DamagedError

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_AVERAGES = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}

Sides = list[tuple[int, int]]
"""Padding before and after, in values, of each spatial axis."""


def conv(
    x: Tensor,
    weight: Tensor,
    strides: Ints,
    pad_type: str,
    pad: Ints,
    dilations: Ints,
    groups: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Convolution of `[N, C, *D]` by `[C_out, C / groups, *K]`."""
    kernel = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True)]
    sides = padding(pad_type, pad, x.shape[2:], kernel, strides)
    # torch pads both sides alike; where they differ, zeros are put there first, which is the same.
    even = all(before == after for before, after in sides)
    return _CONVOLUTIONS[x.ndim - 2](
        x if even else _padded(x, sides, 0.0),
        weight,
        bias,
        stride=strides,
        padding=[before if even else 0 for before, _ in sides],
        dilation=dilations,
        groups=groups,
    )


def padding(
    pad_type: str, pad: Sequence[int], size: Sequence[int], kernel: Sequence[int], strides: Ints
) -> Sides:
    """What is added to each spatial axis.

    `same` makes as many outputs as `ceil(size / stride)` and puts an odd value at the end,
    `same_lower` at the beginning. This is what coremltools infers shapes by and what TensorFlow's
    converter relies on; the sentence on odd kernels in the documentation of `conv` holds for
    stride 1 only.

    Args:
        pad: Before and after of each axis, for `custom`.
        kernel: Reach of the kernel per axis, dilation included.
    """
    if pad_type == "valid":
        return [(0, 0)] * len(size)
    if pad_type == "custom":
        return [(pad[2 * axis], pad[2 * axis + 1]) for axis in range(len(size))]
    if pad_type not in ("same", "same_lower"):
        raise DamagedError(f"A Core ML program has padding of an unknown kind, {pad_type!r}.")
    sides: Sides = []
    for length, reach, stride in zip(size, kernel, strides, strict=True):
        total = max((math.ceil(length / stride) - 1) * stride + reach - length, 0)
        less, more = total // 2, total - total // 2
        sides.append((less, more) if pad_type == "same" else (more, less))
    return sides


def avg_pool(
    x: Tensor,
    kernel_sizes: Ints,
    strides: Ints,
    pad_type: str,
    pad: Ints,
    ceil_mode: bool,
    exclude_padding_from_average: bool,
) -> Tensor:
    """Mean of each window; padding counts as zeros, or not at all."""
    pool = _AVERAGES[x.ndim - 2]
    sides = padding(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    if _torch_pads(sides, kernel_sizes):
        return pool(
            x,
            kernel_sizes,
            strides,
            padding=[before for before, _ in sides],
            ceil_mode=ceil_mode,
            count_include_pad=not exclude_padding_from_average,
        )
    _refuse_ceil(ceil_mode)
    # A mean that counts the padding, and the share of each window that is no padding: their ratio
    # is the mean of the photo's own values.
    mean = pool(_padded(x, sides, 0.0), kernel_sizes, strides)
    if not exclude_padding_from_average:
        return mean
    ones = x.new_ones((1, 1, *x.shape[2:]))
    return mean / pool(_padded(ones, sides, 0.0), kernel_sizes, strides)


def max_pool(
    x: Tensor, kernel_sizes: Ints, strides: Ints, pad_type: str, pad: Ints, ceil_mode: bool
) -> Tensor:
    """Largest value of each window; padding never wins."""
    pool = _MAXIMA[x.ndim - 2]
    sides = padding(pad_type, pad, x.shape[2:], kernel_sizes, strides)
    if _torch_pads(sides, kernel_sizes):
        before = [side for side, _ in sides]
        return pool(x, kernel_sizes, strides, padding=before, ceil_mode=ceil_mode)
    _refuse_ceil(ceil_mode)
    return pool(_padded(x, sides, -torch.inf), kernel_sizes, strides)


def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
) -> Tensor:
    """`gamma (x - mean) / sqrt(variance + epsilon) + beta` per channel of `[N, C, *D]`."""
    return functional.batch_norm(x, mean, variance, gamma, beta, eps=epsilon.item())


def layer_norm(
    x: Tensor, axes: Ints, epsilon: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None
) -> Tensor:
    """`gamma (x - mean) / sqrt(variance + epsilon) + beta` over the axes."""
    # In two passes: the mean of squares minus the square of the mean loses all digits where the
    # mean is large. torch's own layer norm takes trailing axes only.
    centred = x - x.mean(axes, keepdim=True)
    scaled = centred / ((centred * centred).mean(axes, keepdim=True) + epsilon).sqrt()
    shape = [1] * x.ndim
    for axis in axes:
        shape[axis] = x.shape[axis]
    if gamma is not None:
        scaled = scaled * gamma.reshape(shape)
    return scaled if beta is None else scaled + beta.reshape(shape)


def _padded(x: Tensor, sides: Sides, value: float) -> Tensor:
    flat = [side for pair in reversed(sides) for side in pair]
    return pad_constant(x, flat, value)


def _torch_pads(sides: Sides, kernel: Ints) -> bool:
    """Whether torch's pooling can pad by itself: evenly, and by at most half the kernel."""
    pairs = zip(sides, kernel, strict=True)
    return all(before == after and 2 * before <= size for (before, after), size in pairs)


def _refuse_ceil(ceil_mode: bool) -> None:
    if ceil_mode:
        raise DamagedError(
            "A Core ML program rounds a pooled size up with uneven padding, which MIL forbids."
        )
