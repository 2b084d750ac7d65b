"""What each way of making the network's input costs in accuracy."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure.parity import Progress, column_order
from benchmarks.preprocessing.resampling import RESAMPLINGS
from benchmarks.results.classification import (
    Answers,
    Indices,
    agreement,
    join_answers,
    reduce_answers,
    top_k,
    wilson_interval,
)
from benchmarks.results.cluster_bootstrap import paired_drop_interval
from benchmarks.results.measurement import Measurement, TestPhoto, object_indices
from benchmarks.results.schema import PreprocessingCost
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes.interface import PhotoSession, Probabilities
from benchmarks.runtimes.litert_runtime import open_litert
from benchmarks.runtimes.torch_runtime import TorchSession, open_reference
from mobile_assets.files import sha256_bytes
from mobile_assets.input_pipeline import InputPipeline, Values, inputs_of
from mobile_assets.integration_errors import INTEGRATION_ERRORS, as_bytes
from mobile_assets.photos import PhotoError, decode
from mobile_assets.preprocessing import Preprocessing

CONTRACT = InputPipeline(
    "resampling", "contract", "The toolkit's own: squashed, bilinear with antialiasing"
)
"""What everything else is compared with."""

INPUT_PIPELINES = (*RESAMPLINGS, *INTEGRATION_ERRORS)
"""All ways but the toolkit's own."""

PHOTOS = 300
"""How many test photos are asked about unless another number is given."""

CHUNK = 8
"""Photos in memory at a time: about 8 MB of inputs each at 224 × 224, and as many being made."""

BATCH = 32
"""Inputs that the model is asked about at once, where it takes several."""

PREFERRED = BenchmarkTarget("tflite-float32", "litert")
"""What is asked, if it was measured: it takes floats, so mistakes of their range can be made."""

Predict = Callable[[Values], NDArray[np.float32]]
"""`[N, H, W, 3]` uint8 or float32 → `[N, objects]` probabilities."""

Step = Callable[[int, int], None]
"""Called with the photos done and their number."""


def sample_photos(photos: Sequence[TestPhoto], limit: int, *, seed: int) -> tuple[TestPhoto, ...]:
    """At most so many of the photos, by chance, in their order."""
    if len(photos) <= limit:
        return tuple(photos)
    chosen = np.random.default_rng(seed).choice(len(photos), limit, replace=False)
    return tuple(photos[position] for position in sorted(chosen.tolist()))


def measure_preprocessing(
    photos: Sequence[TestPhoto],
    contract: Preprocessing,
    predict: Predict,
    truth: Indices,
    *,
    subject: BenchmarkTarget,
    register_name: str,
    min_photos: int,
    run_seed: int,
    seed: int,
    bootstrap: int,
    byte_input: bool = False,
    ways: Sequence[InputPipeline] = INPUT_PIPELINES,
    progress: Step | None = None,
) -> tuple[PreprocessingCost, ...]:
    """Asks one model about each photo as every way prepares it, each photo decoded once.

    Args:
        photos: Test photos; those that cannot be decoded are left out.
        contract: The model's preprocessing contract.
        predict: The model; given floats too, unless `byte_input`.
        truth: `[photos]` index of the right object in the model's answer.
        subject: What is asked, for the records.
        register_name: Name of the register, likewise.
        min_photos: Threshold data set, likewise.
        run_seed: Seed of the run, likewise.
        seed: Seed of the bootstrap.
        bootstrap: Resamples for the interval of the drop.
        byte_input: Whether the model takes bytes, so that floats are cast as an app would.
        ways: What to compare with the toolkit's own way.
        progress: Called with the photos done and their number.

    Returns:
        The toolkit's own way first, then the others in their order.
    """
    every = (CONTRACT, *ways)
    parts: dict[str, list[Answers]] = defaultdict(list)
    kept: list[int] = []
    for numbers, inputs in _chunks(photos, contract, every, byte_input=byte_input):
        probabilities = _ask([values for same in inputs for values in same], predict)
        for number, way in enumerate(every):
            start = number * len(numbers)
            own = probabilities[start : start + len(numbers)]
            parts[way.name].append(reduce_answers(own, truth[numbers], keep=1))
        kept += numbers
        if progress is not None:
            progress(len(kept), len(photos))
    answers = {name: join_answers(chunks) for name, chunks in parts.items()}

    def cost(way: InputPipeline) -> PreprocessingCost:
        return PreprocessingCost.model_validate(
            {
                "register": register_name,
                "min_photos": min_photos,
                "seed": run_seed,
                "variant": subject.variant,
                "runtime": subject.runtime,
                "family": way.family,
                "name": way.name,
                "what": way.what,
                **_shares(answers, way.name, truth[kept], seed=seed, bootstrap=bootstrap),
            }
        )

    return tuple(cost(way) for way in every)


def _ask(inputs: Sequence[Values], predict: Predict) -> NDArray[np.float32]:
    """`[inputs, objects]`; equal inputs, as some ways make of square or small photos, once."""
    positions: dict[tuple[str, str], int] = {}
    distinct: list[Values] = []
    order: list[int] = []
    for values in inputs:
        key = (values.dtype.str, sha256_bytes(values.tobytes()))
        order.append(positions.setdefault(key, len(positions)))
        if len(positions) > len(distinct):
            distinct.append(values)
    answers: dict[int, NDArray[np.float32]] = {}
    for dtype in (np.uint8, np.float32):
        numbers = [n for n, values in enumerate(distinct) if values.dtype == dtype]
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            rows = predict(cast("Values", np.stack([distinct[n] for n in batch])))
            answers.update(zip(batch, rows, strict=True))
    return np.stack([answers[position] for position in order])


def _shares(
    answers: dict[str, Answers], name: str, objects: Indices, *, seed: int, bootstrap: int
) -> dict[str, object]:
    if name not in answers:  # not one photo could be decoded
        return {"photos": 0}
    own, other = answers[CONTRACT.name], answers[name]
    right = int(other.right.sum())
    return {
        "photos": len(other.rank),
        "top1": top_k(other.rank, 1),
        "top1_ci95": wilson_interval(right, len(other.rank)),
        "agreement": agreement(other.top, own.top),
        "drop_points": 100 * (int(own.right.sum()) - right) / len(other.rank),
        "drop_ci95": paired_drop_interval(
            own.right, other.right, objects, resamples=bootstrap, seed=seed
        ),
    }


def _chunks(
    photos: Sequence[TestPhoto],
    contract: Preprocessing,
    ways: Sequence[InputPipeline],
    *,
    byte_input: bool,
) -> Iterator[tuple[list[int], list[tuple[Values, ...]]]]:
    """Numbers of some photos and, for each way, their inputs; the next are made meanwhile."""

    def made(photo: TestPhoto) -> list[Values] | PhotoError:
        try:
            picture = decode(photo.path)
        except PhotoError as error:
            return error
        results = (values for _, values in inputs_of(picture, contract, ways))
        return [as_bytes(values) if byte_input else values for values in results]

    starts = range(0, len(photos), CHUNK)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        waiting = [pool.submit(made, photo) for photo in photos[:CHUNK]]
        for start in starts:
            results = [future.result() for future in waiting]
            following = photos[start + CHUNK : start + 2 * CHUNK]
            waiting = [pool.submit(made, photo) for photo in following]
            good = {
                start + n: result for n, result in enumerate(results) if isinstance(result, list)
            }
            if good:
                yield list(good), list(zip(*good.values(), strict=True))


def input_costs(
    measured: Measurement,
    *,
    photos: int,
    seed: int,
    bootstrap: int,
    progress: Progress | None = None,
) -> tuple[PreprocessingCost, ...]:
    """What each phone's own way of resampling costs, and each usual mistake."""
    case, info = measured.case, measured.case.run.info
    chosen = sample_photos([photo for photo in measured.photos if photo.seen], photos, seed=seed)
    if not chosen:
        return ()
    subject = PREFERRED if PREFERRED in measured.answers else REFERENCE
    order = column_order(case.bundle.labels, case.run.labels)
    name = f"{case.bundle.info.name}: ways of making the input"
    with contextlib.ExitStack() as stack:
        session: TorchSession | PhotoSession
        if subject == REFERENCE:
            session = stack.enter_context(open_reference(case.run))
            order = None
        else:
            threads = os.cpu_count() or 1
            session = stack.enter_context(open_litert(case.bundle, subject.variant, threads))

        def predict(values: Values) -> Probabilities:
            probabilities: Probabilities = session.predict(values)
            return probabilities if order is None else probabilities[:, order]

        return measure_preprocessing(
            chosen,
            case.bundle.info.preprocessing,
            predict,
            object_indices(chosen),
            subject=subject,
            register_name=info.register_name,
            min_photos=info.min_photos,
            run_seed=info.seed,
            seed=seed,
            bootstrap=bootstrap,
            progress=None if progress is None else lambda done, all_: progress(name, done, all_),
        )
