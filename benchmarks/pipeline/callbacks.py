"""What a long job calls while it works: plain functions, so that the library needs no terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from train.progress import TrainingProgress
from train.training_plan import Reporter

Say = Callable[[str], None]
"""Called with a line for the person who waits."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and their number."""

Training = Callable[[str, TrainingProgress], None]
"""Called with the name of a run, empty where there is only one, and how far its training is."""


def _ignore(*_: object) -> None:
    """Stands in where nobody listens."""


@dataclass(frozen=True)
class Callbacks:
    """The functions that a job of several parts calls; each may be left out.

    Attributes:
        progress: Called with what is being done, the steps done and their number.
        training: Called with a run's name and how far its training is.
        overall: Called with the share of the whole job that is done, 0 to 1, and the seconds that
            are left, NaN if unknown.
    """

    say: Say = _ignore
    progress: Progress = _ignore
    training: Training = _ignore
    overall: Callable[[float, float], None] = _ignore

    def steps(self, what: str) -> Callable[[int, int], None]:
        """A function of (steps done, their number) that reports the progress of `what`."""

        def call(done: int, total: int) -> None:
            self.progress(what, done, total)

        return call

    def reporter(self, name: str = "") -> Reporter:
        """What `train_run` reports to."""
        prefix = f"{name}: " if name else ""

        def moment(progress: TrainingProgress) -> None:
            self.training(name, progress)

        def say(text: str) -> None:
            self.say(f"{prefix}{text}")

        return Reporter(prepared=self.steps(f"{prefix}preparing photos"), progress=moment, said=say)
