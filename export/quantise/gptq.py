"""GPTQ: weights rounded to 8 bits so that a layer's output changes least.

Rounding to nearest is the best for a weight and not for a layer: the errors of the weights of one
output add up. Taken one after the other, each weight's error is compensated by those that are still
free, as far as the inputs of the calibration photos are correlated (Frantar et al., GPTQ: Accurate
Post-Training Quantization, ICLR 2023; optimal brain surgery, Hassibi and Stork, 1993, with rounding
in place of pruning). The bias then takes what is left on average (Nagel et al., Data-free
quantization, ICCV 2019, there without photos).

The loss of a layer with weight error `e` is `eᵀ H e`. GPTQ takes `H = 2 X Xᵀ`; here `H` is the
covariance of the inputs, the part of it that the bias cannot correct.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.network.graph import Layer

STEPS = 127
"""Steps from zero to a channel's largest weight. Symmetric, as TFLite's specification asks of int8
weights: their zero point is 0 and -128 is not used."""

CLIP_CANDIDATES = tuple(1 - i / 40 for i in range(21))
"""Shares of the largest weight that are tried as a channel's range: 1 to 0.5. Clipping
one outlier can cost less than a coarser step for all the other weights."""

DAMPING = 0.01
"""Added to the inputs' variances as a share of their mean, GPTQ's value: inputs that never vary on
the calibration photos would make the Hessian singular and their weights arbitrary."""

_BLOCK = 64
"""Columns whose errors are applied to the later ones at once: the same result as one by one, and
one large matrix product instead of many small ones."""

_SAMPLES, _DEPTHWISE_SAMPLES = 1000, 250
"""Positions of a batch that a layer's statistics are taken at. A depthwise layer has few weights
per channel, so fewer positions determine its covariance."""


@dataclass
class LayerStatistics:
    """Means and covariances of a layer's inputs and of the outputs that it should give.

    Attributes:
        groups: The layer's groups G; K inputs and O outputs each.
        origin: About the inputs' mean, `[G, K]`, of the first batch. Products are taken of the
            difference from it: of inputs far from zero that vary little, float32 products would
            lose the variation. None until there are inputs.
        count: Number of positions.
        inputs: Sums of inputs less `origin`, `[G, K]`.
        outputs: Sums `[G, O]`.
        products: Sums of products of inputs less `origin`, `[G, K, K]`.
    """

    groups: int
    origin: Tensor | None
    count: int
    inputs: Tensor
    outputs: Tensor
    products: Tensor

    @classmethod
    def of(cls, layer: Layer) -> LayerStatistics:
        """Of no position yet."""
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        size, width = layer.weight[0].numel(), len(layer.weight) // groups
        zeros = [torch.zeros(groups, n, dtype=torch.float64) for n in (size, width)]
        products = torch.zeros(groups, size, size, dtype=torch.float64)
        return cls(groups, None, 0, zeros[0], zeros[1], products)

    def add(self, layer: Layer, inputs: Tensor, outputs: Tensor, *, seed: int) -> None:
        """Adds positions of a batch.

        Args:
            layer: The layer.
            inputs: What it reads, `[N, C, H, W]` or `[N, C]`.
            outputs: What it should answer, before any activation.
        """
        columns, expected = _sampled(layer, inputs, outputs, seed)
        if self.origin is None:
            self.origin = columns.mean(dim=0)
        columns = columns - self.origin
        by_group = columns.transpose(0, 1).contiguous()
        self.count += len(columns)
        self.inputs += columns.sum(dim=0)
        self.outputs += expected.reshape(len(expected), self.groups, -1).sum(dim=0)
        self.products += torch.bmm(by_group.transpose(1, 2), by_group)

    def means(self) -> tuple[Tensor, Tensor]:
        """Of the inputs `[G, K]` and of the outputs `[G, O]`."""
        assert self.origin is not None, "nothing was added yet"
        return self.inputs / self.count + self.origin, self.outputs / self.count

    def covariance(self) -> Tensor:
        """Of the inputs, `[G, K, K]`."""
        mean = self.inputs / self.count
        return self.products / self.count - mean[:, :, None] * mean[:, None, :]


def _sampled(layer: Layer, inputs: Tensor, outputs: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs `[R, G, K]` and outputs `[R, G·O]` of some positions."""
    if isinstance(layer, nn.Linear):
        return inputs[:, None], outputs
    if getattr(layer, "widths", None):
        inputs = functional.pad(inputs, layer.widths)  # type: ignore[arg-type]
    assert not isinstance(layer.padding, str)
    if any(layer.padding):
        inputs = functional.pad(inputs, (*[layer.padding[1]] * 2, *[layer.padding[0]] * 2))
    windows = _windows(inputs, layer)
    height, width = windows.shape[2:4]
    positions = len(inputs) * height * width
    most = _SAMPLES if layer.groups == 1 else _DEPTHWISE_SAMPLES
    chosen = torch.arange(positions)
    if positions > most:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(positions, generator=generator)[:most].sort().values
    photo, rest = chosen // (height * width), chosen % (height * width)
    row, column = rest // width, rest % width
    columns = windows[photo, :, row, column].reshape(len(chosen), layer.groups, -1)
    return columns, outputs[photo, :, row, column]


def _windows(padded: Tensor, conv: nn.Conv2d) -> Tensor:
    """A view `[N, C, H', W', h, w]` of what each position of the output reads."""
    view = padded
    for axis in (0, 1):
        reach = (conv.kernel_size[axis] - 1) * conv.dilation[axis] + 1
        view = view.unfold(2 + axis, reach, conv.stride[axis])
    return view[..., :: conv.dilation[0], :: conv.dilation[1]]


@dataclass(frozen=True)
class QuantisedLayer:
    """A layer in 8 bits.

    Attributes:
        weight: As the layer's, every value a step of its channel's scale; the largest of each
            channel is 127 steps, so that a scale taken from the largest is this channel's.
        bias: `[channels]` float32, or None if the layer has none.
    """

    weight: Tensor
    bias: Tensor | None


def quantise_layer(
    layer: Layer, statistics: LayerStatistics, *, correct_bias: bool = True
) -> QuantisedLayer:
    """Rounds a layer's weights and corrects its bias.

    Args:
        layer: The layer in float32.
        statistics: Of the inputs that it will read and of the outputs that it gave in float32.
        correct_bias: Whether its average output is to stay as it was.
    """
    shape = layer.weight.shape
    weight = layer.weight.double().reshape(statistics.groups, -1, shape[1:].numel())
    covariance = statistics.covariance()
    scale = _scales(weight, covariance.diagonal(dim1=-2, dim2=-1)[:, None])
    steps = _round_steps(weight, covariance, scale)
    rounded = steps * scale
    bias = corrected_bias(layer, rounded, statistics) if correct_bias else layer.bias
    return QuantisedLayer(rounded.reshape(shape).float(), bias)


def keep_layer(layer: Layer, statistics: LayerStatistics) -> QuantisedLayer:
    """Corrects a layer's bias for what the layers before it changed and keeps its weights."""
    weight = layer.weight.double().reshape(statistics.groups, -1, layer.weight[0].numel())
    return QuantisedLayer(layer.weight, corrected_bias(layer, weight, statistics))


def corrected_bias(layer: Layer, weight: Tensor, statistics: LayerStatistics) -> Tensor | None:
    """The bias with which a weight `[G, O, K]` gives the average output that it should."""
    if layer.bias is None:
        return None
    inputs, outputs = statistics.means()
    return (outputs - (weight @ inputs[:, :, None])[..., 0]).reshape(-1).float()


def _scales(weight: Tensor, variance: Tensor) -> Tensor:
    """Each channel's scale `[G, O, 1]`, of those in `CLIP_CANDIDATES` the one with the least error.

    Args:
        weight: `[G, O, K]`.
        variance: Of the inputs, `[G, 1, K]`, the diagonal of the Hessian: an error counts as much
            as its input varies. Compensation comes later and is not foreseen here.
    """
    largest = weight.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12)
    best = largest / STEPS
    least = torch.full_like(best, torch.inf)
    for clip in CLIP_CANDIDATES:
        scale = largest * clip / STEPS
        rounded = (weight / scale).round().clamp(-STEPS, STEPS) * scale
        error = ((rounded - weight).square() * variance).sum(dim=-1, keepdim=True)
        best = torch.where(error < least, scale, best)
        least = torch.minimum(least, error)
    return best


def _round_steps(weight: Tensor, covariance: Tensor, scale: Tensor) -> Tensor:
    """Steps `[G, O, K]` of weights, -127 to 127, as whole float64 numbers.

    Each channel's largest weight is pinned to 127 steps before its error could move it: converters
    take scales from the largest weights, so this is how the scale reaches the file.
    """
    left = weight / scale
    largest = left.abs() == left.abs().amax(dim=-1, keepdim=True)
    pinned = torch.where(largest, left.sign() * STEPS, torch.nan)

    def nearest(values: Tensor, column: int) -> Tensor:
        ends = pinned[:, :, column]
        return torch.where(ends.isnan(), values.round().clamp(-STEPS, STEPS), ends)

    return round_with_compensation(left, covariance, nearest)


def round_with_compensation(
    weight: Tensor, covariance: Tensor, nearest: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Rounds the weights of one input after the other, so that outputs change least.

    Inputs that vary most come first (GPTQ's `act_order`): their errors cost most, and the most
    weights are still free to compensate them. With `U` upper triangular and `Uᵀ U = H⁻¹`, the
    error `(w - q) / U[i, i]` of column `i` is compensated by `- error * U[i, j]` in each later
    column `j`: row `i` of `U` is, up to its scale, what optimal brain surgery would read from the
    inverse Hessian of the columns that are still free, without computing that anew each time.

    Args:
        weight: `[G, O, K]` float64, in any unit per output.
        covariance: Of the inputs, `[G, K, K]`.
        nearest: Rounds values `[G, O]`, the weights of the input at that index of K.

    Returns:
        `[G, O, K]`, of what `nearest` gave.
    """
    size = weight.shape[-1]
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    order = torch.argsort(diagonal.mean(dim=0), descending=True, stable=True)
    factor = _inverse_factor(covariance[:, order][:, :, order])
    left, columns = weight[:, :, order], order.tolist()
    result = torch.zeros_like(left)
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        errors = torch.zeros_like(left[:, :, start:stop])
        for i in range(start, stop):
            rounded = nearest(left[:, :, i], columns[i])
            error = (left[:, :, i] - rounded) / factor[:, None, i, i]
            left[:, :, i:stop] -= error[:, :, None] * factor[:, None, i, i:stop]
            result[:, :, i], errors[:, :, i - start] = rounded, error
        left[:, :, stop:] -= errors @ factor[:, start:stop, stop:]
    return result[:, :, torch.argsort(order)]


def _inverse_factor(covariance: Tensor) -> Tensor:
    """Upper triangular U with Uᵀ U = (covariance + damping)⁻¹.

    The damping grows until that exists: float32 sums of few photos can leave a covariance that is
    not quite positive definite.
    """
    mean = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[:, None, None]
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    damping = DAMPING
    while True:
        damped = covariance + identity * (damping * mean + 1e-12)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed.any():
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not failed.any():
                return torch.as_tensor(upper)
        damping *= 10
