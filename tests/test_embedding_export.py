"""The embedding as a file of its own, beside the classifier's variants."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import finish_run
from numpy.typing import NDArray
from safetensors.torch import save_file

from artefact_id import main
from benchmarks.benchmark import BenchmarkOptions, run_benchmark
from benchmarks.cases import BenchmarkCase
from benchmarks.photos import held_out
from benchmarks.verify import verify_bundle
from export import ExportOptions, export_bundle
from export import embedding as exported
from export.network import deployable
from export.tflite import interpreter, run_tflite
from mobile_assets.bundle import Bundle, read_bundle
from mobile_assets.errors import CheckFailedError, DamagedError
from train.heads import COSINE_SCALE, EmbeddingHead
from train.model import build_model
from train.run import Run, load_model

SIZE = 128


@pytest.fixture(scope="module")
def run(golden_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The small run of the other tests with the head of an embedding."""
    contract = golden_run.info.preprocessing
    folder = tmp_path_factory.mktemp("embedding") / "run"
    folder.mkdir()
    torch.manual_seed(0)
    head = f"embedding-{SIZE}"
    objects = len(golden_run.labels)
    model = build_model("test_efficientnet", head, objects=objects, preprocessing=contract)
    save_file(model.state_dict(), folder / "model.safetensors")
    # Every other validation photo is kept for a benchmark.
    held = [photo.path for photo in golden_run.split.of("val")][::2]
    listed = tuple(
        photo.model_copy(update={"split": "test"}) if photo.path in held else photo
        for photo in golden_run.split.photos
    )
    split = golden_run.split.model_copy(update={"photos": listed})
    return finish_run(folder, golden_run.labels, split, preprocessing=contract, head=head)


@pytest.fixture(scope="module")
def bundle(run: Run, register_folder: Path) -> Bundle:
    options = ExportOptions(variants=("tflite-float32",), embedding=True)
    return export_bundle(run, run.folder.parent / "bundle", options=options, photos=register_folder)


@pytest.fixture(scope="module")
def photos(run: Run) -> NDArray[np.uint8]:
    contract = run.info.preprocessing
    shape = (12, contract.height, contract.width, 3)
    return np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)


def test_cosines_of_the_embedding_make_the_probabilities(
    run: Run, bundle: Bundle, photos: NDArray[np.uint8]
) -> None:
    content = bundle.path(bundle.info.companions[0]).read_bytes()
    (entry,) = interpreter(content).get_output_details()
    assert (list(entry["shape"]), entry["dtype"]) == ([1, SIZE], np.float32)
    assert list(interpreter(content).get_signature_runner().get_output_details()) == ["embedding"]
    rows = run_tflite(content, photos)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-4)
    model = load_model(run)
    head = model.head
    assert isinstance(head, EmbeddingHead)
    directions = head[2].directions.detach().numpy()  # type: ignore[operator]
    scores = np.exp(COSINE_SCALE * rows @ directions.T / model.temperature)
    found = scores / scores.sum(axis=1, keepdims=True)
    wanted = run_tflite(bundle.path(bundle.info.variants[0]).read_bytes(), photos)
    assert np.abs(found - wanted).max() < 5e-3
    assert np.abs(found[:, ::-1] - wanted).max() > 5e-2  # other objects' answers do not pass


def test_it_is_no_variant_and_the_card_tells_of_it(bundle: Bundle) -> None:
    info = bundle.info
    assert [variant.name for variant in info.variants] == ["tflite-float32"]
    (tflite,) = info.companions
    assert tflite.name == "tflite-embedding" and tflite.file in info.files
    assert [(t.name, t.dtype, t.shape) for t in tflite.outputs] == [
        ("embedding", "float32", (1, SIZE))
    ]
    # float16 weights: about half of the classifier, which has the layer of the objects besides
    assert tflite.bytes < 0.7 * info.variants[0].bytes
    assert tflite.file in (bundle.folder / "README.md").read_text(encoding="utf-8")


def test_verify_passes_and_sees_a_change(bundle: Bundle, tmp_path: Path) -> None:
    assert verify_bundle(bundle.folder).failed == ()
    copy = tmp_path / "copy"
    shutil.copytree(bundle.folder, copy)
    file = copy / bundle.info.companions[0].file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert [(check.name, check.subject) for check in verify_bundle(copy).failed] == [
        ("files", ""),
        ("size and hash", "tflite-embedding"),
    ]
    with pytest.raises(DamagedError, match="embedding"):
        read_bundle(copy)


def test_benchmark_and_identify_see_the_classifier_only(
    run: Run, bundle: Bundle, register_folder: Path, tmp_path: Path
) -> None:
    photos, skipped = held_out(run, register_folder)
    case = BenchmarkCase(bundle, run, register_folder, photos, skipped)
    quick = BenchmarkOptions(measure_speed=False, bootstrap=50, preprocessing=0)
    results = run_benchmark([case], tmp_path / "results", options=quick)
    assert {row.variant for row in results.rows} == {"torch-float32", "tflite-float32"}
    photo = str(register_folder / photos[0].path)
    words = ["identify", str(bundle.folder), photo, "--variant"]
    assert main([*words, "tflite-float32"]) == 0
    assert main([*words, "embedding"]) == 2


def test_other_heads_are_refused(
    golden_run: Run, register_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["export", str(golden_run.folder), "--photos", str(register_folder)]
    assert main([*words, "--out", str(out), "--embedding"]) == 2
    said = capsys.readouterr().err
    assert "'linear'" in said and "--head embedding" in said
    assert not out.exists()
    with pytest.raises(ValueError, match="no embedding"):
        exported.take_apart(deployable(load_model(golden_run), golden_run.info.preprocessing))


def test_nothing_is_asked_for_and_nothing_written(
    run: Run, register_folder: Path, tmp_path: Path
) -> None:
    options = ExportOptions(variants=("tflite-float32",))
    plain = export_bundle(run, tmp_path / "plain", options=options, photos=register_folder)
    assert plain.info.companions == ()
    assert [path.name for path in (plain.folder / "models").iterdir()] == [
        "artefact-id.float32.tflite"
    ]


def test_wrong_rows_are_refused(run: Run, photos: NDArray[np.uint8]) -> None:
    network = deployable(load_model(run), run.info.preprocessing)
    parts, expected = exported.take_apart(network), network.probabilities(photos)
    with torch.inference_mode():
        images = torch.from_numpy(photos).permute(0, 3, 1, 2).float()
        rows = parts.embedding(images).numpy()
    exported._check(rows, parts.directions, expected)
    with pytest.raises(CheckFailedError, match="length"):
        exported._check(1.1 * rows, parts.directions, expected)
    with pytest.raises(CheckFailedError, match="does not answer"):
        exported._check(-rows, parts.directions, expected)
