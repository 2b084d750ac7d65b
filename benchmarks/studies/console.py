"""Where a study's program says how far it is: lines on standard error."""

from __future__ import annotations

import sys
import time

from benchmarks.pipeline.callbacks import Callbacks
from mobile_assets.visible_text import visible
from train.progress import TrainingProgress

LINE_SECONDS = 30.0
"""From line to line about the same work."""


class Terminal:
    """Says how far work is."""

    def __init__(self) -> None:
        self._spoke: dict[str, float] = {}
        self.callbacks = Callbacks(self.say, self.step, self._training)

    def say(self, text: str) -> None:
        """Prints one line."""
        print(visible(text), file=sys.stderr, flush=True)

    def step(self, what: str, done: int, total: int) -> None:
        """Prints how far some work is, now and then and at its end."""
        now = time.monotonic()
        if done >= total or now - self._spoke.setdefault(what, now) >= LINE_SECONDS:
            self._spoke[what] = now
            self.say(f"{what}: {done:,} of {total:,}")

    def _training(self, name: str, moment: TrainingProgress) -> None:
        self.step(f"{name}: {moment.stage}", moment.done, moment.total)
