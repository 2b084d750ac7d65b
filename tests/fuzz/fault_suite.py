"""Faults on purpose, one for each seed: what the harness must notice."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from suite import Command, Finding, Outcome

FAULTS = (
    "none", "traceback", "undocumented exit code", "hang", "crash", "memory", "memory of a child",
    "accepted",
)  # fmt: skip
WANTED = ("", "traceback", "traceback", "hang", "traceback", "memory", "memory", "accepted")
SIZE = 700_000_000
"""Bytes that are taken; `python -c` takes little else."""


class FaultSuite:
    """Commits `FAULTS[seed]`."""

    name = "faults"
    batch = len(FAULTS)

    def open(self, materials: Path, command: Command) -> None:
        """Nothing is needed."""

    def run(self, seeds: Sequence[int], folder: Path, command: Command) -> list[Finding]:
        """All faults of a batch, one after the other, until one ends the process."""
        del command
        findings = []
        for seed in seeds:
            (folder / f"{seed}.txt").write_text(FAULTS[seed])
            findings += self._commit(FAULTS[seed])
        return findings

    def _commit(self, fault: str) -> list[Finding]:
        if fault == "traceback":
            return Outcome(None, "", "Traceback (most recent call last):\n").findings
        if fault == "undocumented exit code":
            return Outcome(3, "", "").findings
        if fault == "hang":
            time.sleep(600)
        if fault == "crash":
            os.abort()
        if fault == "memory":
            bytearray(SIZE)[::4096] = bytes(len(range(0, SIZE, 4096)))
        if fault == "memory of a child":
            subprocess.run([sys.executable, "-c", f"b'x' * {SIZE}"], check=True)
        return [Finding("accepted", "")] if fault == "accepted" else []
