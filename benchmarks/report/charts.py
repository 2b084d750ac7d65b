"""Charts as inline SVG that follows the page's colours, light, dark and printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 310
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 52
_MARK = 5.0
_MAX_TICKS = 6
_MAX_LABELS = 14


@dataclass(frozen=True)
class Point:
    """One measured share.

    Attributes:
        x: Position: bytes, milliseconds, or the number of a category.
        y: Share, 0–1.
        low: Lower end of its 95 % interval.
        high: Upper end.
        title: What a pointer held over it tells.
    """

    x: float
    y: float
    low: float
    high: float
    title: str


@dataclass(frozen=True)
class Series:
    """Points of one variant, drawn in its colour and mark; `line` joins them."""

    style: str
    points: tuple[Point, ...]
    line: bool = False


@dataclass(frozen=True)
class Axis:
    """A horizontal axis: (position, label) of its ticks, its range and what it is."""

    title: str
    ticks: tuple[tuple[float, str], ...]
    low: float
    high: float


def nice_ticks(low: float, high: float, count: int = _MAX_TICKS) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) from `low` to `high`, at most `count`.

    Args:
        low: Lower end.
        high: Upper end, above `low`.
        count: Most ticks.
    """
    raw = (high - low) / max(1, count - 1)
    power = 10 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def number_axis(title: str, values: Sequence[float]) -> Axis:
    """An axis from 0 to a little above the largest value."""
    high = max(values) * 1.12 or 1.0
    ticks = tuple((tick, f"{tick:g}") for tick in nice_ticks(0.0, high))
    return Axis(title, ticks, 0.0, high)


def category_axis(title: str, labels: Sequence[str]) -> Axis:
    """An axis of categories at 0, 1, 2 …; of very many only every second, third … is labelled."""
    every = math.ceil(len(labels) / _MAX_LABELS)
    ticks = tuple((float(place), label) for place, label in enumerate(labels) if place % every == 0)
    return Axis(title, ticks, -0.6, len(labels) - 0.4)


def chart(series: Sequence[Series], axis: Axis, *, title: str) -> str:
    """Draws shares in per cent over `axis`, with their intervals.

    Args:
        series: What to draw, the last on top.
        axis: The horizontal axis.
        title: For readers who hear the page.

    Returns:
        An `<svg>` element whose colours come from the page's style sheet.
    """
    points = [point for one in series for point in one.points]
    low, high = _share_range(points)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(value: float) -> float:
        return LEFT + plot_width * (value - axis.low) / (axis.high - axis.low)

    def up(share: float) -> float:
        return TOP + plot_height * (1 - (share - low) / (high - low))

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title, quote=True)}">',
        *_grid(low, high, up),
        *_axis(axis, across),
    ]
    for one in series:
        parts += _series(one, across, up)
    parts.append("</svg>")
    return "".join(parts)


def _share_range(points: Sequence[Point]) -> tuple[float, float]:
    """The intervals with a margin, within 0–1, never narrower than ten points."""
    low, high = min(p.low for p in points), max(p.high for p in points)
    margin = max(0.01, 0.06 * (high - low), (0.10 - (high - low)) / 2)
    low, high = max(0.0, low - margin), min(1.0, high + margin)
    return low, high if high > low else low + 0.1


def _grid(low: float, high: float, up: Callable[[float], float]) -> list[str]:
    parts = []
    for tick in nice_ticks(100 * low, 100 * high):
        y = up(tick / 100)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g} %</text>')
    return parts


def _axis(axis: Axis, across: Callable[[float], float]) -> list[str]:
    y = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>']
    for value, label in axis.ticks:
        x = across(value)
        parts.append(f'<text x="{x:.1f}" y="{y + 18}" text-anchor="middle">{escape(label)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"{escape(axis.title)}</text>"
    )
    return parts


def _series(
    series: Series, across: Callable[[float], float], up: Callable[[float], float]
) -> list[str]:
    parts = [f'<g class="mk s-{series.style}">']
    places = [(across(p.x), up(p.y)) for p in series.points]
    if series.line and len(places) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line" points="{path}"/>')
    for point, (x, y) in zip(series.points, places, strict=True):
        parts.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" '
            f'y1="{up(point.high):.1f}" y2="{up(point.low):.1f}"/>'
        )
        parts.append(
            f'<g class="mark"><title>{escape(point.title)}</title>{mark(series.style, x, y)}</g>'
        )
    parts.append("</g>")
    return parts


def mark(style: str, x: float, y: float, size: float = _MARK) -> str:
    """The shape of a variant, told apart without colour: ring, dot, square, triangle, diamond."""
    if style == "reference":
        return f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{size * 1.35:.1f}"/>'
    if style == "float16":
        side = 2 * size * 0.9
        return (
            f'<rect x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" '
            f'width="{side:.1f}" height="{side:.1f}"/>'
        )
    if style == "int8-weights":
        return _polygon(
            [(x, y - 1.2 * size), (x + 1.15 * size, y + size), (x - 1.15 * size, y + size)]
        )
    if style == "int8":
        d = 1.35 * size
        return _polygon([(x, y - d), (x + d, y), (x, y + d), (x - d, y)])
    if style == "given":
        arm = 1.1 * size
        return (
            f'<path class="cross" d="M{x - arm:.1f} {y - arm:.1f}L{x + arm:.1f} {y + arm:.1f}'
            f'M{x - arm:.1f} {y + arm:.1f}L{x + arm:.1f} {y - arm:.1f}"/>'
        )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'


def _polygon(corners: Sequence[tuple[float, float]]) -> str:
    return '<polygon points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in corners) + '"/>'
