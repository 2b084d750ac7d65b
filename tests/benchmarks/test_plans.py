"""Sweeps, exports and reports are refused before long work, whatever part of them is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_weights

from benchmarks.evaluation.evaluate import EvaluateOptions, evaluate_runs
from benchmarks.pipeline.benchmark import BenchmarkOptions, benchmark_bundles
from benchmarks.pipeline.sweep import SweepOptions, check_sweep, run_sweep
from export import ExportOptions, export_bundle
from mobile_assets.bundle import Bundle
from mobile_assets.errors import InputError
from train.run import Run
from train.training_plan import TrainOptions


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"thresholds": (3, 0)}, "give numbers of 1 or more"),
        ({"thresholds": ()}, "give numbers of 1 or more"),
        ({"thresholds": (3, 40)}, "0 objects with at least 40 readable photos"),
        ({"variants": ("tflite-int3",)}, "There is no variant 'tflite-int3'"),
        ({"variants_above": ("coreml",)}, "There is no variant 'coreml'"),
        ({"calibration_photos": 0}, "0 calibration photos"),
        ({"references": ((6, "cake"),)}, "cake"),
        ({"test_photos": Path("nowhere")}, "nowhere does not exist"),
    ],
)
def test_a_sweep_is_refused_before_its_first_training(
    register_folder: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    training = TrainOptions(
        backbone="test_efficientnet", weights=tiny_weights(tmp_path), input_size=64
    )
    options = SweepOptions(train=training, thresholds=(3, 6))
    with pytest.raises(InputError, match=words):
        run_sweep(register_folder, tmp_path / "sweep", replace(options, **changes))
    assert not (tmp_path / "sweep").exists()
    with pytest.raises(InputError, match="made of and would replace"):
        run_sweep(register_folder, register_folder.parent, replace(options, force=True))


def test_runs_to_compare_with_are_trained_on_all_objects(
    register_folder: Path, tmp_path: Path
) -> None:
    training = TrainOptions(
        backbone="test_efficientnet", weights=tiny_weights(tmp_path), input_size=64,
        recipe="discriminant", hold_out_objects=0.2, fit_validation=True,
    )  # fmt: skip
    options = SweepOptions(train=training, thresholds=(3,), references=((3, "probe"),))
    check_sweep(register_folder, tmp_path / "sweep", options)  # which refuses both of a probe


def test_an_export_is_refused_before_the_network_is_folded(
    golden_run: Run, register_folder: Path, tmp_path: Path
) -> None:
    def export(out: Path, photos: Path, **changes: Any) -> None:
        options = ExportOptions(variants=("tflite-float32",), force=True)
        export_bundle(golden_run, out, options=replace(options, **changes), photos=photos)

    with pytest.raises(InputError, match=r"None of the run's .* photos is in"):
        export(tmp_path / "bundle", tmp_path)
    with pytest.raises(InputError, match="--seed -1"):
        export(tmp_path / "bundle", register_folder, seed=-1)
    for out in (register_folder, golden_run.folder, golden_run.folder.parent):
        with pytest.raises(InputError, match="which the bundle is made of and would replace"):
            export(out, register_folder)
    assert not (tmp_path / "bundle").exists()


def test_a_report_never_replaces_what_it_is_about(
    golden_run: Run, golden_bundle: Bundle, register_folder: Path
) -> None:
    options = BenchmarkOptions(force=True)
    for out in (golden_bundle.folder, register_folder):
        with pytest.raises(InputError, match="which the benchmark is made of and would replace"):
            benchmark_bundles([golden_bundle.folder], register_folder, out, options=options)
        with pytest.raises(InputError, match="which the evaluation is made of and would replace"):
            evaluate_runs(
                [golden_run.folder],
                register_folder,
                out=register_folder if out == register_folder else golden_run.folder,
                options=EvaluateOptions(force=True, figures=False),
            )
    assert golden_bundle.folder.is_dir()
