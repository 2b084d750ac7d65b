"""Which variant an export recommends."""

from pathlib import Path

import pytest

from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle
from mobile_assets.errors import InputError
from train.run import Run

pytestmark = pytest.mark.slow

pytest_plugins = ("fitted_export",)


@pytest.fixture(scope="module")
def recommended(
    fitted_run: Run, fitted_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """A bundle that says which variants to ship."""
    options = ExportOptions(
        variants=("tflite-float32", "tflite-int8-weights", "coreml-float16", "coreml-int8-weights"),
        calibration_photos=24,
        recommend=True,
    )
    return export_bundle(
        fitted_run,
        tmp_path_factory.mktemp("recommended") / "out",
        options=options,
        photos=fitted_root,
    )


def test_the_smallest_good_variant_is_recommended(recommended: Bundle, fitted_run: Run) -> None:
    tflite, coreml = recommended.info.recommended
    assert (tflite.variant, tflite.met) == ("tflite-int8-weights", True)
    assert (coreml.variant, coreml.met) == ("coreml-int8-weights", True)
    assert tflite.photos == len(fitted_run.split.of("val")) == 24
    assert tflite.agreement == 1 and tflite.agreement_low == pytest.approx(0.862, abs=1e-3)
    assert "24 of 24 validation photos" in tflite.why
    card = (recommended.folder / "README.md").read_text()
    assert "was not measured" not in card and tflite.why in card and coreml.why in card


def test_nothing_is_recommended_unasked(
    fitted_bundle: Bundle, fitted_run: Run, tmp_path: Path
) -> None:
    assert fitted_bundle.info.recommended == ()
    assert "was not measured" in (fitted_bundle.folder / "README.md").read_text()
    options = ExportOptions(variants=("tflite-float32",), recommend=True)
    with pytest.raises(InputError, match="validation photos"):
        export_bundle(fitted_run, tmp_path / "out", options=options, photos=None)


def test_identify_takes_what_is_recommended(
    recommended: Bundle, fitted_run: Run, fitted_root: Path
) -> None:
    from benchmarks.pipeline.identify import identify

    photo = fitted_run.split.of("train")[0]
    (found,) = identify(
        recommended.folder, [fitted_root / photo.path], top=1
    )  # there is no tflite-int8
    assert found.candidates[0].label.object_id == photo.object_id


def test_quantise_auto_needs_photos(
    fitted_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from artefact_id.main import main

    call = ["export", str(fitted_run.folder), "--out", str(tmp_path / "out")]
    assert main([*call, "--variants", "tflite-float32", "--quantise", "auto"]) == 2
    assert "decided on the run's validation photos" in capsys.readouterr().err
