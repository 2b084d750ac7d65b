"""Letting the reference and every variant answer the same pixels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases import BenchmarkCase
from benchmarks.metrics import Answers, Indices, join_answers, reduce_answers
from benchmarks.photos import Skipped, TestPhoto, decode_chunks
from benchmarks.results import REFERENCE_VARIANT
from benchmarks.runtimes import Pixels, Probabilities, Session, runtime_for
from benchmarks.runtimes.torch_runtime import open_reference
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.labels import LabelMap

KEEP = 10
"""How many of the best objects are remembered of each photo."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measured:
    """All answers to one case's test photos.

    Attributes:
        case: What was measured.
        photos: The photos that could be decoded, in order.
        unreadable: Those that could not, and those found unusable before.
        in_training: Photos left out because training or validation had them.
        answers: By variant; `REFERENCE_VARIANT` is the reference. Class indices are the run's.
        drift: By variant, largest difference of a probability from the reference's, 0–1; None
            where a probability is not a finite number.
    """

    case: BenchmarkCase
    photos: tuple[TestPhoto, ...]
    unreadable: tuple[Skipped, ...]
    in_training: tuple[Skipped, ...]
    answers: Mapping[str, Answers]
    drift: Mapping[str, float | None]

    @property
    def truth(self) -> Indices:
        """`[photos]` class indices of the right objects."""
        return np.array([photo.object_index for photo in self.photos], dtype=np.int64)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """`[photos]` whether the object has a training photo."""
        return np.array([photo.seen for photo in self.photos], dtype=np.bool_)


def executable(bundle: Bundle) -> tuple[Variant, ...]:
    """The bundle's variants that a runtime of this machine executes."""
    return tuple(variant for variant in bundle.info.variants if runtime_for(variant) is not None)


def measure_answers(
    case: BenchmarkCase,
    photos: Sequence[TestPhoto],
    in_training: Sequence[Skipped],
    *,
    progress: Progress | None = None,
) -> Measured:
    """Decodes each photo once and gives the same pixels to the reference and all variants.

    Args:
        case: Bundle and run.
        photos: The test photos that are new to the model.
        in_training: Those left out, to be handed on.
        progress: Called with a label, the photos done and their number.
    """
    threads = os.cpu_count() or 1
    unreadable = list(case.skipped)
    kept: list[TestPhoto] = []
    with contextlib.ExitStack() as stack:
        sessions: dict[str, Session] = {
            REFERENCE_VARIANT: stack.enter_context(open_reference(case.run))
        }
        orders: dict[str, Indices | None] = {REFERENCE_VARIANT: None}
        order = column_order(case.bundle.labels, case.run.labels)
        for variant in executable(case.bundle):
            runtime = runtime_for(variant)
            assert runtime is not None  # executable() chose it
            session = runtime.open(case.bundle, variant, threads)
            sessions[variant.name] = stack.enter_context(session)
            orders[variant.name] = order
        collected = _Collector(len(case.run.labels))
        for good, pixels in decode_chunks(photos, case.bundle.info.preprocessing, unreadable):
            kept.extend(good)
            truth = np.array([photo.object_index for photo in good], dtype=np.int64)
            collected.add(truth, {n: _ask(s, pixels, orders[n]) for n, s in sessions.items()})
            if progress is not None:
                progress(case.bundle.info.name, len(kept), len(photos))
        answers, drift = collected.result(sessions)
    return Measured(case, tuple(kept), tuple(unreadable), tuple(in_training), answers, drift)


def column_order(bundle: LabelMap, run: LabelMap) -> Indices | None:
    """Which of the bundle's outputs is each of the run's classes; None where they are the same.

    An app reads the answer by the bundle's label map, so a map in another order makes other
    answers: the variants are judged by it, the reference by the run's own.
    """
    if bundle.object_ids == run.object_ids:
        return None
    place = {object_id: index for index, object_id in enumerate(bundle.object_ids)}
    return np.array([place[object_id] for object_id in run.object_ids], dtype=np.int64)


def _ask(session: Session, pixels: Pixels, order: Indices | None) -> Probabilities:
    probabilities = session.predict(pixels)
    return probabilities if order is None else probabilities[:, order]


class _Collector:
    """Reduces chunks of probabilities as they come, so that memory does not grow with objects."""

    def __init__(self, objects: int) -> None:
        self._objects = objects
        self._parts: dict[str, list[Answers]] = {}
        self._drift: dict[str, float] = {}

    def add(self, truth: Indices, probabilities: Mapping[str, Probabilities]) -> None:
        reference = probabilities[REFERENCE_VARIANT]
        for name, values in probabilities.items():
            part = reduce_answers(values, truth, keep=KEEP)
            self._parts.setdefault(name, []).append(part)
            # A value that is not finite makes the largest difference NaN for good.
            with np.errstate(invalid="ignore"):
                worst = float(np.abs(values - reference).max())
            self._drift[name] = float(np.fmax(self._drift.get(name, 0.0), worst))
            if np.isnan(worst):
                self._drift[name] = float("inf")

    def result(
        self, names: Mapping[str, object]
    ) -> tuple[dict[str, Answers], dict[str, float | None]]:
        empty = reduce_answers(
            np.zeros((0, self._objects), np.float32), np.zeros(0, np.int64), keep=KEEP
        )
        answers = {n: join_answers(self._parts.get(n, [empty])) for n in names}
        drift = {n: _finite(self._drift.get(n)) for n in names}
        return answers, drift


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
