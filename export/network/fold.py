"""The network in the form in which it is exported: nothing left of training, everything folded."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from export.network.depths import DepthFeatures, split_by_depth
from mobile_assets.errors import CheckFailedError
from mobile_assets.preprocessing import Preprocessing
from train.heads import COSINE_SCALE, CosineClassifier, EmbeddingHead
from train.model import ArtefactModel, Normalise

FOLD_TOLERANCE = 2e-4
"""Largest difference of a logit, relative to the largest logit, that folding may make.

Folding reorders float32 arithmetic over some fifty layers: 1e-6 to 5e-5 is seen. A wrong fold
changes logits by more than a tenth."""

_BATCH = 32

_Conv = TypeVar("_Conv", bound=nn.Conv2d)

Padding = tuple[int, int, int, int]
"""Left, right, top, bottom, in pixels."""


class FoldedNetwork(nn.Module):
    """Raw RGB photo → logits, with static padding and without batch normalisation.

    Attributes:
        centre: What is subtracted from the photo, `[1, 3, 1, 1]`.
        padding: Zero padding of the centred photo, before the first convolution.
        body: Centred, padded photo → logits.
    """

    centre: Tensor

    def __init__(self, centre: Tensor, padding: Padding, body: nn.Module) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.padding = padding
        self.body = body

    def forward(self, image: Tensor) -> Tensor:
        """Logits `[N, objects]` of `[N, 3, H, W]` float RGB 0–255."""
        logits: Tensor = self.body(functional.pad(image - self.centre, self.padding))
        return logits

    def probabilities(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`[N, objects]` float32 of `[N, H, W, 3]` uint8 RGB photos, each row summing to 1."""
        return run_photos(self, photos)


class ChannelsLast(nn.Module):
    """A `FoldedNetwork` that reads `[N, H, W, 3]` and answers with probabilities.

    The photo is centred and padded before its axes are permuted: the converter then finds the
    permutation right before the first convolution and removes it, and the padding becomes part of
    that convolution.
    """

    centre: Tensor

    def __init__(self, network: FoldedNetwork) -> None:
        super().__init__()
        centre = network.centre.permute(0, 2, 3, 1).contiguous()
        # One number where all channels have the same mean: a constant that broadcasts is cheaper.
        self.register_buffer("centre", centre.flatten()[0] if _uniform(centre) else centre)
        self.padding = network.padding
        self.body = network.body

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """`probabilities` `[N, objects]` of `[N, H, W, 3]` float RGB 0–255."""
        padded = functional.pad(image - self.centre, (0, 0, *self.padding))
        logits = self.body(padded.permute(0, 3, 1, 2))
        return {"probabilities": torch.softmax(logits, dim=-1)}


def run_photos(network: nn.Module, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Softmax of a network's logits; arguments as `FoldedNetwork.probabilities`."""
    if not len(photos):
        raise ValueError("no photos")
    with torch.inference_mode():
        return np.concatenate(
            [torch.softmax(network(batch), dim=-1).numpy() for batch in batches(photos, _BATCH)]
        )


def batches(photos: NDArray[np.uint8], size: int) -> Iterator[Tensor]:
    """Photos `[N, H, W, 3]` as the network reads them, `[size, 3, H, W]` float32, in turn."""
    for start in range(0, len(photos), size):
        yield torch.from_numpy(photos[start : start + size]).permute(0, 3, 1, 2).float()


def fold_network(model: ArtefactModel, contract: Preprocessing) -> FoldedNetwork:
    """Folds a trained network into the form that is exported; `model` is not changed.

    The normalisation's scale, every batch normalisation and the temperature are folded into the
    neighbouring weights, dropout goes, and padding that depends on the input's size becomes
    constant.

    Raises:
        CheckFailedError: The folded network does not answer as `model` does.
    """
    source = model.eval()
    probe = _probe(contract)
    work = copy.deepcopy(source)
    with torch.no_grad():
        _fix_padding(work, probe)
        _fold_backbone(work, probe)
        work.head = _fold_temperature(_fold_head(work.head), work.temperature)
        if work.depths:
            work.head = split_by_depth(work.head, work.backbone, work.depths)
        network = _fold_normalisation(work, probe).eval()
        expected, folded = source(probe), network(probe)
    error = float((expected - folded).abs().max() / expected.abs().max().clamp_min(1e-6))
    if not error <= FOLD_TOLERANCE:
        raise CheckFailedError(
            f"Folding the network for export changed its logits by {error:.1e} of the largest "
            f"(at most {FOLD_TOLERANCE:.0e} is allowed). "
            "This backbone has a part that the exporter does not know: choose another backbone."
        )
    return network.requires_grad_(False)


def _probe(contract: Preprocessing) -> Tensor:
    """Two fixed photos of coloured noise, `[2, 3, H, W]` float 0–255."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((2, 3, 8, 8), generator=generator) * 255
    size = (contract.height, contract.width)
    smooth = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    noise = torch.randn((2, 3, *size), generator=generator) * 12
    return (smooth + noise).clamp(0, 255).round()


def _uniform(values: Tensor) -> bool:
    return bool((values == values.flatten()[0]).all())


def _observe(
    model: nn.Module, kinds: tuple[type[nn.Module], ...], probe: Tensor
) -> list[tuple[nn.Module, Tensor, Tensor]]:
    """Runs the probe and lists (module, input, output) of every call of such a module."""
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []

    def note(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        calls.append((module, args[0], output))

    hooks = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, kinds)]
    try:
        model(probe)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _replace(model: nn.Module, new: Callable[[nn.Module], nn.Module | None]) -> None:
    """Replaces each child for which `new` gives a module, in every depth."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            replacement = new(child)
            if replacement is not None:
                setattr(module, name, replacement)


class PaddedConv2d(nn.Conv2d):
    """A convolution after zero padding of a constant, possibly uneven, width."""

    widths: Padding = (0, 0, 0, 0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Pads and convolves `[N, C, H, W]`."""
        return super().forward(functional.pad(input, self.widths))


def _fix_padding(model: ArtefactModel, probe: Tensor) -> None:
    """Gives timm's `Conv2dSame`, which pads by its input's size, the padding for this size."""
    from timm.layers import Conv2dSame

    fixed: dict[nn.Module, nn.Module] = {}
    for module, argument, _ in _observe(model, (Conv2dSame,), probe):
        assert isinstance(module, nn.Conv2d)
        left, right, top, bottom = _same_padding(module, *argument.shape[-2:])
        if (left, top) == (right, bottom):
            even = _conv_like(module, nn.Conv2d)
            even.padding = (top, left)
            fixed[module] = even
        else:
            padded = _conv_like(module, PaddedConv2d)
            padded.widths = (left, right, top, bottom)
            fixed[module] = padded
    _replace(model, fixed.get)


def _conv_like(source: nn.Conv2d, kind: type[_Conv]) -> _Conv:
    """An unpadded convolution of class `kind` that shares the source's weights."""
    conv = kind(
        source.in_channels,
        source.out_channels,
        (source.kernel_size[0], source.kernel_size[1]),
        stride=(source.stride[0], source.stride[1]),
        dilation=(source.dilation[0], source.dilation[1]),
        groups=source.groups,
        bias=source.bias is not None,
    )
    conv.weight, conv.bias = source.weight, source.bias
    return conv.eval()


def _same_padding(conv: nn.Conv2d, height: int, width: int) -> Padding:
    """TensorFlow's SAME padding: output = ceil(input / stride), the odd pixel right and below."""
    sides: list[int] = []
    for axis, size in ((1, width), (0, height)):
        stride, reach = conv.stride[axis], (conv.kernel_size[axis] - 1) * conv.dilation[axis] + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        sides += [total // 2, total - total // 2]
    return (sides[0], sides[1], sides[2], sides[3])


def _fold_backbone(model: ArtefactModel, probe: Tensor) -> None:
    """Folds each batch normalisation into the convolution whose output it reads."""
    calls = _observe(model.backbone, (nn.Conv2d, nn.BatchNorm2d), model.normalise(probe))
    # Tensors are told apart by identity; `calls` keeps them alive, so no identity is used twice.
    made_by = {id(out): module for module, _, out in calls if isinstance(module, nn.Conv2d)}
    counts: dict[nn.Module, int] = {}
    for module, _, _ in calls:
        counts[module] = counts.get(module, 0) + 1
    folded: dict[nn.Module, nn.Module] = {}
    for module, argument, _ in calls:
        conv = made_by.get(id(argument))
        if isinstance(module, nn.BatchNorm2d) and conv and counts[conv] == counts[module] == 1:
            assert isinstance(conv, nn.Conv2d)
            scale, shift = _affine(module)
            conv.weight = nn.Parameter(conv.weight * scale.reshape(-1, 1, 1, 1).float())
            bias = shift if conv.bias is None else shift + conv.bias.double() * scale
            conv.bias = nn.Parameter(bias.float())
            folded[module] = _activation(module)
    _replace(model.backbone, folded.get)


def _affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A batch normalisation as `x * scale + shift`, float64 per channel."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = 1 / torch.sqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()


def _activation(norm: nn.Module) -> nn.Module:
    """What is left of a normalisation once folded: timm's `BatchNormAct2d` has an activation."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


def _fold_head(head: nn.Module) -> nn.Module:
    """Folds batch normalisations into the following linear layer and removes dropout."""
    if isinstance(head, EmbeddingHead):
        return _fold_cosines(head)
    if not isinstance(head, nn.Sequential):
        return head
    layers: list[nn.Module] = []
    for layer in head:
        norm = layers[-1] if layers else None
        if isinstance(norm, nn.BatchNorm1d) and isinstance(layer, nn.Linear):
            layers[-1] = _fold_linear(norm, layer)
        elif not isinstance(layer, nn.Dropout):
            layers.append(layer)
    return nn.Sequential(*layers)


def _fold_cosines(head: EmbeddingHead) -> nn.Module:
    """The embedding, and one plain layer whose rows have the length of the cosines' scale."""
    classifier = head[2]
    assert isinstance(classifier, CosineClassifier)
    plain = nn.Linear(classifier.in_features, classifier.out_features, bias=False)
    plain.weight = nn.Parameter(COSINE_SCALE * classifier.directions)
    return nn.Sequential(head[0], head[1], plain)


def _fold_temperature(head: nn.Module, temperature: float) -> nn.Module:
    """Divides the last layer by the temperature: probabilities are calibrated in every variant."""
    last = [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1]
    last.weight = nn.Parameter(last.weight / temperature)
    if last.bias is not None:
        last.bias = nn.Parameter(last.bias / temperature)
    return head


def _fold_linear(norm: nn.BatchNorm1d, linear: nn.Linear) -> nn.Linear:
    scale, shift = _affine(norm)
    weight = linear.weight.double()
    folded = nn.Linear(linear.in_features, linear.out_features)
    folded.weight = nn.Parameter((weight * scale).float())
    bias = weight @ shift
    folded.bias = nn.Parameter((bias if linear.bias is None else bias + linear.bias).float())
    return folded


def _fold_normalisation(model: ArtefactModel, probe: Tensor) -> FoldedNetwork:
    """Folds the normalisation's scale into the first convolution, where there is one.

    `(x / 255 - mean) / std = (x - 255 mean) / (255 std)`: the subtraction stays, so that zero
    padding still pads with the mean colour, and the division moves into the weights.
    """
    normalise = model.normalise
    normalised = normalise(probe)
    calls = _observe(model.backbone, (nn.Conv2d,), normalised)
    readers = [module for module, argument, _ in calls if argument is normalised]
    if len(readers) != 1 or not isinstance(readers[0], nn.Conv2d) or readers[0].groups != 1:
        return FoldedNetwork(torch.zeros(1, 3, 1, 1), (0, 0, 0, 0), _Plain(normalise, model))
    first = readers[0]
    weight = first.weight.flip(1) if normalise.swap else first.weight
    first.weight = nn.Parameter(weight * normalise.scale.reshape(1, 3, 1, 1))
    padding = first.widths if isinstance(first, PaddedConv2d) else (0, 0, 0, 0)
    if isinstance(first, PaddedConv2d):
        first.widths = (0, 0, 0, 0)
        bare: dict[nn.Module, nn.Module] = {first: _conv_like(first, nn.Conv2d)}
        _replace(model.backbone, bare.get)
    centre = (-normalise.offset.double() / normalise.scale.double()).float()
    return FoldedNetwork(centre, padding, nn.Sequential(_features(model), model.head))


def _features(model: ArtefactModel) -> nn.Module:
    """What reads the normalised photo, and gives the head what it reads."""
    return DepthFeatures(model.backbone, model.depths) if model.depths else model.backbone


class _Plain(nn.Module):
    """Normalisation, backbone and head as they are, for a backbone without a first convolution."""

    def __init__(self, normalise: Normalise, model: ArtefactModel) -> None:
        super().__init__()
        self.layers = nn.Sequential(normalise, _features(model), model.head)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits
