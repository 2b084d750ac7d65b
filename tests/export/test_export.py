"""Exports of a tiny real network: what a bundle says, and what is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fitted_export import CONTRACT, OBJECTS
from numpy.typing import NDArray

from export import VARIANTS, ExportOptions, export_bundle
from export.quantise.calibration_photos import calibration_order, calibration_photos
from mobile_assets.bundle import Bundle
from mobile_assets.decision import decide
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_bytes
from train.run import Run

pytest_plugins = ("fitted_export",)


def test_the_toy_network_is_worth_exporting(
    fitted_run: Run, fitted_answers: NDArray[np.float32]
) -> None:
    truth = np.array([int(photo.object_id[-3:]) for photo in fitted_run.split.of("test")])
    assert (fitted_answers.argmax(1) == truth).mean() > 0.9
    assert 0.2 < np.median(fitted_answers.max(axis=1)) < 0.999  # neither flat nor saturated


def test_bundle_describes_run_and_files(fitted_bundle: Bundle, fitted_run: Run) -> None:
    info = fitted_bundle.info
    assert tuple(variant.name for variant in info.variants) == VARIANTS
    assert (info.name, info.objects, info.created[:10]) == ("tiny-bundle", OBJECTS, "2023-11-14")
    assert (fitted_bundle.folder / info.source.run).resolve() == fitted_run.folder.resolve()
    assert info.source.model_sha256 == fitted_run.info.model_sha256
    assert info.source.photo_list_sha256 == fitted_run.split.sha256
    assert info.preprocessing == CONTRACT
    assert {"torch", "litert-torch", "coremltools"} <= info.versions.keys()
    assert fitted_bundle.labels == fitted_run.labels
    assert not list(fitted_bundle.folder.parent.glob(".bundle*"))


def test_calibration_takes_training_photos_only(
    fitted_bundle: Bundle, fitted_run: Run, fitted_root: Path
) -> None:
    record = fitted_bundle.info.calibration
    assert record is not None and len(record.photos) == 24
    sides = {photo.path: photo for photo in fitted_run.split.photos}
    chosen = [sides[path] for path in record.photos]
    assert {photo.split for photo in chosen} == {"train"}
    # Twice as many as objects: each object twice, the first round before the second.
    assert len({photo.object_id for photo in chosen[:12]}) == 12
    lines = "".join(f"{photo.path}\0{photo.sha256}\n" for photo in chosen)
    assert record.sha256 == sha256_bytes(lines.encode())


def test_calibration_is_spread_and_seeded(fitted_run: Run) -> None:
    order = calibration_order(fitted_run, seed=0)
    assert len(order) == 4 * OBJECTS
    collections = {label.object_id: label.collection for label in fitted_run.labels.labels}
    first = [collections[photo.object_id] for photo in order[:6]]
    assert (first.count("left"), first.count("right")) == (4, 2)  # as 8 objects to 4
    assert order == calibration_order(fitted_run, seed=0) != calibration_order(fitted_run, seed=1)


def damaged_register(root: Path, folder: Path, *, broken: Callable[[int], bool]) -> Path:
    """A copy of the register in which some objects' photos are changed."""
    copy = folder / "photos"
    shutil.copytree(root, copy)
    for number in filter(broken, range(OBJECTS)):
        for photo in (copy / f"OBJ.{number:03d}").iterdir():
            photo.write_bytes(photo.read_bytes() + b"changed")
    return copy


def test_changed_photos_are_skipped_and_counted(
    fitted_run: Run, fitted_root: Path, tmp_path: Path
) -> None:
    copy = damaged_register(fitted_root, tmp_path, broken=lambda n: n == 3)
    said: list[str] = []
    loaded, record = calibration_photos(fitted_run, copy, wanted=24, seed=0, say=said.append)
    assert len(record.photos) == len(loaded.pixels) == 24 and loaded.skipped == 2
    assert not any(path.startswith("OBJ.003") for path in record.photos)
    assert len(said) == 1 and "2 training photos" in said[0]


def test_wrong_register_is_refused(fitted_run: Run, fitted_root: Path, tmp_path: Path) -> None:
    copy = damaged_register(fitted_root, tmp_path, broken=lambda _: True)
    with pytest.raises(InputError, match=r"--photos"):
        calibration_photos(fitted_run, copy, wanted=24, seed=0, say=lambda _: None)
    with pytest.raises(InputError, match="validation photos"):
        export_bundle(fitted_run, tmp_path / "out", options=ExportOptions(), photos=copy)
    assert not (tmp_path / "out").exists()


def test_probabilities_alone_promise_no_match(fitted_bundle: Bundle) -> None:
    decision = fitted_bundle.info.decision
    assert decide(1.0, decision) == decide(0.0, decision) == "shortlist"
    card = (fitted_bundle.folder / "README.md").read_text()
    assert "no gallery and no thresholds" in card and "**match**" not in card


def test_an_existing_bundle_is_not_overwritten(
    fitted_bundle: Bundle, fitted_run: Run, fitted_root: Path
) -> None:
    before = (fitted_bundle.folder / "bundle.json").read_bytes()
    with pytest.raises(InputError, match="already exists"):
        export_bundle(fitted_run, fitted_bundle.folder, options=ExportOptions(), photos=fitted_root)
    assert (fitted_bundle.folder / "bundle.json").read_bytes() == before


@pytest.mark.slow
def test_an_interrupted_export_leaves_nothing(
    fitted_run: Run, fitted_root: Path, tmp_path: Path
) -> None:
    def interrupt(sentence: str) -> None:
        if "tflite-float16" in sentence:  # when the first file is written
            raise KeyboardInterrupt

    options = ExportOptions(variants=("tflite-float32", "tflite-float16"))
    with pytest.raises(KeyboardInterrupt):
        export_bundle(
            fitted_run, tmp_path / "out", options=options, photos=fitted_root, progress=interrupt
        )
    assert list(tmp_path.iterdir()) == []


def test_refusals(fitted_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="tflite-float32, tflite-float16"):
        export_bundle(
            fitted_run, out, options=ExportOptions(variants=("tflite-int7",)), photos=None
        )
    with pytest.raises(InputError, match="--photos PHOTOS"):
        export_bundle(fitted_run, out, options=ExportOptions(), photos=None)
    with pytest.raises(InputError, match="is not a folder"):
        export_bundle(fitted_run, out, options=ExportOptions(), photos=tmp_path / "nowhere")
    with pytest.raises(InputError, match="No variant"):
        export_bundle(fitted_run, out, options=ExportOptions(variants=()), photos=None)
    with pytest.raises(InputError, match="calibration photos"):
        export_bundle(fitted_run, out, options=ExportOptions(calibration_photos=0), photos=None)
    assert not out.exists()


def test_without_photos_every_answer_is_a_shortlist(fitted_run: Run, tmp_path: Path) -> None:
    said: list[str] = []
    made = export_bundle(
        fitted_run,
        tmp_path / "out",
        options=ExportOptions(variants=("coreml-float16",)),
        photos=None,
        progress=said.append,
    )
    decision = made.info.decision
    assert (decision.match, decision.reject, decision.validation_photos) == (1.0, 0.0, 0)
    assert made.info.calibration is None and "shortlist" in said[0]
    assert "no gallery and no thresholds" in (made.folder / "README.md").read_text()


def test_the_readme_says_what_an_app_needs(fitted_bundle: Bundle) -> None:
    card = (fitted_bundle.folder / "README.md").read_text()
    first_screen, _, code = card.partition("## Code")
    headings = [line for line in first_screen.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Which file to take",
        "## How to feed it",
        "## How to read it",
        "## Which object is it",
    ]
    assert len(first_screen.splitlines()) <= 35
    for name in ("tflite-float32", "coreml-float16"):  # nothing smaller was measured
        assert f"`{fitted_bundle.info.variant(name).file}`" in first_screen
    assert "Squash it to 64 × 64" in first_screen
    assert "scaleFill" in code and "ImageClassifier" in code


def test_details_hold_measured_numbers(fitted_bundle: Bundle) -> None:
    details = (fitted_bundle.folder / "DETAILS.md").read_text()
    assert "87.5% of 24 validation photos" in details
    assert "48 photos for training, 24 for validation, 24 for test" in details
    assert "| left | 8 |" in details
    for variant in fitted_bundle.info.variants:
        assert variant.file in details
    assert {"README.md", "DETAILS.md"} <= fitted_bundle.info.files.keys()
