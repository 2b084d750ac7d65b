"""That the report's charts are drawn truly: marks stand where their numbers are."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from benchmarks.report.html.reliability_diagram import draw
from benchmarks.report.html.row_charts import Dot, Scale, draw_dots
from benchmarks.report.html.svg_chart import (
    Band,
    Point,
    Series,
    category_axis,
    chart,
    logarithmic_axis,
    nice_ticks,
    number_axis,
)
from benchmarks.results.row_fields import ReliabilityBin


def test_reliability_is_drawn_where_it_is() -> None:
    bins = (
        ReliabilityBin(low=0.2, high=0.4, photos=4, stated=0.25, right=0.5),
        ReliabilityBin(low=0.8, high=1.0, photos=100, stated=0.75, right=1.0),
    )
    tree = ElementTree.fromstring(draw(bins, title="R", style="int8"))
    small, large = [circle.attrib for circle in tree.iter("circle")]
    diagonal = next(line.attrib for line in tree.iter("line") if line.get("class") == "diagonal")
    x1, x2, y1, y2 = (float(diagonal[end]) for end in ("x1", "x2", "y1", "y2"))
    assert float(small["cx"]) == pytest.approx(x1 + 0.25 * (x2 - x1), abs=0.1)
    assert float(small["cy"]) == pytest.approx(y1 + 0.5 * (y2 - y1), abs=0.1)
    assert float(large["cy"]) == pytest.approx(y2, abs=0.1)
    assert y2 < y1  # upwards is more
    assert float(large["r"]) > 2 * float(small["r"])


def test_lanes_stand_where_their_numbers_are() -> None:
    scale = Scale.over([-2.0, 10.0], zero=True)
    svg = draw_dots(scale, [Dot("int8", 4.0, -2.0, 10.0)], line_at=0.0)
    (dot,) = re.findall(r'cx="([\d.]+)%"', svg)
    low, high = re.findall(r'class="whisker" x1="([\d.]+)%" x2="([\d.]+)%"', svg)[0]
    assert float(dot) == pytest.approx((float(low) + float(high)) / 2, abs=0.02)
    assert 0 < float(low) < float(high) < 100
    assert svg.count('class="axis"') == 1
    assert Scale.over([5.0, 5.0]).at(5.0) == pytest.approx(50.0)
    assert Scale.over([3.0], zero=True).low == 0.0


def test_a_logarithmic_axis_keeps_ratios() -> None:
    axis = logarithmic_axis("MB", [3.0, 300.0])
    assert axis.part(30.0) - axis.part(3.0) == pytest.approx(axis.part(300.0) - axis.part(30.0))
    assert (axis.part(axis.low), axis.part(axis.high)) == (0.0, 1.0)
    assert 0 < axis.part(3.0) < axis.part(300.0) < 1
    assert [label for _, label in axis.ticks] == ["5", "10", "20", "50", "100", "200"]


def test_a_band_is_part_of_the_chart() -> None:
    series = [Series("int8", (Point(0, 0.9, 0.88, 0.92, ""),))]
    band = Band(((-0.5, 0.6, 0.7), (0.5, 0.6, 0.7)), "A & B")
    tree = ElementTree.fromstring(chart(series, category_axis("n", ["3"]), title="t", band=band))
    area = next(element for element in tree.iter("polygon") if element.get("class") == "band")
    heights = [float(corner.split(",")[1]) for corner in str(area.get("points")).split()]
    mark = next(element for element in tree.iter("polygon") if element.get("class") is None)
    marks = [float(corner.split(",")[1]) for corner in str(mark.get("points")).split()]
    assert max(marks) < min(heights)  # what is less stands lower
    assert max(heights) <= 310 - 52
    assert any(text.text == "A & B" for text in tree.iter("text"))


def test_chart_marks_stand_where_their_numbers_are() -> None:
    points = tuple(Point(x, y, y - 0.05, y + 0.05, f"{x}") for x, y in ((1, 0.6), (2, 0.8)))
    text = chart([Series("float32", points)], number_axis("MB", [1, 2]), title="A & B")
    tree = ElementTree.fromstring(text)
    assert tree.get("aria-label") == "A & B"
    dots = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in tree.iter("circle")]
    assert dots[1][0] - 58 == pytest.approx(2 * (dots[0][0] - 58), abs=0.2)
    whiskers = [line for line in tree.iter("line") if line.get("class") == "whisker"]
    for (_, y), whisker in zip(dots, whiskers, strict=True):
        top, bottom = float(whisker.get("y1", 0)), float(whisker.get("y2", 0))
        assert top < y < bottom
        assert y == pytest.approx((top + bottom) / 2, abs=0.2)
    grid = {t.text: float(t.get("y", 0)) for t in tree.iter("text") if "%" in (t.text or "")}
    assert grid["60 %"] - 4 == pytest.approx(dots[0][1], abs=0.2)
    assert grid["80 %"] - 4 == pytest.approx(dots[1][1], abs=0.2)


def test_a_chart_of_equal_points_has_an_extent() -> None:
    for share in (0.0, 0.5, 1.0):
        series = [Series("int8", (Point(0, share, share, share, ""),))]
        text = chart(series, category_axis("n", ["3"]), title="t")
        assert "nan" not in text
        assert ElementTree.fromstring(text) is not None


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (77.4, 86.2), (0.0, 15.6), (0.0, 0.004)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert low - 1e-9 <= ticks[0] <= ticks[-1] <= high + 1e-9
    assert len({round(b - a, 9) for a, b in pairwise(ticks)}) == 1
