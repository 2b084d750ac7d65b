"""What each way of making the network's input costs in accuracy."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure.evaluation_set import sample_photos
from benchmarks.measure.parity import Progress, column_order
from benchmarks.preprocessing.resampling import RESAMPLINGS
from benchmarks.results.classification import Indices, agreement, reduce_answers, wilson_interval
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

AHEAD = 8
"""Photos whose inputs are made ahead: about 8 MB each at 224 × 224."""

BATCH = 32
"""Inputs that the model is asked about at once, where it takes several."""

PREFERRED = BenchmarkTarget("tflite-float32", "litert")
"""What is asked, if it was measured: it takes floats, so mistakes of their range can be made."""

Predict = Callable[[Values], NDArray[np.float32]]
"""`[N, H, W, 3]` uint8 or float32 → `[N, objects]` probabilities."""


def input_costs(
    measured: Measurement,
    *,
    photos: int,
    seed: int,
    bootstrap: int,
    progress: Progress | None = None,
) -> tuple[PreprocessingCost, ...]:
    """What each phone's own way of resampling costs, and each usual mistake.

    So many of the test photos are asked about, drawn by `seed`, which also draws the bootstrap.
    """
    case, info = measured.case, measured.case.run.info
    chosen = sample_photos([photo for photo in measured.photos if photo.seen], photos, seed=seed)
    if not chosen:
        return ()
    subject = PREFERRED if PREFERRED in measured.answers else REFERENCE
    identity = {
        "register": info.register_name,
        "min_photos": info.min_photos,
        "seed": info.seed,
        "variant": subject.variant,
        "runtime": subject.runtime,
    }
    name = f"{case.bundle.info.name}: ways of making the input"
    session: TorchSession | PhotoSession
    if subject == REFERENCE:
        order, session = None, open_reference(case.run)
    else:
        order = column_order(case.bundle.labels, case.run.labels)
        session = open_litert(case.bundle, subject.variant, os.cpu_count() or 1)
    with session:

        def predict(values: Values) -> Probabilities:
            probabilities: Probabilities = session.predict(values)
            return probabilities if order is None else probabilities[:, order]

        return measure_preprocessing(
            chosen,
            case.bundle.info.preprocessing,
            predict,
            identity=identity,
            seed=seed,
            bootstrap=bootstrap,
            progress=None if progress is None else lambda done, all_: progress(name, done, all_),
        )


def measure_preprocessing(
    photos: Sequence[TestPhoto],
    contract: Preprocessing,
    predict: Predict,
    *,
    identity: Mapping[str, object],
    seed: int,
    bootstrap: int,
    byte_input: bool = False,
    ways: Sequence[InputPipeline] = INPUT_PIPELINES,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PreprocessingCost, ...]:
    """Asks one model about each photo as every way prepares it, each photo decoded once.

    Photos that cannot be decoded are left out. The toolkit's own way stands first in the result,
    which holds the fields of `identity` too. A model of `byte_input` is given floats cast to bytes.
    """
    ways = (CONTRACT, *ways)
    readable: list[TestPhoto] = []
    tops: list[Indices] = []
    for photo, inputs in _made_inputs(photos, contract, ways, byte_input=byte_input):
        probabilities = _ask(inputs, predict)
        truth = np.full(len(ways), photo.object_index)
        tops.append(reduce_answers(probabilities, truth, keep=1).top)
        readable.append(photo)
        if progress is not None:
            progress(len(readable), len(photos))
    objects = object_indices(readable)
    by_way = np.array(tops, np.int64).reshape(-1, len(ways)).T
    return tuple(
        PreprocessingCost.model_validate(
            {
                **identity,
                "family": way.family,
                "name": way.name,
                "what": way.what,
                **_shares(by_way[0], top, objects, seed=seed, bootstrap=bootstrap),
            }
        )
        for way, top in zip(ways, by_way, strict=True)
    )


def _shares(
    own: Indices, top: Indices, objects: Indices, *, seed: int, bootstrap: int
) -> dict[str, object]:
    """Of `[photos]` first answers beside those to the toolkit's own input."""
    right, own_right, photos = top == objects, own == objects, len(top)
    return {
        "photos": photos,
        "top1": float(right.mean()) if photos else None,
        "top1_ci95": wilson_interval(int(right.sum()), photos),
        "agreement": agreement(top, own),
        "drop_points": 100 * int(own_right.sum() - right.sum()) / photos if photos else None,
        "drop_ci95": paired_drop_interval(
            own_right, right, objects, resamples=bootstrap, seed=seed
        ),
    }


def _ask(inputs: Sequence[Values], predict: Predict) -> NDArray[np.float32]:
    """`[inputs, objects]`; equal inputs, as some ways make of square or small photos, once."""
    keys = [(values.dtype.str, sha256_bytes(values.tobytes())) for values in inputs]
    distinct = dict(zip(keys, inputs, strict=True))
    answers: dict[tuple[str, str], NDArray[np.float32]] = {}
    for dtype in sorted({dtype for dtype, _ in distinct}):
        same = [key for key in distinct if key[0] == dtype]
        for start in range(0, len(same), BATCH):
            batch = same[start : start + BATCH]
            rows = predict(cast("Values", np.stack([distinct[key] for key in batch])))
            answers.update(zip(batch, rows, strict=True))
    return np.stack([answers[key] for key in keys])


def _made_inputs(
    photos: Sequence[TestPhoto],
    contract: Preprocessing,
    ways: Sequence[InputPipeline],
    *,
    byte_input: bool,
) -> Iterator[tuple[TestPhoto, list[Values]]]:
    """Each readable photo with its input by every way; the next ones are made meanwhile."""

    def made(photo: TestPhoto) -> list[Values]:
        results = (values for _, values in inputs_of(decode(photo.path), contract, ways))
        return [as_bytes(values) if byte_input else values for values in results]

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = deque(pool.submit(made, photo) for photo in photos[:AHEAD])
        for position, photo in enumerate(photos):
            inputs = waiting.popleft()
            waiting.extend(pool.submit(made, later) for later in photos[position + AHEAD :][:1])
            with contextlib.suppress(PhotoError):
                yield photo, inputs.result()
