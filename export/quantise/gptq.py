"""Weights rounded to 8 bits so that a layer's output changes least.

To the nearest step is the best for a weight and not for a layer: the errors of the weights of one
output add up. Taken one after the other, each weight's error is made good by those that are still
free, as far as the inputs of the calibration photos go together (Frantar et al., GPTQ, ICLR 2023;
the same as optimal brain surgery with rounding for pruning). The bias then takes what is left on
average (Nagel et al., Data-free quantization, ICCV 2019, there without photos).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from export.network.graph import Layer

STEPS = 127
"""Steps from zero to a channel's largest weight; the same on both sides."""

CLIP_CANDIDATES = tuple(1 - i / 40 for i in range(21))
"""Shares of the largest weight that a channel's range is tried with: 1 to 0.5."""

DAMPING = 0.01
"""What is added to the inputs' variances, as a share of their mean, so that inputs that are never
seen keep their weights."""

_BLOCK = 64
_SAMPLES, _DEPTHWISE_SAMPLES = 1000, 250
"""Places of a batch that a layer is looked at in: a depthwise layer has few weights per channel."""


@dataclass
class LayerStatistics:
    """Means and covariances of a layer's inputs and of the outputs that it should give.

    Attributes:
        groups: The layer's groups G; K inputs and O outputs each.
        origin: About the inputs' mean, `[G, K]`: products of what is far from zero and varies
            little would lose the little in float32. None until there are inputs.
        count: Number of places.
        inputs: Sums of what inputs are above `origin`, `[G, K]`.
        outputs: Sums `[G, O]`.
        products: Sums of products of inputs above `origin`, `[G, K, K]`.
    """

    groups: int
    origin: Tensor | None
    count: int
    inputs: Tensor
    outputs: Tensor
    products: Tensor

    @classmethod
    def of(cls, layer: Layer) -> LayerStatistics:
        """Of no place yet."""
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        size, width = layer.weight[0].numel(), len(layer.weight) // groups
        zeros = [torch.zeros(groups, n, dtype=torch.float64) for n in (size, width)]
        products = torch.zeros(groups, size, size, dtype=torch.float64)
        return cls(groups, None, 0, zeros[0], zeros[1], products)

    def add(self, layer: Layer, inputs: Tensor, outputs: Tensor, *, seed: int) -> None:
        """Adds places of a batch.

        Args:
            layer: The layer.
            inputs: What it reads, `[N, C, H, W]` or `[N, C]`.
            outputs: What it should answer, before any activation.
            seed: Of the choice of places.
        """
        columns, wanted = _places(layer, inputs, outputs, seed)
        if self.origin is None:
            self.origin = columns.mean(dim=0)
        columns = columns - self.origin
        by_group = columns.transpose(0, 1).contiguous()
        self.count += len(columns)
        self.inputs += columns.sum(dim=0)
        self.outputs += wanted.reshape(len(wanted), self.groups, -1).sum(dim=0)
        self.products += torch.bmm(by_group.transpose(1, 2), by_group)

    def means(self) -> tuple[Tensor, Tensor]:
        """Of the inputs `[G, K]` and of the outputs `[G, O]`."""
        assert self.origin is not None, "there are no places yet"
        return self.inputs / self.count + self.origin, self.outputs / self.count

    def covariance(self) -> Tensor:
        """Of the inputs, `[G, K, K]`."""
        mean = self.inputs / self.count
        return self.products / self.count - mean[:, :, None] * mean[:, None, :]


def _places(layer: Layer, inputs: Tensor, outputs: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs `[R, G, K]` and outputs `[R, G·O]` of some places."""
    if isinstance(layer, nn.Linear):
        return inputs[:, None], outputs
    if getattr(layer, "widths", None):
        inputs = functional.pad(inputs, layer.widths)  # type: ignore[arg-type]
    assert not isinstance(layer.padding, str)
    if any(layer.padding):
        inputs = functional.pad(inputs, (*[layer.padding[1]] * 2, *[layer.padding[0]] * 2))
    windows = _windows(inputs, layer)
    height, width = windows.shape[2:4]
    places = len(inputs) * height * width
    most = _SAMPLES if layer.groups == 1 else _DEPTHWISE_SAMPLES
    chosen = torch.arange(places)
    if places > most:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(places, generator=generator)[:most].sort().values
    photo, rest = chosen // (height * width), chosen % (height * width)
    row, column = rest // width, rest % width
    columns = windows[photo, :, row, column].reshape(len(chosen), layer.groups, -1)
    return columns, outputs[photo, :, row, column]


def _windows(padded: Tensor, conv: nn.Conv2d) -> Tensor:
    """A view `[N, C, H', W', h, w]` of what each place of the output reads."""
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
            channel is 127 steps, so that whoever takes the scale from the largest finds this one.
        bias: `[channels]` float32, or None if the layer has none.
    """

    weight: Tensor
    bias: Tensor | None


def quantise_layer(
    layer: Layer, moments: LayerStatistics, *, correct_bias: bool = True
) -> QuantisedLayer:
    """Rounds a layer's weights and corrects its bias.

    Args:
        layer: The layer in float32.
        moments: Of the inputs that it will read and of the outputs that it gave in float32.
        correct_bias: Whether its average output is to stay as it was.
    """
    shape = layer.weight.shape
    weight = layer.weight.double().reshape(moments.groups, -1, shape[1:].numel())
    covariance = moments.covariance()
    scale = _scales(weight, covariance.diagonal(dim1=-2, dim2=-1)[:, None])
    steps = _round(weight, covariance, scale)
    rounded = steps * scale
    bias = corrected_bias(layer, rounded, moments) if correct_bias else layer.bias
    return QuantisedLayer(rounded.reshape(shape).float(), bias)


def keep_layer(layer: Layer, moments: LayerStatistics) -> QuantisedLayer:
    """Corrects a layer's bias for what the layers before it changed and keeps its weights."""
    weight = layer.weight.double().reshape(moments.groups, -1, layer.weight[0].numel())
    return QuantisedLayer(layer.weight, corrected_bias(layer, weight, moments))


def corrected_bias(layer: Layer, weight: Tensor, moments: LayerStatistics) -> Tensor | None:
    """The bias with which a weight `[G, O, K]` gives the average output that it should."""
    if layer.bias is None:
        return None
    read, wanted = moments.means()
    return (wanted - (weight @ read[:, :, None])[..., 0]).reshape(-1).float()


def _scales(weight: Tensor, variance: Tensor) -> Tensor:
    """Each channel's scale `[G, O, 1]`, of those in `CLIP_CANDIDATES` the one with the least error.

    Args:
        weight: `[G, O, K]`.
        variance: Of the inputs, `[G, 1, K]`: an error counts as much as its input varies.
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


def _round(weight: Tensor, covariance: Tensor, scale: Tensor) -> Tensor:
    """Steps `[G, O, K]` of weights, -127 to 127, as whole float64 numbers."""
    left = weight / scale
    largest = left.abs() == left.abs().amax(dim=-1, keepdim=True)
    pinned = torch.where(largest, left.sign() * STEPS, torch.nan)

    def nearest(values: Tensor, place: int) -> Tensor:
        ends = pinned[:, :, place]
        return torch.where(ends.isnan(), values.round().clamp(-STEPS, STEPS), ends)

    return round_with_compensation(left, covariance, nearest)


def round_with_compensation(
    weight: Tensor, covariance: Tensor, nearest: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Rounds the weights of one input after the other, so that outputs change least.

    Inputs that vary most come first; their errors are passed on to those that come later.

    Args:
        weight: `[G, O, K]` float64, in any unit per output.
        covariance: Of the inputs, `[G, K, K]`.
        nearest: Rounds values `[G, O]`, the weights of the input at that place of K.

    Returns:
        `[G, O, K]`, of what `nearest` gave.
    """
    size = weight.shape[-1]
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    order = torch.argsort(diagonal.mean(dim=0), descending=True, stable=True)
    factor = _inverse_factor(covariance[:, order][:, :, order])
    left, places = weight[:, :, order], order.tolist()
    result = torch.zeros_like(left)
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        errors = torch.zeros_like(left[:, :, start:stop])
        for i in range(start, stop):
            rounded = nearest(left[:, :, i], places[i])
            error = (left[:, :, i] - rounded) / factor[:, None, i, i]
            left[:, :, i:stop] -= error[:, :, None] * factor[:, None, i, i:stop]
            result[:, :, i], errors[:, :, i - start] = rounded, error
        left[:, :, stop:] -= errors @ factor[:, start:stop, stop:]
    return result[:, :, torch.argsort(order)]


def _inverse_factor(covariance: Tensor) -> Tensor:
    """Upper triangular U with Uᵀ U = (covariance + damping)⁻¹.

    The damping grows until that exists: float32 sums of few photos can leave a covariance that is
    none by a little.
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
