"""Core ML packages of 8-bit weights and activations: converted for real, run by the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from telling import (
    CONTRACT,
    LABELS,
    WORDS,
    answers,
    photos,
    restless_network,
    scores,
    telling_network,
)
from torch import nn

from benchmarks.runtimes.coreml_reference.session import CoreMLReferenceSession
from export.coreml.convert import convert_coreml, save_package
from export.coreml.structure import check_coreml, read_structure
from export.coreml.weight_quantisation import int8_weights
from export.network.fold import FoldedNetwork, run_photos
from export.network.graph import trace
from export.quantise.activation_ranges import sqnr_db
from export.quantise.fake_quantised import (
    QuantizeDequantize,
    activation_ranges,
    fake_quantised_network,
    int8_nodes,
)
from export.quantise.quantised_network import quantise
from export.tflite.convert import activation_ranges as file_ranges
from export.tflite.convert import convert_float32, run_tflite, to_int8
from mobile_assets.errors import CheckFailedError
from mobile_assets.files import sha256_path


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    return telling_network()


@pytest.fixture(scope="module")
def quantised(network: FoldedNetwork) -> FoldedNetwork:
    return quantise(network, photos(3), activations=True).network


@pytest.fixture(scope="module")
def twin(quantised: FoldedNetwork) -> nn.Module:
    return fake_quantised_network(quantised, photos(3))


@pytest.fixture(scope="module")
def package(twin: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(twin, tmp_path_factory.mktemp("w8a8"))


def saved(twin: nn.Module, folder: Path) -> Path:
    """The twin as a package."""
    path = folder / "m.mlpackage"
    model = convert_coreml(twin, CONTRACT, LABELS, description=WORDS, user_defined={}, ios=17)
    save_package(int8_weights(model), path)
    return path


def test_answers_as_the_network(package: Path, network: FoldedNetwork, twin: nn.Module) -> None:
    pixels = photos(4, first=3)
    found, wanted = answers(package, pixels), network.probabilities(pixels)
    assert sqnr_db([(scores(wanted), scores(found))]) > 12
    # The twin imitates the package in float32: the rest is float16's rounding.
    imitated = run_photos(twin, pixels)
    assert np.abs(found - imitated).mean() < 0.75 * np.abs(found - wanted).mean()


@pytest.mark.slow
def test_answers_as_the_tflite_file(
    package: Path, quantised: FoldedNetwork, network: FoldedNetwork
) -> None:
    pixels = photos(2, first=5)
    float32 = convert_float32(quantised, CONTRACT, description="x")
    tflite = run_tflite(to_int8(float32, file_ranges(float32, photos(3))), pixels)
    found = answers(package, pixels)
    assert np.abs(found - tflite).mean() < 2 * np.abs(tflite - network.probabilities(pixels)).mean()


def test_package_declares_a_classifier_for_ios_17(package: Path) -> None:
    found = check_coreml(package, labels=LABELS, contract=CONTRACT, weights="w8a8")
    layers = sum(name in ("conv", "linear") for name in found.operations)
    assert found.operations.count("constexpr_affine_dequantize") == layers > 10
    assert found.operations[-3:] == ("cast", "softmax", "classify")
    (file,) = package.rglob("*.mlmodel")
    from coremltools.proto import Model_pb2

    assert Model_pb2.Model.FromString(file.read_bytes()).specificationVersion == 8  # iOS 17


def test_weights_stay_on_their_steps(package: Path, quantised: FoldedNetwork) -> None:
    graph = trace(quantised)
    with CoreMLReferenceSession(package) as session:
        stored = [
            step.constants["weight"] for step in session.program.steps if "weight" in step.constants
        ]
    layers = graph.layers()
    assert len(stored) == len(layers)
    for weight, (name, layer) in zip(stored, layers.items(), strict=True):
        if name in graph.float_stem_layers():
            continue  # was not rounded before
        steps = layer.weight.abs().amax(dim=tuple(range(1, layer.weight.dim())), keepdim=True) / 127
        off = (weight.reshape(layer.weight.shape) - layer.weight).abs() / steps.clamp_min(1e-7)
        assert off.max() < 0.3  # float16 has eleven bits, so a step of 127 is off by a tenth


def test_every_activation_between_the_layers_is_rounded(
    package: Path, quantised: FoldedNetwork
) -> None:
    graph = trace(quantised)
    # What a SiLU or sigmoid reads is none of its own in Core ML.
    chosen = {node for node in int8_nodes(graph) if graph.activation(node) is None}
    assert read_structure(package).operations.count("quantize") == len(chosen) > 10
    assert not any(node in chosen for node in graph.float_tail())
    first = next(node for node in graph.nodes if graph.layer(node) is not None)
    assert not any(node in chosen for node in first.all_input_nodes)


def test_photo_keeps_all_of_its_bits(package: Path) -> None:
    """Around a centre of 127.5 every value is half a step: of two, one would be lost."""
    steps = {}
    with CoreMLReferenceSession(package) as session:
        for step in session.program.steps:
            steps[step.name] = step
            if "weight" in step.constants:
                break
    assert "quantize" not in [step.operation.compute.__name__ for step in steps.values()]


def test_ranges_cover_all_photos_and_zero(quantised: FoldedNetwork) -> None:
    graph = trace(quantised)
    many, few = activation_ranges(graph, photos(3)), activation_ranges(graph, photos(3)[:1])
    assert set(many) == {node.name for node in int8_nodes(graph)}
    assert all(low <= 0 <= high for low, high in many.values())
    near = 1e-4  # batches of another size are summed in another order
    chosen = [
        n
        for n in graph.nodes
        if graph.activation(n) or graph.is_silu(n) or graph.is_multiplication(n)
    ]
    whole = set(many) - {node.name for node in chosen}  # about a SiLU not all values count alike
    assert all(many[n][0] <= few[n][0] + near and many[n][1] >= few[n][1] - near for n in whole)
    assert any(many[n][1] > few[n][1] for n in whole)


def test_eight_bits_rounds_and_clips() -> None:
    rounded = QuantizeDequantize((-1.0, 1.55))(torch.tensor([-5.0, 0.0, 0.012, 0.5, 9.0]))
    assert rounded.tolist() == pytest.approx([-1.0, 0.0, 0.01, 0.5, 1.55], abs=1e-6)


def test_same_export_makes_the_same_bytes(
    package: Path, quantised: FoldedNetwork, tmp_path: Path
) -> None:
    again = saved(fake_quantised_network(quantised, photos(3)), tmp_path)
    assert sha256_path(again) == sha256_path(package)


def test_packages_of_other_precision_are_refused(
    package: Path, twin: nn.Module, network: FoldedNetwork, tmp_path: Path
) -> None:
    half = convert_coreml(network, CONTRACT, LABELS, description=WORDS, user_defined={})
    save_package(half, tmp_path / "half.mlpackage")
    with pytest.raises(CheckFailedError, match="layers' weights is"):
        check_coreml(tmp_path / "half.mlpackage", labels=LABELS, contract=CONTRACT, weights="w8a8")
    rounded = {"quantize": sum(isinstance(module, QuantizeDequantize) for module in twin.modules())}
    check_coreml(package, labels=LABELS, contract=CONTRACT, weights="w8a8", operations=rounded)
    with pytest.raises(CheckFailedError, match="number of quantize is 0 instead of"):
        check_coreml(
            tmp_path / "half.mlpackage",
            labels=LABELS,
            contract=CONTRACT,
            weights="w8a8",
            operations=rounded,
        )


def test_network_that_cannot_be_followed_is_refused() -> None:
    network = restless_network()
    with pytest.raises(CheckFailedError, match="Leave coreml-w8a8 out"):
        fake_quantised_network(network, photos(1))
