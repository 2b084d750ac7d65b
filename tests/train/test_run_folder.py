"""The run folder: what it holds, that it is made alike again, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mobile_assets.errors import DamagedError, InputError
from mobile_assets.photos import load
from train.engine import Trainer
from train.run import Run, RunMetrics, load_model, read_run
from train.temperature import fitted
from train.trainer import train_run
from train.training_plan import TrainOptions
from train.training_state import TrainingState

QUICK = TrainOptions(input_size=64, epochs=1, min_photos=3, seed=3)


@pytest.fixture(scope="module")
def run(register_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "run"
    cache = tmp_path_factory.mktemp("cache")
    return train_run(register_folder, out, dataclasses.replace(QUICK, cache=cache))


def test_run_folder_holds_what_the_design_says(run: Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "model.safetensors", "run.json", "labels.json", "split.json", "history.csv", "metrics.json",
        "validation.json", "logs",
    }  # fmt: skip
    assert run.info.photos.train + run.info.photos.val + run.info.photos.test == 33
    assert run.info.versions["torch"] == torch.__version__.split("+")[0]
    rows = list(csv.DictReader((run.folder / "history.csv").open()))
    assert [row["stage"] for row in rows] == ["all", "closed form"]
    metrics = RunMetrics.read(run.folder / "metrics.json")
    assert metrics.val_photos == run.info.photos.val


def test_the_temperature_is_the_validation_photos_and_divides_the_logits(
    run: Run, register_folder: Path
) -> None:
    info = run.info.temperature
    assert info.photos == run.info.photos.val
    model = load_model(run)
    paths = [photo.path for photo in run.split.of("val")]
    pixels = np.stack([load(register_folder / path, run.info.preprocessing) for path in paths])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    places = {label.object_id: place for place, label in enumerate(run.labels.labels)}
    truth = np.array([places[photo.object_id] for photo in run.split.of("val")])
    with torch.inference_mode():
        divided = model(images)
        model.temperature = 1.0
        bare = model(images)
    torch.testing.assert_close(divided, bare / info.value)
    found = fitted(bare.numpy(), truth)
    assert found.value == pytest.approx(info.value, rel=2e-3)


def test_same_photos_seed_and_versions_give_the_same_run(
    run: Run, register_folder: Path, tmp_path: Path
) -> None:
    again = train_run(
        register_folder, tmp_path / "run", dataclasses.replace(QUICK, cache=tmp_path / "cache")
    )
    assert again.info.model_sha256 == run.info.model_sha256
    assert again.info.temperature == run.info.temperature
    assert again.split == run.split
    assert again.labels == run.labels


def test_an_output_that_exists_is_refused(run: Run, register_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--force"):
        train_run(register_folder, run.folder, dataclasses.replace(QUICK, cache=tmp_path))


def test_a_broken_off_training_leaves_nothing(
    register_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Trainer, resume: TrainingState | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_run(
            register_folder, tmp_path / "out/run", dataclasses.replace(QUICK, cache=tmp_path / "c")
        )
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("run.json", lambda t: t.replace('"schema_version": 1', '"schema_version": 99'), "99"),
        ("run.json", lambda t: t[:50], "damaged"),
        ("run.json", lambda t: t.replace('"seed"', '"sead"'), "not a valid"),
        ("run.json", lambda t: t.replace('"objects": 6', '"objects": 7'), "labels.json"),
        ("labels.json", lambda t: t.replace("OBJ-1", "OBJ-X"), "labels.json"),
        ("split.json", lambda t: t.replace('"train"', '"val"', 1), "split.json"),
        ("split.json", lambda t: t.replace('"seen": true', '"seen": false', 1), "split.json"),
        ("split.json", lambda t: t.replace('"min_photos": 3', '"min_photos": 4'), "split.json"),
        ("split.json", lambda t: t.replace('"seed": 3', '"seed": 4'), "split.json"),
    ],
)
def test_damaged_runs_are_refused(
    run: Run, tmp_path: Path, file: str, change: object, words: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    path = copy / file
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(DamagedError, match=words):
        read_run(copy)


@pytest.mark.parametrize("quantised", [None, {"sha256": "0" * 64, "source": "../run", "epoch": 4}])
def test_a_run_with_a_second_network_in_8_bits_is_read_as_its_float_network(
    run: Run, tmp_path: Path, quantised: object
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    (copy / "quantised.safetensors").write_bytes(b"weights")
    value = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(value | {"quantised": quantised}))
    assert read_run(copy).info == run.info
    (copy / "run.json").write_text(json.dumps(value | {"quantized": quantised}))
    with pytest.raises(DamagedError, match="Extra inputs"):
        read_run(copy)


def test_changed_weights_are_refused(run: Run, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(DamagedError, match=r"model\.safetensors"):
        read_run(copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(DamagedError, match="missing"):
        read_run(copy)


def test_too_few_objects_are_explained(register_folder: Path, tmp_path: Path) -> None:
    options = dataclasses.replace(QUICK, cache=tmp_path, min_photos=8)
    with pytest.raises(InputError, match="1 object with at least 8 readable photos"):
        train_run(register_folder, tmp_path / "run", options)
    with pytest.raises(InputError, match="most photographed has 8"):
        train_run(register_folder, tmp_path / "run", dataclasses.replace(options, min_photos=50))


def test_split_file_names_every_photo_with_its_hash(run: Run, register_folder: Path) -> None:
    import hashlib

    split = json.loads((run.folder / "split.json").read_text())
    assert len(split["photos"]) == 33
    for photo in split["photos"]:
        content = (register_folder / photo["path"]).read_bytes()
        assert photo["sha256"] == hashlib.sha256(content).hexdigest()
