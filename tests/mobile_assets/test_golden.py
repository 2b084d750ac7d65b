"""Golden vectors: what they hold and how they are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import object_picture
from PIL import Image

import export.golden.vectors
from artefact_id.main import main
from benchmarks.runtimes.litert_runtime import open_litert
from benchmarks.verify.golden_predictor import golden_plan
from export.golden.photos import GoldenPlan, Predictions
from export.golden.synthetic_photos import drawn_photos
from export.golden.vectors import write_golden
from mobile_assets.bundle import Bundle, Variant, hash_files
from mobile_assets.bundle_contents import BundleContents
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_file
from mobile_assets.golden import GoldenPhoto, GoldenVectors, Pixels, Probabilities
from mobile_assets.golden_diagnosis import AppOutputs, GoldenDiagnosis
from mobile_assets.photos import decode
from train.run import Run

VARIANTS = ("tflite-float32", "tflite-float16", "tflite-int8", "coreml-float16")
TURNED = tuple(f"orientation-{n}" for n in range(2, 9))


@pytest.fixture(scope="module")
def golden(golden_bundle: Bundle) -> GoldenVectors:
    return GoldenVectors.read(golden_bundle)


def stored(golden: GoldenVectors, photo: str) -> Pixels:
    """The photo as a decoder gives it that heeds neither EXIF nor profile."""
    with Image.open(golden.path(golden.photo(photo))) as opened:
        return np.asarray(opened.convert("RGB"), dtype=np.uint8)


def decoded(golden: GoldenVectors, photo: str) -> Pixels:
    pixels = golden.decoded(golden.photo(photo))
    assert pixels is not None
    return pixels


def expected(golden: GoldenVectors, photo: str, variant: str) -> Probabilities:
    row = golden.info.photos.index(golden.photo(photo))
    return golden.expected(golden.variant(variant))[row]


def test_the_photos_that_phones_get_wrong_are_there(golden: GoldenVectors) -> None:
    names = {photo.name for photo in golden.info.photos}
    assert names == {
        "orientation-1", *TURNED, "wide-gamut", "grey", "transparent", "cmyk", "subsampled",
        "large-reduction", "enlargement", "held-out-1", "held-out-2",
    }  # fmt: skip
    assert [variant.variant for variant in golden.info.variants] == list(VARIANTS)
    assert golden.info.left_out == {}


def test_raw_files_are_read_without_a_library(golden_bundle: Bundle) -> None:
    folder = golden_bundle.folder / "golden"
    info = json.loads((folder / "golden.json").read_text())
    for photo in info["photos"]:
        raw = (folder / photo["tensor"]).read_bytes()
        assert len(raw) == info["width"] * info["height"] * 3
        with Image.open(folder / photo["resized"]) as opened:
            assert raw == opened.tobytes()
    answers = (folder / info["variants"][0]["probabilities"]).read_bytes()
    assert len(answers) == 4 * info["objects"] * len(info["photos"])
    best = info["variants"][0]["best"][0]
    first = np.frombuffer(answers[: 4 * info["objects"]], dtype="<f4")
    assert best["indices"] == np.argsort(-first).tolist()


def test_decoded_pixels_carry_no_profile(golden: GoldenVectors) -> None:
    for path in golden.folder.rglob("*.png"):
        if path.name != "photo.png":
            with Image.open(path) as opened:
                assert opened.mode == "RGB" and not opened.info


def test_orientations_give_one_upright_picture(golden: GoldenVectors) -> None:
    upright = decoded(golden, "orientation-1").astype(int)
    for name in TURNED:
        assert np.abs(decoded(golden, name) - upright).mean() < 1.0
        seen = stored(golden, name)
        assert seen.shape != upright.shape or np.abs(seen - upright).mean() > 20


def test_answers_are_those_of_the_variants(golden_bundle: Bundle, golden: GoldenVectors) -> None:
    for name in ("tflite-float32", "tflite-int8"):
        with open_litert(golden_bundle, name) as session:
            found = session.predict(golden.tensors)
        assert np.array_equal(found, golden.expected(golden.variant(name)))
    # Worth comparing: the answers differ between photos and between variants.
    values = golden.expected(golden.variant("tflite-float32"))
    assert len(set(values.argmax(1))) > 1 and np.ptp(values, axis=1).min() > 0.05


def test_unknown_names_and_damage_are_refused(golden: GoldenVectors, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="orientation-1"):
        golden.photo("sunset")
    with pytest.raises(InputError, match="tflite-float32"):
        golden.variant("tflite-int4")
    (tmp_path / "golden/grey").mkdir(parents=True)
    (tmp_path / "golden/grey/tensor.rgb").write_bytes(b"123")
    contents = BundleContents(tmp_path, hash_files(tmp_path))
    damaged = GoldenVectors(tmp_path / "golden", golden.info, contents)
    with pytest.raises(DamagedError, match="3 bytes"):
        damaged.tensor(golden.photo("grey"))
    with pytest.raises(DamagedError, match=r"decoded\.png"):
        damaged.decoded(golden.photo("grey"))


def test_photos_are_drawn_alike_each_time() -> None:
    first = [(photo.name, photo.content) for photo in drawn_photos(64, 48)]
    assert first == [(photo.name, photo.content) for photo in drawn_photos(64, 48)]


def test_held_out_photos_are_validation_photos(
    golden_bundle: Bundle, golden_run: Run, golden: GoldenVectors
) -> None:
    validation = {photo.sha256 for photo in golden_run.split.of("val")}
    training = {photo.sha256 for photo in golden_run.split.of("train")}
    for name in ("held-out-1", "held-out-2"):
        digest = sha256_file(golden.path(golden.photo(name)))
        assert digest in validation and digest not in training


def uniform(bundle: Bundle, variant: Variant, tensors: Pixels) -> Predictions | str:
    """Executes TFLite as something that knows nothing; Core ML not at all."""
    if variant.format == "coreml":
        return "there is nothing to execute it with"
    row = np.full((len(tensors), bundle.info.objects), 1 / bundle.info.objects, dtype=np.float32)
    return Predictions("uniform", row)


def test_large_photos_and_variants_that_cannot_be_executed(
    golden_bundle: Bundle,
    golden_run: Run,
    register_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export.golden.vectors, "MOST_DECODED", 3000)
    chosen = tmp_path / "my photo.PNG"
    Image.new("RGB", (30, 20), (200, 10, 10)).save(chosen)
    bundle = Bundle(tmp_path / "out", golden_bundle.info, golden_bundle.labels)
    photos = GoldenPlan(uniform, chosen=(chosen,)).choose(golden_run, register_folder)
    write_golden(photos, uniform, bundle)
    contents = BundleContents(bundle.folder, hash_files(bundle.folder))
    made = GoldenVectors.read(replace(bundle, contents=contents))
    assert made.info.left_out == {"coreml-float16": "there is nothing to execute it with"}
    mine: GoldenPhoto = made.info.photos[-1]
    assert (mine.name, mine.photo, mine.decoded) == (
        "chosen-1", "chosen-1/photo.png", "chosen-1/decoded.png",
    )  # fmt: skip
    large = made.photo("large-reduction")
    assert large.decoded is None and made.decoded(large) is None
    assert not (bundle.folder / "golden/large-reduction/decoded.png").exists()
    app = GoldenDiagnosis(bundle, made, "tflite-int8")
    found = app.first_difference(large.name, AppOutputs(pixels=np.zeros((5, 5, 3))))
    assert found is not None and found.stage == "decoding"
    right = np.asarray(decode(made.path(large)))
    assert app.first_difference(large.name, AppOutputs(pixels=right)) is None


def test_what_cannot_be_made_is_refused_before_the_export(
    golden_run: Run, register_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="--photos"):
        golden_plan(["3"]).choose(golden_run, None)
    with pytest.raises(InputError, match="validation photos"):
        golden_plan(["300"]).choose(golden_run, register_folder)
    with pytest.raises(InputError, match="validation photos"):
        golden_plan(["-1"]).choose(golden_run, register_folder)
    with pytest.raises(InputError, match="missing or changed"):
        golden_plan(["1"]).choose(golden_run, tmp_path)
    words = ["export", str(golden_run.folder), "--out", str(tmp_path / "out")]
    assert main([*words, "--golden", "1", "--no-golden"]) == 2
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        golden_plan([str(tmp_path / "broken.jpg")]).choose(golden_run, None)


BLOWS = """
import json, os, resource, signal, sys
import export.bundle.writer, export.golden.vectors, export.variants.registry
import artefact_id.terminal
import benchmarks.runtimes.litert_runtime, pillow_heif, timm, torch, ai_edge_litert.interpreter
from artefact_id.main import main

def strike(what):
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

def arm(place, count, what):
    owner = export.golden.vectors if place == "write_bytes" else export.bundle.writer
    real, calls = getattr(owner, place), 0
    def struck(*words, **named):
        nonlocal calls
        calls += 1
        if calls == count:
            strike(what)
        return real(*words, **named)
    setattr(owner, place, struck)

plan, words, codes = json.loads(sys.argv[1]), sys.argv[2:], []
for out, blow in plan:
    child = os.fork()
    if not child:
        if blow:
            arm(*blow)
        os._exit(main([*words, "--out", out]))
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow  # three exports: 25 s
def test_a_broken_off_export_leaves_no_bundle_and_two_whole_ones_are_alike(
    golden_run: Run, register_folder: Path, tmp_path: Path
) -> None:
    killed, full, first = (tmp_path / name / "bundle" for name in ("killed", "full", "first"))
    plan = [
        (str(killed), ("write_bytes", 20, "kill")),
        (str(full), ("write_golden", 1, "full disk")),
        (str(first), None),
        (str(tmp_path / "second/bundle"), None),
    ]
    words = [
        "export", str(golden_run.folder), "--photos", str(register_folder),
        "--variants", "tflite-float32", "--golden", "2",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", BLOWS, json.dumps(plan), *words],
        capture_output=True, text=True, check=False,
        env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stdout.splitlines()[-1])
    assert codes == [-9, 2, 0, 0], done.stderr
    # What a killed process could not remove is hidden, and no bundle by name.
    assert not killed.exists()
    assert {path.name for path in killed.parent.iterdir()} == {".bundle.unfinished", ".bundle.lock"}
    assert "space on the disk" in done.stderr and not full.parent.exists()
    assert list(first.parent.iterdir()) == [first]
    assert len(contents(first)) > 70
    assert contents(first) == contents(tmp_path / "second/bundle")


def secret_photos(folder: Path) -> list[Path]:
    """A photo of each format that tells where it was taken, and by whom."""
    paths = []
    for name in ("anna.jpg", "anna.png", "anna.webp", "anna.tif", "anna.heic"):
        record = Image.Exif()
        record[0x0112], record[0x013B] = 6, "SECRET NAME"
        record.get_ifd(0x8825).update({1: "N", 2: (54.0, 46.0, 30.5)})
        path = folder / name
        object_picture(3, 1).save(path, exif=record)
        assert b"SECRET" in path.read_bytes()
        paths.append(path)
    return paths


@pytest.mark.parametrize("keep", [False, True])
def test_golden_photos_tell_nothing_but_their_picture_unless_asked_for(
    keep: bool, golden_run: Run, tmp_path: Path
) -> None:
    paths = secret_photos(tmp_path)
    plan = golden_plan([str(path) for path in paths], keep_metadata=keep)
    files = [file for file in plan.choose(golden_run, None) if file.name.startswith("chosen-")]
    assert len(files) == len(paths)
    for path, file in zip(paths, files, strict=True):
        assert (b"SECRET" in file.content) == keep
        assert ("anna" in file.about) == keep
        copy = tmp_path / f"{file.name}-{file.file}"
        copy.write_bytes(file.content)
        assert np.array_equal(np.asarray(decode(copy)), np.asarray(decode(path)))
        if keep:
            assert file.content == path.read_bytes()
        elif path.suffix in (".jpg", ".png", ".webp"):
            assert copy.suffix == path.suffix
        else:
            assert copy.suffix == ".png"
