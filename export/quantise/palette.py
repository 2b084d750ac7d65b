"""Weights of a few values: a palette per layer, a scale per output channel.

A palette has as many values as its bits can count, and they lie where the weights are. Its values
are found on all channels at once, each brought to the same range by its scale, and count as much
as they change the layer's output: weighted k-means of one dimension (Lloyd, Least squares
quantization in PCM, 1982). Then weights take values one input after the other, each making good
the errors of those before it, as in `export.quantise.gptq`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.network.graph import Layer
from export.quantise.gptq import (
    LayerStatistics,
    QuantisedLayer,
    corrected_bias,
    round_with_compensation,
)

_SPREAD, _BIAS = 2.0**-10, 2.0**-12
"""Smallest scale as a share of the layer's largest, and as a share of the channel's bias in units
of the palette: a package divides biases by scales, and float16 ends at 65,504."""

_TINY = 2.0**-14
"""The smallest of float16's numbers that have eleven bits."""

_LEAST_VARIANCE = 0.01
"""Of an input, as a share of the inputs' mean: GPTQ's damping, so that weights of inputs that never
vary count for the palette, too."""

_BINS, _ROUNDS = 1 << 14, 40


@dataclass(frozen=True)
class Palette:
    """A layer's weights as a package keeps them; a weight is `values[index] * scale[channel]`.

    Attributes:
        values: `[2 ** bits]` float16, ascending.
        indices: Of the layer's weight's shape, uint8.
        scale: `[channels]` float16, each above 0, about 1 in the middle.
    """

    values: NDArray[np.float16]
    indices: NDArray[np.uint8]
    scale: NDArray[np.float16]

    @property
    def weight(self) -> Tensor:
        """The weights, float32: products of two float16 numbers are exact."""
        scale = self.scale.astype(np.float32).reshape(-1, *[1] * (self.indices.ndim - 1))
        return torch.from_numpy(self.values.astype(np.float32)[self.indices] * scale)


@dataclass(frozen=True)
class PalettisedLayer(QuantisedLayer):
    """A layer whose weights are of a palette.

    Attributes:
        palette: What `weight` is made of.
    """

    palette: Palette


def palettiser(bits: int) -> Callable[[Layer, LayerStatistics], PalettisedLayer]:
    """What gives a layer a palette, for `export.quantise.layerwise.round_network`.

    Args:
        bits: The palette has two to the power of them values; at most 8.
    """

    def palettise(layer: Layer, statistics: LayerStatistics) -> PalettisedLayer:
        palette = _palettise(layer, statistics, bits)
        rounded = palette.weight
        shape = (statistics.groups, -1, layer.weight[0].numel())
        bias = corrected_bias(layer, rounded.double().reshape(shape), statistics)
        return PalettisedLayer(rounded, bias, palette)

    return palettise


def palette_is_no_smaller(layer: Layer, bits: int) -> bool:
    """Whether a palette and its scales would take as much room as weights in float16."""
    palette = layer.weight.numel() * bits // 8 + 2 * 2**bits + 2 * len(layer.weight)
    return bool(palette >= 2 * layer.weight.numel())


def _palettise(layer: Layer, statistics: LayerStatistics, bits: int) -> Palette:
    weight = layer.weight.double().reshape(statistics.groups, -1, layer.weight[0].numel())
    scale, unit = _scales(layer)
    by_channel = scale.reshape(*weight.shape[:2], 1)
    covariance = statistics.covariance()
    variance = covariance.diagonal(dim1=-2, dim2=-1)[:, None]
    least = _LEAST_VARIANCE * float(variance.mean())
    importance = variance.clamp_min(least) * by_channel.square()
    normalised = weight / by_channel
    values = (_centres(normalised.numpy(), importance.numpy(), 1 << bits) * unit).astype(np.float16)
    book = torch.from_numpy(values.astype(np.float64) / unit)
    between = (book[1:] + book[:-1]) / 2

    def nearest(column: Tensor, _index: int) -> Tensor:
        return book[torch.searchsorted(between, column.contiguous())]

    rounded = round_with_compensation(normalised, covariance, nearest)
    indices = torch.searchsorted(between, rounded.reshape(layer.weight.shape))
    return Palette(values, indices.to(torch.uint8).numpy(), (scale / unit).half().numpy())


def _scales(layer: Layer) -> tuple[Tensor, float]:
    """Each channel's range `[channels]`, and the power of two that is the middle one's.

    Both, and their quotients, are numbers of float16.
    """
    largest = layer.weight.double().flatten(1).abs().amax(dim=1)
    most = float(largest.max())
    unit = 2.0 ** round(math.log2(max(float(largest.median()), most * _SPREAD, _TINY)))
    scale = largest.clamp_min(max(most * _SPREAD, unit * _SPREAD))
    if layer.bias is not None:
        scale = torch.maximum(scale, layer.bias.double().abs() * unit * _BIAS)
    return (scale / unit).half().double() * unit, unit


def _centres(
    values: NDArray[np.float64], weights: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Where `count` centres lie best for values of -1 to 1, ascending.

    Args:
        weights: How much each value's error counts; broadcast.
        count: Number of centres.
    """
    flat = values.reshape(-1)
    bins = ((flat + 1) * (_BINS / 2)).astype(np.int64).clip(0, _BINS - 1)
    counts = np.broadcast_to(weights, values.shape).reshape(-1)
    mass = np.bincount(bins, counts, _BINS)
    sums = np.bincount(bins, counts * flat, _BINS)
    seen = mass > 0
    mean = sums[seen] / mass[seen]
    mass_before = np.concatenate([[0.0], np.cumsum(mass[seen])])
    sums_before = np.concatenate([[0.0], np.cumsum(sums[seen])])
    shares = (np.arange(count) + 0.5) / count
    # Between equal shares of the values and equal distances, which leaves the rare ones alone.
    centres = (np.quantile(flat, shares) + np.linspace(flat.min(), flat.max(), count)) / 2
    for _ in range(_ROUNDS):
        inner = np.searchsorted(mean, (centres[1:] + centres[:-1]) / 2)
        ends = np.concatenate([[0], inner, [len(mean)]])
        inside = np.diff(mass_before[ends])
        moved = np.diff(sums_before[ends]) / np.where(inside > 0, inside, 1)
        centres = np.sort(np.where(inside > 0, moved, centres))
    return np.asarray(centres)
