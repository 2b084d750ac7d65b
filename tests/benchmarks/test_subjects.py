"""Several runtimes for one variant, slow ones asked only some photos, and what is told of each."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from patterns import QUICK

from benchmarks.measure import parity
from benchmarks.measure.breakdowns import flipped_answers
from benchmarks.measure.evaluation_set import list_hash, validation_photos
from benchmarks.measure.parity import Candidate, measure_answers, runnable_candidates
from benchmarks.measure.result_rows import case_rows
from benchmarks.pipeline.benchmark import BenchmarkOptions, run_benchmark
from benchmarks.results.classification import agreement
from benchmarks.results.correctness_mask import unpack
from benchmarks.results.measurement import BenchmarkCase
from benchmarks.results.target import REFERENCE, BenchmarkTarget
from benchmarks.runtimes.interface import runtimes
from benchmarks.runtimes.litert_runtime import LitertRuntime
from mobile_assets.errors import InputError, UnsupportedError

LIMIT = 23


class SlowRuntime(LitertRuntime):
    """LiteRT under another name, as if it were slow."""

    name = "slow"
    limit: int | None = LIMIT  # type: ignore[assignment]


class TurningRuntime(LitertRuntime):
    """LiteRT that is shown every photo upside down: another, worse runtime."""

    name = "turning"

    def open(self, *arguments: object, **named: object) -> object:  # type: ignore[override]
        session = super().open(*arguments, **named)  # type: ignore[arg-type]
        straight = session.predict
        session.predict = lambda batch: straight(batch[:, ::-1])  # type: ignore[method-assign]
        return session


@pytest.fixture(scope="module")
def case(pattern_case: BenchmarkCase) -> BenchmarkCase:
    """As if its bundle had one variant."""
    bundle = pattern_case.bundle
    info = bundle.info.model_copy(update={"variants": bundle.info.variants[:1]})
    return replace(pattern_case, bundle=replace(bundle, info=info))


def measure(case: BenchmarkCase, *more: LitertRuntime) -> parity.Measurement:
    variant = case.bundle.info.variants[0]
    chosen = [
        *runnable_candidates(case.bundle, ("litert",)),
        *(Candidate(variant, r) for r in more),
    ]
    validation = validation_photos(case.run, case.photos, limit=100)
    return measure_answers(case, case.test_photos, (), chosen=chosen, validation=validation)


@pytest.mark.slow
def test_a_slow_runtime_is_judged_on_its_own_photos(case: BenchmarkCase) -> None:
    measured = measure(case, SlowRuntime())
    fast, slow = (
        BenchmarkTarget("tflite-float32", "litert"),
        BenchmarkTarget("tflite-float32", "slow"),
    )
    positions = measured.positions[slow]
    assert len(positions) == LIMIT == len(set(positions.tolist()))
    assert len(measured.positions[fast]) == len(measured.photos) > LIMIT
    # The same interpreter gives the same answers, so they are the drawn photos' and no others'.
    best = measured.answers[fast].best[positions]
    np.testing.assert_array_equal(measured.answers[slow].best, best)
    rows = {
        BenchmarkTarget.of(row): row for row in case_rows(measured, {}, {}, bootstrap=0, seed=0)
    }
    assert (rows[slow].photos, rows[fast].photos) == (LIMIT, len(measured.photos))
    custody = rows[slow].custody
    asked_photos = [measured.photos[position] for position in positions]
    assert custody.test_photos_sha256 == list_hash(asked_photos)
    assert rows[slow].agreement == agreement(
        measured.answers[slow].top, measured.answers[REFERENCE].top[positions]
    )
    bits = rows[slow].right_bits
    assert bits is not None
    np.testing.assert_array_equal(unpack(bits, LIMIT), measured.answers[slow].right)
    # The draw is the seed's.
    np.testing.assert_array_equal(measure(case, SlowRuntime()).positions[slow], positions)


def test_a_slow_runtime_fits_no_temperature_and_others_do(case: BenchmarkCase) -> None:
    measured = measure(case, SlowRuntime())
    assert BenchmarkTarget("tflite-float32", "slow") not in measured.temperatures
    assert set(measured.temperatures) == {REFERENCE, BenchmarkTarget("tflite-float32", "litert")}
    assert measured.temperatures[REFERENCE].photos == len(case.run.split.of("val"))
    rows = case_rows(measured, {}, {}, bootstrap=0, seed=0)
    assert all(row.calibration is not None and row.calibration.bins for row in rows)
    without = [row.calibration.temperature for row in rows if row.calibration]
    assert [value is None for value in without] == [False, False, True]


def test_the_same_file_may_answer_otherwise_elsewhere(case: BenchmarkCase) -> None:
    measured = measure(case, TurningRuntime())
    turning = BenchmarkTarget("tflite-float32", "turning")
    rows = {
        BenchmarkTarget.of(row): row for row in case_rows(measured, {}, {}, bootstrap=200, seed=0)
    }
    good, bad = rows[BenchmarkTarget("tflite-float32", "litert")], rows[turning]
    assert good.agreement == 1.0
    assert bad.agreement < 0.9
    assert good.drift.mean <= good.drift.p99 <= good.max_probability_drift < 1e-3 < bad.drift.mean
    flips = list(flipped_answers(measured))
    assert {flip.runtime for flip in flips} == {"turning"}
    assert len(flips) == round((1 - bad.agreement) * bad.photos)
    for flip in flips:
        assert flip.answer[0] != flip.reference[0]


def test_collections_and_counts_add_up(case: BenchmarkCase) -> None:
    row = case_rows(measure(case), {}, {}, bootstrap=0, seed=0)[1]
    assert [part.collection for part in row.by_collection] == ["north", "south"]
    for parts in (row.by_collection, row.by_photos):
        assert sum(part.photos for part in parts) == row.photos
        right = sum(part.top1 * part.photos for part in parts)
        assert right / row.photos == pytest.approx(row.top1)


def test_a_phone_without_a_runner_gives_its_speed_alone(case: BenchmarkCase) -> None:
    from benchmarks.measure.parity import with_answers
    from benchmarks.results.row_fields import Device, Latency
    from benchmarks.runtimes.android.measure import PhoneReply
    from benchmarks.runtimes.android.runtime import RUNTIMES

    variant = case.bundle.info.variants[0]
    phone = Candidate(variant, RUNTIMES[0])
    assert with_answers([phone]) == ()
    reply = PhoneReply(
        latency_ms=Latency(p50=4, p90=5, p99=6, threads=1, runs=50),
        latency_more=(),
        memory_bytes=None,
        placement=None,
        cold_load_ms=9,
        device=Device(model="a phone", android="15", delegate_asked="GPU", delegate_used="GPU"),
        note="a note",
    )
    phones = {phone.subject: reply}
    rows = case_rows(measure(case), {}, {}, phones=phones, bootstrap=0, seed=0)
    row = next(row for row in rows if row.runtime == "android")
    assert (row.unit, row.photos, row.top1) == (RUNTIMES[0].unit, 0, None)
    assert row.latency_ms == reply.latency_ms
    assert row.device == reply.device


class PoorRuntime(LitertRuntime):
    """A runtime that lacks an operation of the model."""

    name = "poor"

    def open(self, *arguments: object, **named: object) -> object:  # type: ignore[override]
        del arguments, named
        raise UnsupportedError("it has erf")


def test_what_one_runtime_cannot_execute_stops_no_other(case: BenchmarkCase) -> None:
    measured = measure(case, PoorRuntime())
    rows = case_rows(measured, {}, {}, bootstrap=0, seed=0)
    assert [(row.runtime, row.status, row.note) for row in rows[1:]] == [
        ("litert", "measured", None),
        ("poor", "converted-only", "it has erf"),
    ]


def test_runtimes_are_chosen_by_name(case: BenchmarkCase, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runtime 'litter'"):
        runtimes("litter")
    with pytest.raises(InputError, match="no runtime 'litter'"):
        BenchmarkOptions(runtimes=("litter",))
    options = replace(QUICK, runtimes=("litert",), preprocessing=0)
    results = run_benchmark([case], tmp_path / "report", options=options)
    assert [(row.variant, row.runtime) for row in results.rows] == [
        ("torch-float32", "torch"),
        ("tflite-float32", "litert"),
    ]


def test_a_runtime_that_is_not_here_is_refused_with_a_remedy() -> None:
    import sys

    if sys.platform == "darwin":
        pytest.skip("Core ML is here")
    with pytest.raises(InputError, match=r"coreml cannot be used here: .*Measure on a Mac"):
        BenchmarkOptions(runtimes=("coreml",))


def test_a_number_is_traced_to_its_mistake(case: BenchmarkCase, tmp_path: Path) -> None:
    from artefact_id.main import main

    report = tmp_path / "report"
    results = run_benchmark([case], report, options=replace(QUICK, preprocessing=60))
    swapped = next(cost for cost in results.preprocessing if cost.name == "bgr")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        arguments = ["--top1", str(swapped.top1), "--photos", "60", "--json"]
        assert main(["explain", str(report), *arguments]) == 0
    runtime_names = [one["name"] for one in json.loads(printed.getvalue())]
    assert "bgr" in runtime_names
    assert "contract" not in runtime_names
    run_benchmark([case], tmp_path / "none", options=QUICK)
    arguments = ["explain", str(tmp_path / "none"), "--top1", "0.5", "--photos", "9"]
    assert main(arguments) == 2
