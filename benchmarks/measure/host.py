"""The machine that something was measured on, and what else it was doing."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import psutil


def describe_host() -> dict[str, str]:
    """The machine, without its name: system, processor, number of CPUs, memory."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": str(os.cpu_count() or 1),
        "memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def command_line() -> str:
    """The command that this process was started with; of absolute paths only the last part."""
    words = (Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])
    return " ".join([Path(sys.argv[0]).name, *words])


SHORTEST_SECONDS = 0.2
"""Processor time is counted in hundredths of a second; over less, the share would be rounding."""


class CpuContention:
    """Adds up what other processes do from its making on.

    Time that the machine's host took for other machines counts as other work too.
    """

    def __init__(self) -> None:
        """Begins to count."""
        self._busy, self._own = busy_seconds(), time.process_time()
        self._start = time.perf_counter()

    def share(self) -> float | None:
        """Share of all processors that other processes took since, 0–1; None if too short."""
        seconds = time.perf_counter() - self._start
        if seconds < SHORTEST_SECONDS:
            return None
        own = time.process_time() - self._own
        others = busy_seconds() - self._busy - own
        return min(1.0, max(0.0, others / (seconds * (os.cpu_count() or 1))))


def busy_seconds() -> float:
    """Seconds that the machine's processors worked for anybody since it was started."""
    # Of guests on this machine the time is in `user` and `nice` already.
    idle = {"idle", "iowait", "guest", "guest_nice"}
    times = psutil.cpu_times()._asdict()
    return float(sum(value for name, value in times.items() if name not in idle))
