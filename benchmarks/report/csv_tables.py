"""The results as CSV files: one line per row, changed answer, way of making the input, gate."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.report.parity_table import sorted_rows
from benchmarks.results.schema import Results, Row

CSV_COLUMNS = (
    "register",
    "min_photos",
    "backbone",
    "head",
    "seed",
    "variant",
    "runtime",
    "unit",
    "status",
    "objects",
    "photos",
    "unseen_photos",
    "top1",
    "top1_low",
    "top1_high",
    "top3",
    "top5",
    "top10",
    "precision",
    "recall",
    "f1",
    "agreement",
    "drop_points",
    "drop_low",
    "drop_high",
    "right_to_wrong",
    "wrong_to_right",
    "drift_mean",
    "drift_p99",
    "max_probability_drift",
    "invalid_answers",
    "calibration_error",
    "temperature",
    "calibration_error_with_temperature",
    "bytes",
    "cold_load_ms",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "threads",
    "latency_ratio",
    "latency_ratio_p10",
    "latency_ratio_p90",
    "latency_ratio_rounds",
    "end_to_end_ms",
    "end_to_end_12mp_ms",
    "memory_bytes",
    "runtime_resident_bytes",
    "model_resident_bytes",
    "model_private_bytes",
    "peak_resident_bytes",
    "busy_share",
    "operations_taken",
    "operations",
    "device",
    "delegate_used",
    "recipe",
    "train_seconds",
    "note",
)
"""Columns of `results.csv`: the key, what was measured, and a note."""

LATENCY_COLUMNS = (
    "register",
    "min_photos",
    "seed",
    "variant",
    "runtime",
    "unit",
    "threads",
    "p50",
    "p90",
    "p99",
    "runs",
)
"""Columns of `latency.csv`, in milliseconds: a line per number of threads."""

PREPROCESSING_COLUMNS = (
    "register",
    "min_photos",
    "seed",
    "variant",
    "runtime",
    "family",
    "name",
    "what",
    "photos",
    "top1",
    "top1_low",
    "top1_high",
    "agreement",
    "drop_points",
    "drop_low",
    "drop_high",
)
"""Columns of `preprocessing.csv`."""

FLIPPED_COLUMNS = (
    "register",
    "min_photos",
    "seed",
    "variant",
    "runtime",
    "unit",
    "path",
    "object_id",
    "reference_answer",
    "reference_probability",
    "answer",
    "probability",
)
"""Columns of `flipped.csv`."""

GATES_COLUMNS = (
    "min_photos",
    "variant",
    "runtime",
    "unit",
    "requirement",
    "measured",
    "passed",
)
"""Columns of `gates.csv`."""


def csv_files(results: Results) -> dict[str, str]:
    """The files' contents by name: `results.csv`, and others where there is something in them."""
    others = {
        "latency.csv": _latencies(results),
        "preprocessing.csv": _preprocessing(results),
        "flipped.csv": _flipped(results),
        "gates.csv": _written(GATES_COLUMNS, [one.model_dump() for one in results.gates]),
    }
    return {"results.csv": csv_table(results)} | {
        name: text for name, text in others.items() if text
    }


def csv_table(results: Results) -> str:
    """The results as CSV, one line per row; what is undefined or unknown is an empty cell."""
    return _written(CSV_COLUMNS, [_flat(row) for row in sorted_rows(results)])


def _written(columns: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    """A table with its header; empty where there is no line."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    before = stream.tell()
    writer.writerows(lines)
    return stream.getvalue() if stream.tell() > before else ""


def _flat(row: Row) -> dict[str, object]:
    flat = row.model_dump(mode="json", by_alias=True)
    low, high = row.top1_ci95 or (None, None)
    drop_low, drop_high = row.drop_ci95 or (None, None)
    calibration = row.calibration
    return (
        flat
        | {"top1_low": low, "top1_high": high, "drop_low": drop_low, "drop_high": drop_high}
        | _flat_speed(row)
        | {
            "drift_mean": row.drift.mean if row.drift else None,
            "drift_p99": row.drift.p99 if row.drift else None,
            "temperature": calibration.temperature if calibration else None,
            "calibration_error_with_temperature": calibration.error_with_temperature
            if calibration
            else None,
            "device": row.device.model if row.device else None,
            "delegate_used": row.device.delegate_used if row.device else None,
        }
    )


def _flat_speed(row: Row) -> dict[str, object]:
    latency, memory, ratio = row.latency_ms, row.memory, row.latency_ratio
    return {
        "latency_p50_ms": latency.p50 if latency else None,
        "latency_p90_ms": latency.p90 if latency else None,
        "latency_p99_ms": latency.p99 if latency else None,
        "threads": latency.threads if latency else None,
        "latency_ratio": ratio.median if ratio else None,
        "latency_ratio_p10": ratio.p10 if ratio else None,
        "latency_ratio_p90": ratio.p90 if ratio else None,
        "latency_ratio_rounds": ratio.rounds if ratio else None,
        "memory_bytes": row.memory_bytes.value if row.memory_bytes else None,
        "runtime_resident_bytes": memory.runtime_resident if memory else None,
        "model_resident_bytes": memory.model_resident if memory else None,
        "model_private_bytes": memory.model_private if memory else None,
        "peak_resident_bytes": memory.peak_resident if memory else None,
        "operations_taken": row.placement.taken if row.placement else None,
        "operations": row.placement.total if row.placement else None,
    }


def _latencies(results: Results) -> str:
    return _written(
        LATENCY_COLUMNS,
        [
            row.model_dump(mode="json", by_alias=True) | one.model_dump()
            for row in sorted_rows(results)
            for one in (*((row.latency_ms,) if row.latency_ms else ()), *row.latency_more)
        ],
    )


def _preprocessing(results: Results) -> str:
    lines = []
    for one in results.preprocessing:
        low, high = one.top1_ci95 or (None, None)
        drop_low, drop_high = one.drop_ci95 or (None, None)
        ends = {"top1_low": low, "top1_high": high, "drop_low": drop_low, "drop_high": drop_high}
        lines.append(one.model_dump(mode="json", by_alias=True) | ends)
    return _written(PREPROCESSING_COLUMNS, lines)


def _flipped(results: Results) -> str:
    lines = []
    for one in results.flipped:
        answer, probability = one.answer or (None, None)
        answers = {
            "reference_answer": one.reference[0],
            "reference_probability": one.reference[1],
            "answer": answer,
            "probability": probability,
        }
        lines.append(one.model_dump(mode="json", by_alias=True) | answers)
    return _written(FLIPPED_COLUMNS, lines)
