"""Networks with SiLU and squeeze-and-excite in 8 bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from telling import CONTRACT, OBJECTS, photos
from torch import nn

from export.network.fold import FoldedNetwork, fold_network
from export.network.graph import Graph, trace
from export.quantise.activation_ranges import (
    fake_quantise,
    min_max,
    range_before_activation,
    sample_rows,
)
from export.quantise.quantised_network import QuantisedNetwork, quantise
from export.tflite.activation_functions import ActivationGraph
from export.tflite.convert import (
    activation_ranges,
    convert_float32,
    interpreter,
    run_one,
    run_tflite,
    to_int8,
)
from mobile_assets.log_suppression import quiet
from train.model import build_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    """A real network whose first channels differ in size, as those of trained ones do."""
    torch.manual_seed(0)
    model = build_model("test_efficientnet", "linear", objects=OBJECTS, preprocessing=CONTRACT)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in norms:
        module.momentum = 1.0
    with torch.no_grad():
        for module in norms[:4]:
            module.weight.copy_(torch.logspace(-1, 1.3, len(module.weight)))
        model.train()(torch.from_numpy(photos(3)).permute(0, 3, 1, 2).float())
    return fold_network(model.eval(), CONTRACT)


@pytest.fixture(scope="module")
def quantised(network: FoldedNetwork) -> QuantisedNetwork:
    return quantise(network, photos(3), activations=True)


@pytest.fixture(scope="module")
def float32(network: FoldedNetwork) -> bytes:
    return convert_float32(network, CONTRACT, description="silu")


@pytest.fixture(scope="module")
def int8(quantised: QuantisedNetwork) -> bytes:
    content = convert_float32(quantised.network, CONTRACT, description="silu")
    return to_int8(content, activation_ranges(content, photos(3)))


def traced(network: FoldedNetwork) -> Graph:
    graph = trace(network)
    assert graph is not None
    return graph


def divergence(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Mean divergence in nats of answers from those that were wanted."""
    logs = np.log(np.maximum(wanted, 1e-9)) - np.log(np.maximum(found, 1e-9))
    return float((wanted * logs).sum(axis=1).mean())


def naive_answers(
    float32: bytes, calibration: NDArray[np.uint8], unseen: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Of what ai-edge-quantizer's plain static recipe makes of a file, with int8 ends."""
    from ai_edge_quantizer import quantizer, recipe

    with quiet():
        worker = quantizer.Quantizer(float32, recipe.static_wi8_ai8())
        samples = [{"image": photo[None].astype(np.float32)} for photo in calibration]
        made = worker.quantize(worker.calibrate({"serving_default": samples})).quantized_model
    assert made is not None
    runner = interpreter(bytes(made))
    scale, zero = runner.get_input_details()[0]["quantization"]
    pixels = np.round(unseen / scale + zero).clip(-128, 127)
    rows = np.stack([run_one(runner, photo) for photo in pixels])
    return (rows.astype(np.float32) + np.float32(128)) / np.float32(256)


def test_closer_to_the_network_than_the_naive_conversion(
    network: FoldedNetwork, float32: bytes, int8: bytes
) -> None:
    unseen = photos(6, first=3)
    wanted = network.probabilities(unseen)
    naive = naive_answers(float32, photos(3), unseen)
    assert divergence(run_tflite(int8, unseen), wanted) < 0.42 * divergence(naive, wanted)


def test_a_file_says_the_same_as_its_network(network: FoldedNetwork, float32: bytes) -> None:
    graph, file = traced(network), ActivationGraph(float32)
    curves = [node for node in graph.nodes if graph.activation(node) is not None]
    assert len(file.activation_inputs()) == len(curves) > 5
    silus = [node for node in curves if isinstance(graph.activation(node), nn.SiLU)]
    wanted = sorted(float(r.sum()) for n in silus if (r := graph.channel_importance(n)) is not None)
    before = [
        one for one in file.activation_inputs().values() if one.activation is nn.functional.silu
    ]
    reached = [one.importance for one in before if one.importance is not None]
    assert sorted(float(reach.sum()) for reach in reached) == pytest.approx(wanted, rel=1e-4)
    assert len(wanted) > 5
    layers = [one for one in file.float_stem() if "CONV" in one.kind]
    assert len(layers) == len(graph.float_stem_layers()) > 1


def test_what_a_network_begins_with_is_float(int8: bytes, quantised: QuantisedNetwork) -> None:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=int8)
    types = {one["index"]: one["dtype"] for one in runner.get_tensor_details()}
    layers = [one for one in runner._get_ops_details() if "CONV" in one["op_name"]]
    kinds = [types[one["outputs"][0]] for one in layers]
    begin = len(quantised.kept)
    assert begin > 1
    assert kinds[:begin] == [np.float32] * begin
    assert set(kinds[begin:]) == {np.int8}
    assert runner.get_input_details()[0]["dtype"] == np.uint8


def test_a_relu_network_has_no_such_beginning() -> None:
    torch.manual_seed(0)
    model = build_model(
        "tf_efficientnet_lite0", "linear", objects=OBJECTS, preprocessing=CONTRACT
    ).eval()
    graph = traced(fold_network(model, CONTRACT))
    assert graph.float_stem() == set()
    assert graph.float_stem_layers() == frozenset()
    assert not any(graph.activation(node) for node in graph.nodes)


def test_a_range_before_a_silu_minds_what_follows() -> None:
    torch.manual_seed(0)
    values = torch.randn(4, 8, 8, 16)
    values[..., 0] *= 40
    span = min_max([values])
    silu = nn.functional.silu
    rows = sample_rows(values, 1)
    reach = torch.ones(16)
    reach[0] = 1e-4  # the large channel does little
    low, high = range_before_activation(rows, span, silu, reach)
    assert span[0] < low < 0 < high < span[1]
    small = silu(values[..., 1:])

    def error(chosen: tuple[float, float]) -> float:
        found = silu(fake_quantise(values.clone(), chosen))[..., 1:]
        return float((found - small).square().mean())

    assert error((low, high)) < 0.25 * error(span)
