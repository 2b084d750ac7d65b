"""Letting the reference and every variant, on every runtime chosen, answer the same pixels."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.measure.evaluation_set import decode_chunks, sample_photos
from benchmarks.results.calibration import tempered_confidence
from benchmarks.results.classification import KEEP, Indices, join_answers, reduce_answers
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

if TYPE_CHECKING:
    from benchmarks.runtimes.android.measure import PhoneReply

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


def with_answers(chosen: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those that can be asked about photos: a phone without a runner gives only its speed."""
    return tuple(candidate for candidate in chosen if getattr(candidate.runtime, "answers", True))


def measure_phones(
    case: BenchmarkCase, chosen: Sequence[Candidate]
) -> dict[BenchmarkTarget, PhoneReply]:
    """Latency, memory and placement of the chosen variants on the phone, by subject.

    Raises:
        PhoneError: The phone, the cable or the tool failed.
    """
    from benchmarks.runtimes.android.runtime import AndroidRuntime

    return {
        candidate.subject: candidate.runtime.measure(case.bundle, candidate.variant)
        for candidate in chosen
        if isinstance(candidate.runtime, AndroidRuntime)
        and candidate.runtime.options.find_program()
    }


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
    unreadable = list(case.skipped)
    measured: list[TestPhoto] = []
    refused: dict[BenchmarkTarget, str] = {}
    with _opened(case, chosen, reference, refused) as sessions:
        temperatures = _temperatures(sessions, validation, case, progress)
        drawn = {
            session.subject: {
                id(photo) for photo in sample_photos(photos, session.limit, seed=seed)
            }
            for session in sessions
        }
        collected = {s.subject: _Collected(len(case.run.labels)) for s in sessions}
        for good, pixels in _decoded(photos, case, unreadable):
            truth, first = object_indices(good), sessions[0].ask(pixels)
            for session in sessions:
                subject = session.subject
                rows = np.flatnonzero([id(photo) in drawn[subject] for photo in good])
                if not len(rows):
                    continue
                if subject == REFERENCE:
                    values = first
                else:
                    values = session.ask(pixels if len(rows) == len(pixels) else pixels[rows])
                collected[subject].add(values, first[rows], truth[rows], rows + len(measured))
                if subject in temperatures:
                    confidence = tempered_confidence(values, temperatures[subject].value)
                    collected[subject].tempered.append(confidence)
            measured.extend(good)
            if progress is not None:
                progress(case.bundle.info.name, len(measured), len(photos))
    return Measurement(
        case,
        tuple(measured),
        tuple(unreadable),
        tuple(in_training),
        answers={subject: join_answers(c.answers) for subject, c in collected.items()},
        positions={subject: np.concatenate(c.positions) for subject, c in collected.items()},
        drift={subject: np.concatenate(c.drift) for subject, c in collected.items()},
        temperatures=temperatures,
        tempered={subject: np.concatenate(collected[subject].tempered) for subject in temperatures},
        refused=refused,
    )


class _Collected:
    """One subject's answers, reduced as they come, so that memory does not grow with objects."""

    def __init__(self, objects: int) -> None:
        nothing = np.zeros(0, np.float32)
        self.positions: list[Indices] = [np.zeros(0, np.int64)]
        self.answers = [
            reduce_answers(np.zeros((0, objects), np.float32), self.positions[0], keep=KEEP)
        ]
        self.drift: list[Floats] = [nothing]
        self.tempered: list[Floats] = [nothing]

    def add(
        self, values: Probabilities, reference: Probabilities, truth: Indices, positions: Indices
    ) -> None:
        """Adds answers, and how far they are from the reference's, to photos at `positions`."""
        self.positions.append(positions)
        self.answers.append(reduce_answers(values, truth, keep=KEEP))
        with np.errstate(invalid="ignore"):
            worst = np.abs(values - reference).max(axis=1)
        self.drift.append(np.where(np.isnan(worst), np.inf, worst))


def _temperatures(
    sessions: Sequence[_AlignedSession],
    photos: Sequence[TestPhoto],
    case: BenchmarkCase,
    progress: Progress | None,
) -> dict[BenchmarkTarget, Temperature]:
    """Asks all that are quick about validation photos, and fits a temperature to each."""
    fits = {session: TemperatureFit() for session in sessions if session.limit is None}
    done = 0
    for good, pixels in _decoded(photos, case, []):
        for session, fit in fits.items():
            fit.add(session.ask(pixels), object_indices(good))
        done += len(good)
        if progress is not None:
            progress(f"{case.bundle.info.name}: validation", done, len(photos))
    results = {session.subject: fit.result() for session, fit in fits.items()}
    return {subject: fitted for subject, fitted in results.items() if fitted is not None}


def _decoded(
    photos: Sequence[TestPhoto], case: BenchmarkCase, unreadable: list[Skipped]
) -> Iterator[tuple[list[TestPhoto], Pixels]]:
    contract = case.bundle.info.preprocessing
    return decode_chunks(photos, contract, unreadable, root=case.photos, cache=case.cache)


@dataclass(frozen=True, eq=False)
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
