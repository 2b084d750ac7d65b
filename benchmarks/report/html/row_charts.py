"""Rows of a table with a small chart each: marks, lines and bars on one common scale.

Positions are per cent of the cell's width, so that a row is as wide as the screen leaves it and its
words stay words: they wrap, can be read out, and are as large as the rest of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.report.html.contents import svg
from benchmarks.report.html.svg_chart import nice_ticks

_LEFT, _RIGHT = 3.0, 97.0


@dataclass(frozen=True)
class Dot:
    """A mark at a value with a line from `low` to `high`; a ring goes around what lies under it."""

    style: str
    value: float
    low: float
    high: float
    ring: bool = False


@dataclass(frozen=True)
class BarSegment:
    """A part of a bar, from one value to another."""

    style: str
    low: float
    high: float


@dataclass(frozen=True)
class Scale:
    """The common scale of some rows: its ends, and round numbers on it."""

    low: float
    high: float
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Sequence[float], *, zero: bool = False) -> Scale:
        """A scale on which all the values lie; from 0 on, or with 0 on it, if `zero`."""
        low, high = min(values), max(values)
        if zero:
            low, high = min(0.0, low), max(0.0, high)
        if high - low < 1e-9:
            low, high = low - (0.0 if zero and low == 0 else 0.5), high + 0.5
        room = 0.03 * (high - low)
        low, high = (low if zero and low == 0 else low - room), high + room
        return cls(low, high, tuple(nice_ticks(low, high, 5)))

    def at(self, value: float) -> float:
        """Per cent of the width."""
        return _LEFT + (_RIGHT - _LEFT) * (value - self.low) / (self.high - self.low)


def draw_dots(scale: Scale, dots: Sequence[Dot], *, line_at: float | None = None) -> Markup:
    """The marks of one row, the last on top; `line_at` stands out among the scale's lines."""
    return svg("lane", scale=scale, line_at=line_at, dots=dots, unit=None)


def draw_segments(scale: Scale, segments: Sequence[BarSegment]) -> Markup:
    """A bar of several parts."""
    return svg("lane", scale=scale, line_at=0, segments=segments, unit=None)


def draw_scale(scale: Scale, unit: str) -> Markup:
    """The scale's numbers, to stand under the rows."""
    return svg("lane", scale=scale, unit=unit)
