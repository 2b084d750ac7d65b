"""The scale benchmark: the paper's counts, a generated register, and its limits."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.studies.scaling import STAGES, ScalingStudy, Stage, measure_command
from benchmarks.studies.synthetic_register import collections, generate
from mobile_assets.errors import CheckFailedError
from train.demo.plan import COLLECTIONS, photo_counts
from train.registers.inspection import inspect
from train.registers.readers import read_register


def made(large_ms: float = 10, peak: int = 10**9) -> ScalingStudy:
    stages = tuple(
        Stage(register_name=name, stage=stage, photos=photos, seconds=photos * ms / 1000,
              cpu_seconds=1, peak_bytes=peak)
        for name, photos, ms in (("small", 100, 10.0), ("large", 1000, large_ms))
        for stage in STAGES
    )  # fmt: skip
    return ScalingStudy(
        objects=200, seed=0, photo_size=(64, 48), every=0, host={"cpu": "x"}, stages=stages
    )


def test_counts_are_the_papers() -> None:
    assert len(photo_counts(4332)) == 4332
    assert sum(photo_counts(4332)) == 24502
    assert Counter(collections(4332)) == {name: number for name, _, number, _ in COLLECTIONS}
    tenth = photo_counts(433)
    assert sum(tenth) / 433 == pytest.approx(24502 / 4332, rel=0.01)


def test_a_generated_register_is_what_was_asked_for(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate(tmp_path / name, 20, 0, size=(64, 48), every=30)
    inspected = inspect(tmp_path / "one")
    assert (inspected.objects, inspected.photos) == (20, sum(photo_counts(20)))
    assert inspected.problems == ()  # no two photos are the same picture
    files = [sorted((tmp_path / name).rglob("*.jpg")) for name in ("one", "two")]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
    large = [f for f in files[0] if f.stat().st_size > 10 * files[0][1].stat().st_size]
    assert len(large) == -(-inspected.photos // 30)
    assert len(read_register(tmp_path / "one").object_ids) == 20


def test_measuring_sees_memory_of_children_and_failures() -> None:
    hungry = "import time; x = bytearray(200_000_000); time.sleep(0.5)"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hungry!r}]); print(0.5)"
    )
    small = measure_command(
        [sys.executable, "-c", "import time; time.sleep(0.3); print(7)"], "small", "x", 1
    )
    large = measure_command([sys.executable, "-c", parent], "small", "x", 1)
    assert large.peak_bytes - small.peak_bytes > 150_000_000
    assert (small.seconds, large.seconds) == (7, 0.5)
    with pytest.raises(CheckFailedError, match="ended with 3"):
        measure_command([sys.executable, "-c", "raise SystemExit(3)"], "small", "x", 1)


def test_limits() -> None:
    made().check()
    assert all(made().ratio(stage) == pytest.approx(1) for stage in STAGES)
    with pytest.raises(CheckFailedError, match=r"1\.50 times"):
        made(large_ms=15).check()
    with pytest.raises(CheckFailedError, match="peak memory"):
        made(peak=7 * 10**9).check()
