"""LiteRT's `benchmark_model`: its command line, and reading what it prints.

Two programs go by that name, and both are understood:

* the classic one, `tflite/tools/benchmark` in LiteRT's source (before: `tensorflow/lite/tools/
  benchmark`), which runs the interpreter;
* the one that LiteRT-CLI fetches, `litert/tools/benchmark_litert_model` in LiteRT's source, which
  runs the compiled model interface. It is built on the first one's base class.

What is read, and where it is printed:

* `count=50 first=… curr=… min=… max=… avg=… std=… p5=… median=… p95=…`, microseconds, once for
  the warm-up and once for the timed runs: `BenchmarkModel::Run` in `tflite/tools/benchmark/
  benchmark_model.cc`, by `OutputToStream` of `tensorflow/core/util/stats_calculator.h` (or its
  later place); `curr` alone and `(all same)` where all runs took as long; the three quantiles
  since 2023 only;
* `Initialized session in 17.2ms.` and `Unconsumed cmdline flags: …`: the same file;
* `Memory footprint delta from the start of the tool (MB): init=… overall=…`: the same file;
  `Overall footprint: … MB` in `litert/tools/benchmark_litert_model.h`. Both are the difference of
  `ru_maxrss` (`tflite/profiling/memory_info.cc`);
* `Replacing 64 out of 66 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1
  partitions …`: `tflite/core/subgraph.cc`; on Android printed to standard error
  (`tflite/minimal_logging_android.cc`);
* `Explicitly applied GPU delegate, and the model graph will be completely executed …`, `… partially
  executed by the delegate w/ 3 delegate kernels.`, `Though GPU delegate is explicitly applied, the
  model graph will not be executed …`, `Failed to apply GPU delegate.`:
  `tflite/tools/benchmark/benchmark_tflite_model.cc`;
* the table `Summary by node type` under `Operator-wise Profiling Info`: `stats_calculator.cc`.

The tool prints no 90 % and no 99 % quantile, and has no option that writes single times. A call
with two timed runs gives both exactly, as its smallest and its largest: so many such calls are
`repeated`, each warmed up, that the quantiles can be taken from single times.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

Delegate = Literal["xnnpack", "gpu"]
DELEGATES: tuple[Delegate, ...] = ("xnnpack", "gpu")

MEGABYTE = 1024 * 1024
PAIR_WARM_SECONDS = 0.2
_MOST_SECONDS = 60

_STATISTICS = re.compile(r"^(?:INFO: )?count=(\d+)\b(.*)$", re.MULTILINE)
_VALUE = re.compile(r"\b(first|curr|min|max|avg|std|p5|median|p95)=([0-9.]+(?:e[+-]?\d+)?)")
_READY = re.compile(r"Initialized session in ([0-9.]+(?:e[+-]?\d+)?)ms")
_MEMORY = (
    re.compile(r"[Mm]emory footprint(?: delta from the start of the tool)? \(MB\):.*overall=(\S+)"),
    re.compile(r"Overall footprint:\s+([0-9.]+) MB"),
)
_PEAK = (
    re.compile(r"Overall peak memory footprint \(MB\) via periodic monitoring: (\S+)"),
    re.compile(r"Peak memory:\s+([0-9.]+) MB"),
)
_IGNORED = re.compile(r"Unconsumed cmdline flags:\s*(.*\S)")
_REPLACED = re.compile(
    r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(([^)]*)\) node, yielding (\d+) part"
)
_UNDONE = "Restored original execution plan after delegate application failure"
_NO_GPU = "Created 0 GPU delegate kernels"
_REFUSED = re.compile(r"Failed to apply (\S+) delegate")
_BY_TYPE = re.compile(
    r"Operator-wise Profiling Info.*?Summary by node type =+\n(.*?)(?:\n\s*\n|\Z)", re.DOTALL
)
_TYPE = re.compile(r"^\s*([A-Z][A-Z0-9_]*)\s+(\d+)\s+[0-9.]+\s+[0-9.]+%", re.MULTILINE)


@dataclass(frozen=True)
class Statistics:
    """One line of statistics, in milliseconds; quantiles are None where the tool gives none."""

    runs: int
    first: float
    least: float
    most: float
    mean: float
    p5: float | None
    median: float | None
    p95: float | None

    @property
    def words(self) -> str:
        """For a note."""
        parts = [f"mean {self.mean:.2f}", f"smallest {self.least:.2f}", f"largest {self.most:.2f}"]
        for name, value in (("median", self.median), ("5 %", self.p5), ("95 %", self.p95)):
            if value is not None:
                parts.append(f"{name} {value:.2f}")
        return f"{self.runs} runs in one process: {', '.join(parts)} ms"


@dataclass(frozen=True)
class DelegatedOperations:
    """Operations that a delegate took, as the runtime logs when it is applied."""

    delegate: str
    taken: int
    total: int
    partitions: int


@dataclass(frozen=True)
class Log:
    """What one call printed.

    Attributes:
        statistics: Every line of statistics in order: warm-up, timed, warm-up, timed, …
        memory_mb: What the largest resident memory grew by; of 1024 * 1024 bytes.
        ignored: Options that the tool does not know, and went on without.
        taken: What delegates took, in the order in which they were applied.
        left: Operations that the interpreter executed itself, by kind; only with profiling.
    """

    statistics: tuple[Statistics, ...]
    ready_ms: float | None
    memory_mb: float | None
    peak_mb: float | None
    ignored: tuple[str, ...]
    taken: tuple[DelegatedOperations, ...]
    refused: str | None
    left: dict[str, int]

    @property
    def timed(self) -> Statistics | None:
        """The timed runs of a single call; None if the tool did not get so far."""
        return self.statistics[1] if len(self.statistics) == 2 else None

    @property
    def cold_ms(self) -> float | None:
        """From opening the file to the first answer, of the (first) call."""
        if self.ready_ms is None or not self.statistics:
            return None
        return self.ready_ms + self.statistics[0].first


def command(
    program: str,
    graph: str,
    *,
    delegate: Delegate,
    threads: int,
    warmup: int,
    runs: int,
    warm_seconds: float = 0.5,
    profile: bool = False,
) -> str:
    """The command line of one call.

    XNNPACK is not asked for: the interpreter applies it by itself, as it does in an app, and says
    so; `--use_xnnpack` would make the tool apply it in another place, and the one tool knows the
    option where the other does not.
    """
    arguments = [
        program,
        f"--graph={graph}",
        f"--num_threads={threads}",
        f"--warmup_runs={warmup}",
        f"--warmup_min_secs={warm_seconds:g}",
        f"--num_runs={runs}",
        "--min_secs=0",
        f"--max_secs={_MOST_SECONDS}",
    ]
    if delegate == "gpu":
        arguments.append("--use_gpu=true")
    if profile:
        arguments += ["--enable_op_profiling=true", "--report_peak_memory_footprint=true"]
    return " ".join(shlex.quote(word) for word in arguments)


def repeated(call: str, times: int) -> str:
    """The command line of so many calls in a row, that stops at the first fault."""
    return f"n=0; while [ $n -lt {times} ]; do {call} || exit $?; n=$((n+1)); done"


def read_log(text: str) -> Log:
    """Reads what one call, or several in a row, printed."""
    ready = _READY.search(text)
    refused = _REFUSED.search(text)
    ignored = [flag for line in _IGNORED.findall(text) for flag in line.split()]
    return Log(
        statistics=tuple(_statistics(match) for match in _STATISTICS.finditer(text)),
        ready_ms=float(ready[1]) if ready else None,
        memory_mb=_first(_MEMORY, text),
        peak_mb=_first(_PEAK, text),
        ignored=tuple(dict.fromkeys(ignored)),
        taken=_taken(text),
        refused=refused[1] if refused else None,
        left=_left(text),
    )


def single_times(log: Log, pairs: int) -> tuple[float, ...] | None:
    """The single times of `pairs` calls with two runs each, in milliseconds.

    Returns:
        None if the output is not that of so many calls.
    """
    timed = log.statistics[1::2]
    if len(log.statistics) != 2 * pairs or any(line.runs != 2 for line in timed):
        return None
    return tuple(value for line in timed for value in (line.least, line.most))


def delegate_name(logged: str) -> str:
    """A delegate's name for people: XNNPACK, GPU, or as it is logged."""
    small = logged.lower()
    if "xnnpack" in small:
        return "XNNPACK"
    # The compiled model interface logs the GPU's programming interface: LITERT_CL, LITERT_GL, …
    if "gpu" in small or re.fullmatch(r"litert_(cl|gl|vulkan)", small):
        return "GPU"
    return logged


def _statistics(match: re.Match[str]) -> Statistics:
    values = {name: float(value) / 1000.0 for name, value in _VALUE.findall(match[2])}
    current = values.get("curr", 0.0)  # all that is said where all runs took as long
    return Statistics(
        runs=int(match[1]),
        first=values.get("first", current),
        least=values.get("min", current),
        most=values.get("max", current),
        mean=values.get("avg", current),
        p5=values.get("p5"),
        median=values.get("median"),
        p95=values.get("p95"),
    )


def _first(patterns: tuple[re.Pattern[str], ...], text: str) -> float | None:
    for pattern in patterns:
        match = pattern.search(text)
        if match is not None:
            return float(match[1])
    return None


def _taken(text: str) -> tuple[DelegatedOperations, ...]:
    applied: list[DelegatedOperations] = []
    for line in text.splitlines():
        match = _REPLACED.search(line)
        if match is not None:
            applied.append(
                DelegatedOperations(
                    delegate_name(match[3]), int(match[1]), int(match[2]), int(match[4])
                )
            )
        # A delegate is logged before it tries; these lines say that it failed.
        elif _UNDONE in line:
            applied.clear()
        elif _NO_GPU in line:
            applied = [piece for piece in applied if piece.delegate != "GPU"]
    return tuple(applied)


def _left(text: str) -> dict[str, int]:
    """The interpreter's own operations; a delegate's have names such as `Convolution (NHWC …`."""
    table = _BY_TYPE.search(text)
    return {} if table is None else {kind: int(n) for kind, n in sorted(_TYPE.findall(table[1]))}
