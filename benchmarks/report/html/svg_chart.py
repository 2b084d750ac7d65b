"""Charts as inline SVG that follows the page's colours, light, dark and printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 460, 310
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 52
_MARK = 5.0
HOLLOW = "coreml-"
"""Styles that begin so are drawn as the style without it, hollow."""

_MAX_TICKS = 6
_MAX_LABELS = 14
MANY = 6
"""More series than this are drawn with fainter lines, so that the marks stay legible."""

WIDE = 940
"""Width of a chart that takes the room of two."""


@dataclass(frozen=True)
class Point:
    """One measured share.

    Attributes:
        x: Position: bytes, milliseconds, or the number of a category.
        y: Share, 0–1.
        low: Lower end of its 95 % interval.
        high: Upper end.
        title: What a pointer held over it tells.
        label: Written beside it; empty for none.
    """

    x: float
    y: float
    low: float
    high: float
    title: str
    label: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one variant, drawn in its colour and mark; `line` joins them."""

    style: str
    points: tuple[Point, ...]
    line: bool = False


@dataclass(frozen=True)
class Band:
    """A faint area behind the series, with words on it.

    Attributes:
        edges: (position, lower share, upper share), from left to right.
        words: What it shows.
    """

    edges: tuple[tuple[float, float, float], ...]
    words: str


@dataclass(frozen=True)
class Axis:
    """A horizontal axis: (position, label) of its ticks, its range and what it is.

    On a logarithmic one positions are still plain numbers.
    """

    title: str
    ticks: tuple[tuple[float, str], ...]
    low: float
    high: float
    logarithmic: bool = False

    def part(self, value: float) -> float:
        """Where a value lies, 0 at the left end and 1 at the right one."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


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


def logarithmic_axis(title: str, values: Sequence[float]) -> Axis:
    """An axis of powers from a little below the least value to a little above the largest."""
    low, high = min(values) / 1.3, max(values) * 1.3
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_numbers = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    ticks = tuple((number, f"{number:g}") for number in round_numbers if low <= number <= high)
    return Axis(title, ticks, low, high, logarithmic=True)


def category_axis(title: str, labels: Sequence[str]) -> Axis:
    """An axis of categories at 0, 1, 2 …; of very many only every second, third … is labelled."""
    every = math.ceil(len(labels) / _MAX_LABELS)
    ticks = tuple((float(index), label) for index, label in enumerate(labels) if index % every == 0)
    return Axis(title, ticks, -0.6, len(labels) - 0.4)


def chart(
    series: Sequence[Series],
    axis: Axis,
    *,
    title: str,
    band: Band | None = None,
    width: int = WIDTH,
) -> Markup:
    """Draws shares in per cent over `axis`, with their intervals.

    Args:
        series: What to draw, the last on top.
        axis: The horizontal axis.
        title: For readers who hear the page.
        band: Drawn behind everything.
        width: In the units of the drawing, which are about pixels.

    Returns:
        An `<svg>` element whose colours come from the page's style sheet.
    """
    points = [point for line in series for point in line.points]
    if band is not None:
        points += [Point(x, low, low, high, "") for x, low, high in band.edges]
    low, high = _share_range(points)
    plot_width, plot_height = width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(value: float) -> float:
        return LEFT + plot_width * axis.part(value)

    def up(share: float) -> float:
        return TOP + plot_height * (1 - (share - low) / (high - low))

    kinds = ["chart", *["many"] * (len(series) > MANY), *["wide"] * (width > WIDTH)]
    parts = [
        f'<svg class="{" ".join(kinds)}" '
        f'viewBox="0 0 {width} {HEIGHT}" role="img" '
        f'aria-label="{escape(title, quote=True)}">',
        f"<title>{escape(title)}</title>",
        *_grid(low, high, up, width),
        *(_band(band, across, up) if band is not None else ()),
        *_axis(axis, across, width),
    ]
    for line in series:
        parts += _series(line, across, up)
    parts.append("</svg>")
    return Markup("".join(parts))


def _share_range(points: Sequence[Point]) -> tuple[float, float]:
    """The intervals with a margin, within 0–1, never narrower than ten points."""
    low, high = min(p.low for p in points), max(p.high for p in points)
    margin = max(0.01, 0.06 * (high - low), (0.10 - (high - low)) / 2)
    low, high = max(0.0, low - margin), min(1.0, high + margin)
    return low, high if high > low else low + 0.1


def _grid(low: float, high: float, up: Callable[[float], float], width: int) -> list[str]:
    parts = []
    for tick in nice_ticks(100 * low, 100 * high):
        y = up(tick / 100)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g} %</text>')
    return parts


def _band(band: Band, across: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    above = [f"{across(x):.1f},{up(high):.1f}" for x, _, high in band.edges]
    below = [f"{across(x):.1f},{up(low):.1f}" for x, low, _ in reversed(band.edges)]
    x, low, _ = band.edges[-1]
    # Under the area, where no mark stands, if there is room above the axis.
    under = up(low) + 15
    y = under if under < HEIGHT - BOTTOM - 4 else up(low) - 6
    return [
        f'<polygon class="band" points="{" ".join(above + below)}"/>',
        f'<text class="faint" x="{across(x) - 6:.1f}" y="{y:.1f}" '
        f'text-anchor="end">{escape(band.words)}</text>',
    ]


def _axis(axis: Axis, across: Callable[[float], float], width: int) -> list[str]:
    y = HEIGHT - BOTTOM
    parts = [f'<line class="axis" x1="{LEFT}" x2="{width - RIGHT}" y1="{y}" y2="{y}"/>']
    for value, label in axis.ticks:
        x = across(value)
        parts.append(f'<text x="{x:.1f}" y="{y + 18}" text-anchor="middle">{escape(label)}</text>')
    middle = (LEFT + width - RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">'
        f"{escape(axis.title)}</text>"
    )
    return parts


def _series(
    series: Series, across: Callable[[float], float], up: Callable[[float], float]
) -> list[str]:
    parts = [f'<g class="mk {classes(series.style)}">']
    centres = [(across(p.x), up(p.y)) for p in series.points]
    if series.line and len(centres) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in centres)
        parts.append(f'<polyline class="line" points="{path}"/>')
    for point, (x, y) in zip(series.points, centres, strict=True):
        parts.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" '
            f'y1="{up(point.high):.1f}" y2="{up(point.low):.1f}"/>'
        )
        parts.append(
            f'<g class="mark"><title>{escape(point.title)}</title>{mark(series.style, x, y)}</g>'
        )
        if point.label:
            words = escape(point.label)
            # The first one's words stand left of it, those of others right.
            first = point is series.points[0]
            anchor = f'x="{x - 8:.1f}" text-anchor="end"' if first else f'x="{x + 8:.1f}"'
            parts.append(f'<text class="faint" {anchor} y="{y + 4:.1f}">{words}</text>')
    parts.append("</g>")
    return parts


def mark(style: str, x: float, y: float, size: float = _MARK) -> str:
    """The shape of a variant, told apart without colour: ring, dot, square, triangle, diamond.

    Core ML's have the shape of TFLite's and are hollow, which is the style sheet's work.
    """
    style = style.removeprefix(HOLLOW)
    if style == "reference":
        return f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{size * 1.35:.1f}"/>'
    if style == "float16":
        side = 2 * size * 0.9
        return (
            f'<rect x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" '
            f'width="{side:.1f}" height="{side:.1f}"/>'
        )
    corners = _CORNERS.get(style)
    if corners is not None:
        return _polygon([(x + size * right, y + size * down) for right, down in corners])
    if style == "given":
        arm = 1.1 * size
        return (
            f'<path class="cross" d="M{x - arm:.1f} {y - arm:.1f}L{x + arm:.1f} {y + arm:.1f}'
            f'M{x - arm:.1f} {y + arm:.1f}L{x + arm:.1f} {y - arm:.1f}"/>'
        )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'


_CORNERS: dict[str, tuple[tuple[float, float], ...]] = {
    "int8-weights": ((0, -1.2), (1.15, 1), (-1.15, 1)),
    "int8": ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
    "palette6": tuple(
        (1.2 * math.cos(math.tau * corner / 6), 1.2 * math.sin(math.tau * corner / 6))
        for corner in range(6)
    ),
}
"""Corners of the marks, in half sizes right of and below the middle."""


def classes(style: str) -> str:
    """The style sheet's classes of a style."""
    if style.startswith(HOLLOW):
        return f"s-{style.removeprefix(HOLLOW)} hollow"
    return f"s-{style}"


def _polygon(corners: Sequence[tuple[float, float]]) -> str:
    return '<polygon points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in corners) + '"/>'
