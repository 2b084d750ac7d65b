"""What the network with SiLU and squeeze-and-excite begins with: its photos and its weights.

No ImageNet weights of EfficientNet-B0 can be had without a network, but those of EfficientNet-Lite0
lie in a package, and the two have the same convolutions. What differs is Lite0's activation, a relu
that ends at 6, and that it has no squeeze-and-excite. So B0 begins with Lite0's convolutions, gates
of its own that are drawn at random, and batch-norm statistics taken anew.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from mobile_assets.files import write_text
from train.demo import DemoRegister, DemoSpec, generate_demo_register

if TYPE_CHECKING:
    from torch import Tensor, nn

BACKBONE = "efficientnet-b0"
DONOR = "efficientnet-lite0"
GATES = 1.0
"""Standard deviation of what goes into the gates' sigmoid, at first."""

TRAIN_VIEWS, VAL_VIEWS, TEST_VIEWS = 18, 4, 30
"""Views per object beside the register's photos, which are all for training."""

_PHOTOS, _BATCH = 256, 32


def render(folder: Path, *, objects: int, workers: int | None = None) -> Path:
    """Renders a register with further views of every object, and says what each photo is for.

    Returns:
        The manifest, with a column `split`.
    """
    views = TRAIN_VIEWS + VAL_VIEWS + TEST_VIEWS
    register = generate_demo_register(
        folder, DemoSpec(objects=objects, extra_views=views), workers=workers
    )
    manifest = folder / "manifest.csv"
    write_text(manifest, _manifest(register))
    return manifest


def _manifest(demo: DemoRegister) -> str:
    assert demo.extra is not None
    rows = [
        (photo.relative_to(demo.root).as_posix(), photo.parent.name, photo.parent.parent.name, side)
        for root in (demo.register, demo.extra)
        for folder in sorted(root.glob("*/*"))
        for photo, side in zip(*_sides(folder, extra=root == demo.extra), strict=True)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "object_id", "collection", "split"))
    writer.writerows(rows)
    return text.getvalue()


def _sides(folder: Path, *, extra: bool) -> tuple[list[Path], list[str]]:
    photos = sorted(folder.glob("*.jpg"))
    if not extra:
        return photos, ["train"] * len(photos)
    return photos, ["train"] * TRAIN_VIEWS + ["val"] * VAL_VIEWS + ["test"] * TEST_VIEWS


def write_start(out: Path, manifest: Path, *, seed: int = 0) -> None:
    """Writes weights of B0 that training can begin with.

    Args:
        manifest: The photos; the gates' scale and batch-norm statistics are taken on some of those
            for training.
    """
    import timm
    import torch
    from safetensors.torch import save_file

    from train.backbones import timm_name
    from train.weights import in_order, package_file, read_tensors

    torch.manual_seed(seed)
    backbone = timm.create_model(timm_name(BACKBONE), num_classes=0)
    donor = timm.create_model(timm_name(DONOR), num_classes=0)
    backbone.load_state_dict(in_order(donor, read_tensors(package_file(DONOR))), strict=False)
    _settle(backbone, _photos(manifest, seed))
    save_file({name: t.contiguous() for name, t in backbone.state_dict().items()}, out)


def _settle(backbone: nn.Module, photos: Tensor) -> None:
    """Makes the gates differ from photo to photo, and takes batch-norm statistics anew."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, module in backbone.named_modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the mean of all batches
        if name.endswith("se.conv_expand"):
            _scale_at_first_batch(module)
    backbone.train()
    with torch.no_grad():
        for batch in torch.split(photos, _BATCH):
            backbone(batch)


def _scale_at_first_batch(gate: nn.Module) -> None:
    """Scales a layer's outputs for the first batch to `GATES` about 1."""
    from torch import nn
    from torch.nn import functional

    assert isinstance(gate, nn.Conv2d)

    def scale(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        assert gate.bias is not None
        outputs = functional.conv2d(arguments[0], gate.weight)
        mean = outputs.mean(dim=(0, 2, 3))
        factor = GATES / (outputs - mean.reshape(1, -1, 1, 1)).std().clamp_min(1e-6)
        gate.weight.mul_(factor)
        gate.bias.copy_(1 - mean * factor)
        handle.remove()

    handle = gate.register_forward_pre_hook(scale)


def _photos(manifest: Path, seed: int) -> Tensor:
    """Some training photos as the backbone reads them, `[N, 3, H, W]`."""
    import numpy as np
    import torch

    from mobile_assets.photos import load
    from train.model import Normalise
    from train.training_plan import preprocessing_of

    contract = preprocessing_of(BACKBONE, None)
    with manifest.open(encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["split"] == "train"]
    chosen = np.random.default_rng(seed).permutation(len(paths))[:_PHOTOS]
    pixels = np.stack([load(manifest.parent / paths[index], contract) for index in chosen])
    images: Tensor = Normalise(contract)(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    return images
