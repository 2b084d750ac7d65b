"""Faster gradients of depthwise convolutions in bfloat16 on a CPU.

oneDNN, which torch calls on x86, has no fast bfloat16 kernel for two gradients that EfficientNets
are full of, and falls back to a plain loop that is many times slower than float32: that of the
input of a depthwise convolution with a stride, and that of its weights for kernels over 3 × 3.
These two alone took half of a training step. They are computed in float32 here, everything else as
before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_FAST_KERNEL = 3
"""Largest kernel whose bfloat16 weight gradient has a fast kernel."""


class _Depthwise(torch.autograd.Function):
    """`conv2d` whose gradients are taken in the number format that is fast."""

    @staticmethod
    def forward(
        ctx: Any,
        image: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: list[int],
        padding: list[int],
    ) -> Tensor:
        ctx.save_for_backward(image, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(image, weight, bias, stride, padding, 1, weight.shape[0])

    @staticmethod
    def backward(
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        image, weight = ctx.saved_tensors
        (grad,) = grads

        def gradient(position: int, exact: bool) -> Tensor | None:
            if not ctx.needs_input_grad[position]:
                return None
            number = torch.float32 if exact else grad.dtype
            gradients = torch.ops.aten.convolution_backward(
                grad.to(number),
                image.to(number),
                weight.to(number),
                None,
                ctx.stride,
                ctx.padding,
                [1, 1],
                False,
                [0, 0],
                weight.shape[0],
                [position == 0, position == 1, False],
            )
            result: Tensor = gradients[position]
            return result.to(grad.dtype)

        strided = max(ctx.stride) > 1
        large = max(weight.shape[2:]) > _FAST_KERNEL
        bias = grad.sum((0, 2, 3), dtype=torch.float32) if ctx.needs_input_grad[2] else None
        bias = bias.to(grad.dtype) if bias is not None else None
        return gradient(0, strided), gradient(1, large), bias, None, None


class FastDepthwise(TorchFunctionMode):
    """A context in which bfloat16 depthwise convolutions on the CPU get the faster gradients.

    It changes no network: calls of `conv2d` are looked at as they come, and those that it is not
    for pass unchanged.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Handles one call of a torch function."""
        options = dict(kwargs or {})
        # Convolution modules, timm's too, pass all seven arguments by position.
        if func is functional.conv2d and not options and len(args) == 7 and _fits(*args):
            image, weight, bias, stride, padding = args[:5]
            low = torch.bfloat16
            bias = bias.to(low) if bias is not None else None
            return _Depthwise.apply(
                image.to(low), weight.to(low), bias, _pair(stride), _pair(padding)
            )
        return func(*args, **options)


def _fits(
    image: Tensor,
    weight: Tensor,
    _bias: Tensor | None,
    _stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> bool:
    """Whether this is a depthwise convolution under bfloat16 autocast on the CPU, training."""
    return (
        groups > 1
        and groups == image.shape[1] == weight.shape[0]
        and not isinstance(padding, str)
        and _pair(dilation) == [1, 1]
        and image.device.type == "cpu"
        and torch.is_grad_enabled()
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
