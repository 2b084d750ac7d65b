"""Starting probes in fresh processes, alone or taking turns, and reading their replies."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from benchmarks.measure.probe import READY, LatencyReply, ProbeRequest, StartReply
from benchmarks.results.target import BenchmarkTarget
from mobile_assets.errors import DamagedError

PROBE_SECONDS = 600
"""A probe that takes longer is given up."""


class Probe:
    """One process that measures; a context manager that ends it."""

    def __init__(self, request: ProbeRequest) -> None:
        """Starts the process and hands it the request."""
        self._what = str(BenchmarkTarget(request.variant, request.runtime, request.unit))
        # A file, since a full pipe that nobody reads would stop the process.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.measure.probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_environment(request),
        )
        self._late = False
        self._watch = threading.Timer(PROBE_SECONDS, self._give_up)
        self._watch.daemon = True
        self._watch.start()
        self._request = request

    def __enter__(self) -> Self:
        """The probe, at work."""
        self._say(self._request.model_dump_json())
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process, whatever it is doing."""
        self._watch.cancel()
        self._process.kill()
        # What is still in the pipe's buffer has no reader any more.
        with contextlib.suppress(OSError):
            self._process.communicate()
        self._errors.close()

    def line(self) -> str:
        """The next line that the process writes, without its end.

        Raises:
            DamagedError: It ended or was given up instead; the message holds the last line of
                what it wrote on standard error.
        """
        assert self._process.stdout is not None  # it was asked for
        text = self._process.stdout.readline()
        if not text:
            raise self._failure()
        return text.rstrip("\n")

    def turn(self) -> float:
        """Milliseconds of one run of a process that takes turns; raises as `line`."""
        self._say("go")
        return float(self.line())

    def _say(self, text: str) -> None:
        assert self._process.stdin is not None  # it was asked for
        try:
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()

    def _failure(self) -> DamagedError:
        self._process.wait()
        if self._late:
            return DamagedError(
                f"Measuring the speed of {self._what} took over {PROBE_SECONDS} s and was "
                "stopped. Ask for fewer runs, or leave speed out."
            )
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or ["no message"])[-1]
        return DamagedError(
            f"Measuring the speed of {self._what} failed ({last}). "
            "Run `artefact-id verify` on the bundle, or leave speed out."
        )


Reply = TypeVar("Reply", StartReply, LatencyReply)


def run_probe(kind: type[Reply], request: ProbeRequest) -> Reply:
    """Runs a probe in a fresh process; the request's kind must be that of the reply.

    Raises:
        DamagedError: The process failed or took too long.
    """
    with Probe(request) as probe:
        return kind.model_validate_json(probe.line())


def run_interleaved(
    requests: Mapping[BenchmarkTarget, ProbeRequest], rounds: int
) -> dict[BenchmarkTarget, tuple[float, ...]]:
    """Milliseconds of subjects, each once per round and one at a time.

    Every subject has a process of its own, which waits while it is another's turn. A slow moment
    of the machine so falls on all alike.

    Raises:
        DamagedError: A process failed.
    """
    times: dict[BenchmarkTarget, list[float]] = {subject: [] for subject in requests}
    with contextlib.ExitStack() as stack:
        probes: list[tuple[BenchmarkTarget, Probe]] = []
        for subject, request in requests.items():
            probes.append((subject, stack.enter_context(Probe(request))))
            ready = probes[-1][1].line()
            assert ready == READY, ready
        for order in islice(balanced_orders(len(probes)), rounds):
            for subject, probe in (probes[turn] for turn in order):
                times[subject].append(probe.turn())
    return {subject: tuple(values) for subject, values in times.items()}


def balanced_orders(count: int) -> Iterator[tuple[int, ...]]:
    """Orders of `count` subjects, round after round, without end.

    Within every `2 * count` rounds each subject stands equally often at every place, and equally
    often right behind every other (Williams' design), so that neither the place nor what the one
    before leaves in the caches favours anybody. Of two: A B, B A, B A, A B.
    """
    zigzag = [(step + 1) // 2 if step % 2 else -(step // 2) for step in range(count)]
    rows = [tuple((position + turn) % count for position in zigzag) for turn in range(count)]
    while True:
        yield from rows
        yield from (row[::-1] for row in rows)


def _environment(request: ProbeRequest) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    # Threads that wait for work by running in circles would take the others' turns.
    polite = {"OMP_WAIT_POLICY": "passive"} if request.kind == "turns" else {}
    return {**os.environ, **polite, "PYTHONPATH": path}
