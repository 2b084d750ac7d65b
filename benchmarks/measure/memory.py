"""How much memory a fresh process takes: its runtime and its model apart.

What a reading is, and what it is not:

- Resident memory counts every page that is in memory, also pages of libraries and of the model's
  file, which the system can drop and read again, and which processes share.
- Private memory counts what this process alone holds and no file backs. A phone cannot take it
  back while the app runs, so it is what gets an app killed. Elsewhere than on Linux it is the
  system's unique set size, which also counts unchanged pages of files that nobody else has open.
- numpy, Pillow, pydantic and this package are loaded before the first reading and stand in no
  difference; what the runtime imports beside itself counts as the runtime's.
- Code of the runtime that only the first answer pages in counts as the model's resident memory,
  not as its private memory.
- Freed memory is handed back to the system before every reading at rest, where the C library can;
  otherwise what the import left over would be filled by the model and hide it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.results.row_fields import Memory, MemoryUse

_PROC = Path("/proc/self")

PEAK_METRIC = "peak resident memory of a fresh process, less the same before the model was opened"

_LINUX = (
    "resident: Rss, private: Private_Dirty of /proc/self/smaps_rollup, after a garbage collection "
    "and malloc_trim; peak: VmHWM of the whole process"
)
_ELSEWHERE = (
    "resident: resident set, private: unique set as psutil tells them, after a garbage "
    "collection; peak: the system's maximum of the whole process"
)


class MemoryReading(NamedTuple):
    """One look at this process, in bytes; `private` is None where the system does not tell."""

    resident: int
    private: int | None


class MemoryWatch:
    """Follows one process from its start over the import of a runtime to a model at rest."""

    def __init__(self) -> None:
        """Takes the first reading: before the runtime."""
        self._start = settled_memory()
        self._imported = self._start
        self._peak_before: int | None = None
        self._peak_of_start: int | None = None

    def runtime_imported(self) -> None:
        """Takes the second reading: the runtime is imported, no model is open."""
        self._imported = settled_memory()
        self._peak_of_start = _peak()
        # Lets the peak begin anew at the present size, where the system can.
        with contextlib.suppress(OSError):
            (_PROC / "clear_refs").write_text("5", encoding="ascii")
        self._peak_before = _peak()

    def added_peak(self) -> Memory | None:
        """By how much the peak rose since the runtime was imported; None if the system is silent.

        Where the system cannot forget a peak, an import that took more for a moment hides a part.
        """
        after = _peak()
        if self._peak_before is None or after is None:
            return None
        return Memory(value=max(0, after - self._peak_before), metric=PEAK_METRIC)

    def use(self) -> MemoryUse:
        """Takes the last reading: the model is open and has answered."""
        peaks = [self._peak_of_start or 0, _peak() or 0]
        now = settled_memory()
        private = None
        if now.private is not None and self._imported.private is not None:
            private = max(0, now.private - self._imported.private)
        return MemoryUse(
            runtime_resident=max(0, self._imported.resident - self._start.resident),
            model_resident=max(0, now.resident - self._imported.resident),
            model_private=private,
            peak_resident=max(*peaks, now.resident),
            metric=_LINUX if _on_linux() else _ELSEWHERE,
        )


def settled_memory() -> MemoryReading:
    """Collects garbage, hands freed memory back to the system, and looks."""
    gc.collect()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
    if not _on_linux():
        full = psutil.Process().memory_full_info()
        return MemoryReading(int(full.rss), int(full.uss))
    # The rolled-up map is exact; the counters in `status` lag behind by some pages per thread.
    fields = dict.fromkeys(("Rss:", "Private_Dirty:"), 0)
    for line in (_PROC / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        name, amount = line.split()[:2]
        if name in fields:
            fields[name] = int(amount) * 1024
    return MemoryReading(fields["Rss:"], fields["Private_Dirty:"])


def _on_linux() -> bool:
    return (_PROC / "smaps_rollup").is_file()


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
        return int(getattr(psutil.Process().memory_info(), "peak_wset", 0)) or None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
