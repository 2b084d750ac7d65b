"""Every backbone by its name: builds, learns, is saved and loaded; where its weights come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mobile_assets.errors import InputError
from train.backbones import BACKBONES, pretrained_input, timm_name
from train.heads import HEADS
from train.model import build_model
from train.run import load_model, read_run
from train.trainer import train_run
from train.training_plan import TrainOptions, preprocessing_of
from train.weights import package_file, read_tensors

TABLE_3 = {"EfficientNet-b" + str(n) for n in range(8)} | {
    "ResNet-RS",
    "Inception-v3",
    "Inception-v4",
}
BIG = (
    *(f"efficientnet-b{number}" for number in (4, 5, 6, 7)),
    "resnet-rs-101",
    "inception-v4",
    "efficientnet-lite4",
)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
SIZES = {
    "efficientnet-b0": (224, (256, 224)),
    "efficientnet-b1": (240, (256, 240)),
    "efficientnet-b2": (260, (288, 288)),
    "efficientnet-b3": (300, (320, 300)),
    "efficientnet-b4": (380, (384, 380)),
    "efficientnet-b5": (456, (489, 456)),
    "efficientnet-b6": (528, (561, 528)),
    "efficientnet-b7": (600, (633, 600)),
    "resnet-rs-101": (224, (224, 224)),
    "inception-v3": (299, (299, 299)),
    "inception-v4": (299, (299, 299)),
    "efficientnet-lite0": (224, None),
    "efficientnet-lite1": (240, None),
    "efficientnet-lite2": (260, None),
    "efficientnet-lite3": (300, None),
    "efficientnet-lite4": (380, None),
}


def test_table_3_and_lite_are_all_there_and_timm_has_weights_for_each() -> None:
    import timm

    assert set(BACKBONES) == set(SIZES)
    assert {b.row for b in BACKBONES.values() if b.row} == TABLE_3
    assert all(timm.is_model_pretrained(b.timm) for b in BACKBONES.values())


@pytest.mark.parametrize("name", SIZES)
def test_input_of_each(name: str) -> None:
    size, paper_size = SIZES[name]
    half = name.startswith(("inception", "efficientnet-lite"))
    contract = preprocessing_of(name, None)
    assert (contract.height, contract.width) == (size, size)
    assert (contract.mean, contract.std) == (HALF if half else IMAGENET)
    paper = preprocessing_of(name, None, paper_input=True)
    assert (paper.height, paper.width) == (paper_size or (size, size))
    assert paper.network_colour == "BGR"
    assert preprocessing_of(name, 64).height == 64


def test_timms_own_names_keep_timms_sizes_and_the_papers() -> None:
    assert pretrained_input("efficientnet_b4")[0] == (320, 320)
    assert pretrained_input("tf_efficientnet_lite0") == pretrained_input("efficientnet-lite0")
    contract = preprocessing_of("tf_efficientnet_b3.ns_jft_in1k", None, paper_input=True)
    assert (contract.height, contract.width) == (320, 300)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("EfficientNet-B0", "efficientnet_b0.ra_in1k"),
        ("efficientnet-b7", "tf_efficientnet_b7.aa_in1k"),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0"),
        ("efficientnet_b0.ra_in1k", "efficientnet_b0.ra_in1k"),
        ("test_vit", "test_vit"),
    ],
)
def test_a_name_means(given: str, wanted: str) -> None:
    assert timm_name(given) == wanted


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("efficientnet-b8", "Similar names: efficientnet-b"),
        ("resnet-rs-110", "resnet-rs-101"),
        ("tf_efficientnet_lite0_", "tf_efficientnet_lite0"),
        ("efficientnet_b0.none_in1k", "ra_in1k"),
        ("?", "Choose one of efficientnet-b0"),
        ("", "Choose one of efficientnet-b0"),
    ],
)
def test_a_wrong_name_is_explained(given: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        timm_name(given)


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_counted(name: str) -> None:
    import timm

    with torch.device("meta"):
        body = timm.create_model(timm_name(name), num_classes=0)
    assert sum(p.numel() for p in body.parameters()) == BACKBONES[name].parameters


def learn_a_step(name: str, head: str, folder: Path) -> None:
    """Builds, trains one step, saves and loads; outputs must be equal, and weights have moved."""
    contract = preprocessing_of(name, 96)
    torch.manual_seed(0)
    model = build_model(name, head, objects=3, preprocessing=contract).train()
    for module in model.backbone.modules():
        # ResNet-RS starts with residual branches shut, which ImageNet weights have opened.
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    images = torch.rand(4, 3, 96, 96) * 255
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    loss = nn.functional.cross_entropy(model(images), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimiser.step()
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert all(moved)
    del before, optimiser
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "m.safetensors")
    torch.manual_seed(1)
    again = build_model(name, head, objects=3, preprocessing=contract).eval()
    with torch.inference_mode():
        wanted = model.eval()(images)
        assert not torch.equal(again(images), wanted)
        again.load_state_dict(load_file(folder / "m.safetensors"))
        assert torch.equal(again(images), wanted)
    assert torch.isfinite(wanted).all()


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in BIG])
def test_learns_a_step_and_comes_back_from_disk(name: str, tmp_path: Path) -> None:
    learn_a_step(name, "paper", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
def test_a_big_one_learns_a_step_and_comes_back_from_disk(name: str, tmp_path: Path) -> None:
    learn_a_step(name, "paper", tmp_path)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_fits(head: str, tmp_path: Path) -> None:
    learn_a_step("efficientnet-lite0", head, tmp_path)


def test_a_run_by_the_short_name(register_folder: Path, tmp_path: Path) -> None:
    options = TrainOptions(
        backbone="efficientnet-lite0", input_size=32, epochs=0, recipe="probe", min_photos=6
    )
    run = train_run(register_folder, tmp_path / "run", options)
    assert run.info.backbone == "efficientnet-lite0"
    assert "package efficientnet_lite0" in run.info.weights
    model = load_model(read_run(tmp_path / "run"))
    package = read_tensors(package_file("efficientnet-lite0"))
    # The probe leaves the backbone as ImageNet left it.
    assert torch.equal(model.backbone.conv_stem.weight, package["_conv_stem.weight"])
