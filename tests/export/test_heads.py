"""The heads, and the embedding's way into the exported models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from export.network.fold import FoldedNetwork, fold_network
from export.tflite.convert import (
    activation_ranges,
    convert_float32,
    interpreter,
    run_tflite,
    to_int8,
)
from mobile_assets.errors import InputError
from mobile_assets.preprocessing import Preprocessing
from train.heads import COSINE_SCALE, EmbeddingHead, embedding_size, make_head
from train.model import ArtefactModel, build_model

OBJECTS = 9
CONTRACT = Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def model() -> ArtefactModel:
    torch.manual_seed(3)
    built = build_model(
        "test_efficientnet", "embedding-128", objects=OBJECTS, preprocessing=CONTRACT
    )
    with torch.no_grad():
        for norm in built.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.momentum = None
        built.train()(torch.from_numpy(photos()).permute(0, 3, 1, 2).float())
    return built.eval()


@pytest.fixture(scope="module")
def network(model: ArtefactModel) -> FoldedNetwork:
    return fold_network(model, CONTRACT)


@pytest.fixture(scope="module")
def float32(network: FoldedNetwork) -> bytes:
    return convert_float32(network, CONTRACT, description="an embedding")


def photos(count: int = 24) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(8).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def test_logits_are_cosines_of_unit_rows() -> None:
    head = EmbeddingHead(40, 128, OBJECTS)
    rows = head.embedding(torch.randn(5, 40))
    assert torch.allclose(rows.norm(dim=1), torch.ones(5), atol=1e-5)
    features = torch.randn(5, 40)
    logits = head(features)
    assert logits.abs().max() <= COSINE_SCALE * (1 + 1e-5)
    with torch.no_grad():
        head[2].weight *= 7  # lengths do not count, directions do
    assert torch.allclose(head(features), logits, atol=1e-4)
    with torch.no_grad():
        head[2].weight.copy_(head[2].weight.flip(0))
    assert not torch.allclose(head(features), logits, atol=1e-2)


def test_head_is_small_where_objects_are_many() -> None:
    def numbers(name: str) -> int:
        return sum(p.numel() for p in make_head(name, 1280, 4332).parameters())

    assert numbers("paper") == pytest.approx(11.5e6, rel=0.01)
    assert numbers("embedding") < numbers("linear") / 3 < numbers("paper") / 5


@pytest.mark.parametrize("name", ["embedding-127", "embedding-513", "embedding-", "cosine", ""])
def test_wrong_names_are_refused(name: str) -> None:
    assert embedding_size(name) is None
    with pytest.raises(InputError, match="embedding-N"):
        make_head(name, 10, 3)


@pytest.mark.slow
def test_exported_embedding_answers_alike(
    model: ArtefactModel, network: FoldedNetwork, float32: bytes
) -> None:
    images = torch.from_numpy(photos()).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        wanted = torch.softmax(model(images), dim=1).numpy()
    assert np.abs(network.probabilities(photos()) - wanted).max() < 1e-5
    assert np.abs(run_tflite(float32, photos()) - wanted).max() < 1e-5
    small = to_int8(float32, activation_ranges(float32, photos()))
    found = run_tflite(small, photos())
    spread = wanted.max() - wanted.min()
    assert np.abs(found - wanted).max() < 0.15 * spread
    assert np.abs(found[::-1] - wanted).max() > 0.3 * spread  # other photos' answers do not pass


def test_integer_form_keeps_the_lengths_in_float(float32: bytes) -> None:
    small = interpreter(to_int8(float32, activation_ranges(float32, photos())))
    tensors = {entry["index"]: entry for entry in small.get_tensor_details()}
    kinds = {}
    for operation in small._get_ops_details():
        for index in operation["outputs"]:
            if index in tensors:
                kinds.setdefault(operation["op_name"], set()).add(tensors[index]["dtype"])
    assert kinds["RSQRT"] == kinds["SUM"] == kinds["FULLY_CONNECTED"] == {np.float32}
    # The first layers are float, too: this network has SiLUs.
    assert kinds["CONV_2D"] == {np.int8, np.float32}
    weights = [
        tensors[operation["inputs"][1]]["dtype"]
        for operation in small._get_ops_details()
        if operation["op_name"] == "FULLY_CONNECTED"
    ]
    assert weights == [np.int8, np.int8]
