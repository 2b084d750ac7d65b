"""That a broken model does not get through the gates, and the commands that say so."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
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
    results = run_benchmark(
        [replace(case, bundle=bundle)], out, options=replace(QUICK, gates=tiny_gates())
    )
    stopped = {outcome.variant for outcome in results.gates if not outcome.passed}
    assert {outcome.variant for outcome in judge(results, tiny_gates()).failed} == stopped
    return Results.read(out / "results.json"), stopped


def row_of(results: Results, variant: str) -> Row:
    return next(row for row in results.rows if row.variant == variant)


def test_a_whole_model_passes(good: Path) -> None:
    results = Results.read(good / "results.json")
    whole = row_of(results, "torch-float32")
    assert (whole.top1 or 0) > 0.9, "a model that knows nothing proves nothing"
    asked = {outcome.requirement for outcome in results.gates}
    assert {"accuracy drop at most 0.5 points", "agreement at least 98.5 %"} <= asked
    assert [outcome for outcome in results.gates if not outcome.passed] == []


def shifted_labels(case: BenchmarkCase, folder: Path) -> Bundle:
    """Everywhere alike, as a mistake in the register's order would make them: no hash is wrong."""
    entries = [(x.object_id, x.collection, x.title, x.photos) for x in case.bundle.labels.labels]
    shifted = LabelMap.of([*entries[1:], entries[0]])
    files = {
        variant.name: relabelled(content_of(case.bundle, variant.name), shifted)
        for variant in case.bundle.info.variants
    }
    return replaced(case.bundle, folder / "bundle", files, shifted)


def of_run(run: Run, case: BenchmarkCase, folder: Path) -> Bundle:
    """The case's bundle with the float32 file of another run."""
    options = ExportOptions(variants=("tflite-float32",))
    bundle = export_bundle(run, folder / "exported", options=options, photos=case.photos)
    files = {"tflite-float32": content_of(bundle, "tflite-float32")}
    return replaced(case.bundle, folder / "bundle", files)


def swapped_channels(case: BenchmarkCase, folder: Path) -> Bundle:
    return of_run(with_weights(case.run, folder / "run", "swap channels"), case, folder)


def layer_of_zeros(case: BenchmarkCase, folder: Path) -> Bundle:
    shutil.copytree(case.run.folder, folder / "run")
    tensors = load_file(folder / "run" / "model.safetensors")
    tensors["backbone.blocks.4.0.conv_pw.weight"].zero_()
    save_file(tensors, folder / "run" / "model.safetensors")
    labels, split = case.run.labels, case.run.split
    zeroed = finish_run(folder / "run", labels, split, preprocessing=CONTRACT, head="linear")
    return of_run(zeroed, case, folder)


def calibrated_with(low: int, high: int) -> Callable[[BenchmarkCase, Path], Bundle]:
    """Full integer whose ranges are those of noise between two grey levels."""

    def damage(case: BenchmarkCase, folder: Path) -> Bundle:
        float32 = content_of(case.bundle, "tflite-float32")
        plain = float32[: float32.index(b"PK\x03\x04")]
        shape = (50, CONTRACT.height, CONTRACT.width, 3)
        noise = np.random.default_rng(0).integers(low, high, shape, dtype=np.uint8)
        content = to_int8(plain, activation_ranges(plain, noise))
        return replaced(case.bundle, folder / "bundle", {"tflite-int8": content})

    return damage


@pytest.mark.parametrize(
    ("damage", "wrong", "agreement", "drop", "drift"),
    [
        (shifted_labels, {"tflite-float32", "tflite-int8"}, 0.0, 20, 0.1),
        (swapped_channels, {"tflite-float32"}, 0.7, 20, 0.1),
        (layer_of_zeros, {"tflite-float32"}, 1, -1, 0),
        (calibrated_with(0, 256), {"tflite-int8"}, 1, -1, 0),
        (calibrated_with(100, 156), {"tflite-int8"}, 1, -1, 0),
    ],
    ids=["shifted labels", "swapped channels", "layer of zeros", "noise", "grey noise"],
)
def test_a_broken_model_is_stopped(
    damage: Callable[[BenchmarkCase, Path], Bundle],
    wrong: set[str],
    agreement: float,
    drop: float,
    drift: float,
    case: BenchmarkCase,
    tmp_path: Path,
) -> None:
    results, stopped = judged(case, damage(case, tmp_path), tmp_path / "out")
    assert stopped == wrong
    for row in (row_of(results, variant) for variant in wrong):
        assert row.agreement <= agreement
        assert row.drop_points > drop
        assert row.max_probability_drift > drift


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
    printed = capsys.readouterr()
    assert (
        "tflite-int8 on litert: latency at most 0.6 of tflite-float32's: speed was" in printed.err
    )
    assert "0 better, 0 worse" in printed.out
    assert {"report.html", "against.md", "against.json"} < {path.name for path in out.iterdir()}
    assert [o for o in Results.read(out / "results.json").gates if not o.passed]
    assert ET.parse(junit).getroot()[0].get("failures") == "2"
    changes = ResultsComparison.read(out / "against.json").rows[1].changes
    assert changes[0].why == "photo by photo, 110 photos of 10 objects"


def test_mistakes_are_told_before_anything_is_measured(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*words: object) -> str:
        assert main([str(word) for word in words]) == 2
        return capsys.readouterr().err

    nowhere = tmp_path / "nowhere"
    benchmark = ("benchmark", nowhere, "--photos", nowhere, "--out", tmp_path / "out")
    assert "cannot be read" in printed(*benchmark, "--gate", nowhere)
    assert "add --gate" in printed(*benchmark, "--junit", tmp_path / "j.xml")
    assert "is a folder" in printed(*benchmark, "--gate", DEFAULT_GATES, "--junit", tmp_path)
    assert "is not there" in printed(*benchmark, "--against", nowhere)
    assert "is not there" in printed("gate", nowhere)
    assert "add --gate" in printed("gate", good, "--against", good, "--junit", tmp_path / "j.xml")
