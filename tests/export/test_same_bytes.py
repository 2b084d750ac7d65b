"""Exported twice from one run, in two processes, a bundle has the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from many_objects import tiny_run

from export import VARIANTS
from mobile_assets.bundle import read_bundle


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a bundle."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_every_file_of_every_kind_is_the_same_in_another_process(
    register_folder: Path, tmp_path: Path
) -> None:
    run = tiny_run(tmp_path / "run", register_folder, 40, "embedding-128")
    words = [
        "export", str(run.folder), "--photos", str(register_folder), "--name", "twice",
        "--calibration-photos", "12", "--embedding", "--shortlist", "10",
    ]  # fmt: skip
    bundles = [tmp_path / name / "bundle" for name in ("first", "second")]
    # Sets are walked in another order in every process: with these numbers they surely are.
    for number, bundle in enumerate(bundles, start=1):
        done = subprocess.run(
            [sys.executable, "-m", "artefact_id", *words, "--out", str(bundle)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000", "PYTHONHASHSEED": str(number)},
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr
    info = read_bundle(bundles[0]).info
    assert tuple(variant.name for variant in info.variants) == VARIANTS
    assert [one.name for one in info.companions] == [
        "tflite-embedding-float32", "tflite-embedding-float16", "tflite-embedding-int8",
        "tflite-shortlist", "coreml-embedding-float16", "coreml-shortlist",
    ]  # fmt: skip
    first, second = map(contents, bundles)
    assert len(first) > 80 and "golden/golden.json" in first
    different = [name for name in first | second if first.get(name) != second.get(name)]
    assert different == []
