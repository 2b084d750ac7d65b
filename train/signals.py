"""Ctrl-C and SIGTERM during a training: first the state is saved, then it ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing import parent_process
from types import FrameType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_WISH = 3.0
"""Seconds within which a launcher passes the same Ctrl-C on to processes that have had it."""


class TrainingInterrupted(KeyboardInterrupt):
    """The training was interrupted; the message says what is kept and how to go on."""


class InterruptHandler:
    """Remembers a first Ctrl-C or SIGTERM for the next good moment; a second one ends at once.

    A context manager; outside of it, and in any thread but the main one, signals do what they
    always do.

    Attributes:
        asked: Whether somebody has asked for an end.
    """

    def __init__(self) -> None:
        self.asked = False
        self._at = 0.0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Does as little as a handler may; frame and number do not matter."""
        del number, frame
        now = time.monotonic()
        if not self.asked:
            self.asked, self._at = True, now
        elif not (_launched() and now - self._at < _ONE_WISH):
            raise KeyboardInterrupt


def end_with_parent() -> None:
    """Ends this process, which `multiprocessing` started, as soon as its parent has ended."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _launched() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
