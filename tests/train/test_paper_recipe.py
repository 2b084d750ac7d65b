"""The paper's recipe: its pixels, input sizes and split, from the photo to the exported model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.network.fold import fold_network
from export.tflite.convert import convert_float32, run_tflite
from mobile_assets.preprocessing import Preprocessing
from train.model import build_model
from train.recipes import FIELD, PAPER
from train.training_plan import TrainOptions, plan_run, preprocessing_of

UNCHANGED = (1 / 255, 1 / 255, 1 / 255)
PAPER_PIXELS = Preprocessing(
    height=72, width=56, mean=(0.0, 0.0, 0.0), std=UNCHANGED, network_colour="BGR"
)


def photos(count: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    generator = np.random.default_rng(5)
    return generator.integers(0, 256, (count, 72, 56, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("backbone", "height", "width"),
    [("efficientnet-b0", 256, 224), ("efficientnet-b5", 489, 456), ("inception-v4", 299, 299)],
)
def test_input_is_the_papers(backbone: str, height: int, width: int) -> None:
    contract = preprocessing_of(backbone, None, paper_input=PAPER.paper_input)
    assert (contract.height, contract.width) == (height, width)
    assert contract.network_colour == "BGR"
    ours = preprocessing_of(backbone, None, paper_input=FIELD.paper_input)
    assert ours.network_colour == "RGB"
    assert ours.mean != contract.mean


def test_the_backbone_reads_blue_green_red_from_0_to_255() -> None:
    model = build_model("test_efficientnet", "paper", objects=4, preprocessing=PAPER_PIXELS).eval()
    rgb = torch.from_numpy(photos()).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        as_opencv_reads = model.backbone(rgb.flip(1))
        # 1/255 is not exact in binary, so the scale is 1 to within a rounding.
        assert torch.allclose(model.features(rgb), as_opencv_reads, atol=1e-4)
        assert not torch.allclose(model.features(rgb), model.backbone(rgb), atol=1e-2)


@pytest.mark.slow
def test_exported_model_swaps_the_channels_itself() -> None:
    torch.manual_seed(1)
    model = build_model("test_efficientnet", "paper", objects=4, preprocessing=PAPER_PIXELS).eval()
    network = fold_network(model, PAPER_PIXELS)
    found = run_tflite(convert_float32(network, PAPER_PIXELS, description=""), photos())
    images = torch.from_numpy(photos()).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        wanted = torch.softmax(model(images), dim=1).numpy()
        swapped = torch.softmax(model(images.flip(1)), dim=1).numpy()
    assert np.abs(found - wanted).max() < 1e-5
    assert np.abs(found - swapped).max() > 1e-3


def test_split_is_the_papers_unless_told_otherwise(register_folder: Path, tmp_path: Path) -> None:
    def strategy(**options: object) -> str:
        chosen = TrainOptions(input_size=32, cache=tmp_path, **options)  # type: ignore[arg-type]
        return plan_run(register_folder, chosen).split.strategy

    assert strategy(recipe="paper") == "paper"
    assert strategy(recipe="paper", split="stratified") == "stratified"
    assert strategy(recipe="field") == "stratified"
