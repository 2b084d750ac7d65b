"""Features of several depths in exported files: each depth with a layer and a scale of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import object_picture
from numpy.typing import NDArray
from safetensors.torch import save_file
from telling import scores
from tiny_run import CONTRACT, finish_run
from torch import Tensor, nn

from benchmarks.verify import verify_bundle
from export import ExportOptions, export_bundle
from export.network.fold import FoldedNetwork, fold_network
from export.network.graph import Graph, trace
from export.quantise.activation_ranges import sqnr_db
from export.quantise.channel_equalisation import equalise
from export.tflite.convert import run_tflite
from export.tflite.graph import TFLiteGraph
from export.variants.options import ON_REQUEST, VARIANTS
from mobile_assets.bundle import Bundle
from mobile_assets.errors import DamagedError
from mobile_assets.preprocessing import Preprocessing
from train.model import ArtefactModel, build_model
from train.run import Run, load_model

HEAD = "embedding-128"
OBJECTS = 6
DEPTHS = (3, 4)
LARGE = 30.0
"""How much larger the outputs of stages are made, so that one scale for all would not do."""


def pictures(views: int, first: int = 0, side: int = CONTRACT.height) -> NDArray[np.uint8]:
    """Views of every object, `[OBJECTS * views, side, side, 3]`."""
    views_of = [(number, first + view) for number in range(OBJECTS) for view in range(views)]
    return np.stack([np.asarray(object_picture(*view, side)) for view in views_of])


def images(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float()


def model_of(head: str, contract: Preprocessing) -> ArtefactModel:
    """A network with statistics of photos, whose embedding reads all depths alike."""
    torch.manual_seed(0)
    model = build_model(
        "test_efficientnet", head, objects=OBJECTS, preprocessing=contract, depths=DEPTHS
    )
    backbone: Any = model.backbone
    seen = images(pictures(3, side=contract.height))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        for depth in DEPTHS:
            backbone.blocks[depth][-1].bn3.weight.mul_(LARGE)
        backbone.conv_head.weight.div_(LARGE)
        model.train()(seen)
        if head.startswith("embedding"):
            layers: Any = model.eval().head
            features = model.features(seen)
            layers[0].weight.div_(features.std(0) + 1e-3)
            layers[0].bias.copy_(-layers[0].weight @ features.mean(0))
            layers[2].weight.copy_(layers.embedding(features).reshape(OBJECTS, 3, -1).mean(1))
    return model.eval()


@pytest.fixture(scope="module")
def network() -> FoldedNetwork:
    return fold_network(model_of("embedding-128", CONTRACT), CONTRACT)


@pytest.fixture
def graph(network: FoldedNetwork) -> Graph:
    traced = trace(network)
    assert traced is not None
    return traced


@pytest.mark.parametrize("head", ["paper", "linear", "embedding"])
def test_folding_changes_nothing(head: str) -> None:
    model = model_of(head, CONTRACT)
    model.temperature = 0.7
    network = fold_network(model, CONTRACT)
    with torch.inference_mode():
        wanted = model(images(pictures(1, first=5)))
        found = network(images(pictures(1, first=5)))
    assert (found - wanted).abs().max() < 2e-4 * wanted.abs().max()


def test_each_depth_has_a_layer_of_its_own_that_answers_in_float(graph: Graph) -> None:
    dense = [n for n in graph.nodes if isinstance(graph.layer(n), nn.Linear)]
    assert [graph.layer(node).weight.shape[1] for node in dense] == [256, 48, 64, 128]  # type: ignore[union-attr]
    tail = graph.float_tail()
    assert set(dense) <= tail
    assert not any(graph.is_pooling(node) or graph.keeps_values(node) for node in tail)
    pooled = {node for node in graph.nodes if graph.is_pooling(node)}
    assert len(pooled) == 3
    assert pooled <= graph.int8_nodes()


def test_equalising_reaches_the_layers_that_read_stages(graph: Graph) -> None:
    before = {name: layer.weight.clone() for name, layer in graph.layers().items()}
    with torch.inference_mode():
        wanted = graph.module(images(pictures(1, first=5)))
        assert equalise(graph, pictures(2)) > 0
        found = graph.module(images(pictures(1, first=5)))
    assert (found - wanted).abs().max() < 2e-4 * wanted.abs().max()
    changed = {n for n, layer in graph.layers().items() if not torch.equal(layer.weight, before[n])}
    assert {"body.1.0.1", "body.1.0.2"} <= changed


@pytest.fixture(scope="module")
def run(register_folder: Path, golden_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose head reads stages 3 and 4, over the register of the other tests."""
    folder = tmp_path_factory.mktemp("depths") / "run"
    folder.mkdir()
    contract = golden_run.info.preprocessing
    save_file(model_of(HEAD, contract).state_dict(), folder / "model.safetensors")
    labels, split = golden_run.labels, golden_run.split
    return finish_run(folder, labels, split, preprocessing=contract, head=HEAD, depths=DEPTHS)


def test_a_run_is_loaded_with_its_stages_and_no_others(run: Run) -> None:
    model = load_model(run)
    assert model.depths == DEPTHS
    with torch.inference_mode():
        photo = images(pictures(1))
        assert torch.equal(model(photo), model_of(HEAD, run.info.preprocessing)(photo) / 0.8)
    for depths in ((3,), (4, 3), (3, 4, 9)):
        other = replace(run, info=run.info.model_copy(update={"depths": depths}))
        with pytest.raises(DamagedError, match=r"rain .* again"):
            load_model(other)


@pytest.fixture(scope="module")
def bundle(run: Run, register_folder: Path) -> Bundle:
    """Every variant and the embedding's files; the export compares each with the network."""
    options = ExportOptions(
        variants=(*VARIANTS, *ON_REQUEST), embedding=True, calibration_photos=16
    )
    return export_bundle(run, run.folder.parent / "bundle", options=options, photos=register_folder)


@pytest.mark.slow
def test_every_variant_answers_as_the_network(run: Run, bundle: Bundle) -> None:
    assert verify_bundle(bundle.folder).failed == ()
    pixels = pictures(2, first=5, side=run.info.preprocessing.height)
    with torch.inference_mode():
        wanted = torch.softmax(load_model(run)(images(pixels)), dim=1).numpy()
    for name, least in (("tflite-float32", 80), ("tflite-int8", 8), ("tflite-int8-weights", 20)):
        found = run_tflite(bundle.path(bundle.info.variant(name)).read_bytes(), pixels)
        assert sqnr_db([(scores(wanted), scores(found))]) > least, name
        assert sqnr_db([(scores(wanted), scores(np.roll(found, 1, 0)))]) < 8


@pytest.mark.slow
def test_in_8_bits_each_depth_has_its_scale_and_the_float_comes_last(bundle: Bundle) -> None:
    graph = TFLiteGraph(bundle.path(bundle.info.variant("tflite-int8")).read_bytes())
    kinds = [operator.kind for operator in graph.operators]
    assert kinds.count("FULLY_CONNECTED") == len(DEPTHS) + 2
    assert "CONCATENATION" not in kinds
    behind = kinds[len(kinds) - kinds[::-1].index("CONV_2D") :]
    assert behind.index("DEQUANTIZE") > behind.index("MEAN")
    assert behind[: behind.index("DEQUANTIZE")].count("MEAN") == len(DEPTHS) + 1
