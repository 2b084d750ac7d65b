"""Integer forms: what rounding, equalising and sharing do, on a small real network."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_network import CONTRACT, pictures, small_network, to_torch
from torch import Tensor, nn

from export.network.fold import FoldedNetwork, fold_network
from export.network.graph import trace, with_layers
from export.quantise import mixed_precision
from export.quantise.activation_ranges import sqnr_db
from export.quantise.gptq import QuantisedLayer
from export.quantise.layerwise import quantise_layers
from export.quantise.mixed_precision import MOST_FLOAT, layers_kept_in_float
from export.quantise.quantised_network import QuantisedNetwork, quantise
from export.tflite import flatbuffer
from export.tflite.convert import (
    activation_ranges,
    convert_float32,
    interpreter,
    run_one,
    run_tflite,
    to_int8,
    to_int8_weights,
)
from export.tflite.graph import TFLiteGraph
from train.model import build_model


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    """The small network."""
    return small_network()


@pytest.fixture(scope="module")
def calibration() -> NDArray[np.uint8]:
    """Pictures to calibrate on."""
    return pictures(48, seed=1)


@pytest.fixture(scope="module")
def others() -> NDArray[np.uint8]:
    """Pictures that calibration has not seen."""
    return pictures(64, seed=2)


@pytest.fixture(scope="module")
def quantised(
    network: FoldedNetwork, calibration: NDArray[np.uint8]
) -> dict[bool, QuantisedNetwork]:
    """The network for 8-bit weights, without and with 8-bit activations."""
    return {on: quantise(network, calibration, activations=on) for on in (False, True)}


@pytest.fixture(scope="module")
def files(
    network: FoldedNetwork, quantised: dict[bool, QuantisedNetwork], calibration: NDArray[np.uint8]
) -> dict[str, bytes]:
    """Both integer files, rounded with care and to the nearest step."""

    def make(source: FoldedNetwork, activations: bool, kept: frozenset[str] = frozenset()) -> bytes:
        float32 = convert_float32(source, CONTRACT, description="small")
        if activations:
            return to_int8(float32, activation_ranges(float32, calibration))
        return to_int8_weights(float32, kept)

    return {
        "nearest weights": make(network, False),
        "nearest": make(network, True),
        "weights": make(quantised[False].network, False, quantised[False].kept),
        "full": make(quantised[True].network, True),
    }


def ratio(content: bytes, network: FoldedNetwork, photos: NDArray[np.uint8]) -> float:
    """Signal-to-noise ratio of a file's logits, whose mean the softmax takes away."""
    found = torch.log(torch.from_numpy(run_tflite(content, photos)).clamp_min(1e-12))
    wanted = network(to_torch(photos))
    centred = [x - x.mean(dim=1, keepdim=True) for x in (wanted, found)]
    return sqnr_db([(centred[0], centred[1])])


def test_better_than_nearest_on_other_photos(
    network: FoldedNetwork, files: dict[str, bytes], others: NDArray[np.uint8]
) -> None:
    found = {name: ratio(content, network, others) for name, content in files.items()}
    assert found["weights"] > found["nearest weights"] + 3
    assert found["full"] > found["nearest"] + 2


def _layers(content: bytes) -> dict[str, NDArray[np.float32]]:
    """Weights of every convolution and linear layer as float32, first axis its channels."""
    from ai_edge_litert import schema_py_generated as schema

    model = flatbuffer.read_model(content)
    found = {}
    for tensor in model.subgraphs[0].tensors:
        raw = model.buffers[tensor.buffer].data
        if raw is not None and tensor.type == schema.TensorType.FLOAT16:
            values = np.asarray(raw).view(np.float16).reshape(tensor.shape).astype(np.float32)
            # Depthwise weights are [1, h, w, channels].
            axis = 3 if len(tensor.shape) == 4 and tensor.shape[0] == 1 else 0
            found[tensor.name.decode()] = np.moveaxis(values, axis, 0)
            continue
        if raw is None or tensor.quantization is None or len(tensor.shape) not in (2, 4):
            continue
        axis = tensor.quantization.quantizedDimension
        scales = np.asarray(tensor.quantization.scale)
        if len(scales) < 2:
            continue
        steps = np.asarray(raw).view(np.int8).reshape(tensor.shape)
        values = np.moveaxis(steps, axis, 0) * scales.reshape(-1, *[1] * (steps.ndim - 1))
        found[tensor.name.decode()] = values
    return found


@pytest.mark.parametrize(("name", "activations"), [("weights", False), ("full", True)])
def test_files_hold_the_very_weights(
    files: dict[str, bytes], quantised: dict[bool, QuantisedNetwork], name: str, activations: bool
) -> None:
    kept = quantised[activations].kept
    stored = sorted(_layers(files[name]).values(), key=lambda values: values.shape)
    graph = trace(quantised[activations].network)
    layers = graph.layers()
    assert len(stored) == len(layers) == 13
    for layer_name, layer in layers.items():
        weight = layer.weight.numpy()
        if weight.ndim == 4:
            weight = weight.transpose(0, 2, 3, 1)
        twins = [
            values
            for values in stored
            if len(values) == len(weight)
            and values.size == weight.size
            and np.allclose(
                values.ravel(), weight.ravel(), rtol=1e-3 if layer_name in kept else 1e-5, atol=1e-7
            )
        ]
        assert twins, weight.shape


def test_notes_say_what_was_done(quantised: dict[bool, QuantisedNetwork]) -> None:
    full, weights = " ".join(quantised[True].notes), " ".join(quantised[False].notes)
    assert "13 layers" in full and "float16" not in full and "48 calibration photos" in full
    assert "1 sets" in full and "sets" not in weights
    assert "dB" in full and "body." in full


def test_rounding_does_not_change_its_source(
    network: FoldedNetwork, calibration: NDArray[np.uint8]
) -> None:
    before = copy.deepcopy(network.state_dict())
    first = quantise(network, calibration[:16], activations=True)
    again = quantise(network, calibration[:16], activations=True)
    for name, values in network.state_dict().items():
        assert torch.equal(values, before[name])
    for name, values in first.network.state_dict().items():
        assert torch.equal(values, again.network.state_dict()[name])
    assert first.notes == again.notes


def test_damage_is_found_where_it_is(
    network: FoldedNetwork, calibration: NDArray[np.uint8]
) -> None:
    graph = trace(network)
    before = quantise_layers(graph, calibration, activations=False)
    silent, last = graph.layers()["body.6"], graph.layers()["body.10"]
    with torch.no_grad():  # weights of an input that is never seen take all steps of the others
        silent.bias[0] = -1e3
        last.weight[:, 0] = 100.0
    after = quantise_layers(graph, calibration, activations=False)
    assert before.reports[-1].name == after.reports[-1].name == "body.10"
    assert after.reports[-1].sqnr_db < before.reports[-1].sqnr_db - 6
    assert after.worst.sqnr_db == min(report.sqnr_db for report in after.reports)


def test_the_most_damaging_weights_stay_in_float16(
    network: FoldedNetwork,
    calibration: NDArray[np.uint8],
    others: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mixed_precision, "TARGET_DB", 90.0)  # until there is no room left
    graph = trace(network)
    layers = graph.layers()
    sizes = {name: layer.weight.numel() for name, layer in layers.items()}
    plain = quantise_layers(graph, calibration, activations=False)
    kept = layers_kept_in_float(graph, plain, calibration)
    assert kept and sum(sizes[name] for name in kept) <= MOST_FLOAT * sum(sizes.values())
    mixed = quantise_layers(graph, calibration, activations=False, kept=kept)
    for name, layer in layers.items():
        assert torch.equal(mixed.layers[name].weight, layer.weight) == (name in kept)
    # The bytes are better spent on these layers than on as many others.
    rest = sorted((name for name in layers if name not in kept), key=lambda name: sizes[name])
    others_kept = frozenset(rest[: len(kept)])
    found = {}
    for case, names in {"none": frozenset[str](), "best": kept, "others": others_kept}.items():
        made = quantise_layers(graph, calibration, activations=False, kept=names).layers
        twin = with_layers(network, {n: (layer.weight, layer.bias) for n, layer in made.items()})
        wanted, answers = (part(to_torch(others)) for part in (network, twin))
        centred = [x - x.mean(dim=1, keepdim=True) for x in (wanted, answers)]
        found[case] = sqnr_db([(centred[0], centred[1])])
    assert found["best"] > found["none"] + 3 and found["best"] > found["others"] + 2


def test_measuring_damage_changes_nothing_and_finds_it(
    network: FoldedNetwork, calibration: NDArray[np.uint8]
) -> None:
    work = copy.deepcopy(network)
    for module in work.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True  # as timm's networks have them
    graph = trace(work)
    plain = quantise_layers(graph, calibration, activations=False)
    exact = {n: QuantisedLayer(layer.weight, layer.bias) for n, layer in graph.layers().items()}
    before = {n: layer.weight.clone() for n, layer in graph.layers().items()}
    assert layers_kept_in_float(graph, replace(plain, layers=exact), calibration) == frozenset()
    one = "body.4.depthwise"
    shaken = QuantisedLayer(before[one] * torch.linspace(0.8, 1.2, 3), exact[one].bias)
    worse = exact | {one: shaken}
    assert layers_kept_in_float(graph, replace(plain, layers=worse), calibration) == {one}
    assert all(torch.equal(layer.weight, before[n]) for n, layer in graph.layers().items())


def test_kept_layers_are_float16_and_no_others(
    network: FoldedNetwork, quantised: dict[bool, QuantisedNetwork], others: NDArray[np.uint8]
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    float32 = convert_float32(quantised[False].network, CONTRACT, description="small")
    kept = frozenset({"body.0", "body.4.depthwise", "body.10"})
    content = to_int8_weights(float32, kept)
    tensors = flatbuffer.read_model(content).subgraphs[0].tensors
    half = {
        tensor.name.decode().split("~")[0]
        for tensor in tensors
        if tensor.type == schema.TensorType.FLOAT16
    }
    whole = sum(tensor.type == schema.TensorType.INT8 for tensor in tensors)
    assert half == kept and whole == 13 - len(kept)
    names = {detail["op_name"] for detail in interpreter(content)._get_ops_details()}
    assert "DELEGATE" in names
    assert run_one(interpreter(content), others[0]).dtype == np.float32


@pytest.mark.parametrize("head", [pytest.param("paper", marks=pytest.mark.slow), "embedding"])
def test_the_float_tail_is_the_same_in_graph_and_file(head: str) -> None:
    torch.manual_seed(0)
    model = build_model("test_efficientnet", head, objects=5, preprocessing=CONTRACT, depths=(3, 4))
    network = fold_network(model, CONTRACT)
    graph = trace(network)
    tail = TFLiteGraph(convert_float32(network, CONTRACT, description="x")).float_tail()
    dense = [node for node in graph.nodes if node in graph.float_tail() and graph.layer(node)]
    assert len(dense) == len(tail.layers)
    found = quantise(network, pictures(4, seed=0), activations=True)
    assert len(found.notes) > 1


def test_a_network_that_cannot_be_followed_is_left_as_it_is(calibration: NDArray[np.uint8]) -> None:
    class Fickle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) if x.sum() > 0 else x

    plain = FoldedNetwork(torch.zeros(1, 3, 1, 1), (0, 0, 0, 0), Fickle())
    found = quantise(plain, calibration, activations=True)
    assert found.network is plain and "nearest" in found.notes[0]

    class Twice(Fickle):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.layer(x), self.layer(x + 1)], dim=1)

    assert trace(FoldedNetwork(torch.zeros(1, 3, 1, 1), (0, 0, 0, 0), Twice())) is None


def test_names_are_short_and_unlike(files: dict[str, bytes]) -> None:
    for content in files.values():
        tensors = flatbuffer.read_model(content).subgraphs[0].tensors
        names = [tensor.name.decode() for tensor in tensors]
        assert len(set(names)) == len(names)
        assert any(name.startswith("body.3.depthwise") for name in names)
        assert max(map(len, names)) < 60


def test_weights_are_unpacked_once(files: dict[str, bytes], others: NDArray[np.uint8]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    graph = flatbuffer.read_model(files["weights"]).subgraphs[0]
    types = {graph.tensors[int(op.outputs[0])].type for op in graph.operators}
    assert types == {schema.TensorType.FLOAT32}
    runner = interpreter(files["weights"])
    assert run_one(runner, others[0]).dtype == np.float32
    names = {detail["op_name"] for detail in runner._get_ops_details()}
    assert "DELEGATE" in names
