"""Ranges of activations, and what 8 bits make of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

Range = tuple[float, float]

LOW, HIGH = -128, 127
"""The smallest and the largest int8."""

TINY = 1e-30
"""Stands in for zero where a logarithm or a quotient needs more."""


def extremes(values: Sequence[Tensor]) -> Range:
    """Smallest and largest value, with zero between them: padding must be exact."""
    low = min(float(part.min()) for part in values)
    high = max(float(part.max()) for part in values)
    return min(low, 0.0), max(high, 0.0)


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
