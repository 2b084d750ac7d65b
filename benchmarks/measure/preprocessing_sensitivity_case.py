"""Asking one variant of a case about every way of making the network's input."""

from __future__ import annotations

import contextlib
import os

from benchmarks.measure.parity import Progress, column_order
from benchmarks.measure.preprocessing_sensitivity import measure_preprocessing, sample_photos
from benchmarks.results.measurement import Measurement, true_indices
from benchmarks.results.schema import PreprocessingCost
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes.interface import Probabilities
from benchmarks.runtimes.litert_runtime import LitertSession, open_litert
from benchmarks.runtimes.torch_runtime import TorchSession, open_reference
from mobile_assets.input_pipeline import Values

PREFERRED = BenchmarkTarget("tflite-float32", "litert")
"""What is asked, if it was measured: it takes floats, so mistakes of their range can be made."""


def input_costs(
    measured: Measurement,
    *,
    photos: int,
    seed: int,
    bootstrap: int,
    progress: Progress | None = None,
) -> tuple[PreprocessingCost, ...]:
    """What each phone's own way of resampling costs, and each usual mistake.

    Args:
        measured: The case; photos of objects without a training photo are left out.
        photos: How many test photos to draw; 0 for none.
        seed: Of the draw and of the intervals.
        bootstrap: Resamples for the intervals of the drop.
        progress: Called with a label, the photos done and their number.
    """
    case, info = measured.case, measured.case.run.info
    chosen = sample_photos([photo for photo in measured.photos if photo.seen], photos, seed=seed)
    if not chosen:
        return ()
    subject = PREFERRED if PREFERRED in measured.answers else REFERENCE
    order = column_order(case.bundle.labels, case.run.labels)
    name = f"{case.bundle.info.name}: ways of making the input"
    with contextlib.ExitStack() as stack:
        session: TorchSession | LitertSession
        if subject == REFERENCE:
            session = stack.enter_context(open_reference(case.run))
            order = None
        else:
            threads = os.cpu_count() or 1
            session = stack.enter_context(open_litert(case.bundle, subject.variant, threads))

        def predict(values: Values) -> Probabilities:
            found: Probabilities = session.predict(values)
            return found if order is None else found[:, order]

        return measure_preprocessing(
            chosen,
            case.bundle.info.preprocessing,
            predict,
            true_indices(chosen),
            subject=subject,
            register_name=info.register_name,
            min_photos=info.min_photos,
            run_seed=info.seed,
            seed=seed,
            bootstrap=bootstrap,
            progress=None if progress is None else lambda done, all_: progress(name, done, all_),
        )
