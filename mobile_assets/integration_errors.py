"""Errors in apps before the network, as what they hand to it.

The one list: the benchmarks measure what each costs, and `golden_diagnosis` recognises them.

Errors of range make floats, as an app hands them to a float32 input. An app whose model takes bytes
casts them; what that leaves is `as_bytes`.
"""

from __future__ import annotations

import io
from functools import partial

import numpy as np
from PIL import Image

from mobile_assets.input_pipeline import (
    BLACK,
    GREY,
    Floats,
    InputPipeline,
    IntegrationError,
    Pixels,
    Resample,
    Values,
    centred,
    letterboxed,
    rounded,
)
from mobile_assets.preprocessing import Preprocessing, resize

BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)
"""Shares of red and blue in brightness, by ITU-R BT.601 (JPEG, cameras) and BT.709 (HD video)."""

THUMBNAIL = 160
"""Longer side in pixels of the preview inside a photo's EXIF data (DCF 2.0: 160 × 120)."""

IMAGENET_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
IMAGENET_STD = np.array((0.229, 0.224, 0.225), np.float32)
"""Mean and standard deviation per channel that most tutorials normalise with, of values in 0–1."""

_VIDEO = np.array((219 / 255, 224 / 255, 224 / 255), np.float32)
_BLACK = np.array((16, 0, 0), np.float32)
"""Range and black of video's YUV."""

_EVALUATION_CROP = 224 / 256
"""Share of the side that ImageNet's usual evaluation keeps."""

_SRGB_TO_P3 = np.array(
    ((0.82246197, 0.17753803, 0.0), (0.03319420, 0.96680580, 0.0),
     (0.01708263, 0.07239744, 0.91051993)), np.float32,
)  # fmt: skip
"""Amounts of light of sRGB's primaries in those of Display P3; both have the white point D65."""


def as_bytes(values: Values) -> Pixels:
    """What a cast to bytes leaves, as Java, Kotlin and C do it: cut towards 0, modulo 256.

    Of 0–1 that is 0, and 1 where a channel is full: almost black. Of −1–1 nearly all is 0, too.
    """
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    return np.asarray(np.trunc(values).astype(np.int64) & 255, dtype=np.uint8)


# --- geometry -------------------------------------------------------------------------------------


def on_its_side(photo: Image.Image, contract: Preprocessing, *, turn: Image.Transpose) -> Pixels:
    """The file holds the photo on its side, and the app does not heed EXIF's orientation."""
    return resize(photo.transpose(turn), contract)


def cropped(photo: Image.Image, contract: Preprocessing, *, share: float) -> Pixels:
    """The middle: a part of the input's shape, cut down to a share of its sides."""
    left, top, right, bottom = centred(photo, contract)
    x, y = (right - left) * (1 - share) / 2, (bottom - top) * (1 - share) / 2
    size = (contract.width, contract.height)
    box = (left + x, top + y, right - x, bottom - y)
    return np.asarray(photo.resize(size, Image.Resampling.BILINEAR, box=box))


def cut_out(photo: Image.Image, contract: Preprocessing) -> Pixels:
    """The middle pixels without any scaling, black around a photo that has fewer."""
    canvas = Image.new("RGB", (contract.width, contract.height))
    corner = (contract.width - photo.width) // 2, (contract.height - photo.height) // 2
    canvas.paste(photo, corner)
    return np.asarray(canvas)


def thumbnail(photo: Image.Image, contract: Preprocessing) -> Pixels:
    """The preview inside the file, a JPEG of middling quality, scaled up."""
    small = photo.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR, reducing_gap=None)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=75)
    with Image.open(file, formats=("JPEG",)) as preview:
        return resize(preview.convert("RGB"), contract)


# --- order of values ------------------------------------------------------------------------------


def flipped(pixels: Pixels, _contract: Preprocessing, *, axes: tuple[int, ...]) -> Values:
    """Mirrored along axes: 0 upside down, 1 left to right, 2 red to blue."""
    return np.flip(pixels, axes)


def alpha_first(pixels: Pixels, _contract: Preprocessing) -> Values:
    """ARGB read as RGB: alpha, which is full, for red, red for green, green for blue."""
    alpha = np.full_like(pixels[..., :1], 255)
    return np.concatenate((alpha, pixels[..., :2]), axis=2)


def planes_first(pixels: Pixels, _contract: Preprocessing) -> Values:
    """A plane of each channel handed over where pixels are expected."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(pixels.shape)


def grey(pixels: Pixels, _contract: Preprocessing) -> Values:
    """Brightness (BT.601) in all three channels."""
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


# --- range ----------------------------------------------------------------------------------------


def scaled(pixels: Pixels, _contract: Preprocessing, *, scale: float, offset: float) -> Values:
    """Each value times a scale, plus an offset."""
    return pixels.astype(np.float32) * np.float32(scale) + np.float32(offset)


def normalised(pixels: Pixels, _contract: Preprocessing) -> Values:
    """ImageNet's mean and deviation, which the graph does not ask for or does itself."""
    values: Floats = (pixels.astype(np.float32) / np.float32(255) - IMAGENET_MEAN) / IMAGENET_STD
    return values


def normalised_as_in_the_graph(pixels: Pixels, contract: Preprocessing) -> Values:
    """The model's own mean and deviation, which its graph applies a second time."""
    mean, std = (np.array(channels, np.float32) for channels in (contract.mean, contract.std))
    values: Floats = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return values


# --- colour ---------------------------------------------------------------------------------------


def to_yuv(pixels: Pixels, matrix: tuple[float, float]) -> Floats:
    """Brightness 0–255 and two differences of colour around 0, full range."""
    red, blue = matrix
    rgb = pixels.astype(np.float32)
    y = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    u, v = (rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))
    return np.stack((y, u, v), axis=2)


def from_yuv(yuv: Floats, matrix: tuple[float, float]) -> Pixels:
    """Back to RGB, 0–255, what lies outside cut off."""
    red, blue = matrix
    y, u, v = np.moveaxis(yuv, 2, 0)
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return rounded(np.stack((r, g, b), axis=2))


def full_as_limited(pixels: Pixels, _contract: Preprocessing) -> Values:
    """A camera's full-range YUV read as video's: black below 16, white above 235."""
    yuv = to_yuv(pixels, BT601)
    return from_yuv((yuv - _BLACK) / _VIDEO, BT601)


def limited_as_full(pixels: Pixels, _contract: Preprocessing) -> Values:
    """Video's YUV read as full range: no black, no white."""
    yuv = to_yuv(pixels, BT601)
    return from_yuv(yuv * _VIDEO + _BLACK, BT601)


def other_matrix(pixels: Pixels, _contract: Preprocessing) -> Values:
    """BT.601, as cameras write it, read by the matrix of BT.709."""
    return from_yuv(to_yuv(pixels, BT601), BT709)


def swapped_chroma(pixels: Pixels, _contract: Preprocessing) -> Values:
    """NV21 read as NV12: U for V."""
    return from_yuv(to_yuv(pixels, BT601)[..., [0, 2, 1]], BT601)


def wide_gamut(pixels: Pixels, _contract: Preprocessing) -> Values:
    """The file holds Display P3, as iPhones write it, and the app ignores its profile."""
    share = pixels.astype(np.float32) / np.float32(255)
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    p3 = (light.astype(np.float32) @ _SRGB_TO_P3.T).clip(0, 1)
    curve = np.where(p3 <= 0.0031308, 12.92 * p3, 1.055 * p3 ** (1 / 2.4) - 0.055)
    return rounded((255 * curve).astype(np.float32))


def _photo(name: str, what: str, resample: Resample) -> InputPipeline:
    return InputPipeline("mistake", name, what, resample=resample)


def _pixels(name: str, what: str, distort: IntegrationError) -> InputPipeline:
    return InputPipeline("mistake", name, what, distort=distort)


INTEGRATION_ERRORS: tuple[InputPipeline, ...] = (
    _photo("rotated-left", "EXIF orientation 6 not heeded: a quarter turn to the left",
           partial(on_its_side, turn=Image.Transpose.ROTATE_90)),
    _photo("rotated-right", "EXIF orientation 8 not heeded: a quarter turn to the right",
           partial(on_its_side, turn=Image.Transpose.ROTATE_270)),
    _pixels("upside-down", "EXIF orientation 3 not heeded: half a turn",
            partial(flipped, axes=(0, 1))),
    _pixels("mirrored", "Mirrored left to right, as a front camera shows it",
            partial(flipped, axes=(1,))),
    _pixels("bgr", "Red and blue swapped", partial(flipped, axes=(2,))),
    _pixels("alpha-first", "ARGB read as RGB", alpha_first),
    _pixels("planes-first", "NCHW handed over for NHWC", planes_first),
    _pixels("grey", "Brightness in all three channels", grey),
    _pixels("zero-to-one", "0 to 1 instead of 0 to 255", partial(scaled, scale=1 / 255, offset=0)),
    _pixels("minus-one-to-one", "-1 to 1 instead of 0 to 255",
            partial(scaled, scale=1 / 127.5, offset=-1)),
    _pixels("imagenet-normalised", "ImageNet's mean and deviation on top of the graph's own",
            normalised),
    _pixels("int8-shift", "128 subtracted, as for an int8 input",
            partial(scaled, scale=1, offset=-128)),
    _photo("centre-crop", "Long side cut instead of squashed", partial(cropped, share=1)),
    _photo("evaluation-crop", "Cut to the middle 87.5 % of that, as in ImageNet's evaluation",
           partial(cropped, share=_EVALUATION_CROP)),
    _photo("letterbox-black", "Own shape kept, black beside it", partial(letterboxed, fill=BLACK)),
    _photo("letterbox-grey", "Own shape kept, grey beside it", partial(letterboxed, fill=GREY)),
    _photo("not-scaled", "Middle pixels cut out of the full photo, as ResizeWithCropOrPadOp alone "
           "does", cut_out),
    _photo("thumbnail", "Preview in the EXIF data instead of the photo", thumbnail),
    _pixels("yuv-full-as-limited", "Camera's full-range YUV read as video's", full_as_limited),
    _pixels("yuv-limited-as-full", "Video's YUV read as full range", limited_as_full),
    _pixels("yuv-bt709", "YUV of BT.601 read by the matrix of BT.709", other_matrix),
    _pixels("yuv-chroma-swapped", "NV21 read as NV12: U and V swapped", swapped_chroma),
    _pixels("display-p3", "Display P3 pixels taken for sRGB", wide_gamut),
)  # fmt: skip
"""Errors seen in apps, in the order of the tables."""

DOUBLE_NORMALISATION = _pixels(
    "graph-normalised",
    "The model's own mean and deviation, which its graph applies again",
    normalised_as_in_the_graph,
)
"""Recognised in an app, but not measured: for most networks it is one of the errors above."""
