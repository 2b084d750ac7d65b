"""How much of the machine other work took while something was measured."""

from __future__ import annotations

import os
import time

import psutil

SHORTEST_SECONDS = 0.2
"""Processor time is counted in hundredths of a second; over less, the share would be rounding."""


class CpuContention:
    """Adds up what other processes do from its making on.

    Time that the machine's host took for other machines counts as other work too.
    """

    def __init__(self) -> None:
        """Begins to count."""
        self._busy, self._own, self._start = (
            busy_seconds(),
            time.process_time(),
            time.perf_counter(),
        )

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
