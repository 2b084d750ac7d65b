"""Charts as inline SVG that follows the page's colours, light, dark and printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.report.html.contents import svg

WIDTH, HEIGHT = 460, 310
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 14, 52

_MAX_TICKS = 6
_MAX_LABELS = 14
MANY = 6
"""More series than this are drawn with fainter lines, so that the marks stay legible."""

WIDE = 940
"""Width of a chart that takes the room of two."""


@dataclass(frozen=True)
class Point:
    """A share `y` with the ends of its 95 % interval, 0–1; a pointer held over it tells `title`."""

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
    """A faint area with words on it; `edges` are (position, lower, upper share), left to right."""

    edges: tuple[tuple[float, float, float], ...]
    words: str


@dataclass(frozen=True)
class Axis:
    """A horizontal axis, with (position, label) of its ticks; positions are plain numbers."""

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
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) from `low` to `high`, at most `count`."""
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
    """An `<svg>` of shares in per cent over `axis` with their intervals, the last series on top."""
    points = [point for line in series for point in line.points]
    if band is not None:
        points += [Point(x, low, low, high, "") for x, low, high in band.edges]
    low, high = _share_range(points)
    right, bottom = width - RIGHT, HEIGHT - BOTTOM
    return svg(
        "plot",
        box={"width": width, "height": HEIGHT, "left": LEFT, "right": right, "bottom": bottom},
        series=series,
        axis=axis,
        title=title,
        band=band,
        kinds="chart" + " many" * (len(series) > MANY) + " wide" * (width > WIDTH),
        ticks=nice_ticks(100 * low, 100 * high),
        across=lambda value: LEFT + (right - LEFT) * axis.part(value),
        up=lambda share: TOP + (bottom - TOP) * (1 - (share - low) / (high - low)),
    )


def _share_range(points: Sequence[Point]) -> tuple[float, float]:
    """The intervals with a margin, within 0–1, never narrower than ten points."""
    low, high = min(p.low for p in points), max(p.high for p in points)
    margin = max(0.01, 0.06 * (high - low), (0.10 - (high - low)) / 2)
    low, high = max(0.0, low - margin), min(1.0, high + margin)
    return low, high if high > low else low + 0.1
