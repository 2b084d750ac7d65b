"""A larger frozen network that guides a smaller one while all layers of that one are trained.

The teacher sees the very pixels that the student sees, brought to its own input size. What is asked
of the student is not the teacher's features, whose width and scale are others, but how the photos
of a batch lie to one another in them: the cosine of each two, and which of the others are near
each (relational knowledge distillation: Park et al., arXiv 1904.05068; Passalis and Tefas, arXiv
1803.10837). That needs no layer of its own, so nothing is added to what a training keeps.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobile_assets.errors import InputError, first_line
from mobile_assets.files import sha256_file
from mobile_assets.preprocessing import Preprocessing
from train.backbones import pretrained_input, timm_name
from train.heads import EmbeddingHead
from train.model import ArtefactModel
from train.run import Split, TeacherInfo, load_model, read_run
from train.weights import check_weights, load_imagenet

if TYPE_CHECKING:
    from train.device import Compute

NEIGHBOUR_TEMPERATURE = 0.1
"""What cosines are divided by before the softmax over a photo's neighbours in the batch."""


@dataclass(frozen=True)
class TeacherChoice:
    """A teacher as it was asked for.

    Attributes:
        source: A run folder, a timm name, or `NAME=FILE` with a file of weights of that network.
        weight: What its loss is multiplied by before it is added to the cross-entropy.
        size: Side of its square input in pixels; None for its own.
    """

    source: str
    weight: float
    size: int | None = None

    @property
    def run(self) -> Path | None:
        """The run folder; None where it is a network of timm's."""
        folder = Path(self.source)
        return folder if folder.is_dir() else None

    @property
    def network(self) -> tuple[str, Path | None]:
        """The name of a network of timm's, and its file of weights if one was given."""
        name, given, file = self.source.partition("=")
        return name, Path(file) if given else None


class Teacher:
    """A frozen network, ready to guide.

    Attributes:
        model: Raw RGB photo → pooled features, or the embedding where its head makes one.
        info: For the run's record, and so that no training goes on with another teacher.
        split: The photos that it was trained on itself; None for a network of timm's.
    """

    def __init__(self, model: ArtefactModel, info: TeacherInfo, split: Split | None = None) -> None:
        """Freezes the network."""
        self.model = model.eval().requires_grad_(False)
        self.info = info
        self.split = split

    def to(self, compute: Compute) -> Teacher:
        """Moves it to where the student is trained."""
        self.model.to(compute.device).to(memory_format=compute.memory_format)
        return self

    def check_split(self, split: Split) -> None:
        """Refuses a teacher that knows photos which are to tell how good its student is.

        Raises:
            InputError: It was trained on photos that are held out here.
        """
        sides = ("train", "val", "test")
        there = {p.sha256: sides.index(p.split) for p in self.split.photos} if self.split else {}
        known = [p for p in split.photos if there.get(p.sha256, 2) < sides.index(p.split)]
        if known:
            raise InputError(
                f"The teacher, {self.info.weights}, was trained on {len(known)} of the photos that "
                f"are held out here, such as {known[0].path}: accuracy on them would say too much. "
                "Train both with the same photos, --seed, --split and --min-photos."
            )

    def embed(self, images: Tensor) -> Tensor:
        """What it makes of photos, `[N, features]`, without gradients.

        Args:
            images: `[N, 3, H, W]` float RGB 0–255 of any size.
        """
        with torch.no_grad():
            size = (self.info.height, self.info.width)
            if images.shape[-2:] != size:
                images = functional.interpolate(images, size, mode="bilinear", antialias=True)
            features = self.model.features(images)
            head = self.model.head
            return head.embedding(features) if isinstance(head, EmbeddingHead) else features

    def loss(self, features: Tensor, taught: Tensor) -> Tensor:
        """How much the student differs from the teacher on a batch, times the weight.

        Args:
            features: `[N, A]` float32, the student's pooled features.
            taught: `[N, B]`, `embed` of the same photos.
        """
        return self.info.weight * relation_loss(features, taught.float())


def relation_loss(features: Tensor, taught: Tensor) -> Tensor:
    """How differently the photos of a batch lie to one another in two spaces.

    Both are taken about the batch's mean: features of networks whose last layer is a ReLU all point
    into one corner, and their plain cosines tell little apart. Of the cosines of each two photos,
    this is the mean squared difference plus the divergence KL(teacher ‖ student) of each photo's
    softmax over the others.

    Args:
        features: `[N, A]` float32, the student's.
        taught: `[N, B]` float32, the teacher's.
    """
    others = ~torch.eye(len(features), dtype=torch.bool, device=features.device)
    student, teacher = (
        _cosines(rows)[others].reshape(len(rows), len(rows) - 1) for rows in (features, taught)
    )
    near_student, near_teacher = (
        functional.log_softmax(cosines / NEIGHBOUR_TEMPERATURE, dim=1)
        for cosines in (student, teacher)
    )
    divergence = functional.kl_div(
        near_student, near_teacher, log_target=True, reduction="batchmean"
    )
    return functional.mse_loss(student, teacher) + divergence


def _cosines(rows: Tensor) -> Tensor:
    """`[N, N]`: cosines of each two rows about their mean."""
    unit = functional.normalize(rows - rows.mean(dim=0), dim=1)
    return unit @ unit.T


def check_teacher(choice: TeacherChoice) -> None:
    """Refuses what `load_teacher` would, without downloading anything.

    Raises:
        InputError: The teacher cannot be used; the message says what to give instead.
        DamagedError: It is a run that is damaged.
        MissingDependencyError: Its weights would have to be downloaded, and cannot.
    """
    if not (math.isfinite(choice.weight) and choice.weight > 0):
        raise InputError(f"--teacher-weight {choice.weight}: give more than 0.")
    name, file = choice.network
    if choice.run is None and file is None:
        check_weights(_network(choice).backbone, name)
    else:
        load_teacher(choice)


def load_teacher(choice: TeacherChoice) -> Teacher:
    """Reads the teacher, on the CPU.

    Raises:
        InputError: There is no such run, file or network, or the weights do not fit.
        DamagedError: The run is damaged.
        MissingDependencyError: No source has the weights; the message names the ways to get them.
    """
    if choice.run is not None:
        return _of_run(choice.run, choice)
    name, file = choice.network
    if file is not None and not file.is_file():
        raise InputError(f"--teacher {choice.source}: there is no file {file}.")
    model = _network(choice)
    weights = load_imagenet(model.backbone, name, weights=file)
    sha256 = _sha256_of(model.backbone) if file is None else sha256_file(file)
    height, width = _fit_to_size(model, choice)
    info = TeacherInfo(
        name=timm_name(name),
        weights=weights,
        sha256=sha256,
        weight=choice.weight,
        height=height,
        width=width,
    )
    return Teacher(model, info)


def _of_run(folder: Path, choice: TeacherChoice) -> Teacher:
    run = read_run(folder)
    contract = run.info.preprocessing
    if choice.size is not None:
        raise InputError(
            f"--teacher-size {choice.size}: the network of the run {folder} takes photos of "
            f"{contract.height} × {contract.width} pixels. Leave it out."
        )
    info = TeacherInfo(
        name=run.info.backbone,
        weights=f"run {run.info.name}",
        sha256=run.info.model_sha256,
        weight=choice.weight,
        height=contract.height,
        width=contract.width,
    )
    return Teacher(load_model(run), info, run.split)


def _network(choice: TeacherChoice) -> ArtefactModel:
    """A network of timm's with weights that mean nothing yet, and the normalisation of its own."""
    import timm

    name, _ = choice.network
    try:
        full = timm_name(name)
    except InputError as error:
        raise InputError(
            f"--teacher {choice.source}: there is no such run folder, and {error} A file of "
            "weights is given as NAME=FILE, with timm's name of its network."
        ) from None
    (height, width), mean, std = pretrained_input(name)
    contract = Preprocessing(height=height, width=width, mean=mean, std=std)
    body = timm.create_model(full, pretrained=False, num_classes=0)
    return ArtefactModel(body, nn.Identity(), contract)


def _fit_to_size(model: ArtefactModel, choice: TeacherChoice) -> tuple[int, int]:
    """Lets a teacher take photos of the size that was asked for, and tries it on one.

    Returns:
        Height and width of its input in pixels.
    """
    (height, width), _, _ = pretrained_input(choice.network[0])
    try:
        if choice.size is not None:
            height = width = choice.size
            resize = getattr(model.backbone, "set_input_size", None)
            if resize is not None:  # a network whose layers have a place for each part of a photo
                resize(img_size=(height, width))
        with torch.inference_mode():
            model.eval().features(torch.zeros(1, 3, height, width))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(
            f"--teacher {choice.source} does not take photos of {height} × {width} pixels "
            f"({first_line(error)}). Give another --teacher-size."
        ) from None
    return height, width


def _sha256_of(network: nn.Module) -> str:
    """Of all weights with their names, where there is no file of them at hand."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode("utf-8"))
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
