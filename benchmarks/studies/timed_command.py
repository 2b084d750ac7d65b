"""What a command of the toolkit takes: time and memory of a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mobile_assets.errors import DamagedError
from mobile_assets.schema import Document
from train.versions import created_now

MIB_OF_MAXRSS = 1024 if sys.platform != "darwin" else 1024**2
"""How many units of the system's largest resident memory are a mebibyte."""


class TimedCommand(Document):
    """What a command took; stands beside what it made."""

    finished: str
    seconds: float
    peak_mib: float


def run_timed(words: Sequence[str], mark: Path) -> None:
    """Runs a command of the toolkit and writes down what it took.

    Raises:
        DamagedError: The command failed; its own message went to standard error.
    """
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-P", "-m", "artefact_id", *words], stdout=2)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise DamagedError(f"artefact-id {' '.join(words)} failed: see the message above.")
    TimedCommand(
        finished=created_now(),
        seconds=round(time.perf_counter() - started, 1),
        peak_mib=round(usage.ru_maxrss / MIB_OF_MAXRSS, 1),
    ).write(mark)
