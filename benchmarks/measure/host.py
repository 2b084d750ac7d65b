"""The machine that something was measured on, and command lines without its paths."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path


def describe_host() -> dict[str, str]:
    """The machine, without its name: system, processor, number of CPUs, memory."""
    import psutil

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
