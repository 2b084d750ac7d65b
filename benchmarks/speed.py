"""Latency, memory and load time: starting probes in fresh processes and reading their replies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.accuracy import Measured
from benchmarks.probe import ProbeReply, ProbeRequest
from benchmarks.results import REFERENCE_VARIANT, Latency, LatencyRatio
from benchmarks.subjects import REFERENCE, Subject
from mobile_assets.errors import DamagedError

BASELINE_VARIANT = "tflite-float32"
"""The variant that latency ratios are against."""

END_TO_END_PHOTOS = 15
"""Real photos that the end-to-end time is the median of."""

PROBE_SECONDS = 600
"""A probe that takes longer is given up."""


@dataclass(frozen=True)
class Speed:
    """What the probes of one variant found."""

    reply: ProbeReply
    more: tuple[Latency, ...] = ()
    ratio: LatencyRatio | None = None


@dataclass(frozen=True)
class SpeedPlan:
    """How speed is measured; as in `BenchmarkOptions`."""

    runs: int
    warmup: int
    threads: tuple[int, ...]
    photos: tuple[str, ...] = field(default=())


def measure_speed(measured: Measured, plan: SpeedPlan) -> dict[Subject, Speed]:
    """Measures the reference and every executable variant of one case.

    Args:
        measured: The case with its readable photos.
        plan: Runs, warm-up and threads.

    Returns:
        By subject, the reference among them.
    """
    case = measured.case
    names = [subject.variant for subject in measured.answers if subject.runtime == "litert"]
    photos = sample_paths(measured)
    ratios = _ratios(case.bundle.folder, names, plan)
    found = {REFERENCE: Speed(_reference(measured, plan, photos))}
    for name in names:
        request = ProbeRequest(
            kind="single",
            bundle=str(case.bundle.folder),
            variants=(name,),
            threads=plan.threads[0],
            runs=plan.runs,
            warmup=plan.warmup,
            photos=photos,
        )
        more = [
            run_probe(request.model_copy(update={"threads": threads, "photos": ()})).latency
            for threads in plan.threads[1:]
        ]
        kept = tuple(latency for latency in more if latency is not None)
        found[Subject(name, "litert")] = Speed(run_probe(request), kept, ratios.get(name))
    return found


def sample_paths(measured: Measured) -> tuple[str, ...]:
    """Photos spread evenly over the test photos."""
    count = min(END_TO_END_PHOTOS, len(measured.photos))
    places = np.linspace(0, len(measured.photos) - 1, count).astype(int)
    return tuple(str(measured.photos[place].path.absolute()) for place in places)


def _reference(measured: Measured, plan: SpeedPlan, photos: tuple[str, ...]) -> ProbeReply:
    return run_probe(
        ProbeRequest(
            kind="reference",
            bundle=str(measured.case.bundle.folder),
            run=str(measured.case.run.folder),
            threads=plan.threads[0],
            runs=plan.runs,
            warmup=plan.warmup,
            photos=photos,
        )
    )


def _ratios(folder: Path, names: Sequence[str], plan: SpeedPlan) -> dict[str, LatencyRatio]:
    if BASELINE_VARIANT not in names or len(names) < 2:
        return {}
    request = ProbeRequest(
        kind="turns",
        bundle=str(folder),
        variants=tuple(names),
        threads=plan.threads[0],
        runs=plan.runs,
        warmup=plan.warmup,
    )
    return ratios_of(run_probe(request).turns, BASELINE_VARIANT)


def ratios_of(turns: Mapping[str, Sequence[float]], baseline: str) -> dict[str, LatencyRatio]:
    """Each variant's time by the baseline's of the same round, summarised over the rounds.

    Args:
        turns: Milliseconds by variant, one per round.
        baseline: The variant to divide by; it is not in the result.
    """
    base = np.asarray(turns[baseline], dtype=np.float64)
    ratios: dict[str, LatencyRatio] = {}
    for name, times in turns.items():
        if name == baseline or not len(base):
            continue
        p10, median, p90 = np.quantile(np.asarray(times) / base, [0.1, 0.5, 0.9])
        ratios[name] = LatencyRatio(
            median=float(median), p10=float(p10), p90=float(p90), rounds=len(base)
        )
    return ratios


def run_probe(request: ProbeRequest) -> ProbeReply:
    """Runs one probe in a fresh process.

    Raises:
        DamagedError: The process failed, took too long, or its reply cannot be read; the message
            holds the last line that it wrote.
    """
    room = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [room, os.environ.get("PYTHONPATH", "")]))
    what = ", ".join(request.variants) or REFERENCE_VARIANT
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "benchmarks.probe"],
            input=request.model_dump_json(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_SECONDS,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DamagedError(
            f"Measuring the speed of {what} took over {PROBE_SECONDS} s and was stopped. "
            "Ask for fewer runs, or leave speed out."
        ) from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DamagedError(
            f"Measuring the speed of {what} failed ({last}). "
            "Run `artefact-id verify` on the bundle, or leave speed out."
        )
    return ProbeReply.model_validate_json(done.stdout)
