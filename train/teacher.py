"""A larger frozen network that guides a smaller one while all layers of that one are trained.

The teacher sees each training photo once, as it is, brought to its own input size: so much costs
one pass, where seeing what the student sees would cost one in every epoch. What is asked of the
student is not the teacher's features, whose width and scale are others, but that the photos of a
batch, turned and lit anew, lie to one another as the teacher says: the cosine of each two, and
which of the others are near each (relational knowledge distillation: Park et al., arXiv 1904.05068;
Passalis and Tefas, arXiv 1803.10837). That needs no layer of its own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from mobile_assets.errors import InputError, MissingDependencyError, first_line
from mobile_assets.files import sha256_file
from mobile_assets.preprocessing import Preprocessing
from train.backbones import pretrained_input, timm_name
from train.heads import EmbeddingHead
from train.model import ArtefactModel
from train.run import Run, Split, TeacherInfo, load_model, read_run
from train.weights import check_weights, load_imagenet

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


class Teacher(ArtefactModel):
    """A frozen network, ready to guide.

    Attributes:
        info: For the run's record, and so that no training goes on with another teacher.
        run: Where it comes from; None for a network of timm's.
    """

    def __init__(
        self,
        network: ArtefactModel,
        contract: Preprocessing,
        info: TeacherInfo,
        run: Run | None = None,
    ) -> None:
        """Freezes a network that reads photos under `contract`."""
        super().__init__(network.backbone, network.head, contract, network.depths)
        self.info = info
        self.run = run
        self.eval().requires_grad_(False)

    def features(self, image: Tensor) -> Tensor:
        """Pooled features `[N, B]`, or the embedding where the head makes one.

        Args:
            image: `[N, 3, H, W]` float RGB 0–255; brought to the teacher's own input size.
        """
        size = (self.info.height, self.info.width)
        if image.shape[-2:] != size:
            image = functional.interpolate(image, size, mode="bilinear", antialias=True)
        pooled = super().features(image)
        return self.head.embedding(pooled) if isinstance(self.head, EmbeddingHead) else pooled

    def loss(self, features: Tensor, taught: Tensor) -> Tensor:
        """How much the student differs from the teacher on a batch, times the weight.

        Args:
            features: `[N, A]` float32, the student's last features.
            taught: `[N, B]` float32, the teacher's features of the same photos.
        """
        return self.info.weight * relation_loss(features, taught)

    def check_split(self, split: Split, held_out: Sequence[str] = ()) -> None:
        """Refuses a teacher that knows photos which are to tell how good its student is.

        Args:
            split: The student's photos.
            held_out: Objects that are kept out of the student's training.

        Raises:
            InputError: It was trained on photos that are held out here, or chosen by test photos.
        """
        if self.run is None:
            return
        there = self.run.info.held_out
        unseen = there.objects if there is not None else ()
        trained, chosen = (
            {photo.sha256 for photo in self.run.split.of(side) if photo.object_id not in unseen}
            for side in ("train", "val")
        )
        known = [
            photo
            for photo in split.photos
            if (photo.sha256 in trained and (photo.split != "train" or photo.object_id in held_out))
            or (photo.sha256 in chosen and photo.split == "test")
        ]
        if known:
            raise InputError(
                f"The teacher, {self.info.weights}, was trained with {len(known)} of the photos "
                f"that are held out here, such as {known[0].path}: accuracy on them would say too "
                "much. Train both with the same photos, recipe, --seed, --split and --min-photos."
            )


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
        network = _network(choice)
        with _in_the_words_of_teachers(name):
            check_weights(network.backbone, name)
        _fit_to_size(network, choice)
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
    with _in_the_words_of_teachers(name):
        weights = load_imagenet(model.backbone, name, weights=file)
    sha256 = _sha256_of(model.backbone) if file is None else sha256_file(file)
    contract = _fit_to_size(model, choice)
    info = TeacherInfo(
        name=timm_name(name),
        weights=weights,
        sha256=sha256,
        weight=choice.weight,
        height=contract.height,
        width=contract.width,
    )
    return Teacher(model, contract, info)


@contextmanager
def _in_the_words_of_teachers(name: str) -> Iterator[None]:
    """An error about missing weights names the option that gives a teacher's."""
    try:
        yield
    except MissingDependencyError as error:
        text = str(error).replace("--weights FILE", f"--teacher {name}=FILE")
        raise MissingDependencyError(text) from None


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
    return Teacher(load_model(run), contract, info, run)


def _network(choice: TeacherChoice) -> ArtefactModel:
    """A network of timm's with weights that mean nothing yet, at its own input size."""
    import timm

    name, _ = choice.network
    try:
        full = timm_name(name)
    except InputError as error:
        raise InputError(
            f"--teacher {choice.source}: there is no such run folder, and {error} A file of "
            "weights is given as NAME=FILE, with timm's name of its network."
        ) from None
    body = timm.create_model(full, pretrained=False, num_classes=0)
    return ArtefactModel(body, nn.Identity(), _contract(name, None))


def _contract(name: str, size: int | None) -> Preprocessing:
    """How a network of timm's reads photos, by timm's data configuration."""
    (height, width), mean, std = pretrained_input(name)
    return Preprocessing(height=size or height, width=size or width, mean=mean, std=std)


def _fit_to_size(model: ArtefactModel, choice: TeacherChoice) -> Preprocessing:
    """Lets a teacher take photos of the size that was asked for, and tries it on one."""
    contract = _contract(choice.network[0], choice.size)
    size = (contract.height, contract.width)
    try:
        resize = getattr(model.backbone, "set_input_size", None)
        if choice.size is not None and resize is not None:
            resize(img_size=size)  # a network whose layers have a place for each part of a photo
        with torch.inference_mode():
            model.eval().features(torch.zeros(1, 3, *size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(
            f"--teacher {choice.source} does not take photos of {size[0]} × {size[1]} pixels "
            f"({first_line(error)}). Give another --teacher-size."
        ) from None
    return contract


def _sha256_of(network: nn.Module) -> str:
    """Of all weights with their names, where there is no file of them at hand."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode("utf-8"))
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
