"""What is measured, and the answers that came of it: the material of results rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.results.classification import Answers, Indices
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from mobile_assets.bundle import Bundle
from train.run import Run
from train.temperature import Temperature

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Measurement:
    """All answers to one case's test photos.

    Attributes:
        unreadable: Those that could not, and those found unusable before.
        in_training: Photos left out because training or validation had them.
        answers: By subject; `REFERENCE` is the reference. Class indices are the run's.
        positions: By subject, `[n]` of the photos that its answers are to, in `photos`; all
            of them unless the runtime is slow.
        drift: By subject, `[n]` each photo's largest difference of any probability from the
            reference's, 0–1; infinite where a probability is not a finite number.
        temperatures: By subject, fitted on validation photos; without those it is not there.
        tempered: By subject, `[n]` the probability of the first answer at that temperature.
        refused: Why a runtime cannot execute a variant, where it holds what that does not know.
    """

    case: BenchmarkCase
    photos: tuple[TestPhoto, ...]
    unreadable: tuple[Skipped, ...]
    in_training: tuple[Skipped, ...]
    answers: Mapping[BenchmarkTarget, Answers]
    positions: Mapping[BenchmarkTarget, Indices]
    drift: Mapping[BenchmarkTarget, Floats]
    temperatures: Mapping[BenchmarkTarget, Temperature]
    tempered: Mapping[BenchmarkTarget, Floats]
    refused: Mapping[BenchmarkTarget, str] = field(default_factory=dict)

    @property
    def truth(self) -> Indices:
        """`[photos]` class indices of the right objects."""
        return object_indices(self.photos)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """`[photos]` whether the object has a training photo."""
        return np.array([photo.seen for photo in self.photos], dtype=np.bool_)

    def reference_of(self, subject: BenchmarkTarget) -> Answers:
        """The reference's answers to the photos that the subject was asked."""
        return self.answers[REFERENCE].select(self.positions[subject])


@dataclass(frozen=True)
class BenchmarkCase:
    """One bundle to measure.

    Attributes:
        run: The run that it was exported from: the full-precision reference.
        photos: Root of the register that the run was trained on, for pictures in the report.
        test_photos: What to measure on.
        skipped: Test photos already found unusable, so that they are counted and listed.
        cache: Folder of prepared photos; None for the user's cache folder.
    """

    bundle: Bundle
    run: Run
    photos: Path
    test_photos: tuple[TestPhoto, ...]
    skipped: tuple[Skipped, ...] = ()
    cache: Path | None = None


@dataclass(frozen=True)
class TestPhoto:
    """A photo to measure on, with its object's class index in the run's label map.

    `seen`: whether the object has a training photo; `sha256` is empty where not yet computed.
    """

    __test__ = False  # not a test class, whatever its name begins with

    path: Path
    object_index: int
    object_id: str
    collection: str
    seen: bool
    sha256: str = ""


def object_indices(photos: Iterable[TestPhoto]) -> Indices:
    """`[photos]` int64, class indices of the right objects."""
    return np.array([photo.object_index for photo in photos], dtype=np.int64)


@dataclass(frozen=True)
class Skipped:
    """A photo that cannot be measured on, and why."""

    path: str
    reason: str
