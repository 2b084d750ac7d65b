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
    diagrams = []
    for row in rows:
        if row.calibration and row.calibration.bins:
            name, error = short_name(row.variant), percent(row.calibration_error)
            title = f"Reliability of {name}: expected calibration error {error}"
            diagrams.append((row, draw(row.calibration.bins, title=title, style=filled_style(row))))
    return diagrams


def draw(bins: Sequence[ReliabilityBin], *, title: str, style: str) -> Markup:
    """The diagram: stated probability across, share right upwards, area by number of photos."""

    def across(share: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * share

    def up(share: float) -> float:
        return _TOP + (_BOTTOM - _TOP) * (1 - share)

    bubbles, most = [], max(bin_.photos for bin_ in bins)
    for bin_ in bins:
        right, photos = bin_.right, bin_.photos
        low, high = wilson_interval(round(right * photos), photos) or (right, right)
        words = f"{photos} photos: stated {percent(bin_.stated)}, right {percent(right)}"
        radius = max(_SMALLEST, _LARGEST * math.sqrt(photos / most))
        bubbles.append((words, across(bin_.stated), up(right), up(low), up(high), radius))
    box = {"size": _SIZE, "left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM}
    return svg(
        "reliability", **box, across=across, up=up, title=title, style=style, bubbles=bubbles
    )
