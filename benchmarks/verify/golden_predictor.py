"""Executes a bundle's variants for golden vectors: when they are made, and when an app differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks.runtimes import Pixels, Probabilities, runtimes
from export.golden.photos import GoldenPlan, Predictions
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import ArtefactError, InputError
from mobile_assets.golden_diagnosis import Predict
from mobile_assets.input_pipeline import Values

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


@contextmanager
def opened_predictor(bundle: Bundle, variant: Variant) -> Iterator[Predict | None]:
    """Opens a variant to execute it on mistaken inputs; None if nothing here can."""
    runtime = runtimes(_RUNTIMES[variant.format])[0]
    try:
        session = runtime.open(bundle, variant)
    except ArtefactError:  # the app's answers can be compared all the same
        yield None
        return

    def predict_one(values: Values) -> Probabilities:
        # LiteRT's session takes floats as well, for variants whose input is float32.
        return np.asarray(session.predict(cast("Pixels", values[None]))[0])

    with session:
        yield predict_one


def golden_plan(
    arguments: Sequence[str] = (), *, seed: int = 0, keep_metadata: bool = False
) -> GoldenPlan:
    """The golden vectors of an export."""
    plan = GoldenPlan(predict, seed=seed, keep_metadata=keep_metadata)
    if len(arguments) == 1 and arguments[0].lstrip("-").isdecimal():
        return replace(plan, held_out=int(arguments[0]))
    return replace(plan, chosen=tuple(Path(word) for word in arguments))
