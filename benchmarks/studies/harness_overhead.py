r"""What the harness adds to the work of a bare loop over the same photos.

    python -m benchmarks.studies.harness_overhead BUNDLE --photos REGISTER \
        --table benchmarks/studies/harness_overhead.md

The bare loop is what a first script would be: open the file, and photo by photo decode, hand over,
invoke, fetch, take the best. The harness's way is `measure_answers`, which every benchmark goes
through, asked for the same variant alone; in place of the torch reference it gets the same answers
from a list, since the reference is more work asked for and not the harness's own. The exit code is
1 where the harness takes more than it may.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self

import numpy as np

from benchmarks.measure.host import CpuContention
from benchmarks.measure.parity import Candidate, measure_answers
from benchmarks.results.classification import Indices
from benchmarks.results.cluster_bootstrap import Estimate
from benchmarks.results.measurement import BenchmarkCase, TestPhoto
from benchmarks.runtimes import Pixels, Probabilities, runtimes
from benchmarks.runtimes.interface import Session
from benchmarks.studies.bundle_study import THREADS, BundleStudy, open_case
from benchmarks.studies.console import Terminal
from benchmarks.studies.study_statistics import spread
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.log_suppression import quiet
from mobile_assets.photos import load
from mobile_assets.schema import Record

VARIANT = "tflite-float32"
LARGEST_RATIO = 1.10
"""The harness may take so many times what the bare loop takes."""


class Seconds(Record):
    """What one way took for all photos: of the clock, and of all processors together."""

    wall: float
    cpu: float


class Round(Record):
    """One turn of each way."""

    bare: Seconds
    harness: Seconds


class HarnessOverheadStudy(BundleStudy):
    """Times of the bare loop and of the harness."""

    NAME: ClassVar[str] = "harness_overhead"

    variant: str
    rounds: tuple[Round, ...]

    def ratio(self, clock: str) -> Estimate:
        """Median of the rounds' ratios, with 10 % and 90 % of them."""
        return spread([getattr(r.harness, clock) / getattr(r.bare, clock) for r in self.rounds])

    def milliseconds(self, way: str, clock: str) -> float:
        """Median of the rounds, per photo."""
        seconds = [getattr(getattr(turn, way), clock) for turn in self.rounds]
        return float(1000 * np.median(seconds) / self.photos)

    @property
    def kept(self) -> bool:
        """Whether the harness takes no more of the clock than it may."""
        return (self.ratio("wall").value or 0.0) <= LARGEST_RATIO

    def values(self) -> Mapping[str, object]:
        """The limit."""
        return {"limit": LARGEST_RATIO}

    def check(self) -> None:
        """Checks the limit.

        Raises:
            CheckFailedError: The harness takes more than it may.
        """
        if not self.kept:
            raise CheckFailedError(
                f"The harness takes {self.ratio('wall').text('.2f')} times as long as a bare loop; "
                f"at most {LARGEST_RATIO:.2f} is wanted."
            )

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Adds the defaults to the options of all studies of a bundle."""
        super().add_options(parser)
        parser.set_defaults(count=200, rounds=15)

    @classmethod
    def measure(cls, arguments: argparse.Namespace) -> Self:
        """Lets both ways answer the same photos.

        Raises:
            InputError: There is no such bundle, variant, run or photo.
            DamagedError: The bundle, or one of the photos, is damaged.
        """
        bundle, run, photos = open_case(arguments)
        variant = bundle.info.variant(VARIANT)
        indices = np.linspace(0, len(photos) - 1, min(len(photos), arguments.count)).astype(int)
        case = BenchmarkCase(
            bundle, run, arguments.photos, tuple(photos[index] for index in indices)
        )
        contention = CpuContention()
        terminal = Terminal()
        rounds = measure_rounds(case, variant, arguments.rounds, terminal.step)
        return cls.measured_of(
            run,
            photos=len(indices),
            busy_share=contention.share(),
            variant=variant.name,
            rounds=rounds,
        )


class ReplaySession(Session):
    """A session that gives known answers in the order of the photos, at no cost."""

    def __init__(self, answers: Probabilities) -> None:
        """Keeps `[photos, objects]` answers."""
        self._answers, self._position = answers, 0

    def predict(self, batch: Pixels) -> Probabilities:
        """The next `len(batch)` answers."""
        start, self._position = self._position, self._position + len(batch)
        return self._answers[start : self._position]


def bare_loop(bundle: Bundle, variant: Variant, photos: Sequence[TestPhoto]) -> Probabilities:
    """What a first script would do with a TFLite file: `[photos, objects]` probabilities."""
    from ai_edge_litert.interpreter import Interpreter

    with quiet():
        interpreter = Interpreter(model_path=str(bundle.path(variant)), num_threads=THREADS)
        interpreter.allocate_tensors()
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers: list[Probabilities] = []
    for photo in photos:
        pixels = load(photo.path, bundle.info.preprocessing)
        interpreter.set_tensor(image["index"], pixels[None].astype(np.float32))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(output["index"])[0])
    return np.stack(answers)


def measure_rounds(
    case: BenchmarkCase, variant: Variant, rounds: int, progress: Callable[[str, int, int], None]
) -> list[Round]:
    """Lets both ways answer the case's photos, round by round, going first in turn.

    Raises:
        DamagedError: A photo cannot be decoded, or the two ways gave different answers.
    """
    photos = case.test_photos
    candidates = [Candidate(variant, runtimes("litert")[0])]
    expected = bare_loop(case.bundle, variant, photos)  # warms the files' cache, too

    def bare() -> Indices:
        return np.asarray(bare_loop(case.bundle, variant, photos).argmax(axis=1))

    def harness() -> Indices:
        replay = ReplaySession(expected)
        measured = measure_answers(case, photos, (), chosen=candidates, reference=replay)
        return measured.answers[candidates[0].subject].top

    ways = {"bare": bare, "harness": harness}
    made: list[Round] = []
    for number in range(rounds + 1):
        seconds: dict[str, Seconds] = {}
        for name in list(ways)[:: 1 if number % 2 else -1]:
            seconds[name], best = timed(ways[name])
            if not np.array_equal(best, expected.argmax(axis=1)):
                raise DamagedError(
                    "The harness and the bare loop gave different answers to the same photos, so "
                    "their times cannot be compared. Run `artefact-id verify` on the bundle."
                )
        if number:  # the first one warms up
            made.append(Round(**seconds))
        progress("rounds", number, rounds)
    return made


def timed(work: Callable[[], Indices]) -> tuple[Seconds, Indices]:
    """What a piece of work took, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Seconds(wall=round(wall, 4), cpu=round(cpu, 4)), result


if __name__ == "__main__":
    sys.exit(HarnessOverheadStudy.main())
