"""Latency, memory and load time of a case's subjects, each in processes of its own."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.measure.camera_photo import make_camera_photo
from benchmarks.measure.probe import LIBRARIES, LatencyReply, ProbeRequest, StartReply
from benchmarks.measure.probe_processes import run_interleaved, run_latency, run_start
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
    """Measures the reference and every subject whose times mean something.

    Returns:
        By subject, the reference among them.

    Raises:
        DamagedError: A measuring process failed.
    """
    subjects = timed_targets(measured)
    photos = sample_paths(measured)
    with _camera_photo(photos) as camera:
        requests = {s: _request(measured, s, plan, photos, camera) for s in subjects}
        ratios = _ratios(requests, plan)
        return {
            subject: replace(measure_target(request, plan), ratio=ratios.get(subject))
            for subject, request in requests.items()
        }


def timed_targets(measured: Measurement) -> tuple[BenchmarkTarget, ...]:
    """The reference, and the subjects on runtimes of this machine whose times mean something."""
    return tuple(
        subject
        for subject in measured.answers
        if subject == REFERENCE or (subject.runtime in LIBRARIES and _timed(subject))
    )


def measure_target(request: ProbeRequest, plan: LatencyPlan) -> LatencyMeasurement:
    """Measures one subject in `plan.starts` processes, and in one per number of threads."""
    bare = request.model_copy(update={"photos": (), "camera": None})
    start = bare.model_copy(update={"kind": "start"})
    return LatencyMeasurement(
        typical_start([run_start(start) for _ in range(plan.starts)]),
        run_latency(request),
        tuple(
            run_latency(bare.model_copy(update={"threads": threads})).latency_ms
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


def sample_paths(measured: Measurement) -> tuple[str, ...]:
    """Photos spread evenly over the test photos."""
    count = min(END_TO_END_PHOTOS, len(measured.photos))
    positions = np.linspace(0, len(measured.photos) - 1, count).astype(int)
    return tuple(str(measured.photos[position].path.absolute()) for position in positions)


def ratios_of(
    turns: Mapping[BenchmarkTarget, Sequence[float]], baseline: BenchmarkTarget
) -> dict[BenchmarkTarget, LatencyRatio]:
    """Each subject's time by the baseline's of the same round, summarised over the rounds.

    Args:
        turns: Milliseconds by subject, one per round.
        baseline: The subject to divide by; it is not in the result.
    """
    base = np.asarray(turns[baseline], dtype=np.float64)
    ratios: dict[BenchmarkTarget, LatencyRatio] = {}
    for subject, times in turns.items():
        if subject == baseline or not len(base):
            continue
        p10, median, p90 = np.quantile(np.asarray(times) / base, [0.1, 0.5, 0.9])
        ratios[subject] = LatencyRatio(
            median=float(median), p10=float(p10), p90=float(p90), rounds=len(base)
        )
    return ratios


def _timed(subject: BenchmarkTarget) -> bool:
    return any(r.timed for r in runtimes(subject.runtime) if r.unit == subject.unit)


def _request(
    measured: Measurement,
    subject: BenchmarkTarget,
    plan: LatencyPlan,
    photos: tuple[str, ...],
    camera: str | None,
) -> ProbeRequest:
    case = measured.case
    return ProbeRequest(
        kind="latency",
        bundle=str(case.bundle.folder),
        bundle_sha256=case.bundle.sha256,
        run=str(case.run.folder) if subject == REFERENCE else None,
        variant=subject.variant,
        runtime=subject.runtime,
        unit=subject.unit,
        threads=plan.threads[0],
        runs=plan.runs,
        warmup=plan.warmup,
        photos=photos,
        camera=camera,
    )


@contextmanager
def _camera_photo(photos: Sequence[str]) -> Iterator[str | None]:
    """A camera's photo of the middle one of these, as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="artefact-id-") as folder:
        path = Path(folder) / "camera.jpg"
        if photos:
            make_camera_photo(Path(photos[len(photos) // 2]), path)
        yield str(path) if photos else None


def _ratios(
    requests: Mapping[BenchmarkTarget, ProbeRequest], plan: LatencyPlan
) -> dict[BenchmarkTarget, LatencyRatio]:
    if BASELINE not in requests or len(requests) < 2:
        return {}
    taking = {s: request.model_copy(update={"kind": "turns"}) for s, request in requests.items()}
    return ratios_of(run_interleaved(taking, plan.runs), BASELINE)
