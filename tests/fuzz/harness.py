"""Runs a suite's cases in worker processes that may hang, crash and eat memory; counts findings."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from suite import FINDING_KINDS, Finding
from suites import suite_named

HANG_SECONDS = 30.0
"""No command on so little may take longer."""

MOST_MEMORY = 1_500_000_000
"""Bytes of resident memory that no process may exceed."""

KILLED_AT = 4 * MOST_MEMORY
"""Bytes at which a process is ended, before the machine has none left."""


@dataclass
class Report:
    """What came of the cases.

    Attributes:
        suite: Which.
        cases: How many were run.
        counts: Findings by kind.
        findings: Each with its seed.
    """

    suite: str
    cases: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, Finding]] = field(default_factory=list)

    def __str__(self) -> str:
        """One line of counts, then each finding."""
        counts = ", ".join(f"{self.counts[kind]} {kind}" for kind in FINDING_KINDS)
        lines = [f"{self.suite}: {self.cases} cases, {counts}"]
        lines += [
            f"  seed {seed}, {finding.kind}: {finding.text.strip()[-600:]}"
            for seed, finding in self.findings
        ]
        return "\n".join(lines)


class Worker:
    """One process; started again after it has died or was killed."""

    def __init__(self, suite: str, materials: Path) -> None:
        """Starts nothing yet."""
        self._words = [sys.executable, str(Path(__file__).parent / "worker.py"), suite]
        self._words.append(str(materials))
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._children_before = 0

    def run(self, seeds: list[int], folder: Path, *, real: bool) -> list[Finding]:
        """Runs cases in one folder; whatever ends the process is a finding as well."""
        process = self._running()
        assert process.stdin is not None
        request = {"seeds": seeds, "folder": str(folder), "real": real}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = self._answer(process)
        if isinstance(answer, Finding):
            return [answer]
        if "broken" in answer:
            raise RuntimeError(f"suite {self._words[2]}, seeds {seeds}:\n{answer['broken']}")
        findings = [Finding(**finding) for finding in answer["findings"]]
        if answer["memory"] > MOST_MEMORY:
            findings.append(Finding("memory", f"{answer['memory'] / 1e9:.1f} GB"))
            self.close()  # what it still holds would count for the next case
        elif answer["child_memory"] > max(MOST_MEMORY, self._children_before):
            findings.append(Finding("memory", f"{answer['child_memory'] / 1e9:.1f} GB in a child"))
        self._children_before = answer["child_memory"]
        return findings

    def close(self) -> None:
        """Ends the process and its children."""
        process, self._process = self._process, None
        if process is None:
            return
        for child in _family(process.pid):
            with contextlib.suppress(psutil.Error):
                child.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if "FUZZ_STDERR" not in os.environ else None,
                text=True,
            )
            self._lines = queue.SimpleQueue()
            threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
            self._children_before = 0
            answer = self._answer(self._process, seconds=300)
            if isinstance(answer, Finding):
                raise RuntimeError(f"the worker did not start: {answer.text}")
        return self._process

    def _answer(
        self, process: subprocess.Popen[str], seconds: float | None = None
    ) -> dict[str, Any] | Finding:
        """The next line that is an answer; a finding where none comes."""
        seconds = HANG_SECONDS if seconds is None else seconds
        began, command, next_sample = time.monotonic(), "", 0.0
        while True:
            try:
                line = self._lines.get(timeout=0.05)
            except queue.Empty:
                line = None
            if line == "":
                code = process.wait()
                self.close()
                return Finding("traceback", f"exit status {code} during {command}")
            if line is not None:
                answer: dict[str, Any] = json.loads(line)
                if "command" not in answer:
                    return answer
                began, command = time.monotonic(), " ".join(answer["command"])
            if time.monotonic() - began > seconds:
                self.close()
                return Finding("hang", f"over {seconds:.0f} s: {command}")
            if time.monotonic() > next_sample:
                next_sample = time.monotonic() + 0.5
                most = max((_resident(member) for member in _family(process.pid)), default=0)
                if most > KILLED_AT:
                    self.close()
                    return Finding("memory", f"killed at {most / 1e9:.1f} GB during {command}")


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def batches(first: int, cases: int | None, size: int) -> Iterator[list[int]]:
    """Seeds from `first` on, `size` together; without end if `cases` is None."""
    seed, end = first, None if cases is None else first + cases
    while end is None or seed < end:
        last = seed + size if end is None else min(seed + size, end)
        yield list(range(seed, last))
        seed = last


def fuzz(
    suite: str,
    materials: Path,
    *,
    cases: int | None,
    first: int = 0,
    save: Path | None = None,
    real_every: int = 50,
    progress: Any = None,
) -> Report:
    """Runs cases one batch after the other; a batch with a finding is run again, case by case.

    Args:
        suite: Name of a suite.
        materials: Folder that `materials.write_materials` filled.
        cases: How many; None for no end.
        first: The first seed.
        save: Where inputs with findings are kept, each in a folder of its own.
        real_every: One batch of so many runs the real command line.
        progress: Called with the report after each batch.
    """
    report, worker = Report(suite), Worker(suite, materials)
    scratch = Path(tempfile.mkdtemp(prefix="artefact-id-fuzz-"))
    try:
        for number, seeds in enumerate(batches(first, cases, suite_named(suite).batch)):
            real = number % real_every == real_every - 1
            found = worker.run(seeds, scratch / "case", real=real)
            blamed = [(seeds[0], finding) for finding in found]
            if found and len(seeds) > 1:
                single = [
                    (seed, finding)
                    for seed in seeds
                    for finding in worker.run([seed], scratch / f"case-{seed}", real=real)
                ]
                blamed = single or blamed
            for seed, finding in blamed:
                report.counts[finding.kind] += 1
                report.findings.append((seed, finding))
                if save is not None:
                    _keep(scratch, seed, save / f"{suite}-{seed}", finding)
            report.cases += len(seeds)
            for folder in scratch.glob("case-*"):
                shutil.rmtree(folder, ignore_errors=True)
            if progress is not None:
                progress(report)
    finally:
        worker.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return report


def _keep(scratch: Path, seed: int, folder: Path, finding: Finding) -> None:
    single = scratch / f"case-{seed}"
    source = single if single.exists() else scratch / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "finding.txt").write_text(f"{finding.kind}\n{finding.text}\n", encoding="utf-8")
    # By tar, which follows no link and opens no pipe.
    subprocess.run(
        ["tar", "-cSzf", str(folder / "inputs.tar.gz"), "-C", str(source), "."], check=False
    )
