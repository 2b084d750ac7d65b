"""Results of a register of noise, by which every part of the report has something to say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from result_rows import make_row, make_settings
from tiny_run import CONTRACT, describe_bundle, write_tiny_run

from benchmarks.measure.breakdowns import flipped_answers
from benchmarks.measure.evaluation_set import held_out
from benchmarks.measure.result_rows import accuracy_fields, make_test_set
from benchmarks.results.classification import Answers, reduce_answers
from benchmarks.results.measurement import BenchmarkCase, Measurement
from benchmarks.results.row_fields import Device, Latency, Memory, MemoryUse, Placement
from benchmarks.results.schema import GateOutcome, PreprocessingCost, Results, Row
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from mobile_assets.bundle import Bundle
from mobile_assets.decision import DecisionThresholds
from mobile_assets.labels import LabelMap
from train.temperature import Temperature

OBJECTS, VIEWS = 12, 4
EVIL = "<script>alert(1)</script> & Söhne"
METRIC = "counted page by page"

INT8 = BenchmarkTarget("tflite-int8", "litert")
ARM64 = BenchmarkTarget("tflite-int8", "litert-arm64")
REFERENCE_RUN = BenchmarkTarget("coreml-int8-weights", "coreml-reference")

PHONE = Device(
    model="Make Model 9",
    android="16 (API 36)",
    delegate_asked="gpu",
    delegate_used="GPU, 60 of 68 operations",
    temperature_celsius=(31.0, 38.0),
)


def make_case(root: Path) -> BenchmarkCase:
    """A case of noisy photos; nothing in it is executed."""
    generator = np.random.default_rng(0)
    labels = LabelMap.of(
        [(f"O-{n:02}", "left", EVIL if n == 0 else "", VIEWS) for n in range(OBJECTS)]
    )
    for object_id in labels.object_ids:
        (root / "left" / object_id).mkdir(parents=True)
        for view in range(VIEWS):
            noise = generator.integers(0, 256, (300, 400, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / "left" / object_id / f"{view}.jpg", quality=95)
    run = write_tiny_run(
        root,
        root.parent / f"{root.name}-run",
        side=lambda _photo, number: "test" if number else "train",
        labels=labels,
        scale=None,
    )
    info = run.info.model_copy(update={"register_name": "squares", "backbone": "none"})
    decision = DecisionThresholds(match=0.6, reject=0.2, validation_photos=10)
    described = describe_bundle(labels, CONTRACT).model_copy(update={"decision": decision})
    bundle = Bundle(root, described, labels)
    return BenchmarkCase(bundle, replace(run, info=info), root, *held_out(run, root))


def answers_with(truth: np.ndarray, wrong: list[int]) -> Answers:
    """Right and sure everywhere, but the next object at the photos `wrong`."""
    probabilities = np.full((len(truth), OBJECTS), 0.3 / (OBJECTS - 1), dtype=np.float32)
    top = truth.copy()
    top[wrong] = (top[wrong] + 1) % OBJECTS
    probabilities[np.arange(len(truth)), top] = 0.7
    return reduce_answers(probabilities, truth, keep=10)


def measured_with(case: BenchmarkCase, reference: list[int], variant: list[int]) -> Measurement:
    truth = np.array([photo.object_index for photo in case.test_photos])
    photos = len(truth)
    return Measurement(
        case,
        case.test_photos,
        (),
        (),
        answers={REFERENCE: answers_with(truth, reference), INT8: answers_with(truth, variant)},
        positions={REFERENCE: np.arange(photos), INT8: np.arange(photos)},
        drift={REFERENCE: np.zeros(photos, np.float32), INT8: np.full(photos, 0.01, np.float32)},
        temperatures={INT8: Temperature(1.5, 20)},
        tempered={INT8: np.full(photos, 0.6, np.float32)},
    )


def results_of(measured: Measurement, *extra: Row) -> Results:
    rows = [
        make_row(
            register="squares",
            backbone="none",
            objects=OBJECTS,
            bytes=4_000_000,
            **subject._asdict(),
            **accuracy_fields(measured, subject, bootstrap=300, seed=0),
        )
        for subject in (REFERENCE, INT8)
    ]
    settings = {"measure_speed": False, "bootstrap": 300, "command": "artefact-id benchmark bundle"}
    return Results(
        created="2026-01-02T03:04:05+00:00",
        host={"processor": "a computer", "cpus": "2", "memory_gib": "4", "system": "Linux"},
        versions={"numpy": "2"},
        settings=make_settings(**settings),
        test_sets=(make_test_set(measured),),
        rows=(*rows, *extra),
    )


def gate(*, passed: bool, requirement: str = "drop at most 0.5 points") -> GateOutcome:
    return GateOutcome(
        min_photos=3,
        variant="tflite-int8",
        runtime="litert",
        requirement=requirement,
        measured="0.0 points",
        passed=passed,
    )


def cost(name: str, family: str, lost: float) -> PreprocessingCost:
    return PreprocessingCost.model_validate(
        {
            "register": "squares", "min_photos": 3, "seed": 0, "variant": "tflite-int8",
            "runtime": "litert", "family": family, "name": name, "what": f"What {name} does.",
            "photos": 36, "top1": 0.5, "top1_ci95": (0.4, 0.6), "agreement": 0.5,
            "drop_points": lost, "drop_ci95": (lost - 1.0, lost + 1.0),
        }
    )  # fmt: skip


def timed(row: Row) -> Row:
    return row.model_copy(
        update={
            "latency_ms": Latency(p50=12.0, p90=14.0, p99=21.5, threads=1, runs=50),
            "latency_more": (Latency(p50=7.0, p90=8.0, p99=9.5, threads=4, runs=50),),
            "end_to_end_ms": 15.0,
            "end_to_end_12mp_ms": 166.0,
            "cold_load_ms": 77.0,
            "busy_share": 0.031,
            "memory_bytes": Memory(
                value=9_000_000,
                metric=METRIC,
                detail=MemoryUse(
                    runtime_resident=21_000_000,
                    model_resident=9_000_000,
                    model_private=6_500_000,
                    peak_resident=88_000_000,
                    metric=METRIC,
                ),
            ),
            "placement": Placement(
                delegate="XNNPACK", taken=66, total=68, left={"SOFTMAX": 2}, partitions=3
            ),
        }
    )


def on(row: Row, subject: BenchmarkTarget, **changes: object) -> Row:
    return row.model_copy(update=subject._asdict() | changes)


def full(measured: Measurement) -> Results:
    """Results with something in every section."""
    base = results_of(measured)
    reference, int8 = base.rows
    rows = (
        reference,
        timed(int8),
        on(int8, ARM64, photos=20),
        on(int8, REFERENCE_RUN),
        on(int8, BenchmarkTarget("tflite-float32", "android", "gpu"), device=PHONE),
    )
    return base.model_copy(
        update={
            "rows": (*rows, *(row.model_copy(update={"min_photos": 4}) for row in rows)),
            "gates": (gate(passed=True), gate(passed=False, requirement="agreement at least 99 %")),
            "preprocessing": (cost("swapped", "mistake", 40.0), cost("canvas", "resampling", 0.2)),
            "flipped": tuple(flipped_answers(measured)),
            "settings": base.settings.model_copy(update={"measure_speed": True}),
        }
    )
