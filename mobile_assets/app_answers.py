"""What an app's own test writes down of the golden photos: the file that `explain --golden` reads.

The file comes from a phone, so everything in it is checked: types, sizes, names of files.
"""

from __future__ import annotations

import base64
import binascii
import zipfile
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from mobile_assets.decision import Verdict
from mobile_assets.errors import InputError
from mobile_assets.photos import MAX_PIXELS
from mobile_assets.schema import Record

MAX_BYTES = 128 * 2**20
"""Larger JSON files are refused: pixels of that many photos belong into files beside it."""

NAME_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
"""Names of files beside the JSON: no folder, no drive, nothing hidden."""

_NUMPY_HEADER = 4096
"""A `.npy` file is at most so much longer than its values."""

Values = NDArray[np.uint8] | NDArray[np.int8] | NDArray[np.float32]


class ImageData(Record):
    """Three channels of a picture: rows from the top, pixels from the left; red, green, blue.

    Attributes:
        width: In pixels.
        height: In pixels.
        dtype: Type of each value, little-endian.
        base64: The raw values. Either this or `file`.
        file: Name of a file beside the JSON: the raw values, or `.npy` of `[height, width, 3]`.
    """

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    dtype: Literal["uint8", "int8", "float32"] = "uint8"
    base64: str | None = None
    file: str | None = Field(default=None, pattern=NAME_PATTERN)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.base64 is None) == (self.file is None):
            raise ValueError("give either base64 or file")
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(f"more than {MAX_PIXELS // 1_000_000} megapixels")
        return self

    def read(self, folder: Path) -> Values:
        """The values, `[height, width, 3]`.

        Args:
            folder: Where the JSON lies.

        Raises:
            InputError: The file is missing, a link, or holds something else than is declared.
        """
        shape, dtype = (self.height, self.width, 3), np.dtype(self.dtype).newbyteorder("<")
        length = self.height * self.width * 3 * dtype.itemsize
        if self.file is None:
            return _from_base64(self.base64 or "", length).view(dtype).reshape(shape)
        path = folder / self.file
        if path.is_symlink() or not path.is_file():
            raise InputError(
                f"{path}: there is no such file beside the answers, or it is a link. "
                "Copy it from the phone together with the JSON."
            )
        numpy_file = path.suffix == ".npy"
        size = path.stat().st_size
        if not length <= size <= length + (_NUMPY_HEADER if numpy_file else 0):
            raise InputError(
                f"{path} holds {size} bytes; {self.width} × {self.height} × 3 values of "
                f"{self.dtype} are {length}. Correct width, height and dtype, or the file."
            )
        if numpy_file:
            return _from_numpy_file(path, shape, dtype)
        return np.frombuffer(path.read_bytes(), dtype).reshape(shape)


class PhotoAnswers(Record):
    """What an app made of one golden photo. What it cannot show is left out.

    Attributes:
        photo: The golden photo's name.
        pixels: Decoded and upright, before resizing; uint8.
        resized: Brought to the model's input size, before any arithmetic; uint8.
        input: What is handed to the model, in the type of its input tensor.
        probabilities: What comes out of the model, one per object, in class order.
        label: The object id that the app shows as the best.
        verdict: What the app calls the answer.
    """

    photo: str
    pixels: ImageData | None = None
    resized: ImageData | None = None
    input: ImageData | None = None
    probabilities: tuple[float, ...] | None = Field(default=None, min_length=1)
    label: str | None = None
    verdict: Verdict | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.model_fields_set <= {"photo"}:
            raise ValueError("nothing but a name; give at least one of the app's results")
        for image in (self.pixels, self.resized):
            if image is not None and image.dtype != "uint8":
                raise ValueError("pixels and resized are uint8; other types belong into input")
        return self


class AppAnswers(Record):
    """An app's results for the golden photos of one variant.

    Attributes:
        schema_version: Of this file.
        variant: The variant that the app runs, such as `tflite-int8`.
        accelerator: Whether a GPU or neural engine computed, for which more is allowed.
        labels: The object ids that the app puts to the classes, in its order.
        photos: One entry per golden photo.
        left_out: Golden photos that the app was not tried on, with the reason.
    """

    schema_version: Literal[1]
    variant: str
    accelerator: bool = False
    labels: tuple[str, ...] | None = None
    photos: tuple[PhotoAnswers, ...] = Field(min_length=1)
    left_out: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> AppAnswers:
        """Reads and validates the JSON.

        Raises:
            InputError: It is missing, too large, or not of this form; the message says where.
        """
        if not path.is_file():
            raise InputError(
                f"{path} is not a file. Give the JSON that the app's test wrote; "
                "`artefact-id explain --help` shows its form."
            )
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                f"{path} is {size / 2**20:.0f} MiB large, more than {MAX_BYTES // 2**20}. "
                "Write pixels into files beside it, and name those with `file`."
            )
        try:
            return cls.model_validate_json(path.read_bytes(), strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the top level"
            raise InputError(
                f"{path} does not hold an app's answers: {first['msg']} (at {where}). "
                "Correct what the app's test writes; `artefact-id explain --help` shows the form."
            ) from None

    def check_photos(self, golden: tuple[str, ...]) -> None:
        """Every golden photo is answered or left out with a reason, once.

        Args:
            golden: Names of the golden photos.

        Raises:
            InputError: Some are missing, unknown or given twice.
        """
        names = [*(answers.photo for answers in self.photos), *self.left_out]
        unknown = sorted(set(names) - set(golden))
        missing = [name for name in golden if name not in names]
        twice = sorted({name for name in names if names.count(name) > 1})
        problems = (("unknown", unknown), ("given twice", twice), ("missing", missing))
        for problem, photos in problems:
            if photos:
                raise InputError(
                    f"Golden photos are {problem} in the app's answers: {', '.join(photos)}. "
                    "Give each of the bundle's golden photos once, or the reason in `left_out`."
                )


def _from_base64(text: str, length: int) -> NDArray[np.uint8]:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"Pixels of the app's answers are not base64 ({error}). Encode the raw bytes."
        ) from None
    if len(content) != length:
        raise InputError(
            f"base64 pixels of the app's answers are {len(content)} bytes instead of {length}. "
            "Correct width, height and dtype, or the bytes."
        )
    return np.frombuffer(content, np.uint8)


def _from_numpy_file(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Values:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a .npy file of numbers ({error}).") from None
    if not isinstance(values, np.ndarray) or values.shape != shape or values.dtype != dtype:
        form = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else "an archive"
        raise InputError(f"{path} holds {form} instead of {dtype} {shape}. Correct the one or it.")
    return values
