"""The operations that the reference knows, by their names in MIL, Core ML's program language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.runtimes.coreml_reference import elementwise, layers, shapes

CLASSIFY = "classify"
"""The operation that pairs probabilities with labels. It ends a classifier and computes nothing."""

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


def _of_one(function: Callable[[Tensor], Tensor]) -> _Compute:
    """A function of torch's that takes one tensor, by the name that MIL gives it."""
    return lambda x: function(x)  # noqa: PLW0108 - torch calls it `input`


_ROUNDED: dict[str, _Compute] = {
    "add": elementwise.add,
    "avg_pool": layers.avg_pool,
    "batch_norm": layers.batch_norm,
    "cast": shapes.cast,
    "clamped_relu": elementwise.clamped_relu,
    "conv": layers.conv,
    "dequantize": elementwise.dequantize,
    "erf": _of_one(torch.erf),
    "exp": _of_one(torch.exp),
    "gelu": elementwise.gelu,
    "inverse": elementwise.inverse,
    "layer_norm": layers.layer_norm,
    "leaky_relu": elementwise.leaky_relu,
    "linear": layers.linear,
    "log": elementwise.log,
    "matmul": layers.matmul,
    "mul": elementwise.mul,
    "pow": elementwise.power,
    "real_div": elementwise.real_div,
    "reduce_l1_norm": elementwise.reduce_l1_norm,
    "reduce_l2_norm": elementwise.reduce_l2_norm,
    "reduce_mean": elementwise.reduce_mean,
    "reduce_sum": elementwise.reduce_sum,
    "reduce_sum_square": elementwise.reduce_sum_square,
    "rsqrt": elementwise.rsqrt,
    "sigmoid": _of_one(torch.sigmoid),
    "sigmoid_hard": elementwise.sigmoid_hard,
    "silu": _of_one(functional.silu),
    "softmax": elementwise.softmax,
    "sqrt": _of_one(torch.sqrt),
    "square": _of_one(torch.square),
    "sub": elementwise.sub,
    "tanh": _of_one(torch.tanh),
}
_EXACT: dict[str, _Compute] = {
    "abs": _of_one(torch.abs),
    "clip": elementwise.clip,
    "concat": shapes.concat,
    "expand_dims": shapes.expand_dims,
    "identity": shapes.identity,
    "max_pool": layers.max_pool,
    "maximum": elementwise.maximum,
    "minimum": elementwise.minimum,
    "pad": shapes.pad,
    "quantize": elementwise.quantize,
    "reduce_max": elementwise.reduce_max,
    "reduce_min": elementwise.reduce_min,
    "relu": _of_one(torch.relu),
    "relu6": elementwise.relu6,
    "reshape": shapes.reshape,
    "squeeze": shapes.squeeze,
    "thresholded_relu": elementwise.thresholded_relu,
    "topk": shapes.topk,
    "transpose": shapes.transpose,
}

OPERATIONS: dict[str, Operation] = {
    **{name: Operation(compute) for name, compute in _ROUNDED.items()},
    **{name: Operation(compute, exact=True) for name, compute in _EXACT.items()},
}
"""Every operation that is executed on photos. `const`, `classify` and those of `constants` are
dealt with when a package is loaded."""
