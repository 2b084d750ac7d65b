"""The embedding as a file of its own, beside the classifier's variants."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tampering import relist
from tiny_run import finish_run
from torch import Tensor, nn

from artefact_id.main import main
from benchmarks.measure.evaluation_set import held_out
from benchmarks.pipeline.benchmark import BenchmarkOptions, run_benchmark
from benchmarks.results.measurement import BenchmarkCase
from benchmarks.runtimes.auxiliary_models import executors, run_auxiliary
from benchmarks.verify import verify_bundle
from export import ExportOptions, export_bundle
from export.coreml.convert import ArrayOutput, convert_arrays, save_package
from export.network.description import ModelDescription
from export.network.fold import fold_network
from export.tflite.convert import interpreter, run_tflite
from export.variants import embedding as exported
from export.variants.operations import operations
from mobile_assets.bundle import Bundle, BundleInfo, read_bundle
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
    variants = ("tflite-float32", "coreml-float16")
    options = ExportOptions(variants=variants, embedding=True, gallery=False)
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
    assert [variant.name for variant in info.variants] == ["tflite-float32", "coreml-float16"]
    tflite, coreml = info.companions
    assert (tflite.name, coreml.name) == (
        "tflite-embedding-float32",
        "coreml-embedding-float16",
    )
    assert tflite.file in info.files and f"{coreml.file}/Manifest.json" in info.files
    card = (bundle.folder / "DETAILS.md").read_text(encoding="utf-8")
    for one in info.companions:
        assert [(t.name, t.dtype, t.shape) for t in one.outputs] == [
            ("embedding", "float32", (1, SIZE))
        ]
        assert f"`{one.file}`" in card and f"| {one.name} |" in card
    # the classifier has the layer of the objects besides
    assert tflite.bytes < info.variants[0].bytes
    assert coreml.bytes < info.variants[1].bytes


@pytest.mark.slow
def test_there_is_one_of_each_precision(
    run: Run, register_folder: Path, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    variants = ("tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8")
    options = ExportOptions(variants=variants, embedding=True, gallery=False, calibration_photos=8)
    bundle = export_bundle(run, tmp_path / "bundle", options=options, photos=register_folder)
    names = [f"tflite-embedding-{precision}" for precision in ("float32", "float16", "int8")]
    assert [model.name for model in bundle.info.companions] == names
    float32, float16, int8 = bundle.info.companions
    assert float16.bytes < 0.6 * float32.bytes and int8.bytes < 0.45 * float32.bytes
    assert [model.inputs[0].dtype for model in bundle.info.companions] == [
        "float32", "float32", "uint8",
    ]  # fmt: skip
    rows = [run_tflite(bundle.path(model).read_bytes(), photos) for model in bundle.info.companions]
    assert np.linalg.norm(rows[2], axis=1) == pytest.approx(1, abs=1e-4)
    assert 0 < np.abs(rows[1] - rows[0]).max() < 1e-2
    assert (rows[2] * rows[0]).sum(axis=1).min() > 0.9
    assert (np.roll(rows[2], 1, axis=1) * rows[0]).sum(axis=1).max() < 0.9
    assert verify_bundle(bundle.folder).failed == ()


def test_the_package_answers_as_the_network_in_torch(
    run: Run, bundle: Bundle, photos: NDArray[np.uint8]
) -> None:
    tflite, coreml = bundle.info.companions
    rows = run_auxiliary(bundle, coreml, photos, next(executors(coreml)))["embedding"]
    network = fold_network(load_model(run), run.info.preprocessing)
    with torch.inference_mode():
        images = torch.from_numpy(photos).permute(0, 3, 1, 2).float()
        expected = exported.split_network(network).embedding(images).numpy()
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    assert (rows * expected).sum(axis=1) == pytest.approx(1, abs=1e-4)
    # float16 arithmetic: near the float32 file's answers and not the same
    other = run_auxiliary(bundle, tflite, photos, next(executors(tflite)))["embedding"]
    assert 0 < np.abs(rows - other).max() < 1e-2
    shifted = np.roll(rows, 1, axis=1)
    assert (shifted * expected).sum(axis=1).max() < 0.99


def test_the_package_takes_the_length_in_float32(bundle: Bundle) -> None:
    package = bundle.path(bundle.info.companions[1])
    found = [(operation.name, operation.types) for operation in operations(package)]
    places = [number for number, (name, _) in enumerate(found) if name == "reduce_sum"]
    assert [name for name, _ in found[places[0] - 1 :]] == [
        "mul", "reduce_sum", "add", "rsqrt", "mul",
    ]  # fmt: skip
    assert {types for _, types in found[places[0] - 1 :]} == {("float32",)}
    assert ("conv", ("float16",)) in found


def test_verify_sees_what_is_wrong_with_a_package(run: Run, bundle: Bundle, tmp_path: Path) -> None:
    network = fold_network(load_model(run), run.info.preprocessing)

    class Longer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = exported.split_network(network).embedding

        def forward(self, image: Tensor) -> Tensor:
            return 1.5 * self.body(image)

    class Other(Longer):
        def forward(self, image: Tensor) -> Tensor:
            return -self.body(image)

    wrong = {Longer: "rows of length 1.5", Other: "cosine -1.000"}
    for number, (kind, said) in enumerate(wrong.items()):
        copy = tmp_path / str(number)
        shutil.copytree(bundle.folder, copy)
        info = BundleInfo.read(copy / "bundle.json")
        coreml = info.companions[1]
        shutil.rmtree(copy / coreml.file)
        model = convert_arrays(
            kind(),
            info.preprocessing,
            {"embedding": ArrayOutput("float32", "a row")},
            description=ModelDescription("n", "d", "1", "a", "l"),
            user_defined={},
            exact_rows=True,
        )
        save_package(model, copy / coreml.file)
        relist(copy)
        (failed,) = verify_bundle(copy).failed
        assert (failed.name, failed.subject) == ("answers", "coreml-embedding-float16")
        assert said in failed.said


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
        ("size and hash", "tflite-embedding-float32"),
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
    assert {row.variant for row in results.rows} == {
        "torch-float32",
        "tflite-float32",
        "coreml-float16",
    }
    photo = str(register_folder / photos[0].path)
    words = ["identify", str(bundle.folder), photo, "--variant"]
    assert main([*words, "tflite-float32"]) == 0
    assert main([*words, "tflite-embedding-float32"]) == 2


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
        exported.split_network(fold_network(load_model(golden_run), golden_run.info.preprocessing))


def test_nothing_is_asked_for_and_nothing_written(
    run: Run, register_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ExportOptions(variants=("tflite-float32",), gallery=False)
    plain = export_bundle(run, tmp_path / "plain", options=options, photos=register_folder)
    assert plain.info.companions == ()
    assert capfd.readouterr() == ("", "")  # converters are chatty
    assert [path.name for path in (plain.folder / "models").iterdir()] == [
        "artefact-id.float32.tflite"
    ]


def test_wrong_rows_are_refused(run: Run, photos: NDArray[np.uint8]) -> None:
    network = fold_network(load_model(run), run.info.preprocessing)
    parts, expected = exported.split_network(network), network.probabilities(photos)
    with torch.inference_mode():
        images = torch.from_numpy(photos).permute(0, 3, 1, 2).float()
        rows = parts.embedding(images).numpy()
    exported.check_embedding(rows, parts.directions, expected)
    with pytest.raises(CheckFailedError, match="length"):
        exported.check_embedding(1.1 * rows, parts.directions, expected)
    with pytest.raises(CheckFailedError, match="does not answer"):
        exported.check_embedding(-rows, parts.directions, expected)
