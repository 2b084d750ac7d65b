"""Runtimes and variants that are taken where few are asked for, or few are there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from patterns import QUICK

from artefact_id.main import main
from benchmarks.pipeline.benchmark import run_benchmark
from benchmarks.results.measurement import BenchmarkCase
from export import ExportOptions, export_bundle
from mobile_assets.errors import InputError
from train.run import Run


def test_torch_alone_measures_the_reference(pattern_case: BenchmarkCase, tmp_path: Path) -> None:
    out = tmp_path / "report"
    results = run_benchmark([pattern_case], out, options=replace(QUICK, runtimes=("torch",)))
    measured = [row for row in results.rows if row.status == "measured"]
    assert [(row.runtime, row.variant) for row in measured] == [("torch", "torch-float32")]
    assert measured[0].photos > 0
    assert results.settings.runtimes == ("torch",)
    assert (out / "report.html").is_file()


def test_torch_beside_another_changes_nothing(pattern_case: BenchmarkCase, tmp_path: Path) -> None:
    rows = {}
    for names in (("litert",), ("torch", "litert")):
        options = replace(QUICK, runtimes=names)
        results = run_benchmark([pattern_case], tmp_path / "-".join(names), options=options)
        rows[names] = [(row.runtime, row.variant, row.top1) for row in results.rows]
    assert rows["litert",] == rows["torch", "litert"]


def test_an_unknown_runtime_is_still_refused() -> None:
    with pytest.raises(InputError, match="no runtime 'onnx'"):
        replace(QUICK, runtimes=("torch", "onnx"))


@pytest.mark.parametrize(
    ("variants", "code"),
    [
        (("tflite-float16", "tflite-float32"), 0),
        pytest.param(("tflite-int8-weights", "tflite-float32"), 0, marks=pytest.mark.slow),
        (("coreml-float16",), 2),
    ],
)
def test_identify_takes_what_is_there(
    variants: tuple[str, ...],
    code: int,
    golden_run: Run,
    register_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "bundle"
    options = ExportOptions(variants=variants, calibration_photos=6)
    export_bundle(golden_run, out, options=options, photos=register_folder)
    photo = next(register_folder.rglob("*.png"))
    capsys.readouterr()
    assert main(["identify", str(out), str(photo), "--json"]) == code
    said = capsys.readouterr()
    if code:
        assert "only TFLite variants" in said.err
        return
    answered = json.loads(said.out)
    assert main(["identify", str(out), str(photo), "--json", "--variant", variants[0]]) == 0
    assert json.loads(capsys.readouterr().out) == answered
