"""`artefact-id verify`: a whole bundle passes, and every check has something that it fails on."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from tampering import relist

from artefact_id.main import main
from benchmarks.runtimes.tensorflow_runtime import PYTHON_VARIABLE
from benchmarks.verify import Verification, verify_bundle
from benchmarks.verify.golden_vectors import sum_problems
from export.tflite import flatbuffer
from export.tflite.metadata import METADATA_NAME
from mobile_assets.bundle import Bundle, BundleInfo
from mobile_assets.errors import InputError, MissingDependencyError
from mobile_assets.files import json_text

FLOAT32, FLOAT16, INT8 = "tflite-float32", "tflite-float16", "tflite-int8"
COREML = "coreml-float16"
GOLDEN = {"golden tensors", "golden photos"}


@pytest.fixture
def folder(golden_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    folder = tmp_path / "bundle"
    shutil.copytree(golden_bundle.folder, folder)
    return folder


def file(folder: Path, variant: str) -> Path:
    return folder / BundleInfo.read(folder / "bundle.json").variant(variant).file


def failed(folder: Path) -> set[tuple[str, str]]:
    """Name and variant of the checks that fail."""
    return {(check.name, check.subject) for check in verify_bundle(folder).failed}


@pytest.fixture(scope="module")
def whole(golden_bundle: Bundle) -> Verification:
    return verify_bundle(golden_bundle.folder)


def test_a_whole_bundle_passes(whole: Verification) -> None:
    assert whole.failed == ()
    made = {(check.name, check.subject, check.runtime) for check in whole.checks}
    assert made >= {
        ("schema", "", ""), ("files", "", ""), ("size and hash", INT8, ""), ("label map", "", ""),
        ("labels.txt", "", ""), ("labels inside", FLOAT32, ""), ("labels inside", COREML, ""),
        ("metadata", FLOAT16, ""), ("structure", COREML, ""), ("class order", "", ""),
        ("golden vectors", "", ""), ("golden decoding", "", ""), ("golden resizing", "", ""),
        ("sums to 1", INT8, "litert"), ("golden tensors", FLOAT32, "litert"),
        ("golden photos", INT8, "litert"), ("golden tensors", COREML, "coreml-reference"),
        ("golden photos", COREML, "coreml-reference"),
    }  # fmt: skip


def test_a_damaged_description_fails(folder: Path) -> None:
    path = folder / "bundle.json"
    path.write_text(json_text(json.loads(path.read_text()) | {"schema_version": 9}))
    assert failed(folder) == {("schema", "")}
    path.write_text("{")
    assert failed(folder) == {("schema", "")}


def test_missing_changed_and_unexpected_files_fail(folder: Path) -> None:
    card = (folder / "README.md").read_bytes()
    (folder / "README.md").write_bytes(card.replace(b"photos", b"fotos", 1))
    assert failed(folder) == {("files", "")}
    (folder / "README.md").unlink()
    assert failed(folder) == {("files", "")}
    (folder / "README.md").write_bytes(card)
    (folder / "models/another.tflite").write_bytes(b"x")
    (found,) = verify_bundle(folder).failed
    assert found.name == "files" and found.said == "models/another.tflite is not listed"


def test_a_changed_model_fails_and_is_not_opened(folder: Path) -> None:
    path = file(folder, INT8)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = verify_bundle(folder)
    assert {(c.name, c.subject) for c in found.failed} == {("files", ""), ("size and hash", INT8)}
    opened = [check for check in found.checks if check.subject == INT8 and check.runtime]
    assert [check.state for check in opened] == ["not possible here"]
    path.unlink()
    assert failed(folder) == {("files", ""), ("size and hash", INT8)}


def test_a_model_outside_the_bundle_fails(folder: Path) -> None:
    path = file(folder, FLOAT16)
    path.rename(folder.parent / "outside.tflite")
    info = BundleInfo.read(folder / "bundle.json")
    variants = tuple(
        v.model_copy(update={"file": "../outside.tflite"}) if v.name == FLOAT16 else v
        for v in info.variants
    )
    relist(folder, variants=variants)
    assert failed(folder) == {("size and hash", FLOAT16)}


def test_swapped_labels_fail_however_well_forged(folder: Path) -> None:
    path = folder / "labels.json"
    labels = json.loads(path.read_text())
    labels[1]["object_id"], labels[2]["object_id"] = labels[2]["object_id"], labels[1]["object_id"]
    path.write_text(json_text(labels))
    assert failed(folder) >= {("label map", ""), ("labels.txt", ""), ("files", "")}
    (folder / "labels.txt").write_text("".join(f"{label['object_id']}\n" for label in labels))
    relist(folder)
    assert {("labels inside", name) for name in (FLOAT32, FLOAT16, INT8, COREML)} <= failed(folder)
    assert ("label map", "") not in failed(folder)


def test_other_lines_in_the_text_labels_fail(folder: Path) -> None:
    path = folder / "labels.txt"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    relist(folder)
    assert failed(folder) == {("labels.txt", "")}


def test_no_label_map_fails(folder: Path) -> None:
    (folder / "labels.json").write_text("[]]")
    relist(folder)
    assert failed(folder) == {("label map", "")}


def test_a_label_swapped_inside_a_tflite_file_fails(folder: Path) -> None:
    path = file(folder, INT8)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        text = archive.read("labels.txt")
        # Python reads only the end of the file, where the archive is; the model is before it.
        at = archive.infolist()[0].header_offset
    lines = text.splitlines(keepends=True)
    path.write_bytes(content[:at])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", b"".join([lines[1], lines[0], *lines[2:]]))
    relist(folder)
    found = failed(folder)
    assert {("labels inside", INT8), ("class order", "")} <= found
    assert not any(name.startswith("metadata") for name, _ in found)


def specification(folder: Path, change: Callable[[Any], None]) -> None:
    """Changes the program of the Core ML package."""
    from coremltools.proto import Model_pb2

    (path,) = file(folder, COREML).rglob("*.mlmodel")
    model = Model_pb2.Model.FromString(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    relist(folder)


def test_a_label_swapped_inside_a_core_ml_package_fails(folder: Path) -> None:
    def swap(model: Any) -> None:
        for function in model.mlProgram.functions.values():
            for block in function.block_specializations.values():
                for operation in block.operations:
                    if operation.type == "classify":
                        value = operation.inputs["classes"].arguments[0].value
                        labels = value.immediateValue.list.values
                        first, second = (
                            labels[i].immediateValue.tensor.strings.values for i in (0, 1)
                        )
                        first[0], second[0] = second[0], first[0]

    specification(folder, swap)
    found = failed(folder)
    assert {("labels inside", COREML), ("class order", ""), ("golden answers", COREML)} == found


def test_another_core_ml_structure_fails(folder: Path) -> None:
    def rename(model: Any) -> None:
        model.description.predictedProbabilitiesName = "scores"

    specification(folder, rename)
    assert ("structure", COREML) in failed(folder)


def test_another_precision_than_stated_fails(folder: Path) -> None:
    info = BundleInfo.read(folder / "bundle.json")
    variants = tuple(
        v.model_copy(update={"precision": "float32"}) if v.name == COREML else v
        for v in info.variants
    )
    info.model_copy(update={"variants": variants}).write(folder / "bundle.json")
    assert failed(folder) == {("structure", COREML)}


def test_a_second_normalisation_in_the_metadata_fails(folder: Path) -> None:
    path = file(folder, FLOAT32)
    content = path.read_bytes()
    metadata = flatbuffer.metadata_buffer(content, METADATA_NAME)
    assert metadata is not None
    one = struct.pack("<If", 1, 1.0)
    # The input's deviation is built before the output's maximum, and buffers grow to the front.
    assert bytes(metadata).count(one) == 2
    at = content.index(bytes(metadata)) + bytes(metadata).rindex(one)
    path.write_bytes(content[:at] + struct.pack("<If", 1, 127.5) + content[at + 8 :])
    relist(folder)
    (found,) = verify_bundle(folder).failed
    assert (found.name, found.subject) == ("metadata", FLOAT32) and "127.5" in found.said


def test_described_tensors_that_are_not_the_files_fail(folder: Path) -> None:
    info = BundleInfo.read(folder / "bundle.json")
    image = info.variants[0].inputs[0].model_copy(update={"dtype": "uint8"})
    variants = (info.variants[0].model_copy(update={"inputs": (image,)}), *info.variants[1:])
    info.model_copy(update={"variants": variants}).write(folder / "bundle.json")
    assert failed(folder) == {("metadata", FLOAT32)}


def test_a_file_that_is_no_model_fails(folder: Path) -> None:
    file(folder, FLOAT16).write_bytes(b"this is not a model" * 9)
    relist(folder)
    assert failed(folder) == {("metadata", FLOAT16), ("golden answers", FLOAT16)}


def test_another_model_in_a_variants_place_fails(folder: Path) -> None:
    # Inputs, outputs, labels and metadata fit; it is only another network's answer.
    shutil.copy(file(folder, FLOAT16), file(folder, FLOAT32))
    relist(folder)
    assert failed(folder) == {("golden tensors", FLOAT32)}


def changed_picture(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    Image.fromarray(np.ascontiguousarray(change(pixels))).save(path)


def test_other_decoded_pixels_fail(folder: Path) -> None:
    changed_picture(folder / "golden/orientation-6/decoded.png", lambda pixels: pixels[:, ::-1])
    relist(folder)
    found = {check.name: check.said for check in verify_bundle(folder).failed}
    assert set(found) == {"golden decoding", "golden resizing"}
    assert "orientation-6" in found["golden decoding"]


def test_another_photo_fails(folder: Path) -> None:
    with Image.open(folder / "golden/grey/photo.jpg") as opened:
        opened.transpose(Image.Transpose.ROTATE_180).save(folder / "golden/grey/photo.jpg")
    relist(folder)
    assert ("golden decoding", "") in failed(folder)
    (folder / "golden/grey/photo.jpg").write_bytes(b"no photo")
    relist(folder)
    assert failed(folder) == {("golden vectors", "")}


def test_another_golden_tensor_fails(folder: Path) -> None:
    path = folder / "golden/grey/tensor.rgb"
    path.write_bytes(path.read_bytes()[::-1])
    relist(folder)
    found = failed(folder)
    assert ("golden resizing", "") in found and ("golden tensors", FLOAT32) in found


def test_other_golden_answers_fail(folder: Path) -> None:
    path = folder / f"golden/probabilities/{INT8}.f32"
    values = np.frombuffer(path.read_bytes(), dtype="<f4").reshape(17, -1)
    path.write_bytes(np.roll(values, 1, axis=1).tobytes())
    relist(folder)
    found = failed(folder)
    assert found >= {("golden vectors", ""), ("golden tensors", INT8)}
    assert {subject for name, subject in found if name in GOLDEN} == {INT8}
    path.unlink()
    relist(folder)
    assert failed(folder) == {("golden vectors", "")}


def test_values_that_are_no_probabilities_fail() -> None:
    good = np.full((3, 4), 0.25, dtype=np.float32)
    assert list(sum_problems(good)) == []
    for bad in (good * 1.01, good * np.nan, good - 0.5):
        assert len(list(sum_problems(bad.astype(np.float32)))) == 1


def test_a_bundle_without_golden_vectors_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "golden")
    relist(folder)
    found = verify_bundle(folder)
    unknown = {check.name for check in found.checks if check.state == "not possible here"}
    assert found.failed == () and "golden vectors" in unknown


def test_a_bundle_without_a_list_of_files_fails_and_says_what_to_do(folder: Path) -> None:
    relist(folder, files={})
    (check,) = [check for check in verify_bundle(folder).failed if check.name == "description"]
    assert "lists no files" in check.said and "xport it again" in check.said


def test_what_is_no_bundle_or_not_here_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert main(["verify", str(tmp_path / "nowhere")]) == 2
    assert main(["verify", str(tmp_path)]) == 2
    assert "not a bundle" in capsys.readouterr().err
    with pytest.raises(InputError, match="litert"):
        verify_bundle(folder, runtimes_named=["abacus"])
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "no-python"))
    with pytest.raises(MissingDependencyError, match="tensorflow was asked for"):
        verify_bundle(folder, runtimes_named=["tensorflow"])


def test_the_command_line(folder: Path, tmp_path: Path, capsys: Any) -> None:
    junit = tmp_path / "verify.xml"
    assert main(["verify", str(folder), "--json", "--junit", str(junit)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    cases = ET.parse(junit).getroot().findall(".//testcase")
    assert len(cases) == len(found["checks"])
    assert not ET.parse(junit).getroot().findall(".//failure")
    (folder / "extra").write_bytes(b"")
    assert main(["verify", str(folder), "--junit", str(junit)]) == 1
    assert "extra is not listed" in capsys.readouterr().out
    root = ET.parse(junit).getroot()
    (failure,) = root.findall(".//failure")
    assert failure.get("message") == "extra is not listed"
    suites = {suite.get("name"): suite for suite in root.findall("testsuite")}
    assert set(suites) == {"bundle", FLOAT32, FLOAT16, INT8, COREML}
    assert suites["bundle"].get("failures") == "1" and suites[INT8].get("failures") == "0"


def test_nothing_of_a_bundle_with_links_or_fifos_is_opened(folder: Path) -> None:
    card = folder / "README.md"
    card.unlink()
    for make in (lambda: os.mkfifo(card), lambda: card.symlink_to("labels.txt")):
        make()
        found = verify_bundle(folder)
        assert [check.name for check in found.failed] == ["files"]
        assert not [check for check in found.checks if check.subject]
        card.unlink()
