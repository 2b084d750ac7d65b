"""Reading bundles: a whole one is read, and every kind of damage is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_run import CONTRACT, describe_bundle

from mobile_assets.bundle import (
    Bundle,
    BundleInfo,
    Calibration,
    TensorInfo,
    Variant,
    hash_files,
    read_bundle,
)
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_path, size_of, write_text
from mobile_assets.labels import LabelMap

LABELS = LabelMap.of([(f"EG.{n}", "Egyptian", f"Shabti {n}", 4) for n in range(5)])


def variant(folder: Path, name: str, file: str) -> Variant:
    """A variant of a file that is already in the bundle."""
    tflite = name.startswith("tflite")
    dtype: Any = "float32" if tflite else "image"
    return Variant(
        name=name,
        file=file,
        format="tflite" if tflite else "coreml",
        precision=name.split("-", 1)[1],
        bytes=size_of(folder / file),
        sha256=sha256_path(folder / file),
        inputs=(TensorInfo(name="image", dtype=dtype, shape=(1, 64, 64, 3)),),
        outputs=(TensorInfo(name="probabilities", dtype="float32", shape=(1, 5)),),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle whose models are stand-ins: reading never opens them."""
    folder = tmp_path / "bundle"
    package = folder / "models/m.mlpackage/Data"
    package.mkdir(parents=True)
    (folder / "models/m.tflite").write_bytes(bytes(range(256)) * 8)
    (package / "model.mlmodel").write_bytes(b"program")
    (package / "weight.bin").write_bytes(b"weights")
    LABELS.write(folder)
    variants = (
        variant(folder, "tflite-float32", "models/m.tflite"),
        variant(folder, "coreml-float16", "models/m.mlpackage"),
    )
    info = describe_bundle(LABELS, CONTRACT, variants)
    calibration = Calibration(photos=("a.jpg",), seed=0, sha256="2" * 64)
    changes = {"calibration": calibration, "files": hash_files(folder)}
    info.model_copy(update=changes).write(folder / "bundle.json")
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes `bundle.json`."""
    path = folder / "bundle.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_whole_bundle_is_read(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert isinstance(bundle, Bundle) and bundle.labels == LABELS
    path = bundle.path(bundle.info.variant("tflite-float32"))
    assert path.read_bytes() == (folder / "models/m.tflite").read_bytes()
    assert not path.is_relative_to(folder) and path.name == "m.tflite"
    assert BundleInfo.read(folder / "bundle.json") == bundle.info


def test_an_unknown_variant_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(InputError, match="tflite-float32, coreml-float16"):
        read_bundle(folder).info.variant("tflite-int8")


def test_a_description_of_before_there_were_several_companions_is_read(folder: Path) -> None:
    file = folder / "models/m.tflite"
    record = {
        "file": "models/m.tflite",
        "bytes": size_of(file),
        "sha256": sha256_path(file),
        "inputs": [],
        "outputs": [{"name": "embedding", "dtype": "float32", "shape": [1, 8]}],
        "notes": ["as it was"],
    }
    edit(folder, lambda value: (value.pop("companions"), value.update(embedding=record)))
    (found,) = read_bundle(folder).info.companions
    assert (found.name, found.file, found.notes) == (
        "tflite-embedding",
        "models/m.tflite",
        ("as it was",),
    )
    assert [model.name for model in read_bundle(folder).info.models][-1] == "tflite-embedding"
    edit(folder, lambda value: value.update(embedding=record | {"bytes": 1}))
    with pytest.raises(DamagedError, match="SHA-256"):
        read_bundle(folder)
    edit(folder, lambda value: value.update(embedding=None))
    assert read_bundle(folder).info.companions == ()
    edit(folder, lambda value: value.update(embedding="something else"))
    with pytest.raises(DamagedError):
        read_bundle(folder)


@pytest.mark.parametrize("sha256", [None, "3" * 64])
def test_a_description_with_the_hash_of_a_second_network_is_read(
    folder: Path, sha256: str | None
) -> None:
    info = read_bundle(folder).info
    edit(folder, lambda value: value["source"].update(quantised_sha256=sha256))
    assert read_bundle(folder).info == info
    edit(folder, lambda value: value["source"].update(quantized_sha256=sha256))
    with pytest.raises(DamagedError, match="Extra inputs"):
        read_bundle(folder)


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds no bundle\.json"):
        read_bundle(tmp_path)


FILES = ("models/m.tflite", "models/m.mlpackage/Data/weight.bin", "labels.json", "labels.txt")


@pytest.mark.parametrize("damage", ["flipped bit", "missing", "additional"])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_refused(folder: Path, file: str, damage: str) -> None:
    path = folder / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "flipped bit":
        path.write_bytes(content)
    elif damage == "missing":
        path.unlink()
    else:
        (folder / "models/m.mlpackage/Data/extra").write_bytes(b"x")
    with pytest.raises(DamagedError):
        read_bundle(folder)


def test_files_can_be_left_unchecked(folder: Path) -> None:
    (folder / "models/m.tflite").write_bytes(b"other")
    with pytest.raises(DamagedError, match="SHA-256"):
        read_bundle(folder)
    assert read_bundle(folder, check_files=False).labels == LABELS


def test_swapped_labels_are_refused(folder: Path) -> None:
    path = folder / "labels.json"
    labels = json.loads(path.read_text())
    for key in ("object_id", "title"):
        labels[1][key], labels[2][key] = labels[2][key], labels[1][key]
    path.write_text(json.dumps(labels, ensure_ascii=False, indent=2) + "\n")
    # The other label file agrees with the swap, and still the bundle is refused.
    (folder / "labels.txt").write_text("".join(f"{label['object_id']}\n" for label in labels))
    with pytest.raises(DamagedError, match="label map"):
        read_bundle(folder)


def test_swapped_lines_of_the_text_labels_are_refused(folder: Path) -> None:
    (folder / "labels.txt").write_text("EG.1\nEG.0\nEG.2\nEG.3\nEG.4\n")
    with pytest.raises(DamagedError, match=r"labels\.txt"):
        read_bundle(folder)


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_another_schema_version_is_refused(folder: Path, version: object) -> None:
    edit(folder, lambda value: value.update(schema_version=version))
    with pytest.raises(DamagedError, match="schema version"):
        read_bundle(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(extra=1),
        lambda value: value.pop("preprocessing"),
        lambda value: value.update(objects=6),
        lambda value: value["decision"].update(match=1.5),
        lambda value: value["variants"][0].update(format="onnx"),
        lambda value: value["variants"][0].update(bytes=1),
    ],
)
def test_an_edited_description_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    edit(folder, change)
    with pytest.raises(DamagedError):
        read_bundle(folder)


def test_a_truncated_description_is_refused(folder: Path) -> None:
    path = folder / "bundle.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(DamagedError, match="cannot be read"):
        read_bundle(folder)


def test_a_file_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    write_text(path, "old")
    with path.open(encoding="utf-8") as reader:
        write_text(path, "new")
        assert reader.read() == "old"  # whoever reads it has the whole old file
    assert path.read_text(encoding="utf-8") == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle.json"]
