"""TFLite files of a tiny real network, converted for real, and what guards them."""

from pathlib import Path

import numpy as np
import pytest
from fitted_export import OBJECTS, content
from numpy.typing import NDArray

from export import ExportOptions, export_bundle
from export.network.fold import FoldedNetwork
from export.tflite import flatbuffer
from export.tflite.activation_functions import ActivationGraph
from export.tflite.convert import activation_ranges, run_tflite, to_int8
from export.tflite.graph import operator_names
from export.tflite.metadata import read_metadata
from export.variants.parity_check import Tolerance, check_probabilities
from mobile_assets.bundle import Bundle
from mobile_assets.errors import CheckFailedError, DamagedError
from mobile_assets.preprocessing import Preprocessing
from train.run import Run

pytest_plugins = ("fitted_export",)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("tflite-float32", "float32"),
        ("tflite-float16", "float32"),
        ("tflite-int8-weights", "float32"),
        ("tflite-int8", "uint8"),
    ],
)
def test_tflite_ends(fitted_bundle: Bundle, name: str, dtype: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=content(fitted_bundle, name))
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
    declared = fitted_bundle.info.variant(name)
    assert (declared.inputs[0].dtype, declared.outputs[0].dtype) == (dtype, "float32")
    if dtype == "uint8":
        assert image["quantization"] == (1.0, 0)


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
    fitted_bundle: Bundle,
    fitted_pixels: NDArray[np.uint8],
    fitted_answers: NDArray[np.float32],
    name: str,
    tolerance: float,
) -> None:
    found = run_tflite(content(fitted_bundle, name), fitted_pixels)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert np.abs(found - fitted_answers).max() < tolerance
    assert (found.argmax(1) == fitted_answers.argmax(1)).mean() >= 0.9


def test_graphs_are_lean(fitted_bundle: Bundle) -> None:
    float32 = operator_names(content(fitted_bundle, "tflite-float32"))
    assert float32["TRANSPOSE"] == 0 and float32["SOFTMAX"] == 1
    int8 = operator_names(content(fitted_bundle, "tflite-int8"))
    # One way in and one way out, and the first layers, which a SiLU leaves in float: any other
    # layer left in float would need more of both.
    assert int8["QUANTIZE"] == 2 and int8["DEQUANTIZE"] == 2 and int8["TRANSPOSE"] == 0


def test_int8_everywhere_but_at_both_ends(fitted_bundle: Bundle) -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph = flatbuffer.read_model(content(fitted_bundle, "tflite-int8")).subgraphs[0]
    types = [graph.tensors[int(op.outputs[0])].type for op in graph.operators]
    # DEQUANTIZE, last layer, softmax
    assert types[-3:] == [schema.TensorType.FLOAT32] * 3
    first = len(ActivationGraph(content(fitted_bundle, "tflite-float32")).float_stem())
    assert 0 < first < len(types) / 2
    # The photo as int8, and as float for the first layers
    assert types[0] == schema.TensorType.INT8
    assert set(types[1 : first + 1]) == {schema.TensorType.FLOAT32}
    assert set(types[first + 2 : -3]) == {schema.TensorType.INT8}
    last = graph.tensors[int(graph.operators[-2].inputs[1])]
    assert last.type == schema.TensorType.INT8
    assert len(last.quantization.scale) == OBJECTS  # per channel


def test_lookalikes_do_not_tie_in_int8(
    fitted_bundle: Bundle, fitted_pixels: NDArray[np.uint8]
) -> None:
    found = np.sort(run_tflite(content(fitted_bundle, "tflite-int8"), fitted_pixels), axis=1)
    # Probabilities from 8-bit logits would fall on at most 256 levels of each photo's best.
    logits = np.log(found / found[:, -1:])
    steps = np.unique(np.round(logits, 6))
    assert len(steps) > 0.9 * (found.size - len(found))


def test_constants_are_inside_and_aligned(fitted_bundle: Bundle) -> None:
    for name in ("tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8"):
        raw = content(fitted_bundle, name)
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


def test_sizes(fitted_bundle: Bundle) -> None:
    size = {variant.name: variant.bytes for variant in fitted_bundle.info.variants}
    assert size["tflite-float16"] < 0.56 * size["tflite-float32"]
    assert size["tflite-int8"] < 0.32 * size["tflite-float32"]
    assert size["tflite-int8-weights"] < 0.34 * size["tflite-float32"]
    assert size["coreml-float16"] < 0.56 * size["tflite-float32"]
    assert size["coreml-int8-weights"] < 0.6 * size["coreml-float16"]


def test_metadata_and_labels_are_inside(fitted_bundle: Bundle) -> None:
    for name in ("tflite-float32", "tflite-float16", "tflite-int8-weights", "tflite-int8"):
        found = read_metadata(content(fitted_bundle, name))
        (image,), (out,) = found.inputs, found.outputs
        assert found.labels == fitted_bundle.labels.object_ids
        assert image.name == "image" and image.is_rgb_image
        assert (image.mean, image.std) == ((0.0,), (1.0,))
        assert (image.minimum, image.maximum) == ((0.0,) * 3, (255.0,) * 3)
        assert out.name == "probabilities" and out.files == (("labels.txt", 2),)
        assert found.model.name == "tiny-bundle" and found.min_parser_version == "1.0.0"


def test_missing_metadata_is_noticed(fitted_bundle: Bundle) -> None:
    bare = flatbuffer.write_model(flatbuffer.read_model(content(fitted_bundle, "tflite-float32")))
    with pytest.raises(DamagedError, match=r"labels\.txt"):
        read_metadata(bare)
    model = flatbuffer.read_model(bare)
    model.metadata = []
    with pytest.raises(DamagedError, match="no metadata"):
        read_metadata(flatbuffer.write_model(model))


def test_a_wrong_conversion_is_refused(
    fitted_run: Run,
    fitted_bundle: Bundle,
    fitted_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from export.tflite import convert

    def swapped(network: FoldedNetwork, contract: Preprocessing, *, description: str) -> bytes:
        model = flatbuffer.read_model(content(fitted_bundle, "tflite-float32"))
        weights = max(model.buffers, key=lambda b: 0 if b.data is None else len(b.data))
        weights.data = weights.data[::-1].copy()
        return flatbuffer.write_model(model)

    monkeypatch.setattr(convert, "convert_float32", swapped)
    options = ExportOptions(variants=("tflite-float32",))
    with pytest.raises(CheckFailedError, match="does not answer as the trained network"):
        export_bundle(fitted_run, tmp_path / "out", options=options, photos=fitted_root)
    assert list(tmp_path.iterdir()) == []


def test_bad_ranges_are_noticed(
    fitted_bundle: Bundle, fitted_pixels: NDArray[np.uint8], fitted_answers: NDArray[np.float32]
) -> None:
    float32 = content(fitted_bundle, "tflite-float32")
    ranges = activation_ranges(float32, fitted_pixels[:4])
    assert ranges["image"] == (0.0, 255.0)
    tolerance = Tolerance(confident_agreement=0.9)
    good = run_tflite(to_int8(float32, ranges), fitted_pixels)
    check_probabilities("good", good, fitted_answers, tolerance)
    narrow = {name: (low / 30, high / 30) for name, (low, high) in ranges.items()}
    bad = run_tflite(to_int8(float32, narrow), fitted_pixels)
    with pytest.raises(CheckFailedError):
        check_probabilities("bad", bad, fitted_answers, tolerance)
