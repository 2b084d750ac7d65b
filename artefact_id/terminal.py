"""What a person sees while a command works: bars in a terminal, else a line now and then.

All of it goes to standard error, so that standard output can be piped.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from benchmarks.results.console import cell, messages, output, print_json
from mobile_assets.visible_text import visible

if TYPE_CHECKING:
    from benchmarks.pipeline.callbacks import Callbacks
    from train.progress import TrainingProgress

LINE_SECONDS = 30.0
"""Where there is no terminal, as in the log of a build, nobody waits longer for a line."""

BAR_WIDTH = 12
"""In characters."""

STAGES = {
    "teacher": "asking the teacher",
    "features": "computing features",
    "head": "training the head",
    "all": "training all weights",
    "closed form": "fitting the head",
}
"""Stages of a training."""


__all__ = ["Terminal", "cell", "duration", "messages", "output", "print_json"]


class TimeLeftColumn(TimeRemainingColumn):
    """The time left that the work itself estimates, else the bar's own."""

    def render(self, task: Task) -> Text:
        """The cell of one bar."""
        left = task.fields.get("left")
        return super().render(task) if left is None else Text(left, style="progress.remaining")


@dataclass
class _Work:
    """Something that is being done, and its bar if there is a terminal."""

    done: int
    total: int
    note: str = ""
    left: str | None = None
    began: float = field(default_factory=time.monotonic)
    bar: TaskID | None = None
    announced: bool = False


class Terminal:
    """Draws progress; a context manager that leaves the terminal clean."""

    def __init__(self, *, every: float = LINE_SECONDS) -> None:
        """Draws nothing yet.

        Args:
            every: Without a terminal, the most seconds from line to line.
        """
        self._console = messages()
        self._bars: Progress | None = None
        self._work: dict[str, _Work] = {}
        self._overall: tuple[float, float, float] | None = None
        self._every = every
        self._spoke = time.monotonic()
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._speaker = threading.Thread(target=self._speak_now_and_then, daemon=True)

    def __enter__(self) -> Self:
        """Without a terminal, a thread speaks when nothing else does."""
        if not self._console.is_terminal:
            self._speaker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the bars and ends the thread."""
        self._stop.set()
        self.clear()

    def clear(self) -> None:
        """Removes the bars, so that results can be printed."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None
            self._work.clear()
            self._overall = None

    @property
    def callbacks(self) -> Callbacks:
        """What a long job calls."""
        from benchmarks.pipeline.callbacks import Callbacks

        return Callbacks(self.say, self.progress, self.training, self.overall)

    def say(self, text: str) -> None:
        """Prints one line; `NAME: …` ends the work that is shown as `NAME: …`."""
        with self._lock:
            name, colon, _ = text.partition(": ")
            for what in [what for what in self._work if colon and what.startswith(name + colon)]:
                self._end(what)
            self._print(text)

    def progress(self, what: str, done: int, total: int) -> None:
        """Moves the bar named `what`; a bar appears at its first call."""
        self._move(what, done, total)

    def training(self, name: str, moment: TrainingProgress) -> None:
        """Moves the bar of a stage of a training."""
        what = f"{name}: {STAGES[moment.stage]}" if name else STAGES[moment.stage]
        self._move(
            what, moment.done, moment.total, training_note(moment), duration(moment.seconds_left)
        )

    def overall(self, share: float, seconds_left: float) -> None:
        """Says how far the whole job is.

        Args:
            share: That is done, 0 to 1.
            seconds_left: NaN if unknown.
        """
        with self._lock:
            self._overall = (share, seconds_left, time.monotonic())
            if self._console.is_terminal:
                self._move("all of it", round(100 * share), 100, "", self._time_left())

    def _move(
        self, what: str, done: int, total: int, note: str = "", left: str | None = None
    ) -> None:
        with self._lock:
            work = self._work.setdefault(what, _Work(done, total))
            work.done, work.total, work.note, work.left = done, total, note, left
            if self._console.is_terminal:
                self._draw(what, work)
            if done >= total and not work.announced:
                work.announced = True
                self._print(f"{what}: {total:,} in {time.monotonic() - work.began:.0f} s")

    def _print(self, line: str) -> None:
        console = self._console if self._bars is None else self._bars.console
        console.print(visible(line), markup=False, soft_wrap=True)
        self._spoke = time.monotonic()

    def _end(self, what: str) -> None:
        """Takes work away that is done, or that nothing is heard of any more."""
        work = self._work[what]
        if not work.announced:
            del self._work[what]
        if self._bars is not None and work.bar is not None:
            self._bars.remove_task(work.bar)
            work.bar = None

    def _draw(self, what: str, work: _Work) -> None:
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(BAR_WIDTH),
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TimeElapsedColumn(table_column=Column(no_wrap=True)),
                TimeLeftColumn(table_column=Column(no_wrap=True)),
                # What there is no room for in a narrow terminal is cut here and nowhere else.
                TextColumn(
                    "{task.fields[note]}",
                    table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
                ),
                console=self._console,
                expand=True,
            )
            self._bars.start()
        if work.bar is None:
            work.bar = self._bars.add_task(cell(what), total=work.total, note="", left=None)
        self._bars.update(
            work.bar,
            completed=work.done,
            total=work.total,
            visible=work.done < work.total,
            note=work.note,
            left=work.left,
        )

    def _speak_now_and_then(self) -> None:
        while not self._stop.wait(min(1.0, self._every / 4)):
            with self._lock:
                if time.monotonic() - self._spoke >= self._every and (line := self._line()):
                    self._print(line)

    def _line(self) -> str:
        """Everything that is under way, and the time left of the whole."""
        parts = []
        for what, work in self._work.items():
            if work.done < work.total:
                share = f"{what}: {work.done / work.total:.0%}"
                parts.append(", ".join(filter(None, (share, work.note, work.left))))
        if self._overall is not None:
            left = self._time_left()
            parts.append(", ".join(filter(None, (f"all of it: {self._overall[0]:.0%}", left))))
        return "; ".join(parts)

    def _time_left(self) -> str:
        if self._overall is None:
            return ""
        _, left, at = self._overall
        return duration(left - (time.monotonic() - at))


def training_note(moment: TrainingProgress) -> str:
    """Epoch, photos a second and validation, as far as they are known."""
    parts = [f"epoch {moment.epoch}/{moment.epochs}"] if moment.epochs else []
    if not math.isnan(moment.photos_per_second):
        parts.append(f"{moment.photos_per_second:,.0f} photos/s")
    if not math.isnan(moment.val_top1):
        parts.append(f"validation {moment.val_top1:.1%}")
    return ", ".join(parts)


def duration(seconds_left: float) -> str:
    """A time that is left, rounded to what such an estimate is worth; empty if unknown."""
    if math.isnan(seconds_left):
        return ""
    if seconds_left < 90:
        return f"{max(1, round(seconds_left))} s left"
    if seconds_left < 90 * 60:
        return f"{round(seconds_left / 60)} min left"
    return f"{seconds_left / 3600:.1f} h left"
