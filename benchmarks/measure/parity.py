"""Letting the reference and every variant, on every runtime chosen, answer the same pixels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure.evaluation_set import decode_chunks
from benchmarks.results.calibration import tempered_confidence
from benchmarks.results.classification import KEEP, Answers, Indices, join_answers, reduce_answers
from benchmarks.results.measurement import (
    BenchmarkCase,
    Floats,
    Measurement,
    Skipped,
    TestPhoto,
    object_indices,
)
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes import DEFAULT, Pixels, Probabilities, Runtime, Session, runtimes_for
from benchmarks.runtimes.torch_runtime import open_reference
from mobile_assets.bundle import Bundle, Variant
from mobile_assets.errors import UnsupportedError
from mobile_assets.labels import LabelMap
from train.temperature import Temperature, TemperatureFit

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Candidate:
    """A variant and the runtime that will execute it."""

    variant: Variant
    runtime: Runtime

    @property
    def subject(self) -> BenchmarkTarget:
        """Under which its answers are kept."""
        return BenchmarkTarget(self.variant.name, self.runtime.name, self.runtime.unit)


def runnable_candidates(bundle: Bundle, chosen: Sequence[str] = DEFAULT) -> tuple[Candidate, ...]:
    """The bundle's variants with the chosen runtimes that execute them on this machine."""
    return tuple(
        Candidate(variant, runtime)
        for variant in bundle.info.variants
        for runtime in runtimes_for(variant, chosen)
    )


def measure_answers(
    case: BenchmarkCase,
    photos: Sequence[TestPhoto],
    in_training: Sequence[Skipped],
    *,
    chosen: Sequence[Candidate] | None = None,
    validation: Sequence[TestPhoto] = (),
    seed: int = 0,
    reference: Session | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Decodes each photo once and gives the same pixels to the reference and all variants.

    Temperatures are fitted on `validation`, never on test photos.
    """
    if chosen is None:
        chosen = runnable_candidates(case.bundle)
    name = case.bundle.info.name
    unreadable = list(case.skipped)
    kept: list[TestPhoto] = []
    refused: dict[BenchmarkTarget, str] = {}
    with _opened(case, chosen, reference, refused) as asking:
        temperatures = _temperatures(asking, validation, case, progress)
        drawn = {session.subject: _drawn(len(photos), session.limit, seed) for session in asking}
        position_of = {id(photo): position for position, photo in enumerate(photos)}
        collected = _Collector(len(case.run.labels), temperatures)
        for good, pixels in _decoded(photos, case, unreadable):
            positions = np.array([position_of[id(photo)] for photo in good], dtype=np.int64)
            collected.chunk(asking, pixels, object_indices(good), positions, drawn, len(kept))
            kept.extend(good)
            if progress is not None:
                progress(name, len(kept), len(photos))
    return Measurement(
        case,
        tuple(kept),
        tuple(unreadable),
        tuple(in_training),
        *collected.result([session.subject for session in asking]),
        refused,
    )


def _temperatures(
    asking: Sequence[_AlignedSession],
    photos: Sequence[TestPhoto],
    case: BenchmarkCase,
    progress: Progress | None,
) -> dict[BenchmarkTarget, Temperature]:
    """Asks all that are quick about validation photos, and fits a temperature to each."""
    fits = {session.subject: TemperatureFit() for session in asking if session.limit is None}
    done = 0
    for good, pixels in _decoded(photos, case, []):
        truth = object_indices(good)
        for session in asking:
            if session.subject in fits:
                fits[session.subject].add(session.ask(pixels), truth)
        done += len(good)
        if progress is not None:
            progress(f"{case.bundle.info.name}: validation", done, len(photos))
    results = {subject: fit.result() for subject, fit in fits.items()}
    return {subject: fitted for subject, fitted in results.items() if fitted is not None}


def _decoded(
    photos: Sequence[TestPhoto], case: BenchmarkCase, unreadable: list[Skipped]
) -> Iterator[tuple[list[TestPhoto], Pixels]]:
    contract = case.bundle.info.preprocessing
    return decode_chunks(photos, contract, unreadable, root=case.photos, cache=case.cache)


def _drawn(photos: int, limit: int | None, seed: int) -> NDArray[np.bool_]:
    """`[photos]` which of them a runtime is asked."""
    mask = np.ones(photos, dtype=np.bool_)
    if limit is not None and limit < photos:
        mask[:] = False
        mask[np.random.default_rng(seed).choice(photos, size=limit, replace=False)] = True
    return mask


@dataclass(frozen=True)
class _AlignedSession:
    """One opened model, whose answers are put in the order of the run's classes."""

    subject: BenchmarkTarget
    session: Session
    order: Indices | None
    limit: int | None

    def ask(self, pixels: Pixels) -> Probabilities:
        probabilities = self.session.predict(pixels)
        return probabilities if self.order is None else probabilities[:, self.order]


@contextlib.contextmanager
def _opened(
    case: BenchmarkCase,
    chosen: Sequence[Candidate],
    reference: Session | None,
    refused: dict[BenchmarkTarget, str],
) -> Iterator[list[_AlignedSession]]:
    """Opens the reference and all that can be; the others are put into `refused`, with why."""
    threads = os.cpu_count() or 1
    order = column_order(case.bundle.labels, case.run.labels)
    with contextlib.ExitStack() as stack:
        if reference is None:
            reference = stack.enter_context(open_reference(case.run))
        opened = [_AlignedSession(REFERENCE, reference, None, None)]
        for candidate in chosen:
            try:
                session = stack.enter_context(
                    candidate.runtime.open(case.bundle, candidate.variant, threads)
                )
            except UnsupportedError as error:
                refused[candidate.subject] = str(error)
                continue
            opened.append(
                _AlignedSession(candidate.subject, session, order, candidate.runtime.limit)
            )
        yield opened


def column_order(bundle: LabelMap, run: LabelMap) -> Indices | None:
    """Which of the bundle's outputs is each of the run's classes; None where they are the same.

    An app reads the answer by the bundle's label map, so a map in another order makes other
    answers: the variants are judged by it, the reference by the run's own.
    """
    if bundle.object_ids == run.object_ids:
        return None
    return np.array([bundle.index_of[object_id] for object_id in run.object_ids], dtype=np.int64)


class _Collector:
    """Reduces chunks of probabilities as they come, so that memory does not grow with objects."""

    def __init__(self, objects: int, temperatures: Mapping[BenchmarkTarget, Temperature]) -> None:
        self._objects = objects
        self._temperatures = temperatures
        self._answers: dict[BenchmarkTarget, list[Answers]] = {}
        self._asked: dict[BenchmarkTarget, list[Indices]] = {}
        self._drift: dict[BenchmarkTarget, list[Floats]] = {}
        self._tempered: dict[BenchmarkTarget, list[Floats]] = {}

    def chunk(
        self,
        asking: Sequence[_AlignedSession],
        pixels: Pixels,
        truth: Indices,
        positions: Indices,
        drawn: Mapping[BenchmarkTarget, NDArray[np.bool_]],
        before: int,
    ) -> None:
        """Asks everything about one chunk."""
        reference = asking[0].ask(pixels)
        for session in asking:
            chosen = np.flatnonzero(drawn[session.subject][positions])
            if not len(chosen):
                continue
            whole = len(chosen) == len(pixels)
            if session.subject == REFERENCE:
                values = reference
            else:
                values = session.ask(pixels if whole else pixels[chosen])
            self._add(session.subject, values, reference[chosen], truth[chosen])
            self._asked.setdefault(session.subject, []).append(chosen + before)

    def _add(
        self,
        subject: BenchmarkTarget,
        values: Probabilities,
        reference: Probabilities,
        truth: Indices,
    ) -> None:
        self._answers.setdefault(subject, []).append(reduce_answers(values, truth, keep=KEEP))
        with np.errstate(invalid="ignore"):
            worst = np.abs(values - reference).max(axis=1)
        self._drift.setdefault(subject, []).append(np.where(np.isnan(worst), np.inf, worst))
        temperature = self._temperatures.get(subject)
        if temperature is not None:
            confidence = tempered_confidence(values, temperature.value)
            self._tempered.setdefault(subject, []).append(confidence)

    def result(
        self, subjects: Sequence[BenchmarkTarget]
    ) -> tuple[
        dict[BenchmarkTarget, Answers],
        dict[BenchmarkTarget, Indices],
        dict[BenchmarkTarget, Floats],
        Mapping[BenchmarkTarget, Temperature],
        dict[BenchmarkTarget, Floats],
    ]:
        """Answers, photos asked, drift, temperatures and tempered confidence, by subject."""
        none = np.zeros(0, np.float32)
        empty = reduce_answers(
            np.zeros((0, self._objects), np.float32), np.zeros(0, np.int64), keep=KEEP
        )
        return (
            {s: join_answers(self._answers.get(s, [empty])) for s in subjects},
            {s: np.concatenate(self._asked.get(s, [np.zeros(0, np.int64)])) for s in subjects},
            {s: np.concatenate(self._drift.get(s, [none])) for s in subjects},
            self._temperatures,
            {s: np.concatenate(parts) for s, parts in self._tempered.items()},
        )
