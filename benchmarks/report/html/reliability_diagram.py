"""Reliability diagrams: what a variant states against how often it is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from benchmarks.report.formatting import percent
from benchmarks.report.html.styles import filled_style, swatch
from benchmarks.report.runtime_names import short_name
from benchmarks.results.classification import wilson_interval
from benchmarks.results.schema import Calibration, ReliabilityBin, Row

_SIZE, _LEFT, _TOP, _BOTTOM, _RIGHT = 200, 34, 8, 24, 8
_SIDE = _SIZE - _LEFT - _RIGHT
_SMALLEST, _LARGEST = 2.0, 9.0
_TICKS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Reliability:
    """One variant's diagram.

    Attributes:
        swatch: Its mark.
        name: Its name.
        svg: The diagram.
        error: Expected calibration error.
        after: The same after a temperature; empty where none was fitted.
        how: The temperature and what it was fitted on.
    """

    swatch: Markup
    name: str
    svg: Markup
    error: str
    after: str
    how: str


def reliability_of(rows: Sequence[Row]) -> list[Reliability]:
    """A diagram of each row that has one."""
    return [
        _reliability(row, row.calibration)
        for row in rows
        if row.calibration and row.calibration.bins
    ]


def _reliability(row: Row, calibration: Calibration) -> Reliability:
    name = short_name(row.variant)
    after, how = "", "no validation photos to fit a temperature on"
    if calibration.temperature is not None and calibration.error_with_temperature is not None:
        after = percent(calibration.error_with_temperature)
        photos = f"{calibration.validation_photos:,} validation photos"
        how = f"temperature {calibration.temperature:.2f}, fitted on {photos}"
    title = f"Reliability of {name}: expected calibration error {percent(row.calibration_error)}"
    svg = draw(calibration.bins, title=title, style=filled_style(row))
    return Reliability(swatch(row), name, svg, percent(row.calibration_error), after, how)


def draw(bins: Sequence[ReliabilityBin], *, title: str, style: str) -> Markup:
    """The diagram: stated probability across, share right upwards, area by number of photos."""
    parts = [
        f'<svg class="chart square" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
        f'aria-label="{escape(title, quote=True)}"><title>{escape(title)}</title>'
    ]
    for tick in _TICKS:
        x, y = _across(tick), _up(tick)
        anchor = "end" if tick == 1 else "start" if tick == 0 else "middle"
        parts += [
            f'<line class="grid" x1="{_LEFT}" x2="{_SIZE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + _HEIGHT}"/>',
            f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{100 * tick:g}</text>',
            f'<text x="{x:.1f}" y="{_SIZE - 8}" text-anchor="{anchor}">{100 * tick:g}</text>',
        ]
    parts.append(
        f'<line class="diagonal" x1="{_across(0):.1f}" y1="{_up(0):.1f}" '
        f'x2="{_across(1):.1f}" y2="{_up(1):.1f}"/><g class="mk s-{style}">'
    )
    most = max(bin_.photos for bin_ in bins)
    parts += [_bubble(bin_, most) for bin_ in bins]
    return Markup("".join([*parts, "</g></svg>"]))


_HEIGHT = _SIZE - _TOP - _BOTTOM


def _across(share: float) -> float:
    return _LEFT + _SIDE * share


def _up(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share)


def _bubble(bin_: ReliabilityBin, most: int) -> str:
    x, y = _across(bin_.stated), _up(bin_.right)
    radius = max(_SMALLEST, _LARGEST * math.sqrt(bin_.photos / most))
    low, high = wilson_interval(round(bin_.right * bin_.photos), bin_.photos) or (
        bin_.right,
        bin_.right,
    )
    words = f"{bin_.photos} photos: stated {percent(bin_.stated)}, right {percent(bin_.right)}"
    ends = f'y1="{_up(high):.1f}" y2="{_up(low):.1f}"'
    return (
        f'<g class="mark"><title>{escape(words)}</title>'
        f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" {ends}/>'
        f'<circle class="bubble" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/></g>'
    )
