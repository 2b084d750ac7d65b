"""Rounding of single layers, and equalisation of channels, on small networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_network import pictures, small_network, to_torch
from torch import Tensor, nn

from export.network.fold import FoldedNetwork, PaddedConv2d
from export.network.graph import Graph, trace
from export.quantise.activation_ranges import fake_quantise, min_max, sqnr_db
from export.quantise.channel_equalisation import equalise
from export.quantise.gptq import LayerStatistics, quantise_layer
from export.quantise.layerwise import quantise_layers


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    """The small network."""
    return small_network()


@pytest.fixture(scope="module")
def calibration() -> NDArray[np.uint8]:
    """Pictures to calibrate on."""
    return pictures(48, seed=1)


def correlated(count: int, width: int) -> Tensor:
    """Inputs `[count, width]` that go together, as neighbouring channels do."""
    generator = torch.Generator().manual_seed(3)
    mixing = torch.randn((width // 4, width), generator=generator)
    return (torch.randn((count, width // 4), generator=generator) @ mixing).relu() + 0.1


def test_rounding_minds_what_goes_together() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 32).requires_grad_(False)
    inputs, unseen = torch.split(correlated(4096, 64), 2048)
    moments = LayerStatistics.of(layer)
    moments.add(layer, inputs, layer(inputs), seed=0)
    found = quantise_layer(layer, moments)
    scale = layer.weight.abs().amax(dim=1, keepdim=True) / 127
    nearest = (layer.weight / scale).round() * scale
    assert found.bias is not None
    careful = sqnr_db([(layer(unseen), nn.functional.linear(unseen, found.weight, found.bias))])
    plain = sqnr_db([(layer(unseen), nn.functional.linear(unseen, nearest, layer.bias))])
    assert careful > plain + 6


def test_rounded_weights_are_steps_that_everyone_finds() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 12, 3, groups=2).requires_grad_(False)
    moments = LayerStatistics.of(layer)
    inputs = torch.rand(4, 6, 9, 9)
    moments.add(layer, inputs, layer(inputs), seed=0)
    weight = quantise_layer(layer, moments).weight.flatten(1)
    steps = weight / (weight.abs().amax(dim=1, keepdim=True) / 127)
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert not torch.equal(weight, layer.weight.flatten(1))


def test_bias_makes_good_a_shift_of_the_inputs() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(16, 8).requires_grad_(False)
    inputs = torch.randn(512, 16)
    shifted = inputs + 0.3
    moments = LayerStatistics.of(layer)
    moments.add(layer, shifted, layer(inputs), seed=0)
    error = {}
    for on in (False, True):
        found = quantise_layer(layer, moments, correct_bias=on)
        answers = nn.functional.linear(shifted, found.weight, found.bias)
        error[on] = float((answers - layer(inputs)).mean(dim=0).abs().max())
    assert error[True] < 1e-5 and error[False] > 0.05


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 1),
        nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(1, 2)),
        nn.Conv2d(4, 4, 3, stride=2, groups=4),
        nn.Conv2d(4, 8, 3, dilation=2, groups=2, padding=2),
        PaddedConv2d(4, 6, 3, stride=2),
        nn.Linear(4, 6),
    ],
    ids=str,
)
def test_inputs_are_those_that_the_layer_reads(conv: Any) -> None:
    conv.requires_grad_(False)
    if isinstance(conv, PaddedConv2d):
        conv.widths = (0, 1, 2, 0)
    inputs = torch.randn((300, 4) if isinstance(conv, nn.Linear) else (3, 4, 11, 13))
    moments = LayerStatistics.of(conv)
    moments.add(conv, inputs, conv(inputs), seed=0)
    # A linear answer's mean is the answer to the mean.
    mean, wanted = moments.means()
    weight = conv.weight.double().reshape(moments.groups, -1, mean.shape[1])
    answer = (weight @ mean[:, :, None])[..., 0].flatten() + conv.bias.double()
    torch.testing.assert_close(answer, wanted.flatten(), atol=1e-5, rtol=1e-5)


def test_8_bits() -> None:
    values = [torch.linspace(-1, 3, 2000)]
    span = min_max(values)
    error = (fake_quantise(values[0], span) - values[0]).abs().max()
    assert span == (-1, 3) and error <= 4 / 255 / 2 * 1.01
    assert fake_quantise(torch.zeros(1), span) == 0
    assert min_max([torch.ones(3)]) == (0, 1)
    clipped = fake_quantise(torch.tensor([9.0]), span)
    assert clipped == pytest.approx(3, abs=0.02)


def test_equalising_changes_no_answer_and_evens_channels(
    network: FoldedNetwork, calibration: NDArray[np.uint8]
) -> None:
    graph = trace(network)
    before = _spread(graph, calibration)
    assert equalise(graph, calibration) == 1  # the tensors that the blocks' sums join
    after = _spread(graph, calibration)
    assert before > 4 and after < 1.5
    photos = to_torch(calibration)
    torch.testing.assert_close(graph.module(photos), network(photos), rtol=1e-4, atol=1e-4)
    stem, plain = graph.layers()["body.0"], network.get_submodule("body.0")
    assert torch.equal(stem.weight, plain.weight)  # type: ignore[arg-type]


def _spread(graph: Graph, photos: NDArray[np.uint8]) -> float:
    """Largest channel of the blocks' output over the smallest."""
    values: dict[str, Tensor] = {}

    class Keep(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            values[n.name] = super().run_node(n)
            return values[n.name]

    Keep(graph.module).run(to_torch(photos))
    last = [values[node.name] for node in graph.nodes if graph.is_addition(node)]
    largest = torch.stack(last).abs().amax(dim=(0, 1, 3, 4))
    return float(largest.max() / largest.min())


def test_equalising_leaves_alone_what_it_does_not_know(calibration: NDArray[np.uint8]) -> None:
    class Shuffled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
            self.last = nn.Linear(4 * 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = nn.functional.adaptive_avg_pool2d(torch.tanh(self.first(x)), 2)
            result: Tensor = self.last(self.second(x).flatten(1))
            return result

    torch.manual_seed(0)
    plain = FoldedNetwork(torch.zeros(1, 3, 1, 1), (0, 0, 0, 0), Shuffled()).requires_grad_(False)
    graph = trace(plain)
    equalise(graph, calibration)
    photos = to_torch(calibration)
    torch.testing.assert_close(graph.module(photos), plain(photos))


def test_large_photos_are_fewer(network: FoldedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    from export.quantise import layerwise

    graph = trace(network)
    assert graph is not None
    monkeypatch.setattr(layerwise, "MOST_VALUES", 2 * 64 * 16 * 16)
    assert quantise_layers(graph, pictures(9, seed=0), activations=True).photos == 2
