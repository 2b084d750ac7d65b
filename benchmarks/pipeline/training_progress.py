"""What a person who waits for a training sees: a bar, or a line now and then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.progress import Task, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from train.progress import TrainingProgress

LINE_SECONDS = 30.0
"""Where there is no terminal, as in the log of a build, one line in so many seconds."""

STAGES = {
    "features": "computing features",
    "head": "training the head",
    "all": "training all weights",
}


class TimeLeftColumn(TimeRemainingColumn):
    """The time left that the work itself estimates, else the bar's own."""

    def render(self, task: Task) -> Text:
        """The cell of one bar."""
        time_left = task.fields.get("left")
        return (
            super().render(task)
            if time_left is None
            else Text(time_left, style="progress.remaining")
        )


class ProgressLines:
    """Says where a training stands, at intervals; the first line comes after one interval."""

    def __init__(self, say: Callable[[str], None], *, every: float = LINE_SECONDS) -> None:
        """Says nothing yet.

        Args:
            say: Prints one line.
            every: Seconds from line to line.
        """
        self._say = say
        self._every = every
        self._next = time.monotonic() + every

    def tell(self, what: str, moment: TrainingProgress) -> None:
        """Prints a line if it is time for one."""
        if time.monotonic() >= self._next:
            share = moment.done / moment.total if moment.total else 1.0
            parts = [f"{what}: {share:.0%}", progress_note(moment), time_left(moment)]
            self._say(", ".join(part for part in parts if part))
            self._next = time.monotonic() + self._every


def progress_note(moment: TrainingProgress) -> str:
    """Epoch, photos a second and validation, as far as they are known."""
    parts = [f"epoch {moment.epoch}/{moment.epochs}"] if moment.epochs else []
    if not math.isnan(moment.photos_per_second):
        parts.append(f"{moment.photos_per_second:,.0f} photos/s")
    if not math.isnan(moment.val_top1):
        parts.append(f"validation {moment.val_top1:.1%}")
    return ", ".join(parts)


def time_left(moment: TrainingProgress) -> str:
    """Time left of all stages, rounded to what such an estimate is worth."""
    seconds = moment.seconds_left
    if math.isnan(seconds):
        return ""
    if seconds < 90:
        return f"{max(1, round(seconds))} s left"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min left"
    return f"{seconds / 3600:.1f} h left"
