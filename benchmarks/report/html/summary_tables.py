"""The report's large tables, row by row in words, and what was measured on."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.formatting import (
    MISSING,
    drop_interval,
    interval_cell,
    megabytes,
    milliseconds,
    percent,
    points_lost,
)
from benchmarks.report.html.table_headings import Line, headed, headed_by_threshold
from benchmarks.report.html.verdict import needs_attention
from benchmarks.report.parity_table import sorted_rows
from benchmarks.report.runtime_names import several_runtimes
from benchmarks.results.schema import REFERENCE_VARIANT, Results, Row, TestSet
from benchmarks.results.target import BenchmarkTarget


def variant_groups(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The main table's rows, one group per threshold; rows of one variant stand together.

    Args:
        rows: All rows, by threshold.
    """
    several = several_runtimes(rows)
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.min_photos, []).append(row)
    return [
        {
            "min_photos": threshold,
            "objects": own[0].objects,
            "photos": own[0].photos,
            "unseen": own[0].unseen_photos,
            "lines": [
                head | _answers(row, own[0].photos) for row, head in headed(own, several=several)
            ],
        }
        for threshold, own in groups.items()
    ]


def threshold_matrix(rows: Sequence[Row]) -> dict[str, object] | None:
    """Each subject in a line, each threshold in a column; None where there is one threshold.

    Args:
        rows: All rows, by threshold.
    """
    thresholds = sorted({row.min_photos for row in rows})
    if len(thresholds) < 2:
        return None
    subjects: dict[BenchmarkTarget, list[Row]] = {}
    for row in rows:
        subjects.setdefault(BenchmarkTarget.of(row), []).append(row)
    lines = [
        head | _given(row) | _over_thresholds(subjects[BenchmarkTarget.of(row)], thresholds)
        for row, head in headed(
            [own[0] for own in subjects.values()], several=several_runtimes(rows)
        )
    ]
    sets = [(t, next(row.objects for row in rows if row.min_photos == t)) for t in thresholds]
    return {"sets": sets, "lines": lines}


def _given(row: Row) -> Line:
    """Under the name of a row from elsewhere stands where it is from."""
    return {"place": row.note or ""} if row.status == "given" else {}


def _over_thresholds(rows: Sequence[Row], thresholds: Sequence[int]) -> Line:
    """The lowest threshold's size and latency stand for all: it has the most objects."""
    at = {row.min_photos: row for row in rows}
    agreements = [row.agreement for row in rows if row.agreement is not None]
    first = rows[0]
    return {
        "cells": [_matrix_cell(at.get(threshold)) for threshold in thresholds],
        "note": "" if any(row.top1 is not None for row in rows) else first.note or first.status,
        "attention": any(needs_attention(row) for row in rows),
        "agreement": percent(min(agreements) if agreements else None),
        "bytes": megabytes(first.bytes),
        "latency": milliseconds(first.latency_ms.p50 if first.latency_ms else None),
    }


def _matrix_cell(row: Row | None) -> Line:
    if row is None or row.top1 is None:
        return {"top1": MISSING, "drop": "", "attention": row is not None and needs_attention(row)}
    compared = row.variant != REFERENCE_VARIANT and row.drop_points is not None
    drop = f"drop {points_lost(row)}" if compared else interval_cell(row)
    return {"top1": percent(row.top1), "drop": drop, "attention": needs_attention(row)}


def _answers(row: Row, photos: int) -> Line:
    return {
        "status": row.status,
        "note": row.note or "",
        "attention": needs_attention(row),
        "top1": percent(row.top1),
        "interval": interval_cell(row),
        "of": f"{row.photos:,} photos" if row.status == "measured" and row.photos != photos else "",
        "top3": percent(row.top3),
        "top5": percent(row.top5),
        "top10": percent(row.top10),
        "agreement": percent(row.agreement),
        "drop": points_lost(row),
        "drop_interval": "" if row.variant == REFERENCE_VARIANT else drop_interval(row),
        "bytes": megabytes(row.bytes),
        "latency": milliseconds(row.latency_ms.p50 if row.latency_ms else None),
    }


def fidelity_lines(rows: Sequence[Row]) -> list[Line]:
    """How each measured row's answers differ from full precision's, and the macro scores."""
    return [
        head
        | {
            "flips": MISSING
            if row.right_to_wrong is None
            else f"{row.right_to_wrong} / {row.wrong_to_right}",
            "drift_mean": _small(row.drift.mean if row.drift else None),
            "drift_p99": _small(row.drift.p99 if row.drift else None),
            "drift": _small(row.max_probability_drift),
            "precision": percent(row.precision),
            "recall": percent(row.recall),
            "f1": percent(row.f1),
            "invalid": row.invalid_answers or 0,
        }
        for row, head in headed_by_threshold([row for row in rows if row.status == "measured"])
    ]


def _small(value: float | None) -> str:
    if value is None:
        return MISSING
    return "0" if value == 0 else f"{value:.2g}" if value >= 0.0001 else "< 0.0001"


def speed_lines(rows: Sequence[Row]) -> list[Line]:
    """Speed of each row that was timed."""
    timed = [row for row in rows if row.latency_ms is not None or row.cold_load_ms is not None]
    return [
        head
        | {
            "latency": milliseconds(row.latency_ms.p50 if row.latency_ms else None),
            "p90": milliseconds(row.latency_ms.p90 if row.latency_ms else None),
            "p99": milliseconds(row.latency_ms.p99 if row.latency_ms else None),
            "ratio": f"{row.latency_ratio.median:.2f}" if row.latency_ratio else MISSING,
            "ratio_range": f"{row.latency_ratio.p10:.2f}–{row.latency_ratio.p90:.2f}"
            if row.latency_ratio
            else "",
            "end_to_end": milliseconds(row.end_to_end_ms),
            "end_to_end_12mp": milliseconds(row.end_to_end_12mp_ms),
            "cold": milliseconds(row.cold_load_ms),
            "memory": megabytes(row.memory_bytes.value if row.memory_bytes else None),
            "busy": percent(row.busy_share),
        }
        for row, head in headed_by_threshold(timed)
    ]


def calibration_lines(rows: Sequence[Row]) -> list[Line]:
    """Calibration of each row that has one."""
    return [
        head
        | {
            "error": percent(row.calibration_error),
            "temperature": f"{row.calibration.temperature:.2f}"
            if row.calibration.temperature is not None
            else MISSING,
            "after": percent(row.calibration.error_with_temperature),
            "fitted": f"{row.calibration.validation_photos:,}",
        }
        for row, head in headed_by_threshold([row for row in rows if row.calibration])
        if row.calibration is not None
    ]


def left_out(results: Results) -> list[tuple[TestSet, list[tuple[str, str]]]]:
    """Each test set with the photos that were not measured on, and why."""
    return [
        (one, [(photo.path, photo.reason) for photo in (*one.unreadable, *one.in_training)])
        for one in results.test_sets
    ]


def how_measured(results: Results) -> str:
    """How accuracy and speed were measured, in a few sentences."""
    settings = results.settings
    words = (
        "Every photo was decoded and resized once, and the same pixels were given to full "
        "precision and to every variant."
    )
    if not settings.measure_speed:
        return words + " Speed was not measured."
    return f"{words} {how_timed(results)}"


def how_timed(results: Results) -> str:
    """How speed was measured, in a sentence."""
    settings = results.settings
    threads = "one thread" if settings.threads[0] == 1 else f"{settings.threads[0]} threads"
    if len(settings.threads) > 1:
        threads += f" (and on {', '.join(str(count) for count in settings.threads[1:])})"
    return (
        f"Speed was measured for each variant in a fresh process on {threads}: "
        f"{settings.warmup} runs to warm up, then {settings.latency_runs} timed ones."
    )


def settings_words(results: Results) -> str:
    """The options that the numbers depend on."""
    settings = results.settings
    drawn = f"{settings.limit:,} test photos drawn" if settings.limit else "all test photos"
    return (
        f"{drawn}, seed {settings.seed}; {settings.bootstrap:,} resamples for the interval of the "
        "drop"
    )


def hashes(results: Results) -> list[tuple[str, str]]:
    """Of the bundle and the weights with the lowest threshold; the others are in the results."""
    row = next((row for row in sorted_rows(results) if row.custody is not None), None)
    if row is None or row.custody is None:
        return []
    return [("Bundle", row.custody.bundle_sha256), ("Weights", row.custody.model_sha256)]
