"""Latency, memory and load time of a case's subjects, each in processes of its own."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.measure.camera_photo import make_camera_photo
from benchmarks.measure.probe import LIBRARIES, LatencyReply, ProbeRequest, StartReply
from benchmarks.measure.probe_processes import run_interleaved, run_probe
from benchmarks.results.measurement import Measurement
from benchmarks.results.row_fields import Latency, LatencyRatio
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes import runtimes

BASELINE = BenchmarkTarget("tflite-float32", "litert")
"""What latency ratios are against."""

END_TO_END_PHOTOS = 15
"""Real photos for the end-to-end time; it is the median of them all but the first."""


@dataclass(frozen=True)
class LatencyMeasurement:
    """What the probes of one subject found.

    Attributes:
        ratio: Against the baseline, in turns; None for the baseline itself, or without one.
    """

    start: StartReply
    warm: LatencyReply
    more: tuple[Latency, ...] = ()
    ratio: LatencyRatio | None = None


@dataclass(frozen=True)
class LatencyPlan:
    """How speed is measured; as in `BenchmarkOptions`.

    Attributes:
        runs: Timed runs, and rounds of turns.
        threads: Numbers of threads; at the first one everything is measured, at the others latency.
        starts: Fresh processes whose median is the cold load.
    """

    runs: int
    warmup: int
    threads: tuple[int, ...]
    starts: int = 3


def measure_latencies(
    measured: Measurement, plan: LatencyPlan
) -> dict[BenchmarkTarget, LatencyMeasurement]:
    """Measures the reference, and the subjects on this machine whose times mean something.

    Raises:
        DamagedError: A measuring process failed.
    """
    subjects = [
        subject
        for subject in measured.answers
        if subject == REFERENCE
        or (
            subject.runtime in LIBRARIES
            and any(r.timed for r in runtimes(subject.runtime) if r.unit == subject.unit)
        )
    ]
    # Spread evenly over the test photos.
    count = min(END_TO_END_PHOTOS, len(measured.photos))
    positions = np.linspace(0, len(measured.photos) - 1, count).astype(int)
    photos = tuple(str(measured.photos[position].path.absolute()) for position in positions)
    with tempfile.TemporaryDirectory(prefix="artefact-id-") as folder:
        camera = Path(folder) / "camera.jpg"
        if photos:
            make_camera_photo(Path(photos[len(photos) // 2]), camera)
        requests = {
            subject: ProbeRequest(
                kind="latency",
                bundle=str(measured.case.bundle.folder),
                bundle_sha256=measured.case.bundle.sha256,
                run=str(measured.case.run.folder) if subject == REFERENCE else None,
                **subject._asdict(),
                threads=plan.threads[0],
                runs=plan.runs,
                warmup=plan.warmup,
                photos=photos,
                camera=str(camera) if photos else None,
            )
            for subject in subjects
        }
        ratios: dict[BenchmarkTarget, LatencyRatio] = {}
        if BASELINE in requests and len(requests) > 1:
            turns = {s: r.model_copy(update={"kind": "turns"}) for s, r in requests.items()}
            ratios = ratios_of(run_interleaved(turns, plan.runs), BASELINE)
        return {
            subject: replace(measure_target(request, plan), ratio=ratios.get(subject))
            for subject, request in requests.items()
        }


def measure_target(request: ProbeRequest, plan: LatencyPlan) -> LatencyMeasurement:
    """Measures one subject in `plan.starts` processes, and in one per number of threads."""
    bare = request.model_copy(update={"photos": (), "camera": None})
    start = bare.model_copy(update={"kind": "start"})
    return LatencyMeasurement(
        typical_start([run_probe(StartReply, start) for _ in range(plan.starts)]),
        run_probe(LatencyReply, request),
        tuple(
            run_probe(LatencyReply, bare.model_copy(update={"threads": threads})).latency_ms
            for threads in plan.threads[1:]
        ),
    )


def typical_start(starts: Sequence[StartReply]) -> StartReply:
    """Of one or more starts the one with the median memory, so that its parts belong together.

    The cold load is the median of them all.
    """
    by_memory = sorted(starts, key=lambda start: start.memory.model_resident)
    cold = statistics.median(start.cold_load_ms for start in starts)
    return by_memory[(len(starts) - 1) // 2].model_copy(update={"cold_load_ms": cold})


def ratios_of(
    turns: Mapping[BenchmarkTarget, Sequence[float]], baseline: BenchmarkTarget
) -> dict[BenchmarkTarget, LatencyRatio]:
    """Each subject's milliseconds by the baseline's of the same round, over the rounds."""
    ratios: dict[BenchmarkTarget, LatencyRatio] = {}
    for subject, times in turns.items():
        if subject != baseline and len(times):
            quantiles = np.quantile(np.divide(times, turns[baseline]), [0.1, 0.5, 0.9])
            p10, median, p90 = quantiles.tolist()
            ratios[subject] = LatencyRatio(median=median, p10=p10, p90=p90, rounds=len(times))
    return ratios
