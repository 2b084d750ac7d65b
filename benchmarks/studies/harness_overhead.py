"""What the harness adds to the work of a bare loop over the same photos.

    python -m benchmarks.studies.harness_overhead BUNDLE --photos REGISTER --table benchmarks/studies/harness_overhead.md

The bare loop is what a first script would be: open the file, and photo by photo decode, hand over,
invoke, fetch, take the best. The harness's way is `measure_answers`, which every benchmark goes
through, asked for the same variant alone; in place of the torch reference it gets the same answers
from a list, since the reference is more work asked for and not the harness's own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from benchmarks.measure.cases import locate_run
from benchmarks.measure.cpu_contention import CpuContention
from benchmarks.measure.evaluation_set import from_register
from benchmarks.measure.parity import Candidate, measure_answers
from benchmarks.pipeline.terminal import Terminal
from benchmarks.results.classification import Indices
from benchmarks.results.measurement import BenchmarkCase, TestPhoto
from benchmarks.results.row_fields import Placement
from benchmarks.runtimes import Pixels, Probabilities, runtimes
from benchmarks.studies.bundle_study import Trial, about, trial_parser
from mobile_assets.bundle import Bundle, Variant, read_bundle
from mobile_assets.errors import ArtefactError, DamagedError, InputError
from mobile_assets.files import write_text
from mobile_assets.log_suppression import quiet
from mobile_assets.photos import load
from mobile_assets.schema import Record
from train.readers import read_register

MOST = 1.10
"""The harness may take so many times what the bare loop takes."""

TEXT = """\
# What the harness costs

The same {photos} photos of the register "{register}" answered by {variant} ({backbone}) on LiteRT
with {threads} threads, by a bare loop (open, decode, set, invoke, get, best answer; one photo after
the other) and by the harness (`measure_answers`: the same, and ranks, probabilities, drift and
bookkeeping; without the torch reference). {rounds} rounds in one process, the two ways taking turns
and going first in turn. {busy}

| | bare loop | harness | ratio, median [10 % to 90 % of rounds] |
| :--- | ---: | ---: | ---: |
| time, ms per photo | {bare_wall} | {ours_wall} | {wall} |
| processor time, ms per photo | {bare_cpu} | {ours_cpu} | {cpu} |

At most {most:.2f} times the bare loop's time is asked: **{verdict}**. The harness decodes on all
processors and asks the model about many photos at a stretch, so it can be quicker than the bare
loop; processor time leaves out what is gained by working side by side. Regenerate with

    python -m benchmarks.studies.harness_overhead BUNDLE --photos REGISTER --table benchmarks/studies/harness_overhead.md

Measured {created} on {host}. Versions: {versions}.
"""


class Taken(Record):
    """Seconds that one way took for all photos: of the clock, and of all processors together."""

    wall: float
    cpu: float


class Round(Record):
    """One turn of each way."""

    bare: Taken
    harness: Taken


class Published(Trial):
    """The raw rows behind the page."""

    variant: str
    rounds: tuple[Round, ...]

    def ratios(self, what: str) -> tuple[float, float, float]:
        """The 10 % quantile, the median and the 90 % quantile of the rounds' ratios.

        Args:
            what: `wall` or `cpu`.
        """
        found = [getattr(one.harness, what) / getattr(one.bare, what) for one in self.rounds]
        low, middle, high = (float(value) for value in np.quantile(found, [0.1, 0.5, 0.9]))
        return low, middle, high

    @property
    def kept(self) -> bool:
        """Whether the harness takes no more of the clock than it may."""
        return self.ratios("wall")[1] <= MOST


class Replay:
    """A session that gives known answers in the order of the photos, at no cost."""

    def __init__(self, answers: Probabilities) -> None:
        """Keeps `[photos, objects]` answers."""
        self._answers, self._given = answers, 0

    def predict(self, batch: Pixels) -> Probabilities:
        """The next `len(batch)` answers."""
        start, self._given = self._given, self._given + len(batch)
        return self._answers[start : self._given]

    def placement(self) -> Placement | None:
        """None: nothing is executed."""
        return None

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def bare_loop(
    bundle: Bundle, variant: Variant, photos: Sequence[TestPhoto], threads: int
) -> tuple[list[int], list[Probabilities]]:
    """What a first script would do; the best class of each photo, and all probabilities.

    Raises:
        InputError: The variant is not one with float inputs and outputs.
    """
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_path=str(bundle.path(variant)), num_threads=threads)
        interpreter.allocate_tensors()
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if output["dtype"] is not np.float32 or image["dtype"] not in (np.float32, np.uint8):
        raise InputError(f"{variant.name} has integer outputs. Give another with --variant.")
    best: list[int] = []
    every: list[Probabilities] = []
    for photo in photos:
        pixels = load(photo.path, bundle.info.preprocessing)
        interpreter.set_tensor(image["index"], pixels[None].astype(image["dtype"]))
        interpreter.invoke()
        probabilities = interpreter.get_tensor(output["index"])[0]
        best.append(int(probabilities.argmax()))
        every.append(probabilities)
    return best, every


def measure(
    case: BenchmarkCase,
    variant: Variant,
    rounds: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Round, ...]:
    """Lets both ways answer the case's photos, round by round.

    Raises:
        DamagedError: A photo cannot be decoded, or the two ways gave different answers.
    """
    threads = os.cpu_count() or 1  # what the harness takes
    photos = case.test_photos
    chosen = [Candidate(variant, runtimes("litert")[0])]
    best, every = bare_loop(case.bundle, variant, photos, threads)  # warms the files' cache, too
    answers = np.stack(every)

    def bare() -> Indices:
        return np.array(bare_loop(case.bundle, variant, photos, threads)[0])

    def harness() -> Indices:
        found = measure_answers(case, photos, (), chosen=chosen, reference=Replay(answers))
        return found.answers[chosen[0].subject].top

    made: list[Round] = []
    for number in range(rounds + 1):
        ways = {"bare": bare, "harness": harness}
        taken: dict[str, Taken] = {}
        for name in list(ways)[:: 1 if number % 2 else -1]:
            taken[name], found = clocked(ways[name])
            if not np.array_equal(found, best):
                raise DamagedError(
                    "The harness and the bare loop gave different answers to the same photos, so "
                    "their times cannot be compared. Run `artefact-id verify` on the bundle."
                )
        if number:  # the first one warms up
            made.append(Round(**taken))
        if progress is not None:
            progress("rounds", number, rounds)
    return tuple(made)


def clocked(work: Callable[[], Indices]) -> tuple[Taken, Indices]:
    """What a piece of work took, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Taken(wall=round(wall, 4), cpu=round(cpu, 4)), found


def page(published: Published) -> str:
    """The Markdown page, from the raw rows alone."""
    cells = {}
    for what in ("wall", "cpu"):
        low, middle, high = published.ratios(what)
        cells[what] = f"{middle:.3f} [{low:.3f} to {high:.3f}]"
        for short, way in (("bare", "bare"), ("ours", "harness")):
            seconds = np.median([getattr(getattr(one, way), what) for one in published.rounds])
            cells[f"{short}_{what}"] = f"{1000 * seconds / published.photos:.2f}"
    return TEXT.format(
        **cells,
        **published.told(),
        variant=published.variant,
        rounds=len(published.rounds),
        most=MOST,
        verdict="kept" if published.kept else "not kept",
    )


def run(arguments: argparse.Namespace) -> Published:
    """Measures and writes the page.

    Raises:
        InputError: There is no such bundle, variant, run or photo.
        DamagedError: The bundle, or one of the photos, is damaged.
    """
    bundle = read_bundle(arguments.bundle)
    variant = bundle.info.variant(arguments.variant)
    if variant.format != "tflite":
        raise InputError(f"{variant.name} is not a TFLite file. Give another with --variant.")
    found = locate_run(bundle, arguments.run)
    # Time does not ask whether a photo was trained on, so any of the register's will do.
    photos, _ = from_register(read_register(arguments.photos), found)
    places = np.linspace(0, len(photos) - 1, min(len(photos), arguments.count)).astype(int)
    case = BenchmarkCase(bundle, found, arguments.photos, tuple(photos[p] for p in places))
    others = CpuContention()
    with Terminal() as terminal:
        rounds = measure(case, variant, arguments.rounds, terminal.step)
    published = Published(
        **about(found, photos=len(case.test_photos), busy=others.share()),
        variant=variant.name,
        rounds=rounds,
    )
    published.write(arguments.table.with_suffix(".json"))
    write_text(arguments.table, page(published))
    return published


def main(words: list[str] | None = None) -> int:
    """Runs the measurement from the command line; 1 if the harness takes more than it may."""
    parser = trial_parser("overhead", __doc__, count=200, rounds=15)
    parser.add_argument("--variant", default="tflite-float32", help="default: tflite-float32")
    try:
        return 0 if run(parser.parse_args(words)).kept else 1
    except ArtefactError as error:
        print(f"overhead: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
