"""Golden vectors: photos with the expected result of every stage.

The folder `golden/` of a bundle is made for unit tests on a phone, so everything in it can be read
without a library: pixels as raw bytes, probabilities as raw little-endian floats, the rest JSON.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from mobile_assets.bundle import Bundle
from mobile_assets.bundle_contents import MOST_VALUES, BundleContents
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.schema import Document, Record

GOLDEN_FOLDER = "golden"
GOLDEN_FILE = "golden.json"

Pixels = NDArray[np.uint8]
Probabilities = NDArray[np.float32]


class PixelTolerance(Record):
    """How far an app's pixels may be from the expected ones, in levels of 0–255.

    Attributes:
        mean: Largest mean of the absolute differences over all pixels and channels.
        largest: Largest single difference.
        why: What the differences that are allowed come from.
    """

    mean: float = Field(ge=0)
    largest: float = Field(ge=0)
    why: str


class AnswerTolerance(Record):
    """How far probabilities may be from the expected ones.

    Attributes:
        share: Largest difference of any probability, as a share of the highest expected one. A
            network whose logits move by d moves a probability p by 2·d·p at most, so one number
            serves a confident answer and one spread over thousands of objects.
        why: What the differences that are allowed come from.
    """

    share: float = Field(ge=0)
    why: str


class GoldenPhoto(Record):
    """One photo and what becomes of it.

    Attributes:
        name: Its folder's name.
        about: What it tests.
        photo: Path of the photo as a camera or an upload would give it. All paths are relative to
            the folder of `golden.json`.
        width: Width in pixels when decoded and upright.
        height: Its height.
        decoded: PNG of the upright sRGB pixels; None for a photo that is too large to hold twice.
        resized: PNG of the model's input.
        tensor: The same as raw bytes: rows from the top, pixels from the left; red, green, blue.
        decoding: Allowed between `decoded` and an app's decoded pixels.
        resizing: Allowed between `tensor` and what an app makes of the decoded pixels.
        answering: Allowed between the expected probabilities and those that an app gets from its
            own pixels, in addition to the variant's `from_tensor`.
    """

    name: str
    about: str
    photo: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    decoded: str | None
    resized: str
    tensor: str
    decoding: PixelTolerance
    resizing: PixelTolerance
    answering: AnswerTolerance


class TopObjects(Record):
    """The best objects of one photo: class indices and probabilities, best first."""

    photo: str
    indices: tuple[int, ...]
    probabilities: tuple[float, ...]


class GoldenVariant(Record):
    """What one variant answers.

    Attributes:
        variant: Its name.
        runtime: What computed it.
        probabilities: Path of the raw answers: little-endian float32, one row of as many values as
            there are objects per photo, in the order of `photos`.
        from_tensor: Allowed when the runtime is given the golden tensor and computes on a CPU.
        on_accelerator: Allowed instead when a GPU or neural engine computes.
        best: The best objects of each photo, for the eye.
    """

    variant: str
    runtime: str
    probabilities: str
    from_tensor: AnswerTolerance
    on_accelerator: AnswerTolerance
    best: tuple[TopObjects, ...]


class GoldenEmbedding(Record):
    """What one embedding model answers.

    Attributes:
        model: Its name.
        runtime: What computed it.
        rows: Path of the raw answers: little-endian float32, one row of `dimensions` values per
            photo, in the order of `photos`.
        dimensions: Values of a row.
        least_cosine: What the cosine with the expected row must reach for the golden tensor.
        why: What the differences that are allowed come from.
    """

    model: str
    runtime: str
    rows: str
    dimensions: int = Field(gt=0)
    least_cosine: float = Field(gt=0, le=1)
    why: str


class Golden(Document):
    """The content of `golden.json`.

    Attributes:
        how: How to use the folder, in sentences.
        width: Width of the tensors in pixels.
        height: Their height.
        objects: How many probabilities an answer has.
        photos: In the order of the rows of every variant's probabilities.
        variants: Those that something here could execute.
        left_out: Names of the others, with the reason.
        embeddings: Those of the embedding models that something here could execute.
    """

    how: tuple[str, ...]
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    objects: int = Field(ge=2)
    photos: tuple[GoldenPhoto, ...]
    variants: tuple[GoldenVariant, ...]
    left_out: dict[str, str]
    embeddings: tuple[GoldenEmbedding, ...] = ()


@dataclass(frozen=True)
class GoldenVectors:
    """Golden vectors on disk. What it gives is read when it is asked for.

    Attributes:
        folder: The `golden` folder.
        contents: Of the bundle, whose list has the hash of every file.
    """

    folder: Path
    info: Golden
    contents: BundleContents

    @classmethod
    def read(cls, bundle: Bundle) -> GoldenVectors:
        """Reads the description of a bundle's golden vectors.

        Args:
            bundle: From `read_bundle`.

        Raises:
            DamagedError: It is missing, changed, damaged, or of another schema version.
        """
        contents = bundle.contents or BundleContents(bundle.folder, bundle.info.files)
        name = f"{GOLDEN_FOLDER}/{GOLDEN_FILE}"
        info = Golden.parse(contents.read(name), bundle.folder / name, most_values=MOST_VALUES)
        return cls(bundle.folder / GOLDEN_FOLDER, info, contents)

    def photo(self, name: str) -> GoldenPhoto:
        """The photo of that name.

        Raises:
            InputError: There is none; the message lists those there are.
        """
        for photo in self.info.photos:
            if photo.name == name:
                return photo
        known = ", ".join(photo.name for photo in self.info.photos)
        raise InputError(f"There is no golden photo {name!r}. Choose among: {known}.")

    def variant(self, name: str) -> GoldenVariant:
        """What a variant answers.

        Raises:
            InputError: There are no answers of it; the message lists those there are.
        """
        for variant in self.info.variants:
            if variant.variant == name:
                return variant
        known = ", ".join(variant.variant for variant in self.info.variants) or "none"
        raise InputError(f"There are no golden answers of {name!r}. There are: {known}.")

    def path(self, photo: GoldenPhoto) -> Path:
        """The photo's file, in a private copy.

        Raises:
            DamagedError: It is missing or changed.
        """
        return self.contents.copy(f"{GOLDEN_FOLDER}/{photo.photo}")

    def decoded(self, photo: GoldenPhoto) -> Pixels | None:
        """Upright sRGB pixels `[height, width, 3]`; None where they are not held.

        Raises:
            DamagedError: The file is missing, damaged or of another size.
        """
        if photo.decoded is None:
            return None
        return self._png(photo.decoded, (photo.height, photo.width, 3))

    def resized(self, photo: GoldenPhoto) -> Pixels:
        """The model's input as it stands in the PNG, `[H, W, 3]` uint8.

        Raises:
            DamagedError: The file is missing, damaged or of another size.
        """
        return self._png(photo.resized, (self.info.height, self.info.width, 3))

    def tensor(self, photo: GoldenPhoto) -> Pixels:
        """The model's input as it stands in the raw bytes, `[H, W, 3]` uint8.

        Raises:
            DamagedError: The file is missing or of another size.
        """
        values = np.frombuffer(self._bytes(photo.tensor), dtype=np.uint8)
        shape = (self.info.height, self.info.width, 3)
        if values.size != math.prod(shape):
            raise DamagedError(
                f"{self.folder / photo.tensor} holds {values.size} bytes, not those of {shape}: "
                "export the bundle again."
            )
        return values.reshape(shape)

    @cached_property
    def tensors(self) -> Pixels:
        """All tensors, `[photos, H, W, 3]` uint8."""
        return np.stack([self.tensor(photo) for photo in self.info.photos])

    def expected(self, variant: GoldenVariant) -> Probabilities:
        """A variant's probabilities, `[photos, objects]` float32.

        Raises:
            DamagedError: The file is missing or of another size.
        """
        values = np.frombuffer(self._bytes(variant.probabilities), dtype="<f4")
        shape = (len(self.info.photos), self.info.objects)
        if values.size != math.prod(shape):
            raise DamagedError(
                f"{self.folder / variant.probabilities} holds {values.size} numbers, not "
                f"{shape[0]} × {shape[1]}: export the bundle again."
            )
        return values.reshape(shape).astype(np.float32)

    def embedding(self, golden: GoldenEmbedding) -> NDArray[np.float32]:
        """An embedding model's rows, `[photos, dimensions]` float32.

        Raises:
            DamagedError: The file is missing or of another size.
        """
        values = np.frombuffer(self._bytes(golden.rows), dtype="<f4")
        shape = (len(self.info.photos), golden.dimensions)
        if values.size != math.prod(shape):
            raise DamagedError(
                f"{self.folder / golden.rows} holds {values.size} numbers, not "
                f"{shape[0]} × {shape[1]}: export the bundle again."
            )
        return values.reshape(shape).astype(np.float32)

    def _bytes(self, file: str) -> bytes:
        return self.contents.read(f"{GOLDEN_FOLDER}/{file}")

    def _png(self, file: str, shape: tuple[int, ...]) -> Pixels:
        content = self._bytes(file)
        try:
            with Image.open(io.BytesIO(content), formats=("PNG",)) as opened:
                # Looked at before it is decoded: a small file can hold a huge picture.
                size = (opened.height, opened.width)
                pixels = np.asarray(opened.convert("RGB")) if size == shape[:2] else None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DamagedError(
                f"{self.folder / file} cannot be read ({error}): export the bundle again."
            ) from None
        if pixels is None:
            raise DamagedError(
                f"{self.folder / file} is of size {size} instead of {shape[:2]}: export the bundle "
                "again."
            )
        return pixels


def pixels_differ(
    pixels: NDArray[np.generic], expected: Pixels, tolerance: PixelTolerance
) -> str | None:
    """How an app's pixels differ; None if they are within the tolerance.

    Args:
        pixels: `[H, W, 3]` of any type of numbers.
        expected: `[H, W, 3]` uint8.
        tolerance: What is allowed.
    """
    if pixels.shape != expected.shape:
        return f"of shape {pixels.shape} instead of {expected.shape}"
    distances = np.abs(pixels.astype(np.float64) - expected)
    mean, largest = float(distances.mean()), float(distances.max())
    # Written so that a NaN is a difference.
    if mean <= tolerance.mean and largest <= tolerance.largest:
        return None
    return (
        f"off by {mean:.2f} levels on average and {largest:.0f} at most (allowed: "
        f"{tolerance.mean:g} and {tolerance.largest:g})"
    )


def answer_share(answer: Probabilities, expected: Probabilities) -> float:
    """Largest difference of any probability as a share of the highest expected one.

    Args:
        answer: `[objects]`.
        expected: `[objects]`.
    """
    return float(np.abs(answer.astype(np.float64) - expected).max() / expected.max())


def answers_differ(answer: Probabilities, expected: Probabilities, allowed: float) -> str | None:
    """How probabilities `[objects]` differ; None if by no more than the allowed share."""
    if answer.shape != expected.shape:
        return f"of shape {answer.shape} instead of {expected.shape}"
    share = answer_share(answer, expected)
    if share <= allowed:
        return None
    return (
        f"a probability is off by {share:.2%} of the highest expected one (allowed: {allowed:.2%})"
    )
