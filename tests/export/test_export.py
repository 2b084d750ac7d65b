"""Exports of a tiny real network, converted for real, and what guards them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from tiny_run import finish_run

from export import VARIANTS, ExportOptions, export_bundle
from export.bundle.recommend import recommend
from export.coreml.structure import FLOAT16_LAYERS, check_coreml, read_structure, weight_name
from export.network.description import ModelDescription
from export.network.fold import FoldedNetwork, fold_network
from export.quantise.calibration_photos import calibration_order, calibration_photos
from export.tflite import flatbuffer
from export.tflite.convert import activation_ranges, run_tflite, to_int8
from export.tflite.metadata import embed, read_metadata
from export.variants.parity_check import Tolerance, check_probabilities
from mobile_assets.bundle import Bundle, Recommendation, Variant
from mobile_assets.decision import choose_thresholds
from mobile_assets.errors import CheckFailedError, DamagedError, InputError
from mobile_assets.files import sha256_bytes, sha256_file
from mobile_assets.labels import LabelMap
from mobile_assets.log_suppression import quiet
from mobile_assets.photos import load
from mobile_assets.preprocessing import Preprocessing
from train.model import build_model
from train.run import (
    Run,
    RunMetrics,
    Split,
    SplitName,
    SplitPhoto,
    load_model,
)

OBJECTS = 12
CONTRACT = Preprocessing(height=64, width=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
SIDES: tuple[SplitName, ...] = ("train", "train", "train", "train", "val", "val", "test", "test")


def write_photos(root: Path) -> tuple[SplitPhoto, ...]:
    """Draws coloured patterns, one per object, and noisy photos of each."""
    generator = np.random.default_rng(0)
    photos = []
    for number in range(OBJECTS):
        pattern = Image.fromarray(generator.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        base = np.asarray(pattern.resize((80, 70))).astype(int)
        for view, side in enumerate(SIDES):
            path = root / f"OBJ.{number:03d}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            noisy = base + generator.integers(-25, 26, base.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
            name = path.relative_to(root).as_posix()
            photos.append(
                SplitPhoto(
                    path=name, object_id=path.parent.name, sha256=sha256_file(path), split=side
                )
            )
    return tuple(photos)


def fit(model: Any, pixels: torch.Tensor, truth: torch.Tensor) -> None:
    """Gives the network sensible statistics and the last layer weights by least squares."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # a plain average: one pass sets the statistics
    with torch.no_grad():
        model.train()(pixels)
        model.eval()
        hidden = torch.nn.Sequential(*list(model.head)[:-1])(model.features(pixels)).double()
        wanted = torch.nn.functional.one_hot(truth, OBJECTS).double() * 6
        hidden = torch.cat([hidden, torch.ones(len(hidden), 1)], dim=1)
        ridge = hidden.T @ hidden + 1e-1 * torch.eye(hidden.shape[1])
        weights = torch.linalg.solve(ridge, hidden.T @ wanted)
        model.head[-1].weight.copy_(weights[:-1].T)
        model.head[-1].bias.copy_(weights[-1])


def write_run(folder: Path, photos: tuple[SplitPhoto, ...], root: Path) -> Run:
    """Writes a real run folder of a fitted `test_efficientnet` with the paper's head."""
    torch.manual_seed(0)
    model = build_model("test_efficientnet", "paper", objects=OBJECTS, preprocessing=CONTRACT)
    training = [photo for photo in photos if photo.split == "train"]
    pixels = np.stack([load(root / photo.path, CONTRACT) for photo in training])
    truth = torch.tensor([int(photo.object_id[-3:]) for photo in training])
    fit(model, torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), truth)
    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    entries = [
        (f"OBJ.{n:03d}", "left" if n < 8 else "right", f"Object {n}", len(SIDES))
        for n in range(OBJECTS)
    ]
    labels = LabelMap.of(entries)
    split = Split(strategy="stratified", seed=0, min_photos=6, photos=photos)
    RunMetrics(
        best_epoch=1,
        best_stage="head",
        val_top1=0.875,
        val_photos=2 * OBJECTS,
        seconds=1.0,
        train_photos_per_second=1.0,
    ).write(folder / "metrics.json")
    return finish_run(folder, labels, split, preprocessing=CONTRACT, head="paper")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The register's root."""
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def run(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real run."""
    return write_run(tmp_path_factory.mktemp("work") / "run", write_photos(root), root)


@pytest.fixture(scope="module")
def bundle(run: Run, root: Path) -> Bundle:
    """All variants of the run, converted for real."""
    options = ExportOptions(name="tiny-bundle", calibration_photos=24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return export_bundle(run, run.folder.parent / "bundle", options=options, photos=root)


@pytest.fixture(scope="module")
def pixels(run: Run, root: Path) -> NDArray[np.uint8]:
    """The test photos, decoded."""
    return np.stack([load(root / photo.path, CONTRACT) for photo in run.split.of("test")])


@pytest.fixture(scope="module")
def expected(run: Run, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The trained network's own probabilities, without anything of the exporter."""
    with torch.inference_mode():
        photos = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        return torch.softmax(load_model(run)(photos), dim=1).numpy()


def content(bundle: Bundle, name: str) -> bytes:
    """A variant's file."""
    return bundle.path(bundle.info.variant(name)).read_bytes()


def test_the_toy_network_is_worth_exporting(run: Run, expected: NDArray[np.float32]) -> None:
    truth = np.array([int(photo.object_id[-3:]) for photo in run.split.of("test")])
    assert (expected.argmax(1) == truth).mean() > 0.9
    assert 0.2 < np.median(expected.max(axis=1)) < 0.999  # neither flat nor saturated


def test_bundle_describes_run_and_files(bundle: Bundle, run: Run) -> None:
    info = bundle.info
    assert tuple(variant.name for variant in info.variants) == VARIANTS
    assert (info.name, info.objects, info.created[:10]) == ("tiny-bundle", OBJECTS, "2023-11-14")
    assert (bundle.folder / info.source.run).resolve() == run.folder.resolve()
    assert info.source.model_sha256 == run.info.model_sha256
    assert info.source.photo_list_sha256 == run.split.sha256
    assert info.preprocessing == CONTRACT
    assert {"torch", "litert-torch", "coremltools"} <= info.versions.keys()
    assert bundle.labels == run.labels
    assert not list(bundle.folder.parent.glob(".bundle*"))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("tflite-float32", "float32"),
        ("tflite-float16", "float32"),
        ("tflite-int8-weights", "float32"),
        ("tflite-int8", "uint8"),
    ],
)
def test_tflite_ends(bundle: Bundle, name: str, dtype: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content(bundle, name))
    assert runner.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}
    }
    (image,), (out,) = runner.get_input_details(), runner.get_output_details()
    assert (image["name"], image["dtype"], tuple(image["shape"])) == (
        "image",
        np.dtype(dtype),
        (1, 64, 64, 3),
    )
    assert (out["name"], out["dtype"], tuple(out["shape"])) == (
        "probabilities",
        np.float32,
        (1, OBJECTS),
    )
    declared = bundle.info.variant(name)
    assert (declared.inputs[0].dtype, declared.outputs[0].dtype) == (dtype, "float32")
    if dtype == "uint8":
        assert flatbuffer.input_quantisation(content(bundle, name)) == (1.0, 0)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("tflite-float32", 1e-4),
        ("tflite-float16", 2e-2),
        ("tflite-int8-weights", 0.05),
        ("tflite-int8", 0.1),
    ],
)
def test_tflite_answers_as_torch(
    bundle: Bundle,
    pixels: NDArray[np.uint8],
    expected: NDArray[np.float32],
    name: str,
    tolerance: float,
) -> None:
    found = run_tflite(content(bundle, name), pixels)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert np.abs(found - expected).max() < tolerance
    assert (found.argmax(1) == expected.argmax(1)).mean() >= 0.9


def test_graphs_are_lean(bundle: Bundle) -> None:
    float32 = flatbuffer.operator_names(content(bundle, "tflite-float32"))
    assert float32["TRANSPOSE"] == 0 and float32["SOFTMAX"] == 1
    int8 = flatbuffer.operator_names(content(bundle, "tflite-int8"))
    # One way in and one way out, and the first layers, which a SiLU leaves in float: any other
    # layer left in float would need more of both.
    assert int8["QUANTIZE"] == 2 and int8["DEQUANTIZE"] == 2 and int8["TRANSPOSE"] == 0


def test_int8_everywhere_but_at_both_ends(bundle: Bundle) -> None:
    from ai_edge_litert import schema_py_generated as schema

    from export.tflite.activation_functions import ActivationFile

    graph = flatbuffer.read_model(content(bundle, "tflite-int8")).subgraphs[0]
    types = [graph.tensors[int(op.outputs[0])].type for op in graph.operators]
    # DEQUANTIZE, last layer, softmax
    assert types[-3:] == [schema.TensorType.FLOAT32] * 3
    first = len(ActivationFile(content(bundle, "tflite-float32")).beginning())
    assert 0 < first < len(types) / 2
    # The photo as int8, and as float for the first layers
    assert types[0] == schema.TensorType.INT8
    assert set(types[1 : first + 1]) == {schema.TensorType.FLOAT32}
    assert set(types[first + 2 : -3]) == {schema.TensorType.INT8}
    last = graph.tensors[int(graph.operators[-2].inputs[1])]
    assert last.type == schema.TensorType.INT8
    assert len(last.quantization.scale) == OBJECTS  # per channel


def test_lookalikes_do_not_tie_in_int8(bundle: Bundle, pixels: NDArray[np.uint8]) -> None:
    found = np.sort(run_tflite(content(bundle, "tflite-int8"), pixels), axis=1)
    # Probabilities from 8-bit logits would fall on at most 256 levels of each photo's best.
    logits = np.log(found / found[:, -1:])
    steps = np.unique(np.round(logits, 6))
    assert len(steps) > 0.9 * (found.size - len(found))


def test_constants_are_inside_and_aligned(bundle: Bundle) -> None:
    for name in ("tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8"):
        raw = content(bundle, name)
        from ai_edge_litert import schema_py_generated as schema

        model = schema.Model.GetRootAs(raw, 0)
        seen = 0
        for index in range(model.BuffersLength()):
            packed = model.Buffers(index)
            assert packed.Size() == 0  # not kept behind the FlatBuffer
            if packed.DataLength():
                at = packed._tab.Vector(packed._tab.Offset(4))
                assert at % 16 == 0
                seen += 1
        assert seen > 10


def test_sizes(bundle: Bundle) -> None:
    size = {variant.name: variant.bytes for variant in bundle.info.variants}
    assert size["tflite-float16"] < 0.56 * size["tflite-float32"]
    assert size["tflite-int8"] < 0.32 * size["tflite-float32"]
    assert size["tflite-int8-weights"] < 0.34 * size["tflite-float32"]
    assert size["coreml-float16"] < 0.56 * size["tflite-float32"]
    assert size["coreml-int8-weights"] < 0.6 * size["coreml-float16"]


def test_metadata_and_labels_are_inside(bundle: Bundle) -> None:
    for name in ("tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8"):
        found = read_metadata(content(bundle, name))
        (image,), (out,) = found.inputs, found.outputs
        assert found.labels == bundle.labels.object_ids
        assert image.name == "image" and image.is_rgb_image
        assert (image.mean, image.std) == ((0.0,), (1.0,))
        assert (image.minimum, image.maximum) == ((0.0,) * 3, (255.0,) * 3)
        assert out.name == "probabilities" and out.files == (("labels.txt", 2),)
        assert found.model.name == "tiny-bundle" and found.min_parser_version == "1.0.0"


def test_metadata_of_thousands_of_objects(bundle: Bundle) -> None:
    labels = LabelMap.of([(f"EG{n // 7}.{n} é", "", "", 1) for n in range(4332)])
    words = ModelDescription("n", "d", "v", "a", "l")
    made = embed(content(bundle, "tflite-float32"), labels, words)
    assert read_metadata(made).labels == labels.object_ids
    assert embed(content(bundle, "tflite-float32"), labels, words) == made


def test_missing_metadata_is_noticed(bundle: Bundle) -> None:
    bare = flatbuffer.write_model(flatbuffer.read_model(content(bundle, "tflite-float32")))
    with pytest.raises(DamagedError, match=r"labels\.txt"):
        read_metadata(bare)
    model = flatbuffer.read_model(bare)
    model.metadata = []
    with pytest.raises(DamagedError, match="no metadata"):
        read_metadata(flatbuffer.write_model(model))


def test_calibration_takes_training_photos_only(bundle: Bundle, run: Run, root: Path) -> None:
    record = bundle.info.calibration
    assert record is not None and len(record.photos) == 24
    sides = {photo.path: photo for photo in run.split.photos}
    chosen = [sides[path] for path in record.photos]
    assert {photo.split for photo in chosen} == {"train"}
    # Twice as many as objects: each object twice, the first round before the second.
    assert len({photo.object_id for photo in chosen[:12]}) == 12
    lines = "".join(f"{photo.path}\0{photo.sha256}\n" for photo in chosen)
    assert record.sha256 == sha256_bytes(lines.encode())


def test_calibration_is_spread_and_seeded(run: Run) -> None:
    order = calibration_order(run, seed=0)
    assert len(order) == 4 * OBJECTS
    collections = {label.object_id: label.collection for label in run.labels.labels}
    first = [collections[photo.object_id] for photo in order[:6]]
    assert (first.count("left"), first.count("right")) == (4, 2)  # as 8 objects to 4
    assert order == calibration_order(run, seed=0) != calibration_order(run, seed=1)


def damaged_register(root: Path, folder: Path, *, broken: Callable[[int], bool]) -> Path:
    """A copy of the register in which some objects' photos are changed."""
    copy = folder / "photos"
    shutil.copytree(root, copy)
    for number in filter(broken, range(OBJECTS)):
        for photo in (copy / f"OBJ.{number:03d}").iterdir():
            photo.write_bytes(photo.read_bytes() + b"changed")
    return copy


def test_changed_photos_are_skipped_and_counted(run: Run, root: Path, tmp_path: Path) -> None:
    copy = damaged_register(root, tmp_path, broken=lambda n: n == 3)
    said: list[str] = []
    loaded, record = calibration_photos(run, copy, wanted=24, seed=0, say=said.append)
    assert len(record.photos) == len(loaded.pixels) == 24 and loaded.skipped == 2
    assert not any(path.startswith("OBJ.003") for path in record.photos)
    assert len(said) == 1 and "2 training photos" in said[0]


def test_wrong_register_is_refused(run: Run, root: Path, tmp_path: Path) -> None:
    copy = damaged_register(root, tmp_path, broken=lambda _: True)
    with pytest.raises(InputError, match=r"--photos"):
        calibration_photos(run, copy, wanted=24, seed=0, say=lambda _: None)
    with pytest.raises(InputError, match="validation photos"):
        export_bundle(run, tmp_path / "out", options=ExportOptions(), photos=copy)
    assert not (tmp_path / "out").exists()


def test_decision_thresholds_come_from_validation(bundle: Bundle, run: Run, root: Path) -> None:
    photos = run.split.of("val")
    pixels = np.stack([load(root / photo.path, CONTRACT) for photo in photos])
    with torch.inference_mode():
        tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
        probabilities = torch.softmax(load_model(run)(tensor), dim=1).numpy()
    wanted = choose_thresholds(probabilities, np.array([int(p.object_id[-3:]) for p in photos]))
    found = bundle.info.decision
    assert found.validation_photos == len(photos)
    assert found.match == pytest.approx(wanted.match, abs=1e-4)
    assert found.reject == pytest.approx(wanted.reject, abs=1e-4)


def test_the_same_run_gives_the_same_bytes_without_chatter(
    bundle: Bundle,
    run: Run,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    options = ExportOptions(name="tiny-bundle", calibration_photos=24)
    again = export_bundle(run, run.folder.parent / "bundle2", options=options, photos=root)
    assert capfd.readouterr() == ("", "")
    assert again.info == bundle.info
    for file in sorted(bundle.folder.rglob("*")):
        if file.is_file():
            twin = again.folder / file.relative_to(bundle.folder)
            assert twin.read_bytes() == file.read_bytes(), file


def test_an_existing_bundle_is_not_overwritten(bundle: Bundle, run: Run, root: Path) -> None:
    before = (bundle.folder / "bundle.json").read_bytes()
    with pytest.raises(InputError, match="already exists"):
        export_bundle(run, bundle.folder, options=ExportOptions(), photos=root)
    assert (bundle.folder / "bundle.json").read_bytes() == before


def test_a_failure_leaves_nothing(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.variants import registry

    def interrupt(self: object, *_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry.Float32, "write_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_bundle(run, tmp_path / "out", options=ExportOptions(), photos=root)
    assert list(tmp_path.iterdir()) == []


def test_refusals(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="tflite-float32, tflite-float16"):
        export_bundle(run, out, options=ExportOptions(variants=("tflite-int7",)), photos=None)
    with pytest.raises(InputError, match="--photos PHOTOS"):
        export_bundle(run, out, options=ExportOptions(), photos=None)
    with pytest.raises(InputError, match="is not a folder"):
        export_bundle(run, out, options=ExportOptions(), photos=tmp_path / "nowhere")
    with pytest.raises(InputError, match="No variant"):
        export_bundle(run, out, options=ExportOptions(variants=()), photos=None)
    with pytest.raises(InputError, match="calibration photos"):
        export_bundle(run, out, options=ExportOptions(calibration_photos=0), photos=None)
    assert not out.exists()


def test_without_photos_every_answer_is_a_shortlist(run: Run, tmp_path: Path) -> None:
    said: list[str] = []
    made = export_bundle(
        run,
        tmp_path / "out",
        options=ExportOptions(variants=("coreml-float16",)),
        photos=None,
        progress=said.append,
    )
    decision = made.info.decision
    assert (decision.match, decision.reject, decision.validation_photos) == (1.0, 0.0, 0)
    assert made.info.calibration is None and "shortlist" in said[0]
    assert "no decision thresholds" in (made.folder / "README.md").read_text()


def test_model_card_holds_measured_numbers(bundle: Bundle) -> None:
    card = (bundle.folder / "README.md").read_text()
    assert "87.5% of 24 validation photos" in card
    assert "48 photos for training, 24 for validation, 24 for test" in card
    assert f"{bundle.info.decision.match:.4f}" in card
    assert "| left | 8 |" in card and "scaleFill" in card and "ImageClassifier" in card
    for variant in bundle.info.variants:
        assert variant.file in card


def test_coreml_structure(bundle: Bundle) -> None:
    package = bundle.path(bundle.info.variant("coreml-float16"))
    found = check_coreml(package, labels=bundle.labels, contract=CONTRACT)
    assert found.labels == bundle.labels.object_ids
    assert found.weight_types == ("float16",)
    # The softmax's result stays float32 until the classifier reads it.
    assert found.operations[-3:] == ("cast", "softmax", "classify")
    metadata = found.user_defined
    assert metadata["artefact-id.labels_sha256"] == bundle.info.labels_sha256


@pytest.mark.parametrize(
    ("precision", "constants", "layers"),
    [
        ("float32", "float32", "float32"),
        ("float16", "float16", "float16"),
        ("int8-weights", "float16", "float16 int8"),
    ],
)
def test_coreml_weights_have_the_stated_precision(
    bundle: Bundle, precision: str, constants: str, layers: str
) -> None:
    package = bundle.path(bundle.info.variant(f"coreml-{precision}"))
    found = check_coreml(package, labels=bundle.labels, contract=CONTRACT, weights=precision)
    assert (found.weight_types, found.layer_weights) == ((constants,), tuple(layers.split()))
    for other in {"float32", "float16", "int8-weights", "palette6"} - {precision}:
        with pytest.raises(CheckFailedError, match="weights is"):
            check_coreml(package, labels=bundle.labels, contract=CONTRACT, weights=other)


@pytest.mark.parametrize("change", ["one more", "one fewer", "none"])
def test_coreml_check_sees_layers_that_are_not_in_8_bits(
    bundle: Bundle, tmp_path: Path, change: str
) -> None:
    from coremltools.proto import Model_pb2

    package = tmp_path / "copy.mlpackage"
    shutil.copytree(bundle.path(bundle.info.variant("coreml-int8-weights")), package)
    (file,) = package.rglob("*.mlmodel")
    specification = Model_pb2.Model.FromString(file.read_bytes())
    facts = specification.description.metadata.userDefined
    stated = facts[FLOAT16_LAYERS].split()
    assert stated and weight_name(stated[0]) in read_structure(package).float16_layers
    other = {"one more": [*stated, "body.0.other"], "one fewer": stated[1:], "none": []}
    facts[FLOAT16_LAYERS] = " ".join(other[change])
    file.write_bytes(specification.SerializeToString())
    with pytest.raises(CheckFailedError, match=r"layers in float16|layers' weights"):
        check_coreml(package, labels=bundle.labels, contract=CONTRACT, weights="int8-weights")


def test_coreml_check_sees_swapped_labels(bundle: Bundle) -> None:
    labels = list(bundle.labels.labels)
    labels[3], labels[7] = (
        labels[7].model_copy(update={"index": 3}),
        labels[3].model_copy(update={"index": 7}),
    )
    package = bundle.path(bundle.info.variant("coreml-float16"))
    with pytest.raises(CheckFailedError, match=r"label 3 is 'OBJ.003' instead of 'OBJ.007'"):
        check_coreml(package, labels=LabelMap(tuple(labels)), contract=CONTRACT)


def test_coreml_check_sees_other_size_and_weights(bundle: Bundle, tmp_path: Path) -> None:
    package = bundle.path(bundle.info.variant("coreml-float16"))
    other = CONTRACT.model_copy(update={"height": 96})
    with pytest.raises(CheckFailedError, match="size is"):
        check_coreml(package, labels=bundle.labels, contract=other)
    with pytest.raises(CheckFailedError, match="weights is"):
        check_coreml(package, labels=bundle.labels, contract=CONTRACT, weights="float32")
    copy = tmp_path / "copy.mlpackage"
    shutil.copytree(package, copy)
    (file,) = copy.rglob("*.mlmodel")
    file.write_bytes(b"\xff" + file.read_bytes()[:50])
    with pytest.raises(DamagedError):
        read_structure(copy)


def test_coreml_float32_weights_are_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import coremltools as ct

    def keep_float32(op_selector: object) -> object:
        return ct.precision.FLOAT32

    monkeypatch.setattr(ct.transform, "FP16ComputePrecision", keep_float32)
    options = ExportOptions(variants=("coreml-float16",))
    with pytest.raises(CheckFailedError, match=r"weights is \('float32',\)"):
        export_bundle(run, tmp_path / "out", options=options, photos=None)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_conversion_is_refused(
    run: Run, bundle: Bundle, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.tflite import convert

    def swapped(network: FoldedNetwork, contract: Preprocessing, *, description: str) -> bytes:
        model = flatbuffer.read_model(content(bundle, "tflite-float32"))
        weights = max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))
        weights.data = weights.data[::-1].copy()
        return flatbuffer.write_model(model)

    monkeypatch.setattr(convert, "convert_float32", swapped)
    options = ExportOptions(variants=("tflite-float32",))
    with pytest.raises(CheckFailedError, match="does not answer as the trained network"):
        export_bundle(run, tmp_path / "out", options=options, photos=root)
    assert list(tmp_path.iterdir()) == []


def test_one_photo_between_two_objects_may_differ_and_not_all() -> None:
    expected = np.full((9, 4), 0.1, np.float32)
    expected[:, 0] = 0.7
    one, half = expected.copy(), expected.copy()
    one[0] = (0.5, 0.3, 0.1, 0.1)
    half[:5] = (0.67, 0.13, 0.1, 0.1)
    check_probabilities("one", one, expected, Tolerance(typical=2e-2))
    with pytest.raises(CheckFailedError, match="half of the photos"):
        check_probabilities("half", half, expected, Tolerance(typical=2e-2))
    one[0] = (0.1, 0.7, 0.1, 0.1)  # a clear photo with another answer
    with pytest.raises(CheckFailedError, match="clear photos"):
        check_probabilities("one", one, expected, Tolerance(typical=2e-2))


def test_bad_ranges_are_noticed(
    bundle: Bundle, pixels: NDArray[np.uint8], expected: NDArray[np.float32]
) -> None:
    float32 = content(bundle, "tflite-float32")
    ranges = activation_ranges(float32, pixels[:4])
    assert ranges["image"] == (0.0, 255.0)
    tolerance = Tolerance(confident_agreement=0.9)
    good = run_tflite(to_int8(float32, ranges), pixels)
    check_probabilities("good", good, expected, tolerance)
    narrow = {name: (low / 30, high / 30) for name, (low, high) in ranges.items()}
    bad = run_tflite(to_int8(float32, narrow), pixels)
    with pytest.raises(CheckFailedError):
        check_probabilities("bad", bad, expected, tolerance)


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_resnet", "test_vit"])
@pytest.mark.parametrize("head", ["paper", "linear"])
def test_folding_changes_nothing(backbone: str, head: str) -> None:
    torch.manual_seed(0)
    size = 96 if backbone != "test_vit" else 160
    contract = CONTRACT.model_copy(update={"height": size, "width": size})
    model = build_model(backbone, head, objects=7, preprocessing=contract).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.temperature = 0.6
    network = fold_network(model, contract)
    photo = torch.randint(0, 256, (2, 3, size, size)).float()
    with torch.inference_mode():
        torch.testing.assert_close(network(photo), model(photo), rtol=2e-4, atol=2e-4)
    assert not any("BatchNorm" in type(m).__name__ for m in network.modules())
    assert not any(isinstance(m, torch.nn.Dropout) and m.p for m in network.modules())


def test_wrong_folding_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from export.network import fold

    monkeypatch.setattr(fold, "_fold_head", lambda head: torch.nn.Sequential(*list(head)[1:]))
    with pytest.raises(CheckFailedError, match="Folding"):
        fold_network(load_model(run), CONTRACT)


def test_a_forgotten_temperature_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from export.network import fold

    assert load_model(run).temperature != 1
    monkeypatch.setattr(fold, "_fold_temperature", lambda head, _: head)
    with pytest.raises(CheckFailedError, match="Folding"):
        fold_network(load_model(run), CONTRACT)


def test_what_was_swallowed_is_shown_on_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), quiet():
        os.write(2, b"said by C++")
        raise RuntimeError
    assert "said by C++" in capfd.readouterr().err
    with quiet():
        os.write(2, b"chatter")
        print("chatter")
    assert capfd.readouterr() == ("", "")


def test_importing_export_is_cheap() -> None:
    import subprocess
    import sys

    code = "import sys, export; print(sorted({'torch', 'coremltools'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_options_keep_the_order() -> None:
    options = replace(ExportOptions(), variants=("tflite-int8", "tflite-float32", "tflite-int8"))
    assert options.checked_variants() == ("tflite-float32", "tflite-int8")


@pytest.fixture(scope="module")
def recommended(run: Run, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle that says which variants to ship."""
    options = ExportOptions(
        variants=("tflite-float32", "tflite-int8-weights", "coreml-float16", "coreml-int8-weights"),
        calibration_photos=24,
        recommend=True,
    )
    return export_bundle(
        run, tmp_path_factory.mktemp("recommended") / "out", options=options, photos=root
    )


def test_the_smallest_good_variant_is_recommended(recommended: Bundle, run: Run) -> None:
    tflite, coreml = recommended.info.recommended
    assert (tflite.variant, tflite.met) == ("tflite-int8-weights", True)
    assert (coreml.variant, coreml.met) == ("coreml-int8-weights", True)
    assert tflite.photos == len(run.split.of("val")) == 24
    assert tflite.agreement == 1 and tflite.agreement_low == pytest.approx(0.862, abs=1e-3)
    assert "24 of 24 validation photos" in tflite.why
    card = (recommended.folder / "README.md").read_text()
    assert "## Which file to ship" in card and tflite.why in card and coreml.why in card


def test_nothing_is_recommended_unasked(bundle: Bundle, run: Run, tmp_path: Path) -> None:
    assert bundle.info.recommended == ()
    assert "Which file to ship" not in (bundle.folder / "README.md").read_text()
    options = ExportOptions(variants=("tflite-float32",), recommend=True)
    with pytest.raises(InputError, match="validation photos"):
        export_bundle(run, tmp_path / "out", options=options, photos=None)


def test_a_variant_that_errs_is_passed_over(bundle: Bundle) -> None:
    truth = np.arange(OBJECTS).repeat(40)
    right = np.eye(OBJECTS, dtype=np.float32)[truth]
    small = [v for v in bundle.info.variants if v.format == "tflite"]

    def chosen(wrong: dict[str, int]) -> Recommendation:
        def answers(variant: Variant) -> NDArray[np.float32]:
            found = right.copy()
            found[: wrong.get(variant.name, 0)] = np.roll(right[0], 1)
            return found

        (one,) = recommend(small, answers, right, truth)
        return one

    smallest, second, *_ = sorted(small, key=lambda v: v.bytes)
    assert {smallest.name, second.name} == {"tflite-int8", "tflite-int8-weights"}
    assert chosen({}).variant == smallest.name
    # 480 photos: 2 other answers are 0.4 points, which int8 may lose and 8-bit weights may not.
    assert chosen({"tflite-int8": 2, "tflite-int8-weights": 480}).variant == "tflite-int8"
    assert chosen({"tflite-int8": 3, "tflite-int8-weights": 2}).variant == "tflite-float16"
    passed = chosen({"tflite-int8": 3, "tflite-int8-weights": 2}).why
    assert "99.4%" in passed and "0.6 points" in passed
    all_wrong = chosen(dict.fromkeys([v.name for v in small], 480))
    assert (all_wrong.variant, all_wrong.met) == ("tflite-float32", False)


def test_what_cannot_be_judged_is_not_recommended(bundle: Bundle) -> None:
    truth = np.arange(OBJECTS)
    expected = np.eye(OBJECTS, dtype=np.float32)
    tflite, coreml = recommend(bundle.info.variants, lambda _: None, expected, truth)
    assert (tflite.variant, coreml.variant) == ("tflite-float32", "coreml-float16")
    assert not tflite.met and "cannot be run here" in coreml.why
    tflite, _ = recommend(bundle.info.variants, lambda _: expected, expected[:0], truth[:0])
    assert tflite.variant == "tflite-float32" and "no validation photos" in tflite.why


def test_identify_takes_what_is_recommended(recommended: Bundle, run: Run, root: Path) -> None:
    from benchmarks.pipeline.identify import identify

    photo = run.split.of("train")[0]
    (found,) = identify(recommended.folder, [root / photo.path], top=1)  # there is no tflite-int8
    assert found.answer is not None
    assert found.answer.candidates[0].label.object_id == photo.object_id


def test_quantise_auto_needs_photos(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from artefact_id.main import main

    call = ["export", str(run.folder), "--out", str(tmp_path / "out")]
    assert main([*call, "--variants", "tflite-float32", "--quantise", "auto"]) == 2
    assert "decided on the run's validation photos" in capsys.readouterr().err
