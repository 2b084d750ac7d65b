"""`explain --golden`: an app's answers as its test writes them, right, wrong and hostile."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from artefact_id.main import main
from mobile_assets.app_answers import MAX_BYTES, AppAnswers, PhotoAnswers
from mobile_assets.bundle import Bundle
from mobile_assets.decision import decide
from mobile_assets.golden import GoldenVectors
from mobile_assets.integration_errors import INTEGRATION_ERRORS
from mobile_assets.photos import decode
from mobile_assets.preprocessing import resize

Written = dict[str, Any]


def raw(values: np.ndarray) -> Written:
    height, width = values.shape[:2]
    content = base64.b64encode(values.tobytes()).decode()
    return {"width": width, "height": height, "dtype": values.dtype.name, "base64": content}


@pytest.fixture(scope="module")
def right(golden_bundle: Bundle) -> Written:
    """What an app's test writes that does everything right."""
    golden = GoldenVectors.read(golden_bundle)
    contract, ids = golden_bundle.info.preprocessing, golden_bundle.labels.object_ids
    photos = []
    for photo, answer in zip(
        golden.info.photos, golden.expected(golden.variant("tflite-float32")), strict=True
    ):
        upright = decode(golden.path(photo))
        tensor = resize(upright, contract)
        photos.append(
            {
                "photo": photo.name,
                "pixels": raw(np.asarray(upright)),
                "resized": raw(tensor),
                "input": raw(tensor.astype(np.float32)),
                "probabilities": [float(p) for p in answer],
                "label": ids[answer.argmax()],
                "verdict": decide(float(answer.max()), golden_bundle.info.decision),
            }
        )
    return {
        "schema_version": 1, "variant": "tflite-float32", "labels": list(ids), "photos": photos,
    }  # fmt: skip


@pytest.fixture
def answers(right: Written) -> Written:
    """A copy that a test may change."""
    copied: Written = json.loads(json.dumps(right))
    return copied


@pytest.fixture
def explain(
    golden_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    def run(written: Written | str | bytes, *options: str) -> tuple[int, str]:
        path = tmp_path / "answers.json"
        text = written if isinstance(written, str | bytes) else json.dumps(written)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        code = main(["explain", "--golden", str(golden_bundle.folder), str(path), *options])
        captured = capsys.readouterr()
        return code, captured.err if code == 2 else captured.out

    return run


Explain = Callable[..., tuple[int, str]]


def test_a_right_app_agrees(answers: Written, explain: Explain) -> None:
    code, text = explain(answers)
    assert code == 0 and "agrees with tflite-float32 on all 17 golden photos" in text
    code, text = explain(answers, "--json")
    assert code == 0 and json.loads(text)["agrees"] is True


def test_files_beside_the_answers_are_read(
    answers: Written, explain: Explain, tmp_path: Path
) -> None:
    for photo in answers["photos"]:
        shape = (photo["input"]["height"], photo["input"]["width"], 3)
        values = np.frombuffer(base64.b64decode(photo["input"].pop("base64")), np.float32)
        np.save(tmp_path / f"{photo['photo']}.npy", values.reshape(shape))
        photo["input"]["file"] = f"{photo['photo']}.npy"
        (tmp_path / f"{photo['photo']}.rgb").write_bytes(
            base64.b64decode(photo["resized"].pop("base64"))
        )
        photo["resized"]["file"] = f"{photo['photo']}.rgb"
    assert explain(answers)[0] == 0
    content = bytearray((tmp_path / "grey.rgb").read_bytes())
    content[:3000] = bytes(3000)
    (tmp_path / "grey.rgb").write_bytes(content)
    code, text = explain(answers, "--json")
    assert code == 1 and json.loads(text)["stage"] == "resizing"
    assert json.loads(text)["photos"] == ["grey"]


def test_ignored_exif_is_named_for_all_photos_together(
    answers: Written, explain: Explain, golden_bundle: Bundle
) -> None:
    golden = GoldenVectors.read(golden_bundle)
    for photo in answers["photos"]:
        with Image.open(golden.path(golden.photo(photo["photo"]))) as opened:
            if photo["photo"].startswith("orientation"):
                photo["pixels"] = raw(np.asarray(opened.convert("RGB")))
    code, text = explain(answers)
    assert code == 1 and "at the stage decoding, with 7 of 17 golden photos" in text
    assert "It looks like this (7 photos): The EXIF orientation is ignored." in text


@pytest.mark.parametrize("name", ["bgr", "zero-to-one", "centre-crop", "yuv-chroma-swapped"])
def test_the_mistake_is_named_by_all_photos(
    answers: Written, explain: Explain, golden_bundle: Bundle, name: str
) -> None:
    golden = GoldenVectors.read(golden_bundle)
    (pipeline,) = (p for p in INTEGRATION_ERRORS if p.name == name)
    for photo in answers["photos"]:
        upright = decode(golden.path(golden.photo(photo["photo"])))
        photo["input"] = raw(pipeline(upright, golden_bundle.info.preprocessing))
    code, text = explain(answers, "--json")
    named = json.loads(text)
    assert code == 1 and named["stage"] == "input"
    assert f"({name})" in named["causes"][0]["description"]


def test_an_answer_alone_is_enough_for_swapped_channels(
    answers: Written, explain: Explain, golden_bundle: Bundle
) -> None:
    from benchmarks.runtimes.litert_runtime import open_litert

    golden = GoldenVectors.read(golden_bundle)
    with open_litert(golden_bundle, "tflite-float32") as session:
        rows = session.predict(golden.tensors[..., ::-1])
    answers["photos"] = [
        {"photo": photo["photo"], "probabilities": [float(p) for p in row]}
        for photo, row in zip(answers["photos"], rows, strict=True)
    ]
    code, text = explain(answers, "--json")
    named = json.loads(text)
    assert code == 1 and named["stage"] == "network"
    assert "(bgr)" in named["causes"][0]["description"]


def test_labels_in_another_order_and_verdicts_are_named(answers: Written, explain: Explain) -> None:
    answers["labels"] = [answers["labels"][-1], *answers["labels"][:-1]]
    code, text = explain(answers)
    assert code == 1 and "at the stage labels" in text and "shifted by 1" in text
    del answers["labels"]
    for photo in answers["photos"]:
        photo["verdict"] = "not in the register"
    code, text = explain(answers)
    assert code == 1 and "at the stage verdict" in text


def test_photos_may_be_left_out_with_a_reason(answers: Written, explain: Explain) -> None:
    names = [photo["photo"] for photo in answers["photos"]]
    answers["photos"] = [photo for photo in answers["photos"] if photo["photo"] != "cmyk"]
    code, text = explain(answers)
    assert code == 2 and "missing" in text and "cmyk" in text and "left_out" in text
    answers["left_out"] = {"cmyk": "camera photos only"}
    code, text = explain(answers)
    assert code == 0 and "cmyk (camera photos only)" in text
    answers["left_out"]["sunset"] = "no such photo"
    assert explain(answers)[0] == 2
    answers["left_out"] = dict.fromkeys(names, "none")
    code, text = explain(answers)
    assert code == 2 and "given twice" in text


def change(path: str, value: object) -> Callable[[Written], None]:
    def changed(written: Written) -> None:
        *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
        target: Any = written
        for parent in parents:
            target = target[parent]
        target[last] = value

    return changed


IMAGE = {"width": 2, "height": 2, "base64": base64.b64encode(bytes(12)).decode()}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change("schema_version", 2), "schema_version"),
        (change("variant", "tflite-int4"), "no golden answers of 'tflite-int4'"),
        (change("variant", 3), "variant"),
        (change("surprise", 3), "Extra inputs"),
        (change("photos", []), "photos"),
        (change("photos", {}), "photos"),
        (change("photos.0", 7), "photos.0"),
        (change("photos.0.photo", "sunset"), "unknown"),
        (change("photos.1.photo", "orientation-1"), "given twice"),
        (change("photos.0", {"photo": "orientation-1"}), "nothing but a name"),
        (change("photos.0.probabilities", "many"), "probabilities"),
        (change("photos.0.probabilities", []), "probabilities"),
        (change("photos.0.probabilities.0", float("nan")), "probabilities.0"),
        (change("photos.0.verdict", "perhaps"), "verdict"),
        (change("photos.0.pixels.dtype", "float64"), "dtype"),
        (change("photos.0.pixels", IMAGE | {"dtype": "int8"}), "uint8"),
        (change("photos.0.pixels", IMAGE | {"width": 10**9}), "megapixels"),
        (change("photos.0.pixels", IMAGE | {"width": -1}), "width"),
        (change("photos.0.pixels", IMAGE | {"width": "2"}), "width"),
        (change("photos.0.pixels", IMAGE | {"width": 3}), "12 bytes instead of 18"),
        (change("photos.0.pixels", IMAGE | {"base64": "no base64!"}), "not base64"),
        (change("photos.0.pixels", IMAGE | {"base64": "ä"}), "not base64"),
        (change("photos.0.pixels", IMAGE | {"file": "a.rgb"}), "either base64 or file"),
        (change("photos.0.pixels", {"width": 2, "height": 2}), "either base64 or file"),
    ],
)
def test_unusable_answers_are_refused(
    answers: Written, explain: Explain, spoil: Callable[[Written], None], words: str
) -> None:
    spoil(answers)
    code, text = explain(answers)
    assert code == 2 and words in text and "Traceback" not in text
    assert len(text) < 1000


@pytest.mark.parametrize(
    "name",
    [
        "../secret.rgb",
        "/etc/hostname",
        "a/b.rgb",
        "..",
        ".hidden",
        "a\\b.rgb",
        "C:x",
        "a\n.rgb",
        "",
    ],
)
def test_files_elsewhere_are_never_read(answers: Written, explain: Explain, name: str) -> None:
    answers["photos"][0]["pixels"] = {"width": 2, "height": 2, "file": name}
    code, text = explain(answers)
    assert code == 2 and "photos.0.pixels.file" in text


def test_unusable_files_are_refused(answers: Written, explain: Explain, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.rgb"
    outside.write_bytes(bytes(12))
    (tmp_path / "link.rgb").symlink_to(outside)
    (tmp_path / "folder.rgb").mkdir()
    (tmp_path / "long.rgb").write_bytes(bytes(13))
    (tmp_path / "short.npy").write_bytes(b"\x93NUMPY" + bytes(20))
    (tmp_path / "text.npy").write_bytes(bytes(100))
    np.save(tmp_path / "shape.npy", np.zeros((12, 1, 1), np.uint8))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}] * 12, dtype=object), allow_pickle=True)
    for name in (
        "missing.rgb", "link.rgb", "folder.rgb", "long.rgb", "short.npy", "text.npy", "shape.npy",
        "objects.npy",
    ):  # fmt: skip
        answers["photos"][0]["pixels"] = {"width": 2, "height": 2, "file": name}
        code, text = explain(answers)
        assert code == 2 and name in text and "Traceback" not in text


@pytest.mark.parametrize(
    "content", [b"", b"no json", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b"1" * 10_000]
)
def test_what_is_no_json_object_is_refused(explain: Explain, content: bytes) -> None:
    code, text = explain(content)
    assert code == 2 and "answers.json" in text and "Traceback" not in text


def test_huge_answers_are_refused_unread(
    explain: Explain, tmp_path: Path, golden_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    bundle = str(golden_bundle.folder)
    assert main(["explain", "--golden", bundle, str(path)]) == 2
    assert "MiB" in capsys.readouterr().err
    assert main(["explain", "--golden", bundle, str(tmp_path / "none.json")]) == 2
    assert main(["explain", "--golden", str(tmp_path), str(path)]) == 2
    assert main(["explain", "--golden", bundle, str(path), "--top1", "0.5"]) == 2
    assert main(["explain", str(path)]) == 2


def test_the_documented_form_is_the_one_that_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "--help"])
    text = capsys.readouterr().out
    for kind in (AppAnswers, PhotoAnswers):
        assert all(f'"{name}"' in text for name in kind.model_fields)
