"""Rates of the runtimes: a small trial and verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results.measurement import BenchmarkCase
from benchmarks.studies.throughput import Rate, ThroughputStudy
from export import ExportOptions, export_bundle

VARIANTS = ("tflite-float32", "coreml-float32")


@pytest.mark.slow
def test_a_small_trial(pattern_case: BenchmarkCase, tmp_path: Path) -> None:
    photos, options = pattern_case.photos, ExportOptions(variants=VARIANTS)
    bundle = export_bundle(pattern_case.run, tmp_path / "bundle", options=options, photos=photos)
    table = tmp_path / "rates.md"
    words = [str(bundle.folder), "--photos", str(photos), "--table", str(table)]
    assert ThroughputStudy.main([*words, "--count", "20", "--rounds", "3"]) == 0
    made = ThroughputStudy.read(table.with_suffix(".json"))
    assert table.read_text(encoding="utf-8") == made.page()
    names = [(rate.variant, rate.runtime) for rate in made.rates]
    assert names[:2] == [("torch-float32", "torch"), ("tflite-float32", "litert")]
    assert ("coreml-float32", "coreml-reference") in names
    for rate in made.rates:
        assert len(rate.seconds) == 3
        assert rate.same == made.photos == 20
        assert rate.drift < 1e-4


def rates(seconds: float, drift: float) -> ThroughputStudy:
    rate = Rate(
        variant="coreml-float32",
        runtime="coreml-reference",
        unit="",
        seconds=(seconds, seconds, 2 * seconds),
        same=64,
        drift=drift,
    )
    return ThroughputStudy(
        created="2026-01-01",
        host={},
        versions={},
        register_name="r",
        backbone="b",
        objects=2,
        photos=64,
        threads=2,
        busy_share=None,
        rates=(rate,),
    )


@pytest.mark.parametrize(
    ("seconds", "drift", "met"), [(2.0, 1e-5, [True, True]), (3.5, 2e-4, [False, False])]
)
def test_verdicts_follow_the_numbers(seconds: float, drift: float, met: list[bool]) -> None:
    assert [target.met for target in rates(seconds, drift).targets()] == met


def test_a_bundle_that_is_none_ends_with_exit_code_2(tmp_path: Path) -> None:
    words = [str(tmp_path), "--photos", str(tmp_path), "--table", str(tmp_path / "throughput.md")]
    assert ThroughputStudy.main(words) == 2
    assert not (tmp_path / "throughput.md").exists()
