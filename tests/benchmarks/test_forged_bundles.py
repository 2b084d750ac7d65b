"""Bundles whose hashes all fit and that no export writes: refused by `verify` and `identify`."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import object_picture
from signing_keys import write_keys
from tampering import (
    assert_refused,
    refused_by_identify,
    refused_by_verify,
    relist,
    without_labels,
    write,
)

from benchmarks.measure.probe import ProbeRequest, answer
from benchmarks.runtimes.litert_runtime import open_litert
from benchmarks.verify import verify_bundle
from export.bundle.signing import Signer, read_public_key
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import DamagedError
from mobile_assets.files import sha256_file

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    object_picture(1, 0).save(path)
    return path


@pytest.fixture
def folder(golden_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle that a test may forge: links to the files of one, made anew."""
    folder = tmp_path / "bundle"
    shutil.copytree(golden_bundle.folder, folder, copy_function=os.link)
    return folder


def edit(folder: Path, change: Edit) -> None:
    """Changes `bundle.json`."""
    value = json.loads((folder / "bundle.json").read_text())
    change(value)
    write(folder / "bundle.json", json.dumps(value).encode())


def list_file(path: str) -> Edit:
    """Lists one file more, by the hash of a file beside the bundle."""
    return lambda value: value["files"].update({path: value["files"]["labels.txt"]})


def recommend(variant: str, model_format: str = "tflite") -> dict[str, Any]:
    return {"format": model_format, "variant": variant, "met": False, "photos": 0, "why": "w"}


def rename(value: dict[str, Any], number: int, name: str) -> None:
    value["variants"][number]["name"] = name


EDITS: dict[str, Edit] = {
    "no variants": lambda v: v.update(variants=[]),
    "a recommended variant that is not there": lambda v: v.update(
        recommended=[recommend("tflite-int4")]
    ),
    "a recommended variant of the other format": lambda v: v.update(
        recommended=[recommend("coreml-float16")]
    ),
    "two recommended variants of a format": lambda v: v.update(
        recommended=[recommend("tflite-int8"), recommend("tflite-float32")]
    ),
    "two variants of a name": lambda v: rename(v, 0, "tflite-int8"),
    "schema version true": lambda v: v.update(schema_version=True),
    "schema version 1.0": lambda v: v.update(schema_version=1.0),
    "schema version of the future": lambda v: v.update(schema_version=2),
    "no schema version": lambda v: v.pop("schema_version"),
    "a size that is text": lambda v: v["variants"][0].update(bytes=str(v["variants"][0]["bytes"])),
    "a size that is true": lambda v: v["variants"][0].update(bytes=True),
    "a size of another file": lambda v: v["variants"][0].update(bytes=1),
    "a count with a point": lambda v: v.update(objects=float(v["objects"])),
    "a count of more": lambda v: v.update(objects=10**12),
    "an unknown field": lambda v: v.update(more=1),
    "a huge input": lambda v: v["preprocessing"].update(height=10**9),
    "a hash of another file": lambda v: v["variants"][0].update(sha256="0" * 64),
    "no list of files": lambda v: v.update(files={}),
    "a file that is not listed": lambda v: v["files"].pop("README.md"),
    "a model that is not listed": lambda v: v["files"].pop(v["variants"][0]["file"]),
    "a model outside": lambda v: v["variants"][0].update(file="../outside"),
    "a model by absolute path": lambda v: v["variants"][0].update(file="/etc/passwd"),
    "a model by drive": lambda v: v["variants"][0].update(file="C:/m.tflite"),
    "a model in other case": lambda v: v["variants"][0].update(
        file=v["variants"][0]["file"].upper()
    ),
    "a model that is a folder": lambda v: v["variants"][0].update(file="models"),
    "a model that is the bundle": lambda v: v["variants"][0].update(file="."),
    "a model that is the label map": lambda v: v["variants"][0].update(file="labels.json"),
    "listed: outside": list_file("../outside"),
    "listed: outside by a detour": list_file("golden/../../outside"),
    "listed: absolute": list_file("/etc/passwd"),
    "listed: drive": list_file("C:/outside"),
    "listed: relative to a drive": list_file("C:outside"),
    "listed: backslash": list_file("models\\x"),
    "listed: share": list_file("//server/share/x"),
    "listed: stream": list_file("labels.txt:x"),
    "listed: a detour": list_file("./labels.txt"),
    "listed: two slashes": list_file("models//x"),
    "listed: slash at the end": list_file("labels.txt/"),
    "listed: other case": list_file("LABELS.txt"),
    "listed: itself": list_file("bundle.json"),
    "listed: itself in other case": list_file("Bundle.JSON"),
    "listed: its signature": list_file("signature.json"),
    "listed: device": list_file("golden/nul.txt"),
    "listed: device with number": list_file("COM1"),
    "listed: dot at the end": list_file("labels.txt."),
    "listed: space at the end": list_file("labels.txt "),
    "listed: line break": list_file("a\nb"),
    "listed: NUL": list_file("a\0b"),
    "listed: nothing": list_file(""),
    "listed: not NFC": list_file(unicodedata.normalize("NFD", "é.txt")),
    "listed: endless": list_file("a" * 5000),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_description_that_no_export_writes_is_refused(
    folder: Path, photo: Path, name: str
) -> None:
    shutil.copy(folder / "labels.txt", folder.parent / "outside")
    edit(folder, EDITS[name])
    assert_refused(folder, photo)


TEXTS: dict[str, Callable[[str], bytes]] = {
    "key twice": lambda text: text.replace("{", '{"objects": 2,', 1).encode(),
    "key twice inside": lambda text: text.replace('"height"', '"height": 64, "height"', 1).encode(),
    "NaN": lambda text: text.replace("64", "NaN", 1).encode(),
    "infinite": lambda text: text.replace("0.25", "Infinity", 1).encode(),
    "too large": lambda text: text.replace("0.25", "1e999", 1).encode(),
    "5,000 digits": lambda text: text.replace("64", "1" * 5000, 1).encode(),
    "5,000 digits for the version": lambda _: b'{"schema_version":' + b"1" * 5000 + b"}",
    "nested": lambda _: b"[" * 100_000,
    "nested objects": lambda _: b'{"a":' * 100_000,
    "many values": lambda _: b"[" + b"[]," * 10_000_000 + b"[]]",
    "half a surrogate pair": lambda text: text.replace('"golden"', '"\\ud800"', 1).encode(),
    "not UTF-8": lambda text: text.replace("golden", "gold\xe9n").encode("latin-1"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "cut": lambda text: text[:200].encode(),
    "empty": lambda _: b"",
    "no object": lambda _: b"[]",
    "null": lambda _: b"null",
}


@pytest.mark.parametrize("name", TEXTS)
def test_json_that_is_none_is_refused(folder: Path, photo: Path, name: str) -> None:
    path = folder / "bundle.json"
    text = path.read_text(encoding="utf-8")
    content = TEXTS[name](text)
    assert content != text.encode()
    write(path, content)
    assert_refused(folder, photo)


LABELS: dict[str, Callable[[str], bytes]] = {
    "key twice": lambda text: text.replace('"index": 0', '"index": 0, "index": 0', 1).encode(),
    "an index that is false": lambda text: text.replace(": 0", ": false", 1).encode(),
    "an index with a point": lambda text: text.replace(": 0", ": 0.0", 1).encode(),
    "a count that is text": lambda text: text.replace('"photos": 3', '"photos": "3"', 1).encode(),
    "an object twice": lambda text: text.replace("OBJ-1", "OBJ-0").encode(),
    "an object less": lambda text: json.dumps(json.loads(text)[:-1]).encode(),
    "5,000 digits": lambda text: text.replace(": 0", ": " + "1" * 5000, 1).encode(),
    "nested": lambda _: b"[" * 100_000,
    "not UTF-8": lambda text: text.replace("OBJ", "\xe9").encode("latin-1"),
    "half a surrogate pair": lambda text: text.replace("OBJ-0", "\\ud800", 1).encode(),
}


@pytest.mark.parametrize("name", LABELS)
def test_a_label_map_that_no_export_writes_is_refused(folder: Path, photo: Path, name: str) -> None:
    path = folder / "labels.json"
    text = path.read_text(encoding="utf-8")
    content = LABELS[name](text)
    assert content != text.encode()
    write(path, content)
    relist_anew(folder)
    assert_refused(folder, photo)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"", b"OBJ-0\r\n", b"OBJ-0\n" * 6])
def test_other_text_labels_are_refused(folder: Path, photo: Path, content: bytes) -> None:
    write(folder / "labels.txt", content)
    relist_anew(folder)
    assert_refused(folder, photo)


def relist_anew(folder: Path) -> None:
    """Fits every hash, in a `bundle.json` that other copies do not share."""
    write(folder / "bundle.json", (folder / "bundle.json").read_bytes())
    relist(folder)


def zipped(labels: bytes, method: int = zipfile.ZIP_STORED, times: int = 1) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for number in range(times):
            archive.writestr("labels.txt", labels if number == 0 else b"other\n" * 6)
    return buffer.getvalue()


def stating(archive: bytes, offset: int, value: int) -> bytes:
    """With another number in the archive's directory."""
    at = archive.index(b"PK\x01\x02") + offset
    return archive[:at] + struct.pack("<I", value) + archive[at + 4 :]


ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "bomb": lambda _: zipped(b"\n" * 300_000_000, zipfile.ZIP_DEFLATED),
    "compressed": lambda labels: zipped(labels, zipfile.ZIP_DEFLATED),
    "LZMA": lambda labels: zipped(labels, zipfile.ZIP_LZMA),
    "two of a name": lambda labels: zipped(labels, times=2),
    "encrypted": lambda labels: stating(zipped(labels), 8, 1),
    "another size": lambda labels: stating(zipped(labels), 24, 2**31),
    "another checksum": lambda labels: stating(zipped(labels), 16, 1),
    "other labels": lambda labels: zipped(labels[::-1]),
    "not UTF-8": lambda labels: zipped(b"\xff" + labels),
    "more labels": lambda labels: zipped(labels + b"OBJ-9\n"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_in_a_model_that_no_export_writes_is_refused(
    folder: Path, photo: Path, name: str
) -> None:
    path = folder / "models/artefact-id.int8.tflite"
    model = without_labels(path.read_bytes())
    write(path, model + ARCHIVES[name]((folder / "labels.txt").read_bytes()))
    relist_anew(folder)
    assert_refused(folder, photo)


MANIFESTS: dict[str, Edit] = {
    "a part outside": lambda v: next(iter(v["itemInfoEntries"].values())).update(path="../../x"),
    "a part by absolute path": lambda v: next(iter(v["itemInfoEntries"].values())).update(
        path="/etc/passwd"
    ),
    "a part that is not there": lambda v: v["itemInfoEntries"].update(x={"path": "x"}),
    "another program": lambda v: v.update(
        rootModelIdentifier=next(
            key
            for key, item in v["itemInfoEntries"].items()
            if not item["path"].endswith(".mlmodel")
        )
    ),
    "no program": lambda v: v.update(rootModelIdentifier="x"),
    "no parts": lambda v: v.pop("itemInfoEntries"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_package_whose_manifest_names_something_else_is_refused(folder: Path, name: str) -> None:
    (path,) = folder.rglob("Manifest.json")
    value = json.loads(path.read_text())
    MANIFESTS[name](value)
    write(path, json.dumps(value).encode())
    relist_anew(folder)
    assert ("structure", "coreml-float16") in {
        (check.name, check.subject) for check in verify_bundle(folder).failed
    }


def test_a_small_file_that_fills_the_memory_is_refused(folder: Path, photo: Path) -> None:
    path = folder / "models/artefact-id.int8.tflite"
    shape, huge = struct.pack("<4i", 1, 64, 64, 3), struct.pack("<4i", 1, 60_000, 60_000, 3)
    content = path.read_bytes()
    assert shape in content
    write(path, content.replace(shape, huge))
    relist_anew(folder)
    assert_refused(folder, photo)
    with pytest.raises(DamagedError, match="larger than that of any bundle"):
        open_litert(read_bundle(folder), "tflite-int8")


def test_a_small_package_that_fills_the_memory_is_refused(folder: Path) -> None:
    from coremltools.proto import Model_pb2

    (path,) = folder.rglob("*.mlmodel")
    model = Model_pb2.Model.FromString(path.read_bytes())
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    weight = next(op for op in block.operations if op.type == "const" and "weight" in str(op))
    weight.outputs[0].type.tensorType.dimensions[0].constant.size = 2**40
    write(path, model.SerializeToString())
    relist_anew(folder)
    said = {check.name: check.said for check in verify_bundle(folder).failed}
    assert "values, more than a program" in said["golden answers"]


@pytest.mark.parametrize("file", ["../../outside", "/etc/passwd", "labels.txt", "..\\x", "C:/x"])
def test_golden_vectors_outside_their_folder_are_refused(folder: Path, file: str) -> None:
    shutil.copy(folder / "golden/grey/tensor.rgb", folder.parent / "outside")
    path = folder / "golden/golden.json"
    value = json.loads(path.read_text())
    value["photos"][0]["tensor"] = file
    write(path, json.dumps(value).encode())
    relist_anew(folder)
    assert refused_by_verify(folder)


GOLDEN: dict[str, Edit] = {
    "no photos": lambda v: v.update(photos=[]),
    "a photo less": lambda v: v["photos"].pop(),
    "a photo that is no photo": lambda v: v["photos"][0].update(photo="golden.json"),
    "no best objects": lambda v: v["variants"][0].update(best=[]),
    "no best object": lambda v: v["variants"][0]["best"][0].update(indices=[], probabilities=[]),
    "a best object that is none": lambda v: v["variants"][0]["best"][0].update(indices=[10**6] * 5),
    "a best object before all": lambda v: v["variants"][0]["best"][0].update(indices=[-(10**6)]),
    "a huge tensor": lambda v: v.update(width=2**32, height=2**32),
    "fewer objects": lambda v: v.update(objects=2),
    "answers of another kind": lambda v: v["variants"][0].update(probabilities="golden.json"),
    "a size that is true": lambda v: v.update(width=True),
    "a tolerance of everything": lambda v: v["photos"][0]["resizing"].update(mean="inf"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_vectors_that_no_export_writes_are_refused(folder: Path, name: str) -> None:
    path = folder / "golden/golden.json"
    value = json.loads(path.read_text())
    GOLDEN[name](value)
    write(path, json.dumps(value).encode())
    relist_anew(folder)
    assert {check.name for check in verify_bundle(folder).failed} & {
        "golden vectors",
        "golden tensors",
    }


def test_whoever_forges_signs_with_another_key(folder: Path, photo: Path, tmp_path: Path) -> None:
    trusted = read_public_key(write_keys(tmp_path, "museum")[1])
    Signer.read(write_keys(tmp_path, "forger")[0]).sign(folder)
    assert not refused_by_verify(folder) and not refused_by_identify(folder, photo)
    assert refused_by_verify(folder, trusted) and refused_by_identify(folder, photo, trusted)


def test_a_file_that_changes_after_it_was_checked_is_not_used(folder: Path, photo: Path) -> None:
    bundle = read_bundle(folder)
    path = folder / "models/artefact-id.int8.tflite"
    other = (folder / "models/artefact-id.float32.tflite").read_bytes()
    write(path, other)
    with pytest.raises(DamagedError, match="SHA-256 differs"):
        open_litert(bundle, "tflite-int8")
    # The other way round: what was copied stays what it was.
    opened = bundle.path(bundle.info.variant("tflite-float32"))
    write(folder / "models/artefact-id.float32.tflite", b"changed")
    assert sha256_file(opened) == bundle.info.variant("tflite-float32").sha256


def test_a_bundle_that_is_replaced_while_it_is_measured_is_not_measured(folder: Path) -> None:
    request = ProbeRequest(
        kind="latency",
        bundle=str(folder),
        bundle_sha256=sha256_file(folder / "bundle.json"),
        variant="tflite-int8",
        runtime="litert",
        runs=1,
        warmup=1,
    )
    reply = io.StringIO()
    answer(request, (), reply)
    assert "latency_ms" in reply.getvalue()
    edit(folder, lambda value: value.update(name="another"))
    with pytest.raises(DamagedError, match="was replaced"):
        answer(request, (), reply)
