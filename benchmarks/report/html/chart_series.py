"""Which charts the report has, from the rows of the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from benchmarks.report.formatting import megabytes, milliseconds, percent
from benchmarks.report.html.styles import style_of
from benchmarks.report.html.svg_chart import (
    MANY,
    WIDE,
    WIDTH,
    Axis,
    Band,
    Point,
    Series,
    category_axis,
    chart,
    logarithmic_axis,
    number_axis,
)
from benchmarks.report.runtime_names import runtime_name, short_name
from benchmarks.report.slowdowns import busy_sentence, is_busy
from benchmarks.results.classification import wilson_interval
from benchmarks.results.paper_baselines import PAPER_MODELS, PaperModel
from benchmarks.results.schema import REFERENCE_VARIANT, Bounds, Row
from benchmarks.results.target import BenchmarkTarget

_SPREAD, _WIDEST = 0.13, 0.72
"""Distance between variants that share a category, and of the first from the last at most."""

_FAMILY = "EfficientNet-b"
PAPER_BAND = "the paper’s EfficientNets, its own photos"
"""Words on the faint area that shows them."""


@dataclass(frozen=True)
class Figure:
    """A chart with its heading, the sentence under it and its SVG; `wide` takes the room of two."""

    heading: str
    caption: str
    svg: Markup
    wide: bool = False


def trade_off_figures(rows: Sequence[Row]) -> list[Figure]:
    """Accuracy by size and by latency.

    Args:
        rows: Rows of one register and one threshold, of one runtime per variant.
    """
    kept = _measured(rows)
    figures = [_by_size(kept), *_by_latency(kept)]
    return [figure for figure in figures if figure is not None]


def accuracy_figures(rows: Sequence[Row], main: BenchmarkTarget, threshold: int) -> list[Figure]:
    """Accuracy by threshold, or by length of the shortlist, and by photos per object.

    Args:
        rows: Rows of one register, of one runtime per variant.
        main: What the report is about.
        threshold: Which threshold is shown in detail.
    """
    kept = [row for row in _measured(rows) if row.min_photos == threshold]
    several = len({row.min_photos for row in rows}) > 1
    figures = [
        _by_threshold(rows) if several else _by_length(kept),
        _by_photos(kept, main, threshold, wide=several and _is_many(rows)),
    ]
    return [figure for figure in figures if figure is not None]


def _is_many(rows: Sequence[Row]) -> bool:
    """Whether there are so many variants that charts over categories need the room of two."""
    return len({row.variant for row in _measured(rows)}) > MANY


def _measured(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.top1 is not None and row.top1_ci95 is not None]


def _point(x: float, top1: float, bounds: Bounds, title: str) -> Point:
    return Point(x, top1, bounds[0], bounds[1], title)


def _row_point(row: Row, x: float) -> Point:
    assert row.top1 is not None  # _measured() kept it
    assert row.top1_ci95 is not None
    size = megabytes(row.bytes)
    time = milliseconds(row.latency_ms.p50 if row.latency_ms else None)
    name = f"{row.variant} ({runtime_name(row.runtime, row.unit)})"
    return _point(x, row.top1, row.top1_ci95, f"{name}: top-1 {percent(row.top1)}, {size}, {time}")


def _spread(number: int, count: int) -> float:
    """How far from the middle of its category a variant stands."""
    step = min(_SPREAD, _WIDEST / max(1, count - 1))
    return (number - (count - 1) / 2) * step


def _paper_models() -> list[PaperModel]:
    return [model for model in PAPER_MODELS if model.name.startswith(_FAMILY)]


def _paper_range(threshold: int) -> tuple[float, float] | None:
    """The least and the largest top-1 of the paper's EfficientNets at a threshold."""
    shares = [m.accuracy[threshold] for m in _paper_models() if threshold in m.accuracy]
    return (min(shares), max(shares)) if shares else None


def _paper_points(threshold: int) -> Series | None:
    """Their sizes are those of 32-bit numbers with the paper's head."""
    models = [model for model in _paper_models() if threshold in model.accuracy]
    points = []
    for model in models:
        share, size = model.accuracy[threshold], 4 * model.parameters(threshold) / 1e6
        title = f"{model.name} in the paper: top-1 {percent(share)}, {size:.0f} MB"
        ends = model in (models[0], models[-1])
        label = model.name.removeprefix("EfficientNet-") if ends else ""
        points.append(Point(size, share, share, share, title, label))
    return Series("paper", tuple(points)) if points else None


def _by_size(rows: Sequence[Row]) -> Figure | None:
    sized = [(row, row.bytes / 1e6) for row in rows if row.bytes]
    if not sized:
        return None
    series = _reference_last([Series(style_of(row), (_row_point(row, x),)) for row, x in sized])
    paper = _paper_points(rows[0].min_photos)
    heading, caption = "Accuracy by size", "Further left is a smaller download."
    values = [x for _, x in sized]
    if paper is not None:
        series.insert(0, paper)
        values += [point.x for point in paper.points]
        caption += " Faint: the paper’s EfficientNets b0 to b7, at four bytes a weight."
    axis = logarithmic_axis("file size, MB", values)
    return Figure(heading, f"{caption} Lines: 95 % intervals.", chart(series, axis, title=heading))


def _by_latency(rows: Sequence[Row]) -> list[Figure]:
    """One chart of this computer and one of each phone: their times are no comparison."""
    devices = dict.fromkeys(row.device.model if row.device else "" for row in rows)
    figures: list[Figure] = []
    for device in devices:
        own = [row for row in rows if (row.device.model if row.device else "") == device]
        timed = [(row, row.latency_ms.p50) for row in own if row.latency_ms]
        if not timed:
            continue
        series = _reference_last([Series(style_of(r), (_row_point(r, x),)) for r, x in timed])
        axis = number_axis("milliseconds per photo, median", [x for _, x in timed])
        heading = "Accuracy by latency" + (f" on {device}" if device else "")
        on = f"on {device}" if device else "on the computer that measured"
        caption = f"Further left is a faster answer, {on}."
        shares, band = _paper_range(own[0].min_photos), None
        if shares is not None:
            band = Band(((0.0, *shares), (axis.high, *shares)), PAPER_BAND)
            caption += " Faint: the paper’s range; it gives no times."
        if any(is_busy(row) for row, _ in timed):
            caption += f" {busy_sentence([row for row, _ in timed])}"
        svg = chart(series, axis, title=heading, band=band)
        figures.append(Figure(heading, f"{caption} Lines: 95 % intervals.", svg))
    return figures


def _reference_last(series: list[Series]) -> list[Series]:
    """The reference's open ring is drawn last, around what lies under it."""
    return sorted(series, key=lambda line: line.style == "reference")


def _by_threshold(rows: Sequence[Row]) -> Figure | None:
    kept = _measured(rows)
    thresholds = sorted({row.min_photos for row in kept})
    names = list(dict.fromkeys(row.variant for row in kept))
    if not names:
        return None
    series = []
    for number, name in enumerate(names):
        own = sorted((r for r in kept if r.variant == name), key=lambda row: row.min_photos)
        shift = _spread(number, len(names))
        points = tuple(_row_point(row, thresholds.index(row.min_photos) + shift) for row in own)
        series.append(Series(style_of(own[0]), points, line=True))
    axis = category_axis("photos that each object has at least", [str(t) for t in thresholds])
    caption = "Top-1 at each threshold: the more photos an object must have, the fewer objects."
    edges = [(float(x), *shares) for x, t in enumerate(thresholds) if (shares := _paper_range(t))]
    band = None
    if len(edges) > 1:
        ends = (-0.6, *edges[0][1:]), (len(thresholds) - 0.4, *edges[-1][1:])
        band = Band((ends[0], *edges, ends[1]), PAPER_BAND)
        caption += " Faint: the paper’s range."
    heading = "Accuracy by threshold"
    wide = _is_many(rows)
    width = WIDE if wide else WIDTH
    svg = chart(_reference_last(series), axis, title=heading, band=band, width=width)
    return Figure(heading, f"{caption} Lines: 95 % intervals.", svg, wide)


def _by_length(rows: Sequence[Row]) -> Figure | None:
    """How often the right object is on a shortlist of 1, 3, 5 and 10."""
    lengths = (1, 3, 5, 10)
    series = []
    kept = [row for row in rows if row.status == "measured"]
    for number, row in enumerate(kept):
        points = []
        for position, share in enumerate((row.top1, row.top3, row.top5, row.top10)):
            interval = wilson_interval(round((share or 0.0) * row.photos), row.photos)
            if share is None or interval is None:
                continue
            title = f"{row.variant}: top-{lengths[position]} {percent(share)}"
            points.append(_point(position + _spread(number, len(kept)), share, interval, title))
        series.append(Series(style_of(row), tuple(points), line=True))
    if not any(line.points for line in series):
        return None
    axis = category_axis("objects on the shortlist", [str(length) for length in lengths])
    heading = "Accuracy by length of the shortlist"
    caption = "Share of photos whose right object is on it. Lines: 95 % intervals."
    return Figure(heading, caption, chart(_reference_last(series), axis, title=heading))


def _by_photos(
    rows: Sequence[Row], main: BenchmarkTarget, threshold: int, *, wide: bool
) -> Figure | None:
    shown = [r for r in rows if r.variant in (REFERENCE_VARIANT, main.variant) and r.by_photos]
    counts = sorted({b.photos_per_object for row in shown for b in row.by_photos})
    if len(counts) < 2:  # one group says no more than the table
        return None
    series = []
    for number, row in enumerate(sorted(shown, key=lambda r: r.variant == main.variant)):
        shift = (number - (len(shown) - 1) / 2) * 2 * _SPREAD
        points = tuple(
            _point(
                counts.index(b.photos_per_object) + shift,
                b.top1,
                b.top1_ci95,
                f"{row.variant}, {b.photos_per_object} photos: {percent(b.top1)} of {b.photos}",
            )
            for b in row.by_photos
        )
        series.append(Series(style_of(row), points, line=True))
    axis: Axis = category_axis("photos of the object in the register", [str(c) for c in counts])
    heading = "Accuracy by photos per object"
    caption = (
        f"Full precision and {short_name(main.variant)}, objects with at least {threshold} photos. "
        "Lines: 95 % intervals of top-1."
    )
    svg = chart(series, axis, title=heading, width=WIDE if wide else WIDTH)
    return Figure(heading, caption, svg, wide)
