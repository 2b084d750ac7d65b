"""What an export is given to execute its variants with, for golden vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.runtimes import Pixels, runtimes
from export.golden.photos import GoldenPlan, Predictions
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import InputError

_RUNTIMES = {"tflite": "litert", "coreml": "coreml-reference"}
"""Those that are on every machine, so that an export gives the same golden vectors everywhere."""


def predict(bundle: Bundle, variant: Variant, tensors: Pixels) -> Predictions | str:
    """Answers with a variant, or says why it cannot be executed.

    Args:
        bundle: The bundle, its models on disk.
        variant: One of its variants.
        tensors: `[N, H, W, 3]` uint8.
    """
    runtime = runtimes(_RUNTIMES[variant.format])[0]
    missing = runtime.missing()
    if missing is not None:
        return missing
    try:
        with runtime.open(bundle, variant) as session:
            return Predictions(runtime.name, session.predict(tensors))
    except InputError as error:  # an operation that the reference does not know
        return str(error)


def golden_plan(words: Sequence[str] = (), *, seed: int = 0) -> GoldenPlan:
    """The golden vectors of an export.

    Args:
        words: Of the command line: none for the drawn photos alone, a number of validation photos,
            or photo files, in addition.
        seed: Seed of the choice of validation photos.
    """
    if len(words) == 1 and words[0].lstrip("-").isdecimal():
        return GoldenPlan(predict, held_out=int(words[0]), seed=seed)
    return GoldenPlan(predict, chosen=tuple(Path(word) for word in words), seed=seed)
