"""One speed measurement in a process of its own: `python -m benchmarks.measure.probe`.

The request is the first line of standard input, the reply a line of standard output, both JSON. A
fresh process is the only one whose memory is the model's own, and no other model's threads or
caches disturb its times.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TextIO

import numpy as np

from benchmarks.measure.host import CpuContention
from benchmarks.measure.memory import MemoryWatch
from benchmarks.results.row_fields import Latency, Memory, MemoryUse, Placement
from benchmarks.results.schema import REFERENCE_RUNTIME
from benchmarks.runtimes import Pixels, Session, runtimes
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import DamagedError
from mobile_assets.photos import PhotoError, load
from mobile_assets.schema import Record
from train.heic import register_heif

LIBRARIES = {
    REFERENCE_RUNTIME: ("torch", "timm", "safetensors.torch", "train.model"),
    "litert": ("ai_edge_litert.interpreter",),
    "coreml": ("coremltools",),
}
"""What each runtime that is timed in this way imports: before the model is opened and the clock
started. An app has loaded its libraries, too, when it opens a model."""

FIRST_ANSWERS = 5
"""After so many answers a runtime has allocated whatever it allocates late."""

CAMERA_RUNS = 7
"""The time from a camera's photo is the median of so many runs, after one that is not counted."""

READY = "ready"
"""What a process that takes turns answers once its model is warm."""


class ProbeRequest(Record):
    """What to measure of a variant, of the reference if a run is given.

    Attributes:
        kind: `start`: cold load, memory and placement; `latency`: times of a warm model; `turns`:
            one time whenever a line comes in, until the input ends.
        bundle_sha256: Hash that its `bundle.json` must have; None for any.
        runtime: A key of `LIBRARIES`; `unit`: what it computes on, where it has a choice.
        photos: Real photos for the end-to-end time; `camera`: one as a phone's camera makes it.
    """

    kind: Literal["start", "latency", "turns"]
    bundle: str
    bundle_sha256: str | None = None
    variant: str
    runtime: str
    unit: str = ""
    run: str | None = None
    threads: int = 1
    runs: int = 50
    warmup: int = 10
    photos: tuple[str, ...] = ()
    camera: str | None = None


class StartReply(Record):
    """What a fresh process found; fields as in `results.Row`."""

    cold_load_ms: float
    memory_bytes: Memory | None
    memory: MemoryUse
    placement: Placement | None


class LatencyReply(Record):
    """Times of a warm model; fields as in `results.Row`, null where it was not asked for."""

    latency_ms: Latency
    end_to_end_ms: float | None
    end_to_end_12mp_ms: float | None
    busy_share: float | None


def opener(bundle: Bundle, request: ProbeRequest) -> Callable[[], Session]:
    """Imports everything that the runtime needs, and gives a function that opens the model."""
    for library in LIBRARIES[request.runtime]:
        importlib.import_module(library)
    if request.runtime == REFERENCE_RUNTIME:
        from benchmarks.runtimes.torch_runtime import open_reference
        from train.run import read_run

        run = read_run(Path(request.run or ""))
        return lambda: open_reference(run, threads=request.threads)
    chosen = next(r for r in runtimes(request.runtime) if r.unit == request.unit)
    variant = bundle.info.variant(request.variant)
    bundle.path(variant)  # its private copy is none of the time of opening
    return lambda: chosen.open(bundle, variant, request.threads)


def noise_photo(bundle: Bundle) -> Pixels:
    """`[1, H, W, 3]` uint8 random pixels; no network here is faster or slower for its input."""
    contract = bundle.info.preprocessing
    shape = (1, contract.height, contract.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def measure_start(prepare: Callable[[], Callable[[], Session]], photo: Pixels) -> StartReply:
    """From a process without the runtime to a model that has answered."""
    watch = MemoryWatch()
    opening = prepare()
    watch.runtime_imported()
    start = time.perf_counter()
    with opening() as session:
        session.predict(photo)
        cold = _since(start)
        for _ in range(FIRST_ANSWERS - 1):
            session.predict(photo)
        return StartReply(
            cold_load_ms=cold,
            memory_bytes=watch.added_peak(),
            memory=watch.use(),
            placement=session.placement(),
        )


def measure_latency(
    session: Session, photo: Pixels, request: ProbeRequest, bundle: Bundle
) -> LatencyReply:
    """Times of a warm model, from pixels and from files."""
    others = CpuContention()
    times = timed(session, photo, runs=request.runs, warmup=request.warmup)
    camera = (request.camera,) * (CAMERA_RUNS + 1) if request.camera else ()
    return LatencyReply(
        latency_ms=summarise(times, threads=request.threads),
        end_to_end_ms=_end_to_end(session, bundle, request.photos),
        end_to_end_12mp_ms=_end_to_end(session, bundle, camera),
        busy_share=others.share(),
    )


def interleave(
    session: Session, photo: Pixels, *, warmup: int, lines: Iterable[str], replies: TextIO
) -> None:
    """Answers every line with the milliseconds of one run.

    A run before it is not timed: it brings back into the processor's caches what the others, whose
    turn it was, have driven out. What is compared are models at work, not their awakening.
    """
    timed(session, photo, runs=0, warmup=warmup)
    print(READY, file=replies, flush=True)
    for _ in lines:
        print(timed(session, photo, runs=1, warmup=1)[0], file=replies, flush=True)


def timed(session: Session, photo: Pixels, *, runs: int, warmup: int) -> list[float]:
    """Milliseconds of each of `runs` runs, after `warmup` that are not timed."""
    for _ in range(warmup):
        session.predict(photo)
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        session.predict(photo)
        times.append(_since(start))
    return times


def summarise(times: list[float], *, threads: int) -> Latency:
    """Median, 90 and 99 % quantile of times in milliseconds, one or more.

    Between the runs the quantiles are interpolated: of 50 runs the 99 % quantile lies halfway
    between the two slowest.
    """
    p50, p90, p99 = (float(value) for value in np.quantile(times, [0.5, 0.9, 0.99]))
    return Latency(p50=p50, p90=p90, p99=p99, threads=threads, runs=len(times))


def _end_to_end(session: Session, bundle: Bundle, photos: tuple[str, ...]) -> float | None:
    """Median from the file to the answer, every pixel decoded as `identify` does it.

    The first photo is not counted: it loads the decoder.
    """
    times: list[float] = []
    for path in photos:
        start = time.perf_counter()
        try:
            pixels = load(path, bundle.info.preprocessing)
        except PhotoError:
            continue
        session.predict(pixels[None])
        times.append(_since(start))
    return statistics.median(times[1:]) if len(times) > 1 else None


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000.0


def answer(request: ProbeRequest, lines: Iterable[str], replies: TextIO) -> None:
    """Does what the request says, in this process, and writes the reply."""
    bundle = read_bundle(Path(request.bundle), check_files=False)
    if request.bundle_sha256 not in {None, bundle.sha256}:
        raise DamagedError(f"{bundle.folder} was replaced while it was measured: measure it again.")
    photo = noise_photo(bundle)
    if request.kind == "start":
        start = measure_start(lambda: opener(bundle, request), photo)
        print(start.model_dump_json(), file=replies, flush=True)
        return
    with opener(bundle, request)() as session:
        if request.kind == "turns":
            interleave(session, photo, warmup=request.warmup, lines=lines, replies=replies)
        else:
            reply = measure_latency(session, photo, request, bundle)
            print(reply.model_dump_json(), file=replies, flush=True)


def main() -> None:
    """Reads the request, measures, writes the reply."""
    reply_to = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not stand in the reply
    register_heif()
    request = ProbeRequest.model_validate_json(sys.stdin.readline())
    with os.fdopen(reply_to, "w", encoding="utf-8") as stream:
        answer(request, sys.stdin, stream)


if __name__ == "__main__":
    main()
