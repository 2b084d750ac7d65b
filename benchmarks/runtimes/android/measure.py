"""One variant measured on a phone: latency, memory, placement, and what it was measured on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results.row_fields import Device, Latency, Memory, Placement
from benchmarks.runtimes.android import benchmark_model as tool
from benchmarks.runtimes.android.adb import FOLDER, Phone, PhoneError, choose, find_adb
from benchmarks.runtimes.android.benchmark_model import Delegate, Log
from benchmarks.runtimes.android.device import (
    DeviceInfo,
    ThermalState,
    check_program,
    device_info,
    thermal_state,
)
from benchmarks.runtimes.android.device_folder import device_folder
from benchmarks.runtimes.android.placement import delegate_used
from benchmarks.runtimes.interface import check_format
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import MissingDependencyError
from mobile_assets.schema import Record

PROGRAM_VARIABLE = "ARTEFACT_ID_BENCHMARK_MODEL"
RUNNER_VARIABLE = "ARTEFACT_ID_ANDROID_RUNNER"
LITERT_CLI_PROGRAM = Path("~/.cache/litert-cli/binaries/arm64-v8a/benchmark_model")
"""Where LiteRT-CLI (the package litert-cli) keeps the program that it fetches."""

GET_PROGRAM = (
    "Give LiteRT's benchmark_model for Android by --android-benchmark-model PATH or in "
    f"{PROGRAM_VARIABLE}. Or install litert-cli and, with the phone connected, run "
    "`litert benchmark MODEL.tflite --android` once: it fetches one, which is found here."
)

_GRAPH = f"{FOLDER}/model.tflite"
_PROGRAM = f"{FOLDER}/benchmark_model"
_SECONDS = 900
_METRIC = (
    "growth of the largest resident memory (ru_maxrss) of benchmark_model's process from its start "
    "to its end; the tool itself calls it approximate"
)


@dataclass(frozen=True)
class PhoneOptions:
    """How a phone is found and measured.

    Attributes:
        serial: Which phone; `ANDROID_SERIAL` if not given.
        program: LiteRT's `benchmark_model` for Android; see `find_program`.
        runner: A program for Android that answers photos; see `answers`. Without it no accuracy.
        delegate: What is asked to execute the graph: XNNPACK on the processor, or the GPU.
        threads: Threads of the processor; the first gives `latency_ms`.
        runs: Fewest timed runs per number of threads.
    """

    adb: str | None = None
    serial: str | None = None
    program: Path | None = None
    runner: Path | None = None
    delegate: Delegate = "xnnpack"
    threads: tuple[int, ...] = (1, 2, 4)
    runs: int = 50
    warmup: int = 5

    def find_runner(self) -> Path | None:
        """The runner given, or that of `ARTEFACT_ID_ANDROID_RUNNER`."""
        named = os.environ.get(RUNNER_VARIABLE)
        return self.runner or (Path(named) if named else None)

    def find_program(self) -> Path | None:
        """The one given, that of `ARTEFACT_ID_BENCHMARK_MODEL`, or what LiteRT-CLI fetched."""
        named = os.environ.get(PROGRAM_VARIABLE)
        if self.program or named:
            return self.program or Path(named or "")
        fetched = LITERT_CLI_PROGRAM.expanduser()
        return fetched if fetched.is_file() else None


class PhoneReply(Record):
    """What was measured; the fields are those of a results row.

    Attributes:
        latency_ms: At the first number of threads; null where the tool could not be held to it.
        memory_bytes: Growth of the tool's largest resident memory.
        placement: Operations that the first delegate took; null where the log does not tell.
        cold_load_ms: From opening the file to the first answer, right after it was pushed.
    """

    latency_ms: Latency | None
    latency_more: tuple[Latency, ...]
    memory_bytes: Memory | None
    placement: Placement | None
    cold_load_ms: float | None
    device: Device
    note: str


def measure_on_phone(
    bundle: Bundle, variant: Variant, options: PhoneOptions | None = None
) -> PhoneReply:
    """Measures a variant on a phone; whatever was put there is removed, also after an error.

    Raises:
        InputError: The variant is no TFLite file, no phone can be chosen, or the program does not
            fit the phone.
        MissingDependencyError: adb or `benchmark_model` is missing.
        PhoneError: The phone, the cable or the tool failed in the middle.
    """
    options = options or PhoneOptions()
    check_format(variant, "tflite", "LiteRT")
    program = options.find_program()
    if program is None:
        raise MissingDependencyError(f"A phone's speed needs benchmark_model. {GET_PROGRAM}")
    phone = choose(find_adb(options.adb), options.serial)
    model = device_info(phone)
    check_program(program, model)
    before = thermal_state(phone)
    with device_folder(phone):
        phone.push_checked(bundle.path(variant), _GRAPH)
        phone.push_checked(program, _PROGRAM)
        phone.shell(f"chmod 755 {_PROGRAM}")
        measured = _measure(phone, options)
        after = thermal_state(phone)
    return _reply(measured, options, model, before, after)


@dataclass(frozen=True)
class _Measured:
    """What the calls printed: the first one, the profiled one, and times by number of threads."""

    steady: Log
    profiled: Log | None
    times: dict[int, tuple[float, ...]]


def _measure(phone: Phone, options: PhoneOptions) -> _Measured:
    threads = options.threads if options.delegate == "xnnpack" else options.threads[:1]
    steady = _call(phone, options, threads=threads[0], runs=options.runs)
    if steady.refused is not None:
        return _Measured(steady, None, {})
    profiled = _call(phone, options, threads=threads[0], runs=5, profile=True)
    honoured = not any(flag.startswith("--num_threads") for flag in steady.ignored)
    times = {count: _times(phone, options, count) for count in threads} if honoured else {}
    return _Measured(steady, profiled, times)


def _command(options: PhoneOptions, **settings: Any) -> str:
    return tool.command(
        _PROGRAM, _GRAPH, delegate=options.delegate, warmup=options.warmup, **settings
    )


def _call(
    phone: Phone, options: PhoneOptions, *, threads: int, runs: int, profile: bool = False
) -> Log:
    line = _command(options, threads=threads, runs=runs, profile=profile)
    reply = phone.shell(line, seconds=_SECONDS, check=False)
    log = tool.read_log(reply.text)
    if reply.code and log.refused is None:
        raise phone.failure(f"benchmark_model failed (exit code {reply.code})", reply.text)
    if log.timed is None and log.refused is None:
        raise phone.failure(
            "benchmark_model ended without its line of statistics (count=… avg=…), so there is "
            "nothing to report",
            reply.text,
        )
    return log


def _times(phone: Phone, options: PhoneOptions, threads: int) -> tuple[float, ...]:
    pairs = (options.runs + 1) // 2
    pair = _command(options, threads=threads, runs=2, warm_seconds=tool.PAIR_WARM_SECONDS)
    reply = phone.shell(tool.repeated(pair, pairs), seconds=_SECONDS)
    times = tool.single_times(tool.read_log(reply.text), pairs)
    if times is None:
        raise PhoneError(
            f"benchmark_model on {phone.serial} was called {pairs} times with two runs each and "
            "did not print as many lines of statistics. Measure again; if it stays so, the "
            "version of the tool is not one that is understood here."
        )
    return times


def _reply(
    measured: _Measured,
    options: PhoneOptions,
    model: DeviceInfo,
    before: ThermalState,
    after: ThermalState,
) -> PhoneReply:
    steady = measured.steady
    latencies = [_latency(times, threads) for threads, times in measured.times.items()]
    celsius = None
    if before.celsius is not None and after.celsius is not None:
        celsius = (before.celsius, after.celsius)
    memory = None
    if steady.memory_mb is not None:
        memory = Memory(value=round(steady.memory_mb * tool.MEGABYTE), metric=_METRIC)
    used, placement = delegate_used(steady, options.delegate, measured.profiled)
    return PhoneReply(
        latency_ms=latencies[0] if latencies else None,
        latency_more=tuple(latencies[1:]),
        memory_bytes=memory,
        placement=placement,
        cold_load_ms=steady.cold_ms,
        device=Device(
            model=model.name,
            android=model.android,
            delegate_asked=options.delegate,
            delegate_used=used,
            temperature_celsius=celsius,
        ),
        note=_note(measured, before, after),
    )


def _latency(times: tuple[float, ...], threads: int) -> Latency:
    p50, p90, p99 = (float(value) for value in np.quantile(times, [0.5, 0.9, 0.99]))
    return Latency(p50=p50, p90=p90, p99=p99, threads=threads, runs=len(times))


def _note(measured: _Measured, before: ThermalState, after: ThermalState) -> str:
    steady = measured.steady
    parts = []
    if measured.times:
        parts.append(
            "Quantiles are of single times, two from each of several processes, each warmed up, "
            "because benchmark_model prints no others."
        )
    if steady.timed is not None:
        parts.append(f"Its own statistics of {steady.timed.words}.")
    if steady.refused is not None:
        parts.append(f"The {steady.refused} delegate refused this file, so nothing was timed.")
    if measured.profiled is not None and measured.profiled.peak_mb is not None:
        parts.append(f"Peak memory of its process {measured.profiled.peak_mb:.1f} MB.")
    if steady.ignored:
        parts.append(f"It does not know, and ignored: {' '.join(steady.ignored)}.")
        if not measured.times:
            parts.append("Without the number of threads its times are not reported as latency.")
    if before.status is not None and after.status is not None:
        parts.append(f"Thermal status {before.status} before, {after.status} after.")
    return " ".join(parts)
