"""The harness beside a bare loop: a small trial, what breaks the limit, and the published page."""

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
    Published,
    Replay,
    Round,
    Taken,
    bare_loop,
    main,
    measure,
    page,
)
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError

PUBLISHED = Path(__file__).parents[3] / "benchmarks/studies" / "harness_overhead.json"


@pytest.fixture(scope="module")
def root(pattern_case: BenchmarkCase) -> Path:
    return pattern_case.photos


@pytest.fixture(scope="module")
def bundle(pattern_case: BenchmarkCase) -> Bundle:
    return pattern_case.bundle


@pytest.fixture(scope="module")
def case(pattern_case: BenchmarkCase) -> BenchmarkCase:
    return pattern_case


def words_of(bundle: Bundle, root: Path, table: Path, **more: object) -> list[str]:
    words = [str(bundle.folder), "--photos", str(root), "--table", str(table)]
    return words + [word for name, value in more.items() for word in (f"--{name}", str(value))]


def test_a_trial_writes_its_rows_and_their_page(bundle: Bundle, root: Path, tmp_path: Path) -> None:
    table = tmp_path / "overhead.md"
    status = main(words_of(bundle, root, table, rounds=3, count=50))
    published = Published.read(tmp_path / "harness_overhead.json")
    assert table.read_text(encoding="utf-8") == page(published)
    assert (published.photos, len(published.rounds)) == (50, 3)
    assert status == (0 if published.kept else 1)
    for one in published.rounds:
        assert min(one.bare.wall, one.bare.cpu, one.harness.wall, one.harness.cpu) > 0


def test_a_slow_harness_does_not_pass(
    bundle: Bundle, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: object, **named: object) -> Measurement:
        time.sleep(0.5)  # ten times what the tiny network takes for these photos
        return measure_answers(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(harness_overhead, "measure_answers", slow)
    table = tmp_path / "overhead.md"
    assert main(words_of(bundle, root, table, rounds=3, count=10)) == 1
    assert "**not kept**" in table.read_text(encoding="utf-8")


def test_the_limit_is_on_the_median_of_the_rounds() -> None:
    published = Published.read(PUBLISHED)
    one = Taken(wall=1.0, cpu=1.0)

    def with_harness(*walls: float) -> Published:
        rounds = tuple(Round(bare=one, harness=Taken(wall=wall, cpu=3.0)) for wall in walls)
        return published.model_copy(update={"rounds": rounds})

    assert with_harness(1.09, 1.09, 5.0).kept
    assert not with_harness(1.11, 1.11, 0.5).kept
    assert with_harness(1.0, 2.0, 3.0).ratios("wall") == pytest.approx((1.2, 2.0, 2.8))
    assert "3.000 [3.000 to 3.000]" in page(with_harness(1.0))


def test_both_ways_must_have_done_the_same(
    case: BenchmarkCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = case.bundle.info.variant("tflite-float32")
    assert len(measure(case, variant, 1)) == 1

    def fewer(case: BenchmarkCase, photos: object, *more: object, **named: object) -> Measurement:
        return measure_answers(case, case.test_photos[::-1], (), **named)  # type: ignore[arg-type]

    monkeypatch.setattr(harness_overhead, "measure_answers", fewer)
    with pytest.raises(DamagedError, match="different answers"):
        measure(case, variant, 1)


def test_the_list_in_place_of_the_reference_gives_each_photo_its_answer(
    case: BenchmarkCase,
) -> None:
    variant = case.bundle.info.variant("tflite-float32")
    best, every = bare_loop(case.bundle, variant, case.test_photos, 1)
    assert len(best) == len(every) == OBJECTS * (VIEWS - 6)
    replay, pixels = Replay(np.stack(every)), np.zeros((7, 1, 1, 3), np.uint8)
    given = [replay.predict(pixels), replay.predict(pixels[:3])]
    assert np.array_equal(np.concatenate(given), np.stack(every)[:10])


def test_what_cannot_be_measured_is_told(
    bundle: Bundle, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_of(bundle, root, tmp_path / "o.md", variant="tflite-int4")
    assert main(words) == 2
    assert "no variant" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_published_page_is_regenerated_from_its_rows() -> None:
    text = PUBLISHED.with_suffix(".md").read_text(encoding="utf-8")
    published = Published.read(PUBLISHED)
    assert page(published) == text
    assert published.kept
