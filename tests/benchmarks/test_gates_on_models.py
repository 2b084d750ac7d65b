"""That a broken model does not get through the gates, and the commands that say so."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from patterns import CONTRACT, draw_photos, with_weights, write_run
from safetensors.torch import load_file, save_file
from tampering import replaced
from tiny_run import finish_run

from artefact_id.main import main
from benchmarks.gates.comparison import ResultsComparison
from benchmarks.gates.rules import judge
from benchmarks.measure.evaluation_set import held_out
from benchmarks.pipeline.benchmark import BenchmarkOptions, run_benchmark
from benchmarks.results.measurement import BenchmarkCase
from benchmarks.results.schema import Results, Row
from export import ExportOptions, export_bundle
from export.bundle.ship_limits import DEFAULT_GATES, Gates, Rule, read_gates
from export.tflite.convert import activation_ranges, to_int8
from mobile_assets.bundle import Bundle
from mobile_assets.labels import LabelMap
from train.run import Run

QUICK = BenchmarkOptions(measure_speed=False, bootstrap=500, preprocessing=0)


def tiny_gates() -> Gates:
    """The default gates, fitted to a network this small.

    Its graph and metadata weigh as much as its weights, its probabilities drift a quarter as far as
    those of a phone's network, and speed is not measured here.
    """
    fitted = {"max_size_ratio": 0.5, "max_mean_drift": 0.01}
    rules = (
        r.model_copy(update={key: value for key, value in fitted.items() if getattr(r, key)})
        for r in read_gates().rules
        if r.max_latency_ratio is None
    )
    return Gates(rules=tuple(rules))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkCase:
    root = tmp_path_factory.mktemp("register")
    draw_photos(root, views=17, noise=15, collections=False)  # five to train on, eleven to test
    run = write_run(root, tmp_path_factory.mktemp("work") / "run")
    options = ExportOptions(variants=("tflite-float32", "tflite-int8"), calibration_photos=50)
    bundle = export_bundle(run, run.folder.parent / "bundle", options=options, photos=root)
    photos, skipped = held_out(run, root)
    return BenchmarkCase(bundle, run, root, photos, skipped)


@pytest.fixture(scope="module")
def good(case: BenchmarkCase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the whole model."""
    folder = tmp_path_factory.mktemp("good") / "report"
    run_benchmark([case], folder, options=replace(QUICK, gates=tiny_gates()))
    return folder


def content_of(bundle: Bundle, variant: str) -> bytes:
    return bundle.path(bundle.info.variant(variant)).read_bytes()


def relabelled(content: bytes, labels: LabelMap) -> bytes:
    """A TFLite file with other labels in the archive at its end."""
    start = content.index(b"PK\x03\x04")
    archive = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, labels.text if name == "labels.txt" else old.read(name))
    return content[:start] + archive.getvalue()


def judged(case: BenchmarkCase, bundle: Bundle, out: Path) -> tuple[Results, set[str]]:
    """The results of a bundle, and the variants that a gate stops."""
    found = run_benchmark(
        [replace(case, bundle=bundle)], out, options=replace(QUICK, gates=tiny_gates())
    )
    stopped = {outcome.variant for outcome in found.gates if not outcome.passed}
    assert {outcome.variant for outcome in judge(found, tiny_gates()).failed} == stopped
    return Results.read(out / "results.json"), stopped


def row_of(results: Results, variant: str) -> Row:
    return next(row for row in results.rows if row.variant == variant)


def test_a_whole_model_passes(good: Path) -> None:
    found = Results.read(good / "results.json")
    whole = row_of(found, "torch-float32")
    assert (whole.top1 or 0) > 0.9, "a model that knows nothing proves nothing"
    asked = {outcome.requirement for outcome in found.gates}
    assert {"accuracy drop at most 0.5 points", "agreement at least 98.5 %"} <= asked
    assert [outcome for outcome in found.gates if not outcome.passed] == []


def test_shifted_labels_are_stopped(case: BenchmarkCase, tmp_path: Path) -> None:
    entries = [(x.object_id, x.collection, x.title, x.photos) for x in case.bundle.labels.labels]
    shifted = LabelMap.of([*entries[1:], entries[0]])
    # Everywhere alike, as a mistake in the register's order would make them: no hash is wrong.
    files = {
        variant.name: relabelled(content_of(case.bundle, variant.name), shifted)
        for variant in case.bundle.info.variants
    }
    bundle = replaced(case.bundle, tmp_path / "bundle", files, shifted)
    results, stopped = judged(case, bundle, tmp_path / "out")
    assert row_of(results, "tflite-int8").agreement == 0
    assert stopped == {"tflite-float32", "tflite-int8"}


def exported(run: Run, case: BenchmarkCase, folder: Path) -> bytes:
    options = ExportOptions(variants=("tflite-float32",))
    bundle = export_bundle(run, folder, options=options, photos=case.photos)
    return content_of(bundle, "tflite-float32")


def test_swapped_channels_are_stopped(case: BenchmarkCase, tmp_path: Path) -> None:
    swapped = with_weights(case.run, tmp_path / "run", "swap channels")
    content = exported(swapped, case, tmp_path / "exported")
    bundle = replaced(case.bundle, tmp_path / "bundle", {"tflite-float32": content})
    results, stopped = judged(case, bundle, tmp_path / "out")
    assert (row_of(results, "tflite-float32").drop_points or 0) > 20
    assert stopped == {"tflite-float32"}


def test_a_layer_of_zeros_is_stopped(case: BenchmarkCase, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(case.run.folder, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["backbone.blocks.4.0.conv_pw.weight"].zero_()
    save_file(tensors, folder / "model.safetensors")
    labels, split = case.run.labels, case.run.split
    zeroed = finish_run(folder, labels, split, preprocessing=CONTRACT, head="linear")
    content = exported(zeroed, case, tmp_path / "exported")
    bundle = replaced(case.bundle, tmp_path / "bundle", {"tflite-float32": content})
    _, stopped = judged(case, bundle, tmp_path / "out")
    assert stopped == {"tflite-float32"}


@pytest.mark.parametrize(("low", "high"), [(0, 256), (100, 156)], ids=["noise", "grey noise"])
def test_calibration_with_noise_is_stopped(
    low: int, high: int, case: BenchmarkCase, tmp_path: Path
) -> None:
    float32 = content_of(case.bundle, "tflite-float32")
    plain = float32[: float32.index(b"PK\x03\x04")]
    shape = (50, CONTRACT.height, CONTRACT.width, 3)
    noise = np.random.default_rng(0).integers(low, high, shape, dtype=np.uint8)
    content = to_int8(plain, activation_ranges(plain, noise))
    bundle = replaced(case.bundle, tmp_path / "bundle", {"tflite-int8": content})
    _, stopped = judged(case, bundle, tmp_path / "out")
    assert stopped == {"tflite-int8"}


def test_the_command_judges_results_again(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gates, junit = tmp_path / "gates.json", tmp_path / "junit.xml"
    tiny_gates().write(gates)
    words = ["gate", str(good), "--gate", str(gates), "--junit", str(junit)]
    assert main(words) == 0
    assert ET.parse(junit).getroot()[0].get("failures") == "0"
    Gates(rules=(Rule(name="r", variants=("*",), min_photos_measured=111),)).write(gates)
    assert main(words) == 1
    assert "measured on at least 111 photos: 110 photos" in capsys.readouterr().err
    assert ET.parse(junit).getroot()[0].get("failures") == "3"
    assert main(["gate", str(good / "results.json"), "--json"]) == 1  # the default: no speed
    printed = json.loads(capsys.readouterr().out)
    assert {outcome["passed"] for outcome in printed["gates"]} == {True, False}


def test_a_benchmark_that_fails_its_gate_still_reports(
    case: BenchmarkCase, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, junit = tmp_path / "out", tmp_path / "junit.xml"
    words = ["benchmark", case.bundle.folder, "--photos", case.photos, "--out", out]
    words += ["--no-speed", "--preprocessing", "0", "--against", good, "--junit", junit, "--gate"]
    assert main([str(word) for word in words]) == 1
    told = capsys.readouterr()
    assert "tflite-int8 on litert: latency at most 0.6 of tflite-float32's: speed was" in told.err
    assert "0 better, 0 worse" in told.out
    assert {"report.html", "against.md", "against.json"} < {path.name for path in out.iterdir()}
    assert [o for o in Results.read(out / "results.json").gates if not o.passed]
    assert ET.parse(junit).getroot()[0].get("failures") == "2"
    changes = ResultsComparison.read(out / "against.json").rows[1].changes
    assert changes[0].why == "photo by photo, 110 photos of 10 objects"


def test_mistakes_are_told_before_anything_is_measured(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*words: object) -> str:
        assert main([str(word) for word in words]) == 2
        return capsys.readouterr().err

    nowhere = tmp_path / "nowhere"
    benchmark = ("benchmark", nowhere, "--photos", nowhere, "--out", tmp_path / "out")
    assert "cannot be read" in told(*benchmark, "--gate", nowhere)
    assert "add --gate" in told(*benchmark, "--junit", tmp_path / "j.xml")
    assert "is a folder" in told(*benchmark, "--gate", DEFAULT_GATES, "--junit", tmp_path)
    assert "is not there" in told(*benchmark, "--against", nowhere)
    assert "is not there" in told("gate", nowhere)
    assert "add --gate" in told("gate", good, "--against", good, "--junit", tmp_path / "j.xml")
