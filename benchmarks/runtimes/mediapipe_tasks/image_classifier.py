"""Asking MediaPipe's ImageClassifier, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.runtimes.interface import Pixels, Probabilities
from benchmarks.runtimes.mediapipe_tasks import setup
from mobile_assets.errors import DamagedError, MissingDependencyError

SHORTLIST = 5
"""What the classifier is asked for besides all categories: what an app shows."""

THRESHOLD = 0.1
"""And from what score on."""


@dataclass(frozen=True)
class Classification:
    """What MediaPipe made of one model file.

    Attributes:
        error: Why it could not be opened or executed, in MediaPipe's words; empty if it could.
        indices: `[images, categories]` int32, in the order of the answers.
        scores: `[images, categories]` float32, in the same order.
        shortlist: `[images, at most SHORTLIST]` int32, of a classifier asked for so many.
        above: Indices of each image, of a classifier asked for scores from `THRESHOLD`.
    """

    error: str
    names: dict[int, str]
    indices: NDArray[np.int32]
    scores: NDArray[np.float32]
    shortlist: NDArray[np.int32]
    above: tuple[tuple[int, ...], ...]

    def probabilities(self, objects: int) -> Probabilities:
        """`[images, objects]` float32 in class order; NaN where there was no answer."""
        values = np.full((len(self.indices), objects), np.nan, dtype=np.float32)
        for row, (indices, scores) in enumerate(zip(self.indices, self.scores, strict=True)):
            inside = (indices >= 0) & (indices < objects)
            values[row, indices[inside]] = scores[inside]
        return values


def classify(
    models: Sequence[Path], images: Iterable[Pixels], *, seconds: float = 600.0
) -> tuple[Classification, ...]:
    """Opens each model as an ImageClassifier and classifies every image with it.

    Args:
        images: RGB images, `[height, width, 3]` uint8, of any size.

    Raises:
        MissingDependencyError: MediaPipe's environment is not prepared.
        DamagedError: MediaPipe's process ended without an answer, or did not end.
    """
    lacking = setup.missing()
    if lacking is not None:
        raise MissingDependencyError(lacking)
    with tempfile.TemporaryDirectory(prefix="artefact-id-mediapipe.") as name:
        folder = Path(name)
        job, result = folder / "job.json", folder / "result.npz"
        job.write_text(json.dumps(_job(models, images, folder)), encoding="utf-8")
        _run((*setup.command(), str(job), str(result)), seconds)
        return _read(result, len(models))


def _job(models: Sequence[Path], images: Iterable[Pixels], folder: Path) -> dict[str, object]:
    paths = []
    # One at a time: photos of many megapixels need not all be in memory.
    for number, pixels in enumerate(images):
        paths.append(str(folder / f"{number}.npy"))
        np.save(paths[-1], pixels)
    return {
        "models": [str(path.absolute()) for path in models],
        "images": paths,
        "shortlist": SHORTLIST,
        "threshold": THRESHOLD,
    }


def _run(arguments: tuple[str, ...], seconds: float) -> None:
    remedy = f"Prepare its environment anew with: {setup.SETUP_COMMAND} --force"
    environment = os.environ | {"GLOG_minloglevel": "2", "MEDIAPIPE_DISABLE_GPU": "1"}
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, check=False, env=environment, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise DamagedError(
            f"MediaPipe did not answer within {seconds:g} s and was ended. "
            "Give fewer photos, or try again when the machine is less busy."
        ) from None
    except OSError as error:
        raise MissingDependencyError(f"MediaPipe cannot be started ({error}). {remedy}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise DamagedError(f"MediaPipe ended with exit status {done.returncode} ({last}). {remedy}")


def _read(result: Path, models: int) -> tuple[Classification, ...]:
    with np.load(result, allow_pickle=False) as arrays:
        report = json.loads(str(arrays["report"]))
        return tuple(
            _failed(report["models"][number]["error"])
            if report["models"][number]["error"]
            else Classification(
                error="",
                names={
                    int(index): text for index, text in json.loads(str(arrays[f"names{number}"]))
                },
                indices=arrays[f"indices{number}"],
                scores=arrays[f"scores{number}"],
                shortlist=arrays[f"shortlist{number}"],
                above=tuple(map(tuple, json.loads(str(arrays[f"above{number}"])))),
            )
            for number in range(models)
        )


def _failed(error: str) -> Classification:
    nothing = np.zeros((0, 0), dtype=np.int32)
    return Classification(error, {}, nothing, nothing.astype(np.float32), nothing, ())
