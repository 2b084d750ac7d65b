"""The results as CSV files: one line per row, changed answer, way of making the input, gate."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.report.parity_table import sorted_rows
from benchmarks.results.schema import Results
from mobile_assets.csv_table import csv_text

_KEY = "register_name:register min_photos seed variant runtime"
_TOP1 = "top1 top1_ci95.0:top1_low top1_ci95.1:top1_high"
_DROP = "drop_points drop_ci95.0:drop_low drop_ci95.1:drop_high"


def columns(*fields: str) -> dict[str, str]:
    """Columns by title: each word is `field`, or `field.part:title` where the title differs."""
    pairs = (word.partition(":") for word in " ".join(fields).split())
    return {title or field: field for field, _, title in pairs}


_RESULTS = columns(
    f"""
    register_name:register min_photos backbone head seed variant runtime unit status objects photos
    unseen_photos {_TOP1} top3 top5 top10 precision recall f1 agreement {_DROP} right_to_wrong
    wrong_to_right drift.mean:drift_mean drift.p99:drift_p99 max_probability_drift invalid_answers
    calibration_error calibration.temperature:temperature
    calibration.error_with_temperature:calibration_error_with_temperature bytes cold_load_ms
    latency_ms.p50:latency_p50_ms latency_ms.p90:latency_p90_ms latency_ms.p99:latency_p99_ms
    latency_ms.threads:threads latency_ratio.median:latency_ratio
    latency_ratio.p10:latency_ratio_p10 latency_ratio.p90:latency_ratio_p90
    latency_ratio.rounds:latency_ratio_rounds end_to_end_ms end_to_end_12mp_ms
    memory_bytes.value:memory_bytes memory.runtime_resident:runtime_resident_bytes
    memory.model_resident:model_resident_bytes memory.model_private:model_private_bytes
    memory.peak_resident:peak_resident_bytes busy_share placement.taken:operations_taken
    placement.total:operations device.model:device device.delegate_used:delegate_used recipe
    train_seconds note
    """
)
CSV_COLUMNS = tuple(_RESULTS)
"""Columns of `results.csv`: the key, what was measured, and a note."""

_LATENCY = columns(f"{_KEY} unit")
_LATENCY_PARTS = columns("threads p50 p90 p99 runs")
_PREPROCESSING = columns(f"{_KEY} family name what photos {_TOP1} agreement {_DROP}")
_FLIPPED = columns(
    f"{_KEY} unit path object_id reference.0:reference_answer reference.1:reference_probability "
    "answer.0:answer answer.1:probability"
)
_GATES = columns("min_photos variant runtime unit requirement measured passed")


def csv_files(results: Results) -> dict[str, str]:
    """The files' contents by name: `results.csv`, and others where there is something in them."""
    files = {
        "results.csv": csv_table(results),
        # In milliseconds; a line per number of threads.
        "latency.csv": csv_text(
            picked(row, _LATENCY) | picked(latency, _LATENCY_PARTS)
            for row in sorted_rows(results)
            for latency in (*((row.latency_ms,) if row.latency_ms else ()), *row.latency_more)
        ),
        "preprocessing.csv": csv_text(picked(c, _PREPROCESSING) for c in results.preprocessing),
        "flipped.csv": csv_text(picked(flip, _FLIPPED) for flip in results.flipped),
        "gates.csv": csv_text(picked(gate, _GATES) for gate in results.gates),
    }
    return {name: text for name, text in files.items() if text}


def csv_table(results: Results) -> str:
    """The results as CSV, one line per row; what is undefined or unknown is an empty cell."""
    return csv_text(picked(row, _RESULTS) for row in sorted_rows(results))


def picked(record: object, fields: Mapping[str, str]) -> dict[str, object]:
    """A record's values by title, of fields by title; None where a part is missing."""
    return {title: _value(record, field) for title, field in fields.items()}


def _value(record: object, field: str) -> object:
    """Such as `latency_ms.p50`, or `top1_ci95.0` of a pair."""
    value = record
    for part in field.split("."):
        if value is None:
            return None
        value = value[int(part)] if isinstance(value, tuple) else getattr(value, part)
    return value
