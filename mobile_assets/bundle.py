"""The bundle: the folder that is dropped into a field app. Its format, reading and checking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from mobile_assets.decision import DecisionThresholds
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_file, sha256_path, size_of
from mobile_assets.labels import LabelMap
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.schema import Document, Record, without_key

BUNDLE_FILE = "bundle.json"
SIGNATURE_FILE = "signature.json"
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"


class TensorInfo(Record):
    """One input or output of a variant, as the file itself declares it."""

    name: str
    dtype: Literal["float32", "uint8", "int8", "int32", "float16", "image", "string"]
    shape: tuple[int, ...]


class Variant(Record):
    """One exported form of the model.

    Attributes:
        name: Such as `tflite-int8`.
        file: Path in the bundle, POSIX slashes.
        format: TFLite file or Core ML package.
        precision: The part of the name after the format.
        bytes: Size of the file, or of all files in the package.
        sha256: `mobile_assets.files.sha256_path` of it.
        notes: What was done and why, in a sentence or two each.
    """

    name: str
    file: str
    format: Literal["tflite", "coreml"]
    precision: str
    bytes: int = Field(gt=0)
    sha256: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    notes: tuple[str, ...] = ()


class AuxiliaryModel(Record):
    """A model beside the variants that answers with numbers and names no object.

    Attributes:
        kind: `embedding`: the classifier without its last layer. `shortlist`: the few best of the
            classifier's probabilities, and which objects they are of.
        format: TFLite file or Core ML package.
        file: Path in the bundle, POSIX slashes.
        bytes: Size of the file, or of all files in the package.
        sha256: `mobile_assets.files.sha256_path` of it.
        inputs: The photo, as a variant takes it.
        outputs: `embedding` float32 `[1, D]`, of length 1; or `indices` int32 and `probabilities`
            float32 `[1, K]`, best first.
        notes: What was done and why.
    """

    kind: Literal["embedding", "shortlist"]
    format: Literal["tflite", "coreml"]
    file: str
    bytes: int = Field(gt=0)
    sha256: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called, such as `coreml-shortlist`; no variant has such a name."""
        return f"{self.format}-{self.kind}"


class Source(Record):
    """The run that a bundle was made of.

    Attributes:
        run: Path of the run folder relative to the bundle, as it was at export.
        model_sha256: Hash of the run's `model.safetensors`.
        backbone: timm's name of the backbone.
        head: Name of the head.
        recipe: Name of the training recipe.
        seed: Training seed.
        min_photos: The threshold data set: objects with at least so many photos.
        photo_list_sha256: Hash of the list of photos that the run was trained on.
        temperature: What the run's logits are divided by inside every variant, before the softmax.
    """

    run: str
    model_sha256: str
    backbone: str
    head: str
    recipe: str
    seed: int
    min_photos: int = Field(ge=1)
    photo_list_sha256: str
    temperature: float = Field(default=1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _without_quantised_sha256(cls, value: Any) -> Any:
        """Earlier releases wrote `quantised_sha256`, of a second network: it is not read."""
        return without_key(value, "quantised_sha256")


class Calibration(Record):
    """What weights were rounded and activation ranges taken on: training photos, or noise.

    Attributes:
        photos: Paths relative to the register, in the order in which they were used.
        seed: Seed of the choice, or of the noise.
        sha256: Hash of the paths and contents, or of the noise.
        noise_images: How many images of noise stood in for photos, to measure what that costs;
            a bundle with any is not fit for the field, and `verify` fails it.
    """

    photos: tuple[str, ...]
    seed: int
    sha256: str
    noise_images: int = Field(ge=0, default=0)


class Recommendation(Record):
    """Which variant of a format to ship, decided on validation photos.

    Attributes:
        format: Of which variants one is recommended.
        variant: The variant's name.
        met: Whether it was measured and keeps within its limits; otherwise nothing smaller is
            known to be good enough.
        photos: On how many validation photos it was decided.
        agreement: Share of them that get the network's answer; None if `met` is not so.
        agreement_low: Lower end of its 95 % interval.
        drop_points: How much smaller the share of right answers is, in percentage points.
        why: The reasons, for a person.
    """

    format: Literal["tflite", "coreml"]
    variant: str
    met: bool
    photos: int = Field(ge=0)
    agreement: float | None = None
    agreement_low: float | None = None
    drop_points: float | None = None
    why: str


class BundleInfo(Document):
    """The content of `bundle.json`.

    Attributes:
        recommended: Of each format the variant to ship, if the export was asked to choose.
        companions: Models beside the variants, in the order of export; none unless asked for.
        files: SHA-256 of every file of the bundle but `bundle.json` and `signature.json`, by path;
            so a signature of `bundle.json` covers them all. Empty in bundles of before it was kept.
    """

    name: str
    created: str
    objects: int = Field(ge=2)
    labels_sha256: str
    preprocessing: Preprocessing
    decision: DecisionThresholds
    variants: tuple[Variant, ...]
    source: Source
    calibration: Calibration | None
    versions: dict[str, str]
    recommended: tuple[Recommendation, ...] = ()
    companions: tuple[AuxiliaryModel, ...] = ()
    files: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, value: Any) -> Any:
        """Bundles of before there were several companions have one record, of a TFLite file."""
        if not (isinstance(value, dict) and "embedding" in value):
            return value
        kept = without_key(value, "embedding")
        old = value["embedding"]
        if old is not None:
            one = {"kind": "embedding", "format": "tflite"} | old if isinstance(old, dict) else old
            kept["companions"] = [one]
        return kept

    @property
    def models(self) -> tuple[Variant | AuxiliaryModel, ...]:
        """Everything that can be executed: the variants, and what stands beside them."""
        return (*self.variants, *self.companions)

    def variant(self, name: str) -> Variant:
        """The variant of that name.

        Raises:
            InputError: There is none; the message lists those that are there.
        """
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = ", ".join(variant.name for variant in self.variants)
        raise InputError(f"This bundle has no variant {name!r}. It has: {known}.")


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose description and label map have been read and agree."""

    folder: Path
    info: BundleInfo
    labels: LabelMap

    def path(self, variant: Variant | AuxiliaryModel) -> Path:
        """Where the file or package lies."""
        return self.folder / variant.file


def read_bundle(folder: Path, *, check_files: bool = True) -> Bundle:
    """Reads a bundle and checks that it is whole.

    Args:
        folder: The bundle's folder.
        check_files: Also check size and SHA-256 of each variant and companion.

    Raises:
        InputError: `folder` is no folder or holds no `bundle.json`.
        DamagedError: A file is missing, changed, of another schema version, or the label map does
            not fit.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder that `export --out` wrote.")
    if not (folder / BUNDLE_FILE).is_file():
        raise InputError(
            f"{folder} holds no {BUNDLE_FILE}, so it is not a bundle. "
            "Give the folder that `export --out` wrote."
        )
    info = BundleInfo.read(folder / BUNDLE_FILE)
    labels = _read_labels(folder, info)
    if check_files:
        for model in info.models:
            _check_model(folder, model)
    return Bundle(folder, info, labels)


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that `bundle.json` lists, by POSIX path, sorted."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in _contents(folder)
        if path.is_file()
    }


def content_problems(folder: Path, info: BundleInfo) -> tuple[str, ...]:
    """What differs between a bundle's folder and the list of files in its description.

    Args:
        folder: The bundle's folder.
        info: Its description, with a list of files.

    Returns:
        One phrase per file that is missing, changed or not listed, links and empty folders among
        them; nothing if every byte is as listed.
    """
    problems: list[str] = []
    listed = dict(info.files)
    folders = {parent for name in listed for parent in (folder / name).parents}
    for path in _contents(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():  # what it points to can change, and may lie outside
            problems.append(f"{name} is a link")
        elif path.is_dir():
            if path not in folders:
                problems.append(f"{name} is a folder that is not listed")
        elif name not in listed:
            problems.append(f"{name} is not listed")
        elif sha256_file(path) != listed[name]:
            problems.append(f"{name} is changed")
        listed.pop(name, None)
    problems += [f"{name} is missing" for name in listed]
    return tuple(sorted(problems))


def _contents(folder: Path) -> list[Path]:
    """Everything in a bundle but the two files that cannot list themselves."""
    alone = {folder / BUNDLE_FILE, folder / SIGNATURE_FILE}
    return [path for path in sorted(folder.rglob("*")) if path not in alone or path.is_symlink()]


def _read_labels(folder: Path, info: BundleInfo) -> LabelMap:
    path = folder / "labels.json"
    labels = LabelMap.read(path)
    if sha256_file(path) != info.labels_sha256 or len(labels) != info.objects:
        raise DamagedError(
            f"{path} is not the label map that {BUNDLE_FILE} describes. "
            "With a wrong label map every answer is wrong: export the bundle again."
        )
    text = folder / "labels.txt"
    if not text.is_file() or text.read_text(encoding="utf-8") != labels.text:
        raise DamagedError(f"{text} does not list the objects of {path}: export the bundle again.")
    return labels


def _check_model(folder: Path, model: Variant | AuxiliaryModel) -> None:
    path = folder / model.file
    if not path.exists():
        raise DamagedError(f"{path} is missing from the bundle: export it again.")
    if size_of(path) != model.bytes or sha256_path(path) != model.sha256:
        raise DamagedError(
            f"{path} is not the file that {BUNDLE_FILE} describes (size or SHA-256 differ). "
            "It is damaged or was changed: export the bundle again."
        )
