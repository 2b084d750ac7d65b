"""Reliability diagrams: what a variant states against how often it is right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from benchmarks.report.formatting import percent
from benchmarks.report.html.contents import svg
from benchmarks.report.html.styles import filled_style
from benchmarks.report.runtime_names import short_name
from benchmarks.results.classification import wilson_interval
from benchmarks.results.row_fields import ReliabilityBin
from benchmarks.results.schema import Row

_SIZE, _LEFT, _TOP, _RIGHT, _BOTTOM = 200, 34, 8, 192, 176
_SMALLEST, _LARGEST = 2.0, 9.0


def reliability_of(rows: Sequence[Row]) -> list[tuple[Row, Markup]]:
    """Each row that has a diagram, with it."""
    return [
        (row, draw(row.calibration.bins, title=_title(row), style=filled_style(row)))
        for row in rows
        if row.calibration and row.calibration.bins
    ]


def _title(row: Row) -> str:
    error = percent(row.calibration_error)
    return f"Reliability of {short_name(row.variant)}: expected calibration error {error}"


def draw(bins: Sequence[ReliabilityBin], *, title: str, style: str) -> Markup:
    """The diagram: stated probability across, share right upwards, area by number of photos."""
    most = max(bin_.photos for bin_ in bins)
    return svg(
        "reliability",
        size=_SIZE,
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        bottom=_BOTTOM,
        title=title,
        style=style,
        across=_across,
        up=_up,
        bubbles=[_bubble(bin_, most) for bin_ in bins],
    )


def _across(share: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * share


def _up(share: float) -> float:
    return _TOP + (_BOTTOM - _TOP) * (1 - share)


def _bubble(bin_: ReliabilityBin, most: int) -> tuple[str, float, float, float, float, float]:
    """Words, position across and upwards, lower and upper end of the interval, radius."""
    right = bin_.right
    low, high = wilson_interval(round(right * bin_.photos), bin_.photos) or (right, right)
    words = f"{bin_.photos} photos: stated {percent(bin_.stated)}, right {percent(right)}"
    radius = max(_SMALLEST, _LARGEST * math.sqrt(bin_.photos / most))
    return words, _across(bin_.stated), _up(right), _up(low), _up(high), radius
