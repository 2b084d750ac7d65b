"""The command line as a person uses it: the whole way, exit codes, messages, JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import object_picture, tiny_weights

from artefact_id.main import main
from mobile_assets.bundle import read_bundle

ROOT = Path(__file__).parents[2]
BACKBONE = "test_efficientnet"


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a training that takes seconds."""
    cache = tmp_path_factory.mktemp("cache")
    return [
        "--backbone", BACKBONE, "--weights", str(tiny_weights(cache)), "--input-size", "64",
        "--epochs", "1", "--cache", str(cache),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def work(
    register_folder: Path, training: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run and a bundle, made by the commands."""
    folder = tmp_path_factory.mktemp("work")
    photos = str(register_folder)
    assert main(["train", photos, "--out", str(folder / "run"), *training]) == 0
    export = ["export", str(folder / "run"), "--photos", photos, "--out", str(folder / "bundle")]
    assert main(export) == 0
    return folder


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "artefact_id", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_bundle_has_all_variants_and_is_whole(work: Path) -> None:
    bundle = read_bundle(work / "bundle")
    assert [variant.name for variant in bundle.info.variants] == [
        "tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8",
        "coreml-float32", "coreml-float16", "coreml-int8-weights", "coreml-palette6",
        "coreml-w8a8",
    ]  # fmt: skip


@pytest.mark.slow
def test_benchmark_writes_results_and_report(work: Path, register_folder: Path) -> None:
    out = work / "report"
    words = ["benchmark", str(work / "bundle"), "--photos", str(register_folder)]
    assert main([*words, "--out", str(out), "--latency-runs", "5"]) == 0
    names = {path.name for path in out.iterdir()}
    assert names >= {"results.json", "results.md", "results.csv", "report.html"}
    rows = {row["variant"]: row for row in json.loads((out / "results.json").read_text())["rows"]}
    assert rows["tflite-float32"]["agreement"] == 1.0
    assert rows["tflite-float32"]["photos"] == rows["torch-float32"]["photos"] > 0
    assert main([*words, "--out", str(out)]) == 2  # there already


def test_identify_answers_in_a_process_without_torch(work: Path, register_folder: Path) -> None:
    photo = register_folder / "Egyptian/OBJ-5/000.png"
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['timm'] = None\n"
        "from artefact_id.main import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "identify", str(work / "bundle"), str(photo), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)
    assert len(answer["candidates"]) == 5
    assert answer["candidates"][0]["object_id"].startswith("OBJ-")
    values = [candidate["score"] for candidate in answer["candidates"]]
    assert values == sorted(values, reverse=True)


def test_identify_gives_the_answer_of_the_full_precision_model(
    work: Path, register_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from mobile_assets.identification.gallery import read_gallery
    from mobile_assets.identification.scores import GallerySearch, ScoreFormula
    from mobile_assets.photos import load
    from train.run import load_model, read_run

    run = read_run(work / "run")
    gallery = read_gallery(read_bundle(work / "bundle"))
    assert gallery is not None
    search = GallerySearch(gallery, ScoreFormula())
    model = load_model(run)
    photos = sorted(register_folder.rglob("*.png"))[:8]
    words = [str(photo) for photo in photos]
    for variant, limit in (("tflite-float32", 1e-3), ("tflite-float16", 2e-2)):
        call = ["identify", str(work / "bundle"), *words, "--variant", variant, "--json"]
        assert main([*call, "--top", "6"]) == 0
        answers = json.loads(capsys.readouterr().out)
        for photo, answer in zip(photos, answers, strict=True):
            pixels = load(photo, run.info.preprocessing)
            with torch.inference_mode():
                image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
                embedding = model.head.embedding(model.features(image)).numpy()
            wanted = search.scores(embedding)[0]
            found = {c["object_id"]: c["score"] for c in answer["candidates"]}
            ours = np.array([found[object_id] for object_id in run.labels.object_ids])
            assert np.abs(ours - wanted).max() < limit


def test_unreadable_photo_among_good_ones(
    work: Path, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    good = register_folder / "Egyptian/OBJ-5/000.png"
    assert main(["identify", str(work / "bundle"), str(bad), str(good), "--json"]) == 2
    first, second = json.loads(capsys.readouterr().out)
    assert "not a picture" in first["error"]
    assert second["candidates"]


@pytest.mark.slow
def test_sweep_goes_on_where_it_was_broken_off(
    register_folder: Path, training: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep"
    words = ["sweep", str(register_folder), "--out", str(out), "--thresholds", "3,6", *training]
    words += ["--variants", "tflite-float32", "--no-speed", "--compare", "probe"]
    assert main(words) == 0
    results = json.loads((out / "report/results.json").read_text())
    assert {(row["min_photos"], row["variant"]) for row in results["rows"]} == {
        (n, v) for n in (3, 6) for v in ("torch-float32", "tflite-float32", "linear probe")
    }
    assert main(words) == 2
    assert "finished sweep" in capsys.readouterr().err
    # As after a kill: the report and the second bundle are not there yet.
    shutil.rmtree(out / "report")
    shutil.rmtree(out / "min6/bundle")
    stamp = (out / "min3/run/model.safetensors").stat().st_mtime_ns
    assert main(words) == 0
    assert "trained before, kept" in capsys.readouterr().err
    assert (out / "min3/run/model.safetensors").stat().st_mtime_ns == stamp
    assert main([*words, "--seed", "1"]) == 2
    assert "other photos or options" in capsys.readouterr().err


def test_inspect_prints_the_papers_tables(
    register_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(register_folder)]) == 0
    text = capsys.readouterr().out
    assert "6 objects, 33 photos" in text
    assert "photos per object" in text
    assert "Oriental" in text
    assert main(["inspect", str(register_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["thresholds"][3] == {"name": "at least 6", "objects": 3, "photos": 21}


def test_demo_register_is_rendered_kept_and_not_mixed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--out", str(tmp_path / "demo"), "--objects", "2", "--extra-views", "1"]
    words += ["--field-views", "0", "--only-photos"]
    assert main(words) == 0
    photo = next((tmp_path / "demo/photos/extra").rglob("*.jpg"))
    stamp = photo.stat().st_mtime_ns
    assert main(words) == 0
    assert photo.stat().st_mtime_ns == stamp
    assert main([*words, "--seed", "1"]) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "demo/photos/register")]) == 0
    assert "2 objects" in capsys.readouterr().out
    assert main([*words, "--objects", "99999"]) == 2


def test_doctor_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    parts = {part["name"]: part for part in json.loads(capsys.readouterr().out)}
    assert parts["train"]["state"] == "ready"
    assert parts["train"]["versions"]["torch"] != "-"
    if sys.platform != "darwin":
        assert parts["export to Core ML"]["state"] == "limited"
    assert all(part["remedy"] for part in parts.values() if part["state"] != "ready")
    assert main(["doctor"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "nowhere"], "nowhere does not exist"),
        (["train", "EMPTY", "--out", "OUT"], "holds no photos"),
        (["train", "ONE", "--out", "OUT"], "1 object with at least 3 readable photos"),
        (["train", "PHOTOS", "--out", "OUT", "--min-photos", "9"], "0 objects with at least 9"),
        (["train", "PHOTOS", "--out", "OUT", "--recipe", "magic"], "no recipe 'magic'"),
        (["train", "PHOTOS", "--out", "OUT", "--backbone", "vgg99"], "no backbone named 'vgg99'"),
        (["train", "PHOTOS", "--out", "OUT", "--split", "manifest"], "split column"),
        (["export", "PHOTOS", "--out", "OUT"], "is not a run"),
        (["export", "RUN", "--out", "OUT"], "--photos"),
        (["export", "RUN", "--out", "OUT", "--variants", "onnx"], "no variant 'onnx'"),
        (["export", "RUN", "--photos", "PHOTOS", "--out", "BUNDLE"], "already exists"),
        (["identify", "PHOTOS", "x.jpg"], "is not a bundle"),
        (["identify", "BUNDLE", "x.jpg", "--variant", "coreml-float16"], "Core ML"),
        (["identify", "BUNDLE", "x.jpg", "--variant", "none"], "no variant 'none'"),
        (["benchmark", "RUN", "--photos", "PHOTOS", "--out", "OUT"], "is not a bundle"),
        (["benchmark", "BUNDLE", "--photos", "EMPTY", "--out", "OUT"], "--photos"),
        (["sweep", "PHOTOS", "--out", "RUN"], "not a sweep's folder"),
    ],
)
def test_wrong_input_is_explained(
    words: list[str],
    message: str,
    work: Path,
    register_folder: Path,
    tmp_path: Path,
    training: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    for view in range(4):
        path = tmp_path / "one" / "only" / f"{view}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        object_picture(1, view).save(path)
    places = {
        "PHOTOS": register_folder, "RUN": work / "run", "BUNDLE": work / "bundle",
        "EMPTY": tmp_path / "empty", "ONE": tmp_path / "one", "OUT": tmp_path / "out",
    }  # fmt: skip
    given = [str(places.get(word, word)) for word in words]
    if words[0] in ("train", "sweep"):
        given = [given[0], *given[1:], *training] if "--backbone" not in words else given
    assert main(given) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "out").exists()


def test_damaged_bundle_is_refused(
    work: Path, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(work / "bundle", tmp_path / "bundle")
    model = next((tmp_path / "bundle/models").glob("*.int8.tflite"))
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 0xFF
    model.write_bytes(data)
    photo = str(register_folder / "Egyptian/OBJ-5/000.png")
    assert main(["identify", str(tmp_path / "bundle"), photo]) == 2
    assert "damaged" in capsys.readouterr().err


def test_interrupt_is_130_and_a_missing_part_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, register_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import train.registers.inspection

    def raises(error: BaseException):  # type: ignore[no-untyped-def]
        def call(*_: object, **__: object) -> None:
            raise error

        return call

    monkeypatch.setattr(train.registers.inspection, "inspect", raises(KeyboardInterrupt()))
    assert main(["inspect", str(register_folder)]) == 130
    missing = ModuleNotFoundError("No module named 'timm'", name="timm")
    monkeypatch.setattr(train.registers.inspection, "inspect", raises(missing))
    assert main(["inspect", str(register_folder)]) == 2
    assert "artefact-id[train]" in capsys.readouterr().err
    full = OSError(28, "No space left on device")
    monkeypatch.setattr(train.registers.inspection, "inspect", raises(full))
    assert main(["inspect", str(register_folder)]) == 2
    assert "No space left" in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = process("inspect", str(tmp_path / "none"), "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr
