"""One speed measurement in a process of its own: `python -m benchmarks.probe`.

The request is read from standard input and the reply written to standard output, both JSON. A
fresh process is the only one whose peak memory is the model's own.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from benchmarks.results import Latency, Memory, Placement
from benchmarks.runtimes.base import Pixels, Session
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.photos import PhotoError, load
from mobile_assets.schema import Record

_PROC = Path("/proc/self")


class ProbeRequest(Record):
    """What to measure.

    Attributes:
        kind: `single`: one variant; `reference`: the run in torch; `turns`: variants in turns.
        bundle: The bundle's folder.
        run: The run's folder, for the reference.
        variants: Names of the variants; one for `single`.
        threads: Threads for the runtime.
        runs: Timed runs, or rounds.
        warmup: Runs before them.
        photos: Real photos for the end-to-end time.
    """

    kind: Literal["single", "reference", "turns"]
    bundle: str
    run: str | None = None
    variants: tuple[str, ...] = ()
    threads: int = 1
    runs: int = 50
    warmup: int = 10
    photos: tuple[str, ...] = ()


class ProbeReply(Record):
    """What was measured; fields as in `results.Row`. `turns` are milliseconds by variant."""

    cold_load_ms: float | None = None
    latency: Latency | None = None
    end_to_end_ms: float | None = None
    memory: Memory | None = None
    placement: Placement | None = None
    turns: dict[str, tuple[float, ...]] = Field(default_factory=dict)


def measure(request: ProbeRequest) -> ProbeReply:
    """Does what the request says, in this process."""
    bundle = read_bundle(Path(request.bundle), check_files=False)
    contract = bundle.info.preprocessing
    shape = (1, contract.height, contract.width, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if request.kind == "turns":
        return _in_turns(bundle, request, noise)
    return _single(bundle, request, noise, _opener(bundle, request))


def _opener(bundle: Bundle, request: ProbeRequest) -> Callable[[], Session]:
    """A function that opens the model; everything that must be imported is, before it is called."""
    if request.kind == "reference":
        import timm  # noqa: F401  # so that its import is not timed
        from safetensors.torch import load_file  # noqa: F401

        from benchmarks.runtimes.torch_runtime import open_reference
        from train.run import read_run

        run = read_run(Path(request.run or ""))
        return lambda: open_reference(run, threads=request.threads)
    from ai_edge_litert import interpreter  # noqa: F401

    from benchmarks.runtimes.litert_runtime import open_litert

    return lambda: open_litert(bundle, request.variants[0], request.threads)


def _single(
    bundle: Bundle, request: ProbeRequest, noise: Pixels, opener: Callable[[], Session]
) -> ProbeReply:
    before = _start_peak()
    start = time.perf_counter()
    with opener() as session:
        session.predict(noise)
        cold = _since(start)
        times = _times(session, noise, runs=request.runs, warmup=request.warmup)
        memory = _memory(before)
        return ProbeReply(
            cold_load_ms=cold,
            latency=summarise(times, threads=request.threads),
            end_to_end_ms=_end_to_end(session, bundle, request.photos),
            memory=memory,
            placement=session.placement(),
        )


def _in_turns(bundle: Bundle, request: ProbeRequest, noise: Pixels) -> ProbeReply:
    from benchmarks.runtimes.litert_runtime import open_litert

    with contextlib.ExitStack() as stack:
        sessions = {
            name: stack.enter_context(open_litert(bundle, name, request.threads))
            for name in request.variants
        }
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for turn in range(request.warmup + request.runs):
            for name, session in sessions.items():
                taken = _times(session, noise, runs=1, warmup=0)
                if turn >= request.warmup:
                    times[name] += taken
    return ProbeReply(turns={name: tuple(values) for name, values in times.items()})


def _times(session: Session, noise: Pixels, *, runs: int, warmup: int) -> list[float]:
    for _ in range(warmup):
        session.predict(noise)
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        session.predict(noise)
        times.append(_since(start))
    return times


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000.0


def summarise(times: list[float], *, threads: int) -> Latency | None:
    """Median and 90 % quantile of times in milliseconds; None where nothing was timed."""
    if not times:
        return None
    p50, p90 = np.quantile(times, [0.5, 0.9])
    return Latency(p50=float(p50), p90=float(p90), threads=threads, runs=len(times))


def _end_to_end(session: Session, bundle: Bundle, photos: tuple[str, ...]) -> float | None:
    times: list[float] = []
    for path in photos:
        start = time.perf_counter()
        try:
            pixels = load(path, bundle.info.preprocessing)
        except PhotoError:
            continue
        session.predict(pixels[None])
        times.append(_since(start))
    return statistics.median(times) if times else None


def _start_peak() -> int | None:
    """Forgets the peak so far, where the system can, and gives the present one in bytes."""
    with contextlib.suppress(OSError):
        (_PROC / "clear_refs").write_text("5", encoding="ascii")
    return _peak()


def _peak() -> int | None:
    """Peak resident memory of this process in bytes; None where the system does not tell.

    On Linux it is read from /proc: `getrusage` would count the parent process, whose size a child
    inherits as its first maximum.
    """
    with contextlib.suppress(OSError):
        for line in (_PROC / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0)) or None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def _memory(before: int | None) -> Memory | None:
    after = _peak()
    if before is None or after is None:
        return None
    metric = "peak resident memory of a fresh process, less the same before the model was opened"
    return Memory(value=max(0, after - before), metric=metric)


def main() -> None:
    """Reads the request, measures, writes the reply."""
    reply_to = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not stand in the reply
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    reply = measure(ProbeRequest.model_validate_json(sys.stdin.read()))
    with os.fdopen(reply_to, "w", encoding="utf-8") as stream:
        stream.write(reply.model_dump_json())


if __name__ == "__main__":
    main()
