"""Which photos a run is judged by: held out, unchanged, of its objects, never trained on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from patterns import OBJECTS, with_weights
from PIL import Image

from benchmarks.measure.cases import locate_run
from benchmarks.measure.evaluation_set import from_register, held_out
from benchmarks.results.measurement import BenchmarkCase
from mobile_assets.bundle import read_bundle
from mobile_assets.errors import InputError
from train.registers.readers import read_register


def test_held_out_photos_are_those_of_the_split(pattern_case: BenchmarkCase) -> None:
    photos, skipped = held_out(pattern_case.run, pattern_case.photos)
    assert not skipped
    assert [p.path for p in photos] == [
        pattern_case.photos / p.path for p in pattern_case.run.split.of("test")
    ]
    assert all(pattern_case.run.labels[p.object_index].object_id == p.object_id for p in photos)


def test_held_out_photos_that_changed_are_told(pattern_case: BenchmarkCase, tmp_path: Path) -> None:
    copy = tmp_path / "photos"
    shutil.copytree(pattern_case.photos, copy)
    first, second = pattern_case.run.split.of("test")[:2]
    (copy / first.path).unlink()
    Image.new("RGB", (8, 8)).save(copy / second.path)
    photos, skipped = held_out(pattern_case.run, copy)
    assert len(photos) == OBJECTS * 6 - 2
    assert [(s.path, s.reason) for s in skipped] == [
        (first.path, "there is no such file"),
        (second.path, "the file has changed since training"),
    ]
    with pytest.raises(InputError, match="--photos"):
        held_out(pattern_case.run, tmp_path / "elsewhere")


def test_a_run_without_test_photos_asks_for_some(pattern_case: BenchmarkCase) -> None:
    kept = tuple(p for p in pattern_case.run.split.photos if p.split != "test")
    bare = replace(
        pattern_case.run, split=pattern_case.run.split.model_copy(update={"photos": kept})
    )
    with pytest.raises(InputError, match="--test-photos"):
        held_out(bare, pattern_case.photos)


def test_a_second_folder_of_photos(pattern_case: BenchmarkCase, tmp_path: Path) -> None:
    for name in ("OBJ-3", "UNKNOWN"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (20, 20), "teal").save(tmp_path / name / "new.png")
    photos, skipped = from_register(read_register(tmp_path), pattern_case.run)
    assert [(p.object_id, p.object_index, p.collection) for p in photos] == [("OBJ-3", 3, "north")]
    assert [s.reason for s in skipped] == ["UNKNOWN is not an object of the model"]
    shutil.rmtree(tmp_path / "OBJ-3")
    with pytest.raises(InputError, match="object ids"):
        from_register(read_register(tmp_path), pattern_case.run)


def test_the_run_is_found_and_must_be_the_right_one(
    pattern_case: BenchmarkCase, tmp_path: Path
) -> None:
    assert (
        locate_run(pattern_case.bundle, None).folder.resolve() == pattern_case.run.folder.resolve()
    )
    other = with_weights(pattern_case.run, tmp_path / "other", "swap channels")
    with pytest.raises(InputError, match="is not the run"):
        locate_run(pattern_case.bundle, other.folder)
    with pytest.raises(InputError, match=r"run\.json"):
        locate_run(pattern_case.bundle, tmp_path)
    shutil.copytree(pattern_case.bundle.folder, tmp_path / "moved" / "bundle")
    with pytest.raises(InputError, match="--run"):
        locate_run(read_bundle(tmp_path / "moved" / "bundle"), None)
