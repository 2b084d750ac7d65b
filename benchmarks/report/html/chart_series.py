"""Which charts the report has, from the rows of the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from benchmarks.report.html.table import present
from benchmarks.report.runtime_names import runtime_name, short_name
from benchmarks.report.slowdowns import busy_sentence, is_busy
from benchmarks.results.classification import wilson_interval
from benchmarks.results.paper_baselines import PAPER_MODELS, PaperModel
from benchmarks.results.row_fields import PhotoBin
from benchmarks.results.schema import REFERENCE_VARIANT, Row
from benchmarks.results.scores import TOPS
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
    """Accuracy by size and by latency, of one register, threshold and runtime per variant."""
    measured = _measured(rows)
    return [*_by_size(measured), *_by_latency(measured)]


def accuracy_figures(rows: Sequence[Row], main: BenchmarkTarget, threshold: int) -> list[Figure]:
    """Accuracy by threshold, or by length of the shortlist, and by photos per object.

    Rows are of one register and one runtime per variant; `threshold` is the one shown in detail.
    """
    measured = _measured(rows)
    detailed = [row for row in measured if row.min_photos == threshold]
    several = len({row.min_photos for row in rows}) > 1
    # Of so many variants charts over categories need the room of two.
    wide = several and len({row.variant for row in measured}) > MANY
    first = _by_threshold(measured, wide=wide) if several else _by_length(detailed)
    return [*first, *_by_photos(detailed, main, threshold, wide=wide)]


def _figure(
    heading: str,
    caption: str,
    series: Sequence[Series],
    axis: Axis,
    *,
    band: Band | None = None,
    wide: bool = False,
) -> Figure:
    # The reference's open ring is drawn last, around what lies under it.
    ordered = sorted(series, key=lambda line: line.style == "reference")
    svg = chart(ordered, axis, title=heading, band=band, width=WIDE if wide else WIDTH)
    return Figure(heading, f"{caption} Lines: 95 % intervals.", svg, wide)


def _measured(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.top1 is not None and row.top1_ci95 is not None]


def _point(x: float, measured: Row | PhotoBin, title: str) -> Point:
    low, high = present(measured.top1_ci95)
    return Point(x, present(measured.top1), low, high, title)


def _row_point(row: Row, x: float) -> Point:
    size = megabytes(row.bytes)
    time = milliseconds(row.latency_ms.p50 if row.latency_ms else None)
    name = f"{row.variant} ({runtime_name(row.runtime, row.unit)})"
    return _point(x, row, f"{name}: top-1 {percent(row.top1)}, {size}, {time}")


def _spread(number: int, count: int, step: float = _SPREAD) -> float:
    """How far from the middle of its category a variant stands."""
    return (number - (count - 1) / 2) * min(step, _WIDEST / max(1, count - 1))


def _paper_models(threshold: int) -> list[PaperModel]:
    efficient = (model for model in PAPER_MODELS if model.name.startswith(_FAMILY))
    return [model for model in efficient if threshold in model.accuracy]


def _paper_range(threshold: int) -> tuple[float, float] | None:
    """The least and the largest top-1 of the paper's EfficientNets at a threshold."""
    shares = [model.accuracy[threshold] for model in _paper_models(threshold)]
    return (min(shares), max(shares)) if shares else None


def _paper_points(threshold: int) -> tuple[Point, ...]:
    """Their sizes are those of 32-bit numbers with the paper's head."""
    models = _paper_models(threshold)
    points = []
    for model in models:
        share, size = model.accuracy[threshold], 4 * model.parameters(threshold) / 1e6
        title = f"{model.name} in the paper: top-1 {percent(share)}, {size:.0f} MB"
        label = model.name.removeprefix("EfficientNet-")
        shown = label if model in (models[0], models[-1]) else ""
        points.append(Point(size, share, share, share, title, shown))
    return tuple(points)


def _by_size(rows: Sequence[Row]) -> Iterator[Figure]:
    series = [
        Series(style_of(row), (_row_point(row, row.bytes / 1e6),)) for row in rows if row.bytes
    ]
    if not series:
        return
    caption, paper = "Further left is a smaller download.", _paper_points(rows[0].min_photos)
    if paper:
        series.insert(0, Series("paper", paper))
        caption += " Faint: the paper’s EfficientNets b0 to b7, at four bytes a weight."
    sizes = [point.x for line in series for point in line.points]
    yield _figure("Accuracy by size", caption, series, logarithmic_axis("file size, MB", sizes))


def _by_latency(rows: Sequence[Row]) -> Iterator[Figure]:
    """One chart of this computer and one of each phone: their times are no comparison."""
    by_device: dict[str, list[tuple[Row, float]]] = {}
    for row in rows:
        if row.latency_ms:
            device = row.device.model if row.device else ""
            by_device.setdefault(device, []).append((row, row.latency_ms.p50))
    for device, timed in by_device.items():
        axis = number_axis("milliseconds per photo, median", [time for _, time in timed])
        on = f"on {device}" if device else "on the computer that measured"
        caption = f"Further left is a faster answer, {on}."
        shares, band = _paper_range(rows[0].min_photos), None
        if shares is not None:
            band = Band(((0.0, *shares), (axis.high, *shares)), PAPER_BAND)
            caption += " Faint: the paper’s range; it gives no times."
        if any(is_busy(row) for row, _ in timed):
            caption += f" {busy_sentence([row for row, _ in timed])}"
        heading = "Accuracy by latency" + (f" on {device}" if device else "")
        series = [Series(style_of(row), (_row_point(row, time),)) for row, time in timed]
        yield _figure(heading, caption, series, axis, band=band)


def _by_threshold(rows: Sequence[Row], *, wide: bool) -> Iterator[Figure]:
    thresholds = sorted({row.min_photos for row in rows})
    names = list(dict.fromkeys(row.variant for row in rows))
    series = []
    for number, name in enumerate(names):
        own = sorted((r for r in rows if r.variant == name), key=lambda row: row.min_photos)
        shift = _spread(number, len(names))
        points = tuple(_row_point(row, thresholds.index(row.min_photos) + shift) for row in own)
        series.append(Series(style_of(own[0]), points, line=True))
    if not series:
        return
    axis = category_axis("photos that each object has at least", [str(t) for t in thresholds])
    caption = "Top-1 at each threshold: the more photos an object must have, the fewer objects."
    edges = [(float(x), *shares) for x, t in enumerate(thresholds) if (shares := _paper_range(t))]
    band = None
    if len(edges) > 1:
        ends = (-0.6, *edges[0][1:]), (len(thresholds) - 0.4, *edges[-1][1:])
        band = Band((ends[0], *edges, ends[1]), PAPER_BAND)
        caption += " Faint: the paper’s range."
    yield _figure("Accuracy by threshold", caption, series, axis, band=band, wide=wide)


def _by_length(rows: Sequence[Row]) -> Iterator[Figure]:
    """How often the right object is on a shortlist of 1, 3, 5 and 10."""
    series = []
    executed = [row for row in rows if row.status == "measured"]
    for number, row in enumerate(executed):
        shares = (row.top1, row.top3, row.top5, row.top10)
        points = []
        for position, (length, share) in enumerate(zip(TOPS, shares, strict=True)):
            interval = wilson_interval(round((share or 0.0) * row.photos), row.photos)
            if share is not None and interval is not None:
                title = f"{row.variant}: top-{length} {percent(share)}"
                x = position + _spread(number, len(executed))
                points.append(Point(x, share, *interval, title))
        series.append(Series(style_of(row), tuple(points), line=True))
    if any(line.points for line in series):
        axis = category_axis("objects on the shortlist", [str(length) for length in TOPS])
        caption = "Share of photos whose right object is on it."
        yield _figure("Accuracy by length of the shortlist", caption, series, axis)


def _by_photos(
    rows: Sequence[Row], main: BenchmarkTarget, threshold: int, *, wide: bool
) -> Iterator[Figure]:
    shown = [r for r in rows if r.variant in (REFERENCE_VARIANT, main.variant) and r.by_photos]
    counts = sorted({b.photos_per_object for row in shown for b in row.by_photos})
    if len(counts) < 2:  # one group says no more than the table
        return
    series = []
    for number, row in enumerate(sorted(shown, key=lambda r: r.variant == main.variant)):
        shift = _spread(number, len(shown), 2 * _SPREAD)
        points = (
            _point(
                counts.index(b.photos_per_object) + shift,
                b,
                f"{row.variant}, {b.photos_per_object} photos: {percent(b.top1)} of {b.photos}",
            )
            for b in row.by_photos
        )
        series.append(Series(style_of(row), tuple(points), line=True))
    axis = category_axis("photos of the object in the register", [str(c) for c in counts])
    name = short_name(main.variant)
    caption = f"Full precision and {name}, objects with at least {threshold} photos."
    yield _figure("Accuracy by photos per object", caption, series, axis, wide=wide)
