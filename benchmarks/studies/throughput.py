r"""How many photos each runtime answers in a second, and how near its answers are to the network's.

    python -m benchmarks.studies.throughput BUNDLE --photos REGISTER \
        --table benchmarks/studies/throughput.md

The harness asks every runtime about thousands of photos, so each must be quick enough to be asked.
All take turns, round by round, with the same decoded photos; a runtime that is asked only some
photos in a benchmark, since it is slow, is left out. These are rates of the harness on this
machine, and say nothing of a phone.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import ClassVar, Self

import numpy as np

from benchmarks.measure.evaluation_set import decode_chunks, sample_photos
from benchmarks.measure.host import CpuContention
from benchmarks.measure.parity import runnable_candidates
from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes import Pixels, Session
from benchmarks.runtimes.torch_runtime import open_reference
from benchmarks.studies.bundle_study import THREADS, BundleStudy, open_case
from benchmarks.studies.console import Terminal
from benchmarks.studies.study_statistics import Target, spread
from mobile_assets.bundle import Bundle
from mobile_assets.schema import Record
from train.device import keep_freed_memory
from train.run import Run

SLOWEST = 20.0
"""Target: photos per second of the Core ML reference at least."""

LARGEST_DRIFT = 1e-4
"""Target: how far its float32 program may be from the network, in probability."""


class Rate(Record):
    """One variant on one runtime.

    Attributes:
        drift: Largest difference of a probability from the network's, 0–1.
    """

    variant: str
    runtime: str
    unit: str
    seconds: tuple[float, ...]
    same: int
    drift: float


class ThroughputStudy(BundleStudy):
    """Rates of every quick runtime."""

    NAME: ClassVar[str] = "throughput"

    objects: int
    rates: tuple[Rate, ...]

    def per_second(self, rate: Rate) -> Estimate:
        """Photos per second, with 10 % and 90 % of the rounds."""
        return spread(self.photos / np.array(rate.seconds))

    def targets(self) -> list[Target]:
        """Those of the Core ML reference."""
        targets: list[Target] = []
        for rate in self.rates:
            if rate.runtime != "coreml-reference":
                continue
            where = f"{rate.variant} on {rate.runtime}"
            per_second = self.per_second(rate)
            targets.append(Target(f"{where}: photos per second", SLOWEST, per_second, True))
            if rate.variant == "coreml-float32":
                drift = Estimate(rate.drift)
                targets.append(Target(f"{where}: largest drift from torch", LARGEST_DRIFT, drift))
        return targets

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the defaults to the options of all studies of a bundle."""
        super().add_options(parser)
        parser.set_defaults(count=64, rounds=7)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Measures one bundle."""
        keep_freed_memory()  # as every benchmark does
        bundle, run, photos = open_case(arguments)
        chosen = sample_photos(photos, arguments.count, seed=0)
        chunks = decode_chunks(chosen, bundle.info.preprocessing, [])
        pixels = np.concatenate([part for _, part in chunks])
        terminal = Terminal()
        with contextlib.ExitStack() as stack:
            contention = CpuContention()
            sessions = open_sessions(bundle, run, stack)
            rates = measure_rates(sessions, pixels, arguments.rounds, terminal)
            busy = contention.share()
        return cls.measured_of(
            run, photos=len(pixels), busy_share=busy, objects=run.info.objects, rates=rates
        )


def open_sessions(
    bundle: Bundle, run: Run, stack: contextlib.ExitStack
) -> dict[BenchmarkTarget, Session]:
    """The network and every file on every quick runtime that is here."""
    sessions: dict[BenchmarkTarget, Session] = {REFERENCE: stack.enter_context(open_reference(run))}
    for candidate in runnable_candidates(bundle):
        if candidate.runtime.limit is None:
            session = candidate.runtime.open(bundle, candidate.variant, THREADS)
            sessions[candidate.subject] = stack.enter_context(session)
    return sessions


def measure_rates(
    sessions: dict[BenchmarkTarget, Session], pixels: Pixels, rounds: int, terminal: Terminal
) -> list[Rate]:
    """Asks all in turn, once uncounted, then `rounds` times."""
    reference = sessions[REFERENCE].predict(pixels)
    first = {target: session.predict(pixels) for target, session in sessions.items()}
    seconds: dict[BenchmarkTarget, list[float]] = {target: [] for target in sessions}
    for turn in range(rounds):
        for target, session in sessions.items():
            started = time.perf_counter()
            session.predict(pixels)
            seconds[target].append(round(time.perf_counter() - started, 4))
        terminal.step("rounds", turn + 1, rounds)
    return [
        Rate(
            **target._asdict(),
            seconds=tuple(seconds[target]),
            same=int((answers.argmax(axis=1) == reference.argmax(axis=1)).sum()),
            drift=float(np.abs(answers - reference).max()),
        )
        for target, answers in first.items()
    ]


if __name__ == "__main__":
    sys.exit(ThroughputStudy.main())
