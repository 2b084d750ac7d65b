"""The curves of a training for TensorBoard, beside `history.csv`."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from train.run import EpochRecord

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

LOGS_FOLDER = "logs"
_CURVES = ("train_loss", "val_loss", "val_top1", "rate", "photos_per_second")


class EventLog:
    """One event file, written epoch by epoch; its steps are the epochs of a stage.

    A training that goes on writes the file anew from its history, so no step stands there twice and
    none of epochs that were lost. What is in the folder is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: EventsWriter | None = None

    def begin(self, history: Sequence[EpochRecord]) -> None:
        """Starts the file with what was done before."""
        from tensorboardX.event_file_writer import EventsWriter

        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._writer = EventsWriter(str(self._folder / "events"))
        moment = time.time() - sum(record.seconds for record in history)
        for record in history:
            moment += record.seconds
            self._write(record, moment)
        self._writer.flush()

    def write(self, record: EpochRecord) -> None:
        """Adds one epoch."""
        if self._writer is None:
            self.begin([])
        if self._writer is not None:
            self._write(record, time.time())
            self._writer.flush()

    def _write(self, record: EpochRecord, moment: float) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        assert self._writer is not None
        for name in _CURVES:
            value = getattr(record, name)
            if not math.isnan(value):
                summary = scalar(f"{record.stage}/{name}", value)
                event = Event(wall_time=moment, step=record.epoch, summary=summary)
                self._writer.write_event(event)

    def move(self, run: Path) -> None:
        """Ends the file and copies it into a run."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            shutil.copytree(self._folder, run / LOGS_FOLDER)
