"""A small real network whose answers differ from photo to photo, and photos for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import object_picture
from numpy.typing import NDArray
from torch import nn

from benchmarks.runtimes.coreml_reference.session import CoreMLReferenceSession
from export.network.description import ModelDescription
from export.network.fold import FoldedNetwork, fold_network
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing
from train.model import build_model

SIDE = 48
OBJECTS = 8
CONTRACT = Preprocessing(height=SIDE, width=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3)
LABELS = LabelMap.of([(f"OBJ-{n}", "", "", 3) for n in range(OBJECTS)])
WORDS = ModelDescription(name="n", description="d", version="1", author="a", licence="l")
Pixels = NDArray[np.uint8]


def photos(views: int, first: int = 0) -> Pixels:
    """Smooth pictures of every object, `[OBJECTS * views, SIDE, SIDE, 3]`."""
    return np.stack(
        [
            np.asarray(object_picture(n, first + view, SIDE))
            for n in range(OBJECTS)
            for view in range(views)
        ]
    )


def telling_network() -> FoldedNetwork:
    """A network, folded, that was given the directions of the objects' own embeddings."""
    torch.manual_seed(0)
    model = build_model(
        "test_efficientnet", "embedding-128", objects=OBJECTS, preprocessing=CONTRACT
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        images = torch.from_numpy(photos(3)).permute(0, 3, 1, 2).float()
        model.train()(images)
        head: Any = model.eval().head
        rows = head.embedding(model.features(images)).reshape(OBJECTS, 3, -1).mean(1)
        head[2].weight.copy_(rows - rows.mean(0))
    return fold_network(model, CONTRACT)


def answers(package: Path, pixels: Pixels) -> NDArray[np.float32]:
    """What the reference makes of a Core ML package."""
    with CoreMLReferenceSession(package) as session:
        return session.predict(pixels)


def scores(probabilities: NDArray[np.float32]) -> torch.Tensor:
    """Logits but for each photo's constant."""
    logs = torch.from_numpy(probabilities).log()
    return logs - logs.mean(1, keepdim=True)


class Restless(nn.Module):
    """A network whose way depends on its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two logits."""
        return x.mean((2, 3))[:, :2] if x.sum() > 0 else x.amax((2, 3))[:, :2]


def restless_network() -> FoldedNetwork:
    """A network that cannot be followed step by step."""
    return FoldedNetwork(torch.zeros(1, 3, 1, 1), (0, 0, 0, 0), Restless())
