"""What 8-bit variants are made on: photos, and noise only where it is asked for, and marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from artefact_id.main import main
from benchmarks.verify import verify_bundle
from export.quantise.calibration_photos import calibration_noise
from mobile_assets.bundle import Bundle, BundleInfo
from mobile_assets.files import sha256_bytes
from train.run import Run


def calibration_check(folder: Path) -> tuple[str, str]:
    found = [check for check in verify_bundle(folder).checks if check.name == "calibration"]
    return found[0].state, found[0].said


def exported(run: Run, out: Path, *more: str) -> int:
    words = ("export", str(run.folder), "--out", str(out), "--variants", "tflite-int8")
    return main([*words, "--no-golden", "--calibration-photos", "6", *more])


def test_photos_of_training_are_told_and_pass(golden_bundle: Bundle) -> None:
    state, said = calibration_check(golden_bundle.folder)
    assert (state, said) == ("ok", "12 training photos, seed 0")
    assert "chosen on 12 training photos" in (golden_bundle.folder / "DETAILS.md").read_text()


def test_noise_is_marked_everywhere_and_fails_verification(
    golden_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "noise"
    assert exported(golden_run, folder, "--calibration", "noise") == 0
    assert "not fit for the field" in capsys.readouterr().err
    record = BundleInfo.read(folder / "bundle.json").calibration
    assert record is not None and (record.photos, record.noise_images) == ((), 6)
    assert "**Not fit for the field.**" in (folder / "README.md").read_text()
    state, said = calibration_check(folder)
    assert state == "failed" and "6 images of noise" in said
    assert main(["verify", str(folder)]) == 1


def test_noise_is_never_taken_unasked(
    golden_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exported(golden_run, tmp_path / "none") == 2
    assert "needs photos to be calibrated on" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_noise_is_seeded_and_its_hash_is_of_the_pixels(golden_run: Run) -> None:
    contract = golden_run.info.preprocessing
    first, record = calibration_noise(contract, wanted=3, seed=5)
    again, same = calibration_noise(contract, wanted=3, seed=5)
    assert first.pixels.shape == (3, contract.height, contract.width, 3)
    assert np.array_equal(first.pixels, again.pixels) and record == same
    assert record.sha256 == sha256_bytes(first.pixels.tobytes())
    assert calibration_noise(contract, wanted=3, seed=6)[1].sha256 != record.sha256
