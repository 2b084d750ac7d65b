"""How far a training is, and how long it may still take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

TRAINED = 3
"""Work of a photo that is trained on, in passes through the backbone: forward and twice back."""


@dataclass(frozen=True)
class TrainingProgress:
    """One moment of a training.

    Attributes:
        stage: `teacher`, `features`, `head`, `all` or `closed form`.
        epoch: The epoch under way; 0 where the stage has none.
        done: Photos of the stage that are done.
        photos_per_second: In this stage, since training began or went on; NaN before the first.
        val_top1: Of the last epoch; NaN if there is none.
        seconds_left: Of all stages together; NaN as long as nothing tells.
    """

    stage: str
    epoch: int
    epochs: int
    done: int
    total: int
    photos_per_second: float
    val_top1: float
    seconds_left: float


OnProgress = Callable[[TrainingProgress], None]


@dataclass
class _Stage:
    """Work of one stage; `pace` is seconds for one unit, NaN before it is measured."""

    photos: float
    work: float
    done: float = 0.0
    photos_done: float = 0.0
    measured: float = 0.0
    photos_measured: float = 0.0
    seconds: float = 0.0

    @property
    def pace(self) -> float:
        return self.seconds / self.measured if self.measured else math.nan


class StageTimer:
    """Measures each stage's pace, and from it what is left of all.

    Work is counted in passes of a photo through the backbone, so that the pace of the features
    tells beforehand what training all weights will take. The head's own work is of another kind: it
    is unknown, and left out, until its stage has begun.
    """

    def __init__(
        self,
        *,
        train: int,
        val: int,
        views: int,
        head_epochs: int,
        epochs: int,
        validations: int | None = None,
        start_views: int = 0,
        closed_form: int = 0,
        taught: int = 0,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Plans the work.

        Args:
            validations: How many epochs of all weights are validated; None for all.
            start_views: Versions of each photo that a first head in closed form is fitted to.
            closed_form: Photos that a head in closed form is fitted to, each version counted.
            taught: Photos that a teacher looks at.
        """
        validated = val * (epochs if validations is None else validations)
        features = views * train + val if head_epochs else start_views * train
        self._stages = {
            "teacher": _Stage(taught, taught),
            "features": _Stage(features, features),
            "head": _Stage(head_epochs * train, head_epochs * train),
            "all": _Stage(epochs * train, epochs * TRAINED * train + validated),
            "closed form": _Stage(closed_form, closed_form),
        }
        self._now = now
        self._at = now()

    def work(self, stage: str, photos: int, *, trained: bool) -> None:
        """Counts photos that were just trained on, or only looked at, and the time since before."""
        now = self._now()
        current = self._stages[stage]
        amount = photos * (TRAINED if trained and stage == "all" else 1)
        current.done += amount
        current.measured += amount
        current.seconds += now - self._at
        if trained or stage in ("teacher", "features", "closed form"):
            current.photos_done += photos
            current.photos_measured += photos
        self._at = now

    def skip(self, stage: str, photos: float = math.inf) -> None:
        """Counts photos as done that were done before, or will not be; all of the stage if inf."""
        current = self._stages[stage]
        left = current.photos - current.photos_done
        share = min(photos, left) / current.photos if current.photos else 0.0
        current.done = current.work if photos >= left else current.done + share * current.work
        current.photos_done += min(photos, left)
        self._at = self._now()

    @property
    def seconds_left(self) -> float:
        """Of all stages; NaN as long as nothing tells."""
        features, whole = self._stages["features"], self._stages["all"]
        total = 0.0
        for stage in self._stages.values():
            left = max(0.0, stage.work - stage.done)
            pace = stage.pace
            if math.isnan(pace) and stage in (whole, self._stages["closed form"]):
                pace = features.pace
            if left and math.isnan(pace):
                if stage is whole or stage is features:
                    return math.nan
                continue
            total += left * pace if left else 0.0
        return total

    def moment(self, stage: str, epoch: int, epochs: int, val_top1: float) -> TrainingProgress:
        """Where training stands."""
        current = self._stages[stage]
        return TrainingProgress(
            stage=stage,
            epoch=epoch,
            epochs=epochs,
            done=round(current.photos_done),
            total=round(current.photos),
            photos_per_second=current.photos_measured / current.seconds
            if current.seconds
            else math.nan,
            val_top1=val_top1,
            seconds_left=self.seconds_left,
        )
