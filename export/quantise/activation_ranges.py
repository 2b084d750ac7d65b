"""Ranges of activations for 8 bits: measured on calibration photos, narrowed before SiLUs.

The one analysis for every form with integer activations: error compensation in torch
(`layerwise`), Core ML's w8a8 (`fake_quantised`) and the TFLite file (`export.tflite.convert`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from export.network.graph import Activation

Range = tuple[float, float]

LOW, HIGH = -128, 127
"""The smallest and the largest int8."""

SIGMOID: Range = (0.0, 255 / 256)
"""Output range of TFLite's integer sigmoid: the kernel fixes its scale at 1/256."""

_SHARES = tuple(1 - i / 20 for i in range(20))
"""Clip candidates: shares of a range's end, 1 to 0.05."""

_SAMPLE = 2**16
"""Values of a tensor on which the clipping of its range is chosen."""

TINY = 1e-30
"""Stands in for zero where a logarithm or a quotient needs more."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class ActivationInput:
    """A tensor that one SiLU or sigmoid alone reads.

    Attributes:
        importance: How much an error of each channel counts in the layers behind, `[channels]`;
            None for all alike.
    """

    activation: Activation
    importance: Tensor | None


class RangeObserver(Generic[Key]):
    """Watches tensors, by any key, over the calibration photos and chooses their ranges."""

    def __init__(self, inputs: Mapping[Key, ActivationInput], *, batches: int) -> None:
        """`inputs` are the tensors that a SiLU or sigmoid reads."""
        self._inputs = inputs
        self._batches = batches
        self._extremes: dict[Key, Range] = {}
        self._samples: dict[Key, list[Tensor]] = {key: [] for key in inputs}

    def observe(self, key: Key, values: Tensor) -> None:
        """Takes in one batch of a tensor, `[N, …, channels]`."""
        low, high = min_max([values])
        before = self._extremes.get(key, (0.0, 0.0))
        self._extremes[key] = min(low, before[0]), max(high, before[1])
        if key in self._samples:
            self._samples[key].append(sample_rows(values, self._batches))

    def ranges(self, limits: Iterable[tuple[Key, Key, Activation]] = ()) -> dict[Key, Range]:
        """The range of every observed tensor, zero inside.

        It goes from the smallest to the largest value, but before a SiLU or sigmoid, where
        `range_before_activation` chooses it.

        Args:
            limits: A tensor, another, and the largest value of the one from that of the other; in
                the order in which the tensors are computed. A range that was narrowed before a
                SiLU bounds what comes behind it, so that no step is spent on what cannot occur.
        """
        ranges = dict(self._extremes)
        for key, rows in self._samples.items():
            reader = self._inputs[key]
            ranges[key] = range_before_activation(
                torch.cat(rows), ranges[key], reader.activation, reader.importance
            )
        for key, source, bound in limits:
            low, high = ranges[key]
            largest = float(bound(torch.tensor(ranges[source][1])))
            ranges[key] = low, min(high, max(largest, TINY))
        return ranges


def min_max(values: Sequence[Tensor]) -> Range:
    """Smallest and largest value, with zero between them: padding must be exact."""
    low = min(float(part.min()) for part in values)
    high = max(float(part.max()) for part in values)
    return min(low, 0.0), max(high, 0.0)


def sample_rows(values: Tensor, batches: int) -> Tensor:
    """Some positions of a tensor, evenly spread, `[positions, channels]`.

    Args:
        values: `[N, …, channels]`.
        batches: Number of such tensors that share the sample's size.
    """
    rows = values.reshape(-1, values.shape[-1])
    most = max(1, _SAMPLE // (rows.shape[1] * batches))
    return rows[:: -(-len(rows) // most)].clone()


def range_before_activation(
    rows: Tensor, span: Range, activation: Activation, importance: Tensor | None
) -> Range:
    """The range whose rounding changes least what an activation makes of the values.

    A SiLU gives almost zero for everything far below it: with the extremes as range, most of the
    steps from the smallest value up to zero would be lost on nothing, so the range becomes
    asymmetric. And a channel of large values often does little in the layer behind: clipping some
    of them is better than leaving two steps to the other channels. Hence both ends are searched
    for the least weighted squared error, one after the other, and twice, since the best of one
    end depends on the other.

    Args:
        rows: What the activation reads, `[positions, channels]`.
        span: From the smallest to the largest value.
        importance: How much an error of each channel counts, `[channels]`; None for all alike.

    Returns:
        A range within `span`.
    """
    exact = activation(rows.clone())

    def error(shares: tuple[float, float]) -> float:
        rounded = activation(fake_quantise(rows, (span[0] * shares[0], span[1] * shares[1])))
        by_channel = (rounded - exact).square().sum(dim=0)
        return float((by_channel if importance is None else by_channel * importance).sum())

    low = high = 1.0
    for _ in range(2):
        low = min(_SHARES, key=lambda share: error((share, high)))
        high = min(_SHARES, key=lambda share: error((low, share)))
    return span[0] * low, span[1] * high


def scale_and_zero_point(span: Range) -> tuple[float, int]:
    """Scale and zero point of an int8 tensor of a range, as the TFLite quantiser takes them.

    `real = scale * (int8 - zero_point)`; a whole zero point makes the real zero exact.
    """
    low, high = span
    scale = max((high - low) / (HIGH - LOW), TINY)
    return scale, max(LOW, min(HIGH, round(LOW - low / scale)))


def fake_quantise(values: Tensor, span: Range) -> Tensor:
    """Rounds float values to int8 and back.

    Args:
        values: Any shape, float32.
        span: From `min_max`; what lies outside is clipped.
    """
    scale, zero_point = scale_and_zero_point(span)
    steps = values.div(scale).round_().add_(zero_point).clamp_(LOW, HIGH)
    return steps.sub_(zero_point).mul_(scale)


def sqnr_db(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Signal-to-quantisation-noise ratio, 10 log10(Σ exact² / Σ (rounded − exact)²), in dB."""
    signal = noise = 0.0
    for exact, rounded in pairs:
        signal += float(exact.square().sum())
        noise += float((rounded - exact).square().sum())
    return 10 * math.log10(max(signal, TINY) / max(noise, TINY))
