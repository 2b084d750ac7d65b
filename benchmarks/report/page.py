"""Filling the report's template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, Template

from benchmarks.accuracy import Measured
from benchmarks.report.charts import mark
from benchmarks.report.figures import STYLES, legend, make_figures, style_of
from benchmarks.report.stories import Storyteller
from benchmarks.report.verdict import main_subject, make_verdict, needs_attention, short_name
from benchmarks.report.words import DEFINITIONS
from benchmarks.results import REFERENCE_VARIANT, Results, Row, TestSet
from benchmarks.subjects import Subject
from benchmarks.tables import (
    MISSING,
    drop_interval,
    interval_cell,
    megabytes,
    milliseconds,
    percent,
    points_lost,
    sorted_rows,
)


def render_report(results: Results, measurements: Sequence[Measured]) -> str:
    """The content of `report.html`: one file, no request to anywhere, readable without scripts.

    Args:
        results: All rows.
        measurements: The answers behind them; pictures are of the one with the lowest threshold.
    """
    first = min(measurements, key=lambda measured: measured.case.run.info.min_photos)
    main = main_subject([row for row in results.rows if Subject.of(row) in first.answers])
    storyteller = Storyteller(first, main)
    flips, flip_count = storyteller.flips()
    return _template().render(
        results=results,
        title=results.rows[0].register_name,
        created=results.created[:10],
        verdict=make_verdict(results),
        groups=_groups(results),
        main=short_name(main.variant),
        first=first.case.run.info,
        shown_photos=len(first.photos),
        legend=legend(results.rows),
        figures=make_figures(results.rows, main.variant),
        strip=storyteller.strip(),
        examples=storyteller.examples(),
        flips=flips,
        flip_count=flip_count,
        pairs=storyteller.pairs(),
        definitions=DEFINITIONS,
        left_out=[(test_set, _left_out(test_set)) for test_set in results.test_sets],
        percent=percent,
        marks={style: mark(style, 9, 9) for style in STYLES},
        how=_how(results),
        hashes=_hashes(results),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("benchmarks.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("template.html.j2")


def _left_out(test_set: TestSet) -> list[tuple[str, str]]:
    photos = (*test_set.unreadable, *test_set.in_training)
    return [(photo.path, photo.reason) for photo in photos]


def _how(results: Results) -> str:
    settings = results.settings
    words = (
        "Every photo was decoded and resized once, and the same pixels were given to full "
        "precision and to every variant."
    )
    if not settings.measure_speed:
        return words + " Speed was not measured."
    threads = "one thread" if settings.threads[0] == 1 else f"{settings.threads[0]} threads"
    return (
        f"{words} Speed was measured for each variant in a fresh process on {threads}: "
        f"{settings.warmup} runs to warm up, then {settings.latency_runs} timed ones."
    )


def _hashes(results: Results) -> list[tuple[str, str]]:
    """Of the bundle and the weights with the lowest threshold; the others are in the results."""
    row = next((row for row in sorted_rows(results) if row.custody is not None), None)
    if row is None or row.custody is None:
        return []
    return [("Bundle", row.custody.bundle_sha256), ("Weights", row.custody.model_sha256)]


def _groups(results: Results) -> list[dict[str, object]]:
    """The table's rows, one group per threshold."""
    groups: dict[int, list[Row]] = {}
    for row in sorted_rows(results):
        groups.setdefault(row.min_photos, []).append(row)
    return [
        {
            "min_photos": threshold,
            "objects": rows[0].objects,
            "photos": rows[0].photos,
            "unseen": rows[0].unseen_photos,
            "rows": [_cells(row) for row in rows],
        }
        for threshold, rows in groups.items()
    ]


def _cells(row: Row) -> dict[str, object]:
    memory = row.memory_bytes
    placement = row.placement
    ratio = row.latency_ratio
    return {
        "name": row.variant,
        "style": style_of(row),
        "status": row.status,
        "note": row.note or "",
        "attention": needs_attention(row),
        "top1": percent(row.top1),
        "interval": interval_cell(row),
        "top3": percent(row.top3),
        "top5": percent(row.top5),
        "top10": percent(row.top10),
        "agreement": percent(row.agreement),
        "drop": points_lost(row),
        "drop_interval": "" if row.variant == REFERENCE_VARIANT else drop_interval(row),
        "flips": MISSING
        if row.right_to_wrong is None
        else f"{row.right_to_wrong} / {row.wrong_to_right}",
        "drift": MISSING
        if row.max_probability_drift is None
        else f"{row.max_probability_drift:.2g}",
        "bytes": megabytes(row.bytes),
        "latency": milliseconds(row.latency_ms.p50 if row.latency_ms else None),
        "p90": milliseconds(row.latency_ms.p90 if row.latency_ms else None),
        "ratio": MISSING if ratio is None else f"{ratio.median:.2f}",
        "ratio_range": "" if ratio is None else f"{ratio.p10:.2f}–{ratio.p90:.2f}",
        "end_to_end": milliseconds(row.end_to_end_ms),
        "cold": milliseconds(row.cold_load_ms),
        "memory": megabytes(memory.value if memory else None),
        "placement": MISSING if placement is None else f"{placement.taken} of {placement.total}",
    }
