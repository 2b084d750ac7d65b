"""The content of `bundle.json`: what a bundle says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from mobile_assets.bundle_contents import ALONE, BUNDLE_FILE
from mobile_assets.bundle_paths import path_problems
from mobile_assets.decision import DecisionThresholds
from mobile_assets.errors import InputError
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.schema import Document, Record, without_key
from mobile_assets.visible_text import visible

INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"
MOST_SERIAL = 2**53 - 1
"""The largest integer that JavaScript reads exactly."""

MOST_PIXELS = 4096
"""No model's input is larger on a side."""


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
        precision: Of its weights where there are several of a kind, such as `int8`; empty
            otherwise.
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
    precision: Literal["", "float32", "float16", "int8"] = ""
    file: str
    bytes: int = Field(gt=0)
    sha256: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called, such as `tflite-embedding-int8`; no variant has such a name."""
        return "-".join(filter(None, (self.format, self.kind, self.precision)))


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


class Enrolment(Record):
    """What was done to the objects of a bundle after its training, without training.

    Attributes:
        enrolled: Ids of the objects that were added, sorted.
        withdrawn: Ids of the objects that were taken out, sorted.
        left_out: Names of models that are not in the bundle any more, since they answer for the
            objects of the training alone.
    """

    enrolled: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


class BundleInfo(Document):
    """The content of `bundle.json`.

    Attributes:
        register_id: Name of the register, the same in all bundles of it; empty in bundles of before
            there were serial numbers.
        serial: A number that rises from bundle to bundle of the register, so that an older one is
            known as such; 0 in bundles of before it was written.
        enrolment: What was done to its objects after the training; None for nothing.
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
    register_id: str = Field(default="", max_length=200)
    serial: int = Field(default=0, ge=0, le=MOST_SERIAL)
    enrolment: Enrolment | None = None

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
            kept["companions"] = (one,)
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

    def problems(self) -> Iterator[str]:
        """What the description says that no export writes, whatever the files are."""
        if not self.files:
            yield f"{BUNDLE_FILE} lists no files: an early release wrote it. Export it again"
        yield from path_problems((*self.files, *ALONE))
        if not self.variants:
            yield "there are no variants"
        for what, words in (
            ("name", [model.name for model in self.models]),
            ("recommendation for", [one.format for one in self.recommended]),
        ):
            twice = [word for word, count in Counter(words).items() if count > 1]
            yield from (f"the {what} {visible(word)} is there twice" for word in twice)
        formats = {variant.name: variant.format for variant in self.variants}
        for one in self.recommended:
            if formats.get(one.variant) != one.format:
                name = visible(one.variant)
                yield f"it recommends {name}, which is no {one.format} variant of it"
        if bool(self.register_id) != bool(self.serial):
            yield "register id and serial number are not both there"
        if max(self.preprocessing.height, self.preprocessing.width) > MOST_PIXELS:
            yield f"the model's input has over {MOST_PIXELS} pixels a side"
