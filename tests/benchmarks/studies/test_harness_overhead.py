"""The harness beside a bare loop: a small trial, and what breaks the limit."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from patterns import OBJECTS, VIEWS

from benchmarks.measure.parity import measure_answers
from benchmarks.results.measurement import BenchmarkCase, Measurement
from benchmarks.studies import harness_overhead
from benchmarks.studies.harness_overhead import (
    HarnessOverheadStudy,
    ReplaySession,
    Round,
    Seconds,
    bare_loop,
    measure_rounds,
)
from mobile_assets.errors import DamagedError

PUBLISHED = HarnessOverheadStudy.read(HarnessOverheadStudy.published().with_suffix(".json"))


def words_of(case: BenchmarkCase, table: Path, **more: object) -> list[str]:
    words = [str(case.bundle.folder), "--photos", str(case.photos), "--table", str(table)]
    return words + [word for name, value in more.items() for word in (f"--{name}", str(value))]


def test_the_limit_is_on_the_median_of_the_rounds() -> None:
    second = Seconds(wall=1.0, cpu=1.0)

    def with_harness(*walls: float) -> HarnessOverheadStudy:
        rounds = tuple(Round(bare=second, harness=Seconds(wall=w, cpu=3.0)) for w in walls)
        return PUBLISHED.model_copy(update={"rounds": rounds})

    assert with_harness(1.09, 1.09, 5.0).kept
    assert not with_harness(1.11, 1.11, 0.5).kept
    assert with_harness(1.0, 2.0, 3.0).ratio("wall").bounds == pytest.approx((1.2, 2.8))
    assert "3.000 (3.000 to 3.000)" in with_harness(1.0).page()
    assert "**not met**" in with_harness(1.2).page()


@pytest.mark.slow
def test_a_trial_writes_its_rows_and_their_page(
    pattern_case: BenchmarkCase, tmp_path: Path
) -> None:
    status = HarnessOverheadStudy.main(
        words_of(pattern_case, tmp_path / "o.md", rounds=3, count=50)
    )
    study = HarnessOverheadStudy.read(tmp_path / "o.json")
    assert (study.photos, len(study.rounds)) == (50, 3)
    assert status == (0 if study.kept else 1)
    for turn in study.rounds:
        assert min(turn.bare.wall, turn.bare.cpu, turn.harness.wall, turn.harness.cpu) > 0


@pytest.mark.slow
def test_a_slow_harness_does_not_pass(
    pattern_case: BenchmarkCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: object, **named: object) -> Measurement:
        time.sleep(0.5)  # ten times what the tiny network takes for these photos
        return measure_answers(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(harness_overhead, "measure_answers", slow)
    words = words_of(pattern_case, tmp_path / "o.md", rounds=3, count=10)
    assert HarnessOverheadStudy.main(words) == 1
    assert "**not met**" in (tmp_path / "o.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_both_ways_must_have_done_the_same(
    pattern_case: BenchmarkCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = pattern_case.bundle.info.variant("tflite-float32")

    def fewer(case: BenchmarkCase, photos: object, *more: object, **named: object) -> Measurement:
        return measure_answers(case, case.test_photos[::-1], (), **named)  # type: ignore[arg-type]

    monkeypatch.setattr(harness_overhead, "measure_answers", fewer)
    with pytest.raises(DamagedError, match="different answers"):
        measure_rounds(pattern_case, variant, 1, lambda *_: None)


@pytest.mark.slow
def test_the_list_in_place_of_the_reference_gives_each_photo_its_answer(
    pattern_case: BenchmarkCase,
) -> None:
    variant = pattern_case.bundle.info.variant("tflite-float32")
    answers = bare_loop(pattern_case.bundle, variant, pattern_case.test_photos)
    assert len(answers) == OBJECTS * (VIEWS - 6)
    replay, pixels = ReplaySession(answers), np.zeros((7, 1, 1, 3), np.uint8)
    replayed = [replay.predict(pixels), replay.predict(pixels[:3])]
    assert np.array_equal(np.concatenate(replayed), answers[:10])
