"""Decoding any photo that people really have into upright 8-bit sRGB.

The contract, format by format, is in `mobile_assets/README.md`; the parts are in
`mobile_assets.photo_decoding`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.photo_decoding.errors import PhotoError
from mobile_assets.photo_decoding.formats import PHOTO_FORMATS, PHOTO_SUFFIXES, is_photo_file
from mobile_assets.photo_decoding.limits import MAX_PIXELS
from mobile_assets.photo_decoding.reading import DecodedPhoto, read_photo, takes_bounded_time
from mobile_assets.preprocessing import Preprocessing, resize

__all__ = [
    "MAX_PIXELS",
    "PHOTO_FORMATS",
    "PHOTO_SUFFIXES",
    "REDUCED_AT_LEAST",
    "DecodedPhoto",
    "PhotoError",
    "decode",
    "enough",
    "is_photo_file",
    "load",
    "read_photo",
    "takes_bounded_time",
]

REDUCED_AT_LEAST = 2
"""A JPEG that is decoded at a reduced scale keeps at least so many pixels per pixel of the model's
input, along each side; `load` says what that costs."""


def decode(path: Path | str, *, at_least: int | None = None) -> Image.Image:
    """Decodes a photo to upright 8-bit sRGB, transparent pixels over white.

    Of several pictures in a file the one counts that phones show: the first page of a TIFF, the
    first frame of an animation, the primary picture of HEIC, AVIF and MPO. HEIC works when the
    caller has registered a HEIF plug-in with Pillow, as the command line does. A photo of more than
    64 megapixels is decoded at half its size, so that memory is bounded.

    Args:
        path: A photo of one of `PHOTO_FORMATS`, told by its content, whatever its name.
        at_least: A JPEG may be decoded at a half, a quarter or an eighth of its scale, as long as
            both sides keep so many pixels; see `load`. None decodes every pixel.

    Returns:
        An RGB image.

    Raises:
        PhotoError: The file is missing, empty, truncated, no picture, or too large; or its decoder
            failed in any other way.
    """
    return read_photo(path, at_least=at_least).image


def load(path: Path | str, contract: Preprocessing, *, reduced: bool = False) -> NDArray[np.uint8]:
    """Decodes and squashes a photo as the contract says.

    With `reduced`, JPEGs are decoded at the smallest scale that leaves at least twice the
    contract's pixels along both sides. At 224 pixels that takes a third of the time of a
    12-megapixel photo and moves pixels by 0.2 to 0.3 grey levels on average, 3 at most on the
    sharpest of pictures (53 to 56 dB); at 600 pixels by 0.2 to 0.4 and 6 at most.

    Args:
        path: A photo.
        contract: The model's preprocessing contract.
        reduced: False for the contract to the letter, as the phone and the benchmarks do it.

    Returns:
        `[height, width, 3]` uint8, RGB, 0–255.

    Raises:
        PhotoError: The photo cannot be decoded.
    """
    return resize(decode(path, at_least=enough(contract) if reduced else None), contract)


def enough(contract: Preprocessing) -> int:
    """Pixels along both sides of which a reduced photo keeps at least so many."""
    # Photos that stand on their side are reduced before they are turned, hence the longer side.
    return REDUCED_AT_LEAST * max(contract.height, contract.width)
