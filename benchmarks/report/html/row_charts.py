"""Rows of a table with a small chart each: marks, lines and bars on one common scale.

Positions are per cent of the cell's width, so that a row is as wide as the screen leaves it and its
words stay words: they wrap, can be read out, and are as large as the rest of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from benchmarks.report.html.svg_chart import nice_ticks

_HEIGHT = 26
_MIDDLE = _HEIGHT / 2
_OVER = 24
"""How far a line of the scale goes on above and below its row, to meet that of the next."""

_LEFT, _RIGHT = 3.0, 97.0


@dataclass(frozen=True)
class Dot:
    """A value with its interval.

    Attributes:
        style: Class that gives it its colour.
        value: Where the mark stands.
        low: Where the line through it begins.
        high: Where that ends.
        ring: Whether the mark is an open ring, around what lies under it.
    """

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
    parts = _grid(scale, line_at)
    for dot in dots:
        at = f"{scale.at(dot.value):.2f}%"
        kind = '<circle class="ring" r="6"' if dot.ring else '<circle r="4.8"'
        parts.append(
            f'<g class="mk s-{dot.style}"><line class="whisker" x1="{scale.at(dot.low):.2f}%" '
            f'x2="{scale.at(dot.high):.2f}%" y1="{_MIDDLE}" y2="{_MIDDLE}"/>'
            f'{kind} cx="{at}" cy="{_MIDDLE}"/></g>'
        )
    return _svg(parts)


def draw_segments(scale: Scale, segments: Sequence[BarSegment]) -> Markup:
    """A bar of several parts."""
    parts = _grid(scale, 0.0)
    for segment in segments:
        left, right = scale.at(segment.low), scale.at(segment.high)
        parts.append(
            f'<g class="mk s-{segment.style}"><rect class="piece" x="{left:.2f}%" y="7" '
            f'width="{max(0.0, right - left):.2f}%" height="{_HEIGHT - 14}"/></g>'
        )
    return _svg(parts)


def draw_scale(scale: Scale, unit: str) -> Markup:
    """The scale's numbers, to stand under the rows."""
    parts = []
    for tick in scale.ticks:
        number = f"{tick:g}".replace("-", "−")
        parts.append(
            f'<text x="{scale.at(tick):.2f}%" y="16" text-anchor="middle">{number}'
            f"{escape(unit)}</text>"
        )
    return _svg(parts)


def _grid(scale: Scale, line_at: float | None) -> list[str]:
    parts = []
    for tick in scale.ticks:
        x = f"{scale.at(tick):.2f}%"
        kind = "axis" if line_at is not None and abs(tick - line_at) < 1e-9 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{x}" x2="{x}" y1="{-_OVER}" y2="{_HEIGHT + _OVER}"/>'
        )
    return parts


def _svg(parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="lane chart" height="{_HEIGHT}" aria-hidden="true">'
        + "".join(parts)
        + "</svg>"
    )
