"""The preprocessing contract: how a photo becomes the pixels that every model of ours reads."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, field_validator

from mobile_assets.schema import Record

Channels = tuple[float, float, float]


class Preprocessing(Record):
    """What is done to a photo before the network, as data; stored in every run and bundle.

    A photo is decoded, turned upright by its EXIF orientation and converted to 8-bit sRGB
    (`mobile_assets.photos`), squashed to `height` × `width` with antialiased bilinear resampling
    and without cropping (`resize`), and handed over as RGB 0–255. The normalisation
    `(rgb / 255 - mean) / std` is part of the exported graph and never done by an app.

    Attributes:
        height: Input height in pixels.
        width: Input width in pixels.
        mean: Per-channel mean, red, green, blue, of values in 0–1.
        std: Per-channel standard deviation, red, green, blue, of values in 0–1.
        network_colour: The order in which the network itself reads the channels; the exported graph
            swaps them, an app hands over RGB whatever it says.
    """

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    mean: Channels
    std: Channels
    colour: Literal["RGB"] = "RGB"
    network_colour: Literal["RGB", "BGR"] = "RGB"
    value_range: tuple[int, int] = (0, 255)
    resize: Literal["squash"] = "squash"
    resampling: Literal["bilinear-antialiased"] = "bilinear-antialiased"
    orientation: Literal["exif-upright"] = "exif-upright"
    transparency: Literal["over-white"] = "over-white"

    @field_validator("value_range")
    @classmethod
    def _bytes(cls, value: tuple[int, int]) -> tuple[int, int]:
        """The one range there is. A `Literal[0]` would take `false` and `0.0` as well."""
        if value != (0, 255):
            raise ValueError("the range of values is 0 to 255")
        return value


def resize(photo: Image.Image, contract: Preprocessing) -> NDArray[np.uint8]:
    """Squashes an upright RGB photo to the input size.

    Args:
        photo: An RGB photo of any size, from `mobile_assets.photos.decode`.
        contract: The model's preprocessing contract.

    Returns:
        `[height, width, 3]` uint8, RGB, 0–255.
    """
    # Pillow's BILINEAR widens its triangle filter with the scale, which is what antialiases.
    size = (contract.width, contract.height)
    return np.asarray(photo.resize(size, Image.Resampling.BILINEAR), dtype=np.uint8)
