"""How many photos each runtime answers in a second, and how near its answers are to the network's.

    python -m benchmarks.studies.throughput BUNDLE --photos REGISTER --table benchmarks/studies/throughput.md

The harness asks every runtime about thousands of photos, so each must be quick enough to be asked.
All take turns, round by round, with the same decoded photos; a runtime that is asked only some
photos in a benchmark, since it is slow, is left out. These are rates of the harness on this
machine, and say nothing of a phone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.measure.cases import locate_run
from benchmarks.measure.cpu_contention import CpuContention
from benchmarks.measure.evaluation_set import decode_chunks, from_register
from benchmarks.measure.parity import runnable_candidates
from benchmarks.measure.preprocessing_sensitivity import sample_photos
from benchmarks.studies.console import Terminal
from benchmarks.results.classification import Indices
from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes import Pixels, Probabilities, Session
from benchmarks.runtimes.torch_runtime import open_reference
from benchmarks.studies.bundle_study import Trial, about, trial_parser
from benchmarks.studies.study_statistics import Asked
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import ArtefactError
from mobile_assets.files import write_text
from mobile_assets.schema import Record
from train.device import keep_freed_memory
from train.readers import read_register
from train.run import Run

SLOWEST = 20.0
"""Photos per second that the Core ML reference is asked for at least."""

FARTHEST = 1e-4
"""How far its float32 program may be from the network, in probability."""

TEXT = """\
# How quickly each runtime answers

The same {photos} photos of the register "{register}", decoded before, answered by each file of
one bundle ({backbone}, {objects} objects) with {threads} threads: {rounds} rounds in which every
runtime had its turn, after one that was not counted; in brackets 10 % to 90 % of the rounds. {busy}
Agreement and drift are against the network in torch. Regenerate with

    python -m benchmarks.studies.throughput BUNDLE --photos REGISTER --table benchmarks/studies/throughput.md

| variant | runtime | photos per second, median | same answer | largest drift |
| :--- | :--- | ---: | ---: | ---: |
{lines}
{asked}
Measured {created} on {host}. Versions: {versions}.
"""


class Rate(Record):
    """One variant on one runtime.

    Attributes:
        seconds: What all photos took, in each round.
        same: Photos with the network's first answer.
        drift: Largest difference of a probability from the network's, 0–1.
    """

    variant: str
    runtime: str
    unit: str
    seconds: tuple[float, ...]
    same: int
    drift: float


class Published(Trial):
    """The raw rows behind the page."""

    objects: int
    rates: tuple[Rate, ...]


def page(published: Published) -> str:
    """The Markdown page, from the raw rows alone."""
    return TEXT.format(
        **published.told(),
        objects=published.objects,
        rounds=len(published.rates[0].seconds),
        lines="".join(_line(rate, published.photos) for rate in published.rates),
        asked="".join(one.line() for one in asked(published)),
    )


def rate_of(rate: Rate, photos: int) -> Estimate:
    """Photos per second, with 10 % and 90 % of the rounds."""
    low, middle, high = np.quantile(photos / np.array(rate.seconds), [0.1, 0.5, 0.9])
    return Estimate(float(middle), (float(low), float(high)))


def _line(rate: Rate, photos: int) -> str:
    found = rate_of(rate, photos)
    assert found.bounds is not None  # rate_of() gives both
    low, high = found.bounds
    where = f"{rate.runtime} {rate.unit}".strip()
    return (
        f"| {rate.variant} | {where} | {found.value:.0f} [{low:.0f} to {high:.0f}] "
        f"| {rate.same} of {photos} | {rate.drift:.1e} |\n"
    )


def asked(published: Published) -> Iterator[Asked]:
    """What was asked of the Core ML reference beforehand, with what was measured."""
    for rate in published.rates:
        if rate.runtime != "coreml-reference":
            continue
        found = rate_of(rate, published.photos)
        yield Asked(f"{rate.variant} on {rate.runtime}: photos per second", SLOWEST, found, True)
        if rate.variant == "coreml-float32":
            what = f"{rate.variant} on {rate.runtime}: largest drift from torch"
            yield Asked(what, FARTHEST, Estimate(rate.drift))


def opened(bundle: Bundle, run: Run, stack: contextlib.ExitStack) -> dict[BenchmarkTarget, Session]:
    """The network and every file on every quick runtime that is here."""
    threads = os.cpu_count() or 1
    sessions: dict[BenchmarkTarget, Session] = {REFERENCE: stack.enter_context(open_reference(run))}
    for one in runnable_candidates(bundle):
        if one.runtime.limit is None:
            session = one.runtime.open(bundle, one.variant, threads)
            sessions[one.subject] = stack.enter_context(session)
    return sessions


def measure(
    sessions: dict[BenchmarkTarget, Session], pixels: Pixels, rounds: int, terminal: Terminal
) -> tuple[Rate, ...]:
    """Asks all in turn, once uncounted, then `rounds` times."""
    reference = sessions[REFERENCE].predict(pixels)
    first = {subject: session.predict(pixels) for subject, session in sessions.items()}
    seconds: dict[BenchmarkTarget, list[float]] = {subject: [] for subject in sessions}
    for turn in range(rounds):
        for subject, session in sessions.items():
            started = time.perf_counter()
            session.predict(pixels)
            seconds[subject].append(round(time.perf_counter() - started, 4))
        terminal.step("rounds", turn + 1, rounds)
    return tuple(
        Rate(
            **subject._asdict(),
            seconds=tuple(taken),
            same=int((_best(first[subject]) == _best(reference)).sum()),
            drift=float(np.abs(first[subject] - reference).max()),
        )
        for subject, taken in seconds.items()
    )


def _best(answers: Probabilities) -> Indices:
    return np.asarray(answers.argmax(axis=1), dtype=np.int64)


def run(arguments: argparse.Namespace) -> None:
    """Measures one bundle and writes the page."""
    keep_freed_memory()  # as every benchmark does
    bundle = read_bundle(arguments.bundle)
    found = locate_run(bundle, arguments.run)
    photos, _ = from_register(read_register(arguments.photos), found)
    chosen = sample_photos(photos, arguments.count, seed=0)
    chunks = decode_chunks(chosen, bundle.info.preprocessing, [])
    pixels = np.concatenate([part for _, part in chunks])
    with Terminal() as terminal, contextlib.ExitStack() as stack:
        other = CpuContention()
        rates = measure(opened(bundle, found, stack), pixels, arguments.rounds, terminal)
        busy = other.share()
    published = Published(
        **about(found, photos=len(pixels), busy=busy),
        objects=found.info.objects,
        rates=rates,
    )
    published.write(arguments.table.with_suffix(".json"))
    write_text(arguments.table, page(published))


def main(words: list[str] | None = None) -> int:
    """Runs the measurement from the command line."""
    try:
        run(trial_parser("rates", __doc__, count=64, rounds=7).parse_args(words))
    except ArtefactError as error:
        print(f"rates: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
