"""The run: the folder that training writes. Its format, reading and loading."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_bytes, sha256_file
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.schema import Document, Record, without_key
from train.recipes import Setting

if TYPE_CHECKING:
    from train.model import ArtefactModel

MODEL_FILE = "model.safetensors"
METRICS_FILE = "metrics.json"
VALIDATION_FILE = "validation.json"
SplitName = Literal["train", "val", "test"]


class SplitPhoto(Record):
    """One photo of the threshold data set and the side it stands on.

    Attributes:
        path: Relative to the register's root, POSIX slashes.
        sha256: Hash of the file's content.
        seen: Whether the object has a training photo; false only under the paper's split.
    """

    path: str
    object_id: str
    sha256: str
    split: SplitName
    seen: bool = True

    def why_unusable(self, root: Path) -> str | None:
        """Why the file under the register's root is not the one of the training; None if it is."""
        path = root / self.path
        try:
            if not path.is_file():
                return "there is no such file"
            changed = sha256_file(path) != self.sha256
        except OSError as error:
            return f"it cannot be read ({error.strerror or error})"
        return "the file has changed since training" if changed else None


class Split(Document):
    """The content of `split.json`: the threshold data set, divided."""

    strategy: Literal["stratified", "paper", "manifest"]
    seed: int
    min_photos: int
    photos: tuple[SplitPhoto, ...]

    def of(self, name: SplitName) -> tuple[SplitPhoto, ...]:
        """The photos of one side, in the register's order."""
        return tuple(photo for photo in self.photos if photo.split == name)

    @property
    def says_what_was_seen(self) -> bool:
        """Whether `seen` is true of just the photos whose object has one for training."""
        trained = {photo.object_id for photo in self.photos if photo.split == "train"}
        return all(photo.seen == (photo.object_id in trained) for photo in self.photos)

    @property
    def sha256(self) -> str:
        """Hash of the list of photos: paths, contents, objects and sides."""
        lines = [f"{p.path}\0{p.sha256}\0{p.object_id}\0{p.split}\n" for p in self.photos]
        return sha256_bytes("".join(lines).encode("utf-8"))


class PhotoCounts(Record):
    """How many photos stand on each side, and how many could not be read."""

    train: int
    val: int
    test: int
    unreadable: int


class TemperatureInfo(Record):
    """What logits are divided by, so that probabilities can be believed.

    Attributes:
        value: The temperature; below 1 makes answers surer.
    """

    value: float = Field(gt=0)
    photos: int = Field(ge=1)


class HeldOutObjects(Record):
    """Objects that were kept out of training, and enrolled with their photos afterwards.

    Attributes:
        share: What was asked for, of all objects.
        objects: Sorted ids.
    """

    share: float = Field(gt=0, le=0.5)
    objects: tuple[str, ...] = Field(min_length=1)


class TeacherInfo(Record):
    """The network that guided a training.

    Attributes:
        name: Of its backbone.
        weights: Where its weights came from.
        sha256: Of its file of weights; of the tensors where a package or timm's hub has that file.
        weight: What its loss was multiplied by.
        height: Of its input in pixels; `width` likewise.
    """

    name: str
    weights: str
    sha256: str
    weight: float = Field(gt=0)
    height: int = Field(ge=1)
    width: int = Field(ge=1)


class RunInfo(Document):
    """The content of `run.json`.

    Attributes:
        temperature: What the network's logits are divided by; None without validation photos: the
            logits stay as they are.
        depths: Stages of the backbone whose pooled outputs the head reads beside the last features.
        held_out: Objects that training did not see; None where it saw all.
        validation_fitted: Whether the head was fitted to the validation photos too, after it had
            been validated: on them it is right more often than on photos that it has never seen.
        teacher: The network that guided the training; None without one.
    """

    name: str
    created: str
    register_name: str
    objects: int = Field(ge=2)
    min_photos: int = Field(ge=1)
    backbone: str
    head: str
    recipe: str
    recipe_settings: dict[str, Setting]
    weights: str
    seed: int
    preprocessing: Preprocessing
    photos: PhotoCounts
    photo_list_sha256: str
    labels_sha256: str
    model_sha256: str
    versions: dict[str, str]
    host: dict[str, str]
    temperature: TemperatureInfo | None = None
    depths: tuple[int, ...] = ()
    held_out: HeldOutObjects | None = None
    validation_fitted: bool = False
    teacher: TeacherInfo | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_quantised(cls, value: Any) -> Any:
        """Earlier releases wrote `quantised`, of a second network in 8 bits: it is not read."""
        return without_key(value, "quantised")


class EpochRecord(Record):
    """One line of `history.csv`.

    Attributes:
        stage: `head` or `all`.
        epoch: Counted from 1 in each stage.
        train_loss: Mean over the photos, while they were trained on, with any teacher's loss.
        val_loss: Cross-entropy of the validation photos; NaN without any.
        val_top1: Share of the validation photos; NaN without any.
        seconds: Time of the epoch, validation included.
        rate: The largest learning rate of its last step.
        photos_per_second: Trained on, validation left out.
    """

    stage: str
    epoch: int
    train_loss: float
    val_loss: float
    val_top1: float
    seconds: float
    rate: float = math.nan
    photos_per_second: float = math.nan


class RunMetrics(Document):
    """The content of `metrics.json`: what training measured, on validation photos only.

    Attributes:
        val_top1: Share of right answers of the best checkpoint, before a head in closed form was
            fitted to these photos too; of objects that were trained on.
        enrolled_top1: The same of objects that were kept out of training and enrolled; None
            without any.
        seconds: Time that training took, without the time between an interruption and going on.
        cpu_seconds: Processor time of all threads and processes of it, which other work on the
            machine hardly changes; None in runs of before it was measured.
    """

    best_epoch: int
    best_stage: str
    val_top1: float | None
    val_photos: int
    seconds: float
    train_photos_per_second: float | None
    cpu_seconds: float | None = None
    enrolled_top1: float | None = None
    enrolled_photos: int = 0


class ValidationAnswer(Record):
    """What the network answered to one validation photo before it was fitted to it.

    Attributes:
        path: As in `split.json`.
        answer: Class index of its best object.
        probability: Of that object, at the run's temperature.
    """

    path: str
    answer: int = Field(ge=0)
    probability: float = Field(ge=0, le=1)


class ValidationAnswers(Document):
    """The content of `validation.json`, written where the head was fitted to validation photos.

    The network of the run has seen them; these answers are those of the same backbone with a head
    that was fitted to the training photos alone.
    """

    model_sha256: str
    photos: tuple[ValidationAnswer, ...]


@dataclass(frozen=True)
class Run:
    """A run on disk whose parts have been read and agree."""

    folder: Path
    info: RunInfo
    labels: LabelMap
    split: Split

    @cached_property
    def metrics(self) -> RunMetrics | None:
        """What training measured; None for a run without `metrics.json`, such as an imported one.

        Raises:
            DamagedError: The file is there and cannot be read.
        """
        path = self.folder / METRICS_FILE
        if not path.exists():
            return None
        try:
            return RunMetrics.read(path)
        except DamagedError as error:
            raise DamagedError(
                f"{error} Or delete the file: the run then says nothing of its training's accuracy "
                "and time."
            ) from None

    def require_metrics(self) -> RunMetrics:
        """As `metrics`, of a run that a training wrote.

        Raises:
            DamagedError: The file is missing, or cannot be read.
        """
        if self.metrics is None:
            raise DamagedError(
                f"{self.folder / METRICS_FILE} is missing. The run is incomplete: train it again."
            )
        return self.metrics

    @cached_property
    def held_out(self) -> frozenset[str]:
        """Ids of the objects that training did not see; their photos are for thresholds."""
        return frozenset(self.info.held_out.objects if self.info.held_out else ())

    @property
    def fitted_photos(self) -> tuple[SplitPhoto, ...]:
        """The photos that the network was fitted to: those for training, and validation if so."""
        sides = ("train", "val") if self.info.validation_fitted else ("train",)
        return tuple(photo for photo in self.split.photos if photo.split in sides)

    @property
    def unfitted_validation(self) -> tuple[SplitPhoto, ...]:
        """The validation photos to judge the network on; none where it was fitted to them."""
        return () if self.info.validation_fitted else self.split.of("val")

    def validation_answers(self) -> dict[str, ValidationAnswer]:
        """Answers to validation photos from before the network was fitted to them, by path.

        Raises:
            DamagedError: The file is missing, or of another run.
        """
        path = self.folder / VALIDATION_FILE
        answers = ValidationAnswers.read(path)
        by_path = {photo.path: photo for photo in answers.photos}
        known = {photo.path for photo in self.split.of("val")}
        highest = max((photo.answer for photo in answers.photos), default=0)
        if (
            answers.model_sha256 != self.info.model_sha256
            or not by_path.keys() <= known
            or highest >= len(self.labels)
        ):
            raise DamagedError(
                f"{path} is not the one that training wrote with {self.folder / MODEL_FILE}. "
                "The run was edited or damaged: train it again."
            )
        return by_path

    def class_indices(self, photos: Iterable[SplitPhoto]) -> NDArray[np.int64]:
        """The class index of each photo's object, `[photos]` int64."""
        return np.array([self.labels.index_of[p.object_id] for p in photos], dtype=np.int64)


def read_run(folder: Path) -> Run:
    """Reads a run and checks that its parts belong together.

    Raises:
        InputError: `folder` is no folder or holds no `run.json`.
        DamagedError: A part is missing, changed or of another schema version.
    """
    if not folder.is_dir() or not (folder / "run.json").is_file():
        raise InputError(
            f"{folder} holds no run.json, so it is not a run. "
            "Give the folder that `artefact-id train --out` wrote."
        )
    info = RunInfo.read(folder / "run.json")
    labels = LabelMap.read(folder / "labels.json")
    split = Split.read(folder / "split.json")
    if (
        (len(labels), labels.sha256) != (info.objects, info.labels_sha256)
        or split.sha256 != info.photo_list_sha256
        or (split.seed, split.min_photos) != (info.seed, info.min_photos)
        or not split.says_what_was_seen
        or not set(info.held_out.objects if info.held_out else ()) <= set(labels.object_ids)
    ):
        raise DamagedError(
            f"{folder}: labels.json or split.json is not the one that run.json describes. "
            "The run was edited or damaged: train it again."
        )
    model = folder / MODEL_FILE
    if not model.is_file() or sha256_file(model) != info.model_sha256:
        raise DamagedError(
            f"{model} is missing or is not the one that run.json describes. "
            "The run is incomplete or damaged: train it again."
        )
    return Run(folder, info, labels, split)


def load_model(run: Run) -> ArtefactModel:
    """Builds the run's network with its trained weights, on the CPU, in evaluation mode.

    Raises:
        DamagedError: The weights do not fit the network that `run.json` describes.
    """
    from safetensors.torch import load_file

    from train.model import build_model

    info = run.info
    model = build_model(
        info.backbone,
        info.head,
        objects=info.objects,
        preprocessing=info.preprocessing,
        depths=info.depths,
    )
    if model.depths != info.depths:
        raise DamagedError(
            f"{run.folder / 'run.json'} names stages {list(info.depths)} of {info.backbone}, which "
            f"has {list(model.depths)} of them. The run was edited or damaged: train it again."
        )
    try:
        model.load_state_dict(load_file(run.folder / MODEL_FILE))
    except (RuntimeError, ValueError, OSError) as error:
        raise DamagedError(
            f"{run.folder / MODEL_FILE} does not fit {info.backbone} with head {info.head} and "
            f"{info.objects} objects ({str(error).splitlines()[0]}). Train the run again."
        ) from None
    model.temperature = info.temperature.value if info.temperature else 1.0
    return model.eval()
