"""How much of a job of several stages is done, and how long the rest may take."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from benchmarks.pipeline.callbacks import Callbacks
from train.progress import TrainingProgress

TRAINING_SHARES = {
    "teacher": (0.0, 0.0),
    "features": (0.0, 0.2),
    "head": (0.2, 0.1),
    "all": (0.3, 0.7),
    "closed form": (1.0, 0.0),
}
"""Where each stage of a training begins, and what share of it that stage is."""

_EXPORT = re.compile(r"(\w+): (?:Exporting (\S+)\.|(Making golden vectors)\.|(Wrote|exported) .*)")


class TimeEstimate:
    """Shares a job's time out among its stages, several of which may run at once.

    What a stage takes is known beforehand on one machine only. Here it takes as many times longer
    as the stages that are done took, so that the time left is soon this machine's.
    """

    def __init__(
        self, expected: Mapping[str, float], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`expected` are the seconds of processor time that each stage took elsewhere."""
        self._expected = dict(expected)
        self._done = dict.fromkeys(expected, 0.0)
        self._now = now
        self._start = now()

    def update(self, stage: str, share: float) -> None:
        """A stage is done to a share of 0 to 1; one that is not expected takes no time."""
        if stage in self._done:
            self._done[stage] = max(self._done[stage], min(1.0, share))

    @property
    def share(self) -> float:
        """Of the whole job that is done, 0 to 1."""
        total = sum(self._expected.values())
        return self._seconds_done() / total if total else 1.0

    @property
    def seconds_left(self) -> float:
        """Of the whole job; NaN as long as nothing is done."""
        if not self.share:
            return math.nan
        return (1 - self.share) / self.share * (self._now() - self._start)

    def _seconds_done(self) -> float:
        return sum(self._expected[stage] * share for stage, share in self._done.items())


def estimated(callbacks: Callbacks, expected: Mapping[str, float]) -> Callbacks:
    """Callbacks that also tell how far the whole job is.

    Args:
        callbacks: What is called.
        expected: Seconds of each stage. A stage is named like what `progress` reports; a training
            `NAME: training`, and what is exported `NAME: VARIANT`.
    """
    estimate = TimeEstimate(expected)
    exporting: dict[str, str] = {}

    def update(stage: str, share: float) -> None:
        estimate.update(stage, share)
        callbacks.overall(estimate.share, estimate.seconds_left)

    def progress(what: str, done: int, total: int) -> None:
        callbacks.progress(what, done, total)
        update(what, done / total if total else 1.0)

    def training(name: str, moment: TrainingProgress) -> None:
        callbacks.training(name, moment)
        begin, share = TRAINING_SHARES[moment.stage]
        update(f"{name}: training", begin + share * moment.done / max(1, moment.total))

    def say(text: str) -> None:
        callbacks.say(text)
        if match := _EXPORT.fullmatch(text):
            name = match[1]
            update(f"{name}: training", 1.0)
            update(f"{name}: {exporting.get(name)}", 1.0)
            exporting[name] = match[2] or match[3] or ""
            if match[4]:
                for stage in expected:
                    if stage.startswith(f"{name}: "):
                        update(stage, 1.0)

    return replace(callbacks, say=say, progress=progress, training=training)
