"""Ranges of activations, and what 8 bits make of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

Range = tuple[float, float]

LOW, HIGH = -128, 127
"""The smallest and the largest int8."""

SIGMOID: Range = (0.0, 255 / 256)
"""What TFLite's integer sigmoid can answer: its scale is 1/256, whatever is asked for."""

Curve = Callable[[Tensor], Tensor]
"""An activation that makes nearly the same of all values beyond some bound."""

_SHARES = tuple(1 - i / 20 for i in range(20))
_SAMPLE = 2**16
"""Values of a tensor that a range before a curve is chosen on."""

TINY = 1e-30
"""Stands in for zero where a logarithm or a quotient needs more."""


def extremes(values: Sequence[Tensor]) -> Range:
    """Smallest and largest value, with zero between them: padding must be exact."""
    low = min(float(part.min()) for part in values)
    high = max(float(part.max()) for part in values)
    return min(low, 0.0), max(high, 0.0)


def rows_of(values: Tensor, parts: int) -> Tensor:
    """Some places of a tensor, evenly spread, `[places, channels]`.

    Args:
        values: `[N, …, channels]`.
        parts: How many such tensors a range is chosen on.
    """
    rows = values.reshape(-1, values.shape[-1])
    most = max(1, _SAMPLE // (rows.shape[1] * parts))
    return rows[:: -(-len(rows) // most)].clone()


def before_curve(rows: Tensor, span: Range, curve: Curve, reach: Tensor | None) -> Range:
    """The range whose rounding changes least what a curve makes of the values.

    A SiLU gives almost zero for everything far below it, so that most of the steps from the
    smallest value up to zero would be lost on nothing. And a channel of large values often does
    little in the layer behind: to clip some of them is better than to have two steps for others.

    Args:
        rows: What the curve reads, `[places, channels]`.
        span: From the smallest to the largest value.
        curve: The activation.
        reach: How much an error of each channel counts, `[channels]`; None for all alike.

    Returns:
        A range within `span`, of which shares are tried at either end in turn.
    """
    wanted = curve(rows.clone())

    def error(shares: tuple[float, float]) -> float:
        found = curve(in_8_bits(rows, (span[0] * shares[0], span[1] * shares[1])))
        by_channel = (found - wanted).square().sum(dim=0)
        return float((by_channel if reach is None else by_channel * reach).sum())

    low = high = 1.0
    for _ in range(2):
        low = min(_SHARES, key=lambda share: error((share, high)))
        high = min(_SHARES, key=lambda share: error((low, share)))
    return span[0] * low, span[1] * high


def bounded(span: Range, source: Range, bound: Curve) -> Range:
    """A range that ends where a function of another range's end is reached."""
    return span[0], min(span[1], max(float(bound(torch.tensor(source[1]))), TINY))


def scale_and_zero(span: Range) -> tuple[float, int]:
    """Scale and zero point of an int8 tensor of a range, as the TFLite quantiser takes them."""
    low, high = span
    scale = max((high - low) / (HIGH - LOW), TINY)
    return scale, max(LOW, min(HIGH, round(LOW - low / scale)))


def in_8_bits(values: Tensor, span: Range) -> Tensor:
    """What is left of float values once they were int8.

    Args:
        values: Any shape, float32.
        span: From `extremes`; what lies outside is clipped.
    """
    scale, zero = scale_and_zero(span)
    steps = values.div(scale).round_().add_(zero).clamp_(LOW, HIGH)
    return steps.sub_(zero).mul_(scale)


def ratio_db(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Signal-to-noise ratio in decibels: 10 log10(Σ wanted² / Σ (found − wanted)²).

    Args:
        pairs: What was wanted and what was found, in batches.
    """
    signal = noise = 0.0
    for wanted, found in pairs:
        signal += float(wanted.square().sum())
        noise += float((found - wanted).square().sum())
    return 10 * math.log10(max(signal, TINY) / max(noise, TINY))
