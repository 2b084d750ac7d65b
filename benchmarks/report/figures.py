"""Which charts the report has, from the rows of the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.metrics import wilson_interval
from benchmarks.report.charts import Axis, Point, Series, category_axis, chart, mark, number_axis
from benchmarks.report.verdict import short_name
from benchmarks.results import REFERENCE_VARIANT, Bounds, Row
from benchmarks.tables import megabytes, milliseconds, percent

STYLES = ("reference", "float32", "float16", "int8-weights", "int8", "given", "other")
_SPREAD = 0.13
"""Distance between variants that share a category, in categories."""


@dataclass(frozen=True)
class Figure:
    """A chart with its heading, the sentence under it and its SVG."""

    heading: str
    caption: str
    svg: str


def style_of(row: Row) -> str:
    """The colour and mark of a row's variant."""
    if row.status == "given":
        return "given"
    if row.variant == REFERENCE_VARIANT:
        return "reference"
    short = row.variant.removeprefix("tflite-")
    return short if short in STYLES else "other"


def legend(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(style, SVG mark, name) of each variant that the charts show, in their order."""
    entries: dict[str, tuple[str, str, str]] = {}
    for row in _measured(rows):
        style = style_of(row)
        name = row.variant if style in ("given", "other") else short_name(row.variant)
        entries.setdefault(row.variant, (style, mark(style, 9, 9), name))
    return list(entries.values())


def make_figures(rows: Sequence[Row], main: str) -> list[Figure]:
    """All charts that the rows can fill.

    Args:
        rows: Rows of one register.
        main: Name of the variant that the report is about.
    """
    lowest = min(row.min_photos for row in rows)
    first = [row for row in _measured(rows) if row.min_photos == lowest]
    several = len({row.min_photos for row in rows}) > 1
    where = f" Objects with at least {lowest} photos." if several else ""
    figures = [_by_threshold(rows) if several else _by_length(first)]
    figures.append(_by_photos(first, main, where))
    figures.append(
        _scatter(
            first,
            lambda row: row.bytes / 1e6 if row.bytes else None,
            heading="Accuracy by size",
            axis="file size, MB",
            caption="Further left is a smaller download." + where,
        )
    )
    figures.append(
        _scatter(
            first,
            lambda row: row.latency_ms.p50 if row.latency_ms else None,
            heading="Accuracy by latency",
            axis="milliseconds per photo, median",
            caption="Further left is a faster answer, on the computer that measured." + where,
        )
    )
    return [figure for figure in figures if figure is not None]


def _measured(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.top1 is not None and row.top1_ci95 is not None]


def _point(x: float, top1: float, bounds: Bounds, title: str) -> Point:
    return Point(x, top1, bounds[0], bounds[1], title)


def _row_point(row: Row, x: float) -> Point:
    assert row.top1 is not None  # _measured() kept it
    assert row.top1_ci95 is not None
    size = megabytes(row.bytes)
    time = milliseconds(row.latency_ms.p50 if row.latency_ms else None)
    title = f"{row.variant}: top-1 {percent(row.top1)}, {size}, {time}"
    return _point(x, row.top1, row.top1_ci95, title)


def _scatter(
    rows: Sequence[Row],
    position: Callable[[Row], float | None],
    *,
    heading: str,
    axis: str,
    caption: str,
) -> Figure | None:
    placed = [(row, x) for row in rows if (x := position(row)) is not None]
    if not placed:
        return None
    series = [Series(style_of(row), (_row_point(row, x),)) for row, x in placed]
    # The reference's open ring is drawn last, around what lies under it.
    series.sort(key=lambda one: one.style == "reference")
    svg = chart(series, number_axis(axis, [x for _, x in placed]), title=heading)
    return Figure(heading, f"{caption} Lines: 95 % intervals of top-1.", svg)


def _by_threshold(rows: Sequence[Row]) -> Figure | None:
    kept = _measured(rows)
    thresholds = sorted({row.min_photos for row in kept})
    names = list(dict.fromkeys(row.variant for row in kept))
    if not names:
        return None
    series = []
    for place, name in enumerate(names):
        own = sorted((r for r in kept if r.variant == name), key=lambda row: row.min_photos)
        shift = (place - (len(names) - 1) / 2) * _SPREAD
        points = tuple(_row_point(row, thresholds.index(row.min_photos) + shift) for row in own)
        series.append(Series(style_of(own[0]), points, line=True))
    axis = category_axis("photos that each object has at least", [str(t) for t in thresholds])
    caption = "Top-1 at each threshold: the more photos an object must have, the fewer objects."
    heading = "Accuracy by threshold"
    return Figure(heading, f"{caption} Lines: 95 % intervals.", chart(series, axis, title=heading))


def _by_length(rows: Sequence[Row]) -> Figure | None:
    """How often the right object is on a shortlist of 1, 3, 5 and 10."""
    lengths = (1, 3, 5, 10)
    series = []
    kept = [row for row in rows if row.status == "measured"]
    for place, row in enumerate(kept):
        shift = (place - (len(kept) - 1) / 2) * _SPREAD
        points = []
        for number, share in enumerate((row.top1, row.top3, row.top5, row.top10)):
            interval = wilson_interval(round((share or 0.0) * row.photos), row.photos)
            if share is None or interval is None:
                continue
            title = f"{row.variant}: top-{lengths[number]} {percent(share)}"
            points.append(_point(number + shift, share, interval, title))
        series.append(Series(style_of(row), tuple(points), line=True))
    if not any(one.points for one in series):
        return None
    axis = category_axis("objects on the shortlist", [str(length) for length in lengths])
    heading = "Accuracy by length of the shortlist"
    caption = "Share of photos whose right object is on it. Lines: 95 % intervals."
    return Figure(heading, caption, chart(series, axis, title=heading))


def _by_photos(rows: Sequence[Row], main: str, where: str) -> Figure | None:
    shown = [r for r in rows if r.variant in (REFERENCE_VARIANT, main) and r.by_photos]
    counts = sorted({b.photos_per_object for row in shown for b in row.by_photos})
    if len(counts) < 2:  # one group says no more than the table
        return None
    series = []
    for place, row in enumerate(sorted(shown, key=lambda r: r.variant == main)):
        shift = (place - (len(shown) - 1) / 2) * 2 * _SPREAD
        points = tuple(
            _point(
                counts.index(b.photos_per_object) + shift,
                b.top1,
                b.top1_ci95,
                f"{row.variant}, {b.photos_per_object} photos: {percent(b.top1)} of {b.photos}",
            )
            for b in row.by_photos
        )
        series.append(Series(style_of(row), points))
    axis: Axis = category_axis("photos of the object in the register", [str(c) for c in counts])
    heading = "Accuracy by photos per object"
    caption = f"Full precision and {short_name(main)}.{where} Lines: 95 % intervals of top-1."
    return Figure(heading, caption, chart(series, axis, title=heading))
