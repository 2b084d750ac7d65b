"""The drawn photos of the golden vectors: what phones get wrong, one thing a photo.

They are drawn by this file alone, so they may be shipped with any bundle, and with the same
libraries they are the same bytes each time. All show one picture that has no symmetry and three
different colours, so that a turn, a mirror, a crop or an exchange of channels moves many pixels a
lot; and all but one are smooth, so that another good decoder or resampler moves them little.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobile_assets.golden import PixelTolerance

ORIENTATION = 0x0112
_SIZE = (160, 112)
_STRIPES = (4, 3)
"""How often the model's input fits into the striped photo, across and down."""
_DISCS = ((230, 300, 260), (830, 760, 300), (420, 900, 240))
"""Middle and radius of the red, the green and the blue disc, in thousandths."""

# A picture is stored so that its orientation's own transposition makes it upright again.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

_LOSSLESS = PixelTolerance(
    mean=0.05, largest=1, why="The file is lossless: every decoder gives these very pixels."
)
_JPEG = PixelTolerance(
    mean=1.0,
    largest=8,
    why="JPEG decoders round the inverse transform and the colour conversion in their own ways, "
    "by 1 or 2 levels each; the colours are not subsampled.",
)
_SUBSAMPLED = PixelTolerance(
    mean=2.0,
    largest=64,
    why="The colours are stored at half the size, and decoders enlarge them smoothly or in blocks: "
    "along the edges of colours single pixels differ by tens of levels, the mean does not.",
)
_CONVERTED = PixelTolerance(
    mean=2.5,
    largest=16,
    why="Colour engines differ in the precision of their curves and in rounding; left out "
    "altogether, the conversion misses by far more.",
)
_CMYK = PixelTolerance(
    mean=30.0,
    largest=255,
    why="The file names no ink profile, and systems assume different ones: what is asked is that "
    "the photo decodes, upright and neither inverted nor with exchanged colours.",
)
_BLENDED = PixelTolerance(
    mean=0.5, largest=3, why="Lossless; blending over white is rounded differently."
)


@dataclass(frozen=True)
class GoldenPhotoFile:
    """A photo that goes into a bundle's golden vectors.

    Attributes:
        decoding: How far another decoder may be from the upright sRGB pixels.
    """

    name: str
    file: str
    about: str
    content: bytes
    decoding: PixelTolerance


def drawn_photos(width: int, height: int) -> Iterator[GoldenPhotoFile]:
    """All drawn photos, in a fixed order.

    Args:
        width: The model's input width in pixels.
        height: The model's input height in pixels.
    """
    picture = Image.fromarray(_picture(*_SIZE))
    for orientation in range(1, 9):
        yield _turned(picture, orientation)
    striped = _striped(width * _STRIPES[0], height * _STRIPES[1])
    progressive = _jpeg(picture, subsampling="4:2:0", progressive=True, quality=90)
    for name, about, content, decoding in (
        ("wide-gamut", "Display P3 with its profile, as iPhones take: converted to sRGB.",
         _jpeg(picture, icc_profile=display_p3()), _CONVERTED),
        ("grey", "A JPEG of one channel: the three channels of the pixels are equal.",
         _jpeg(picture.convert("L")), _JPEG),
        ("transparent", "A PNG that fades out to one side: transparent pixels lie over white.",
         _png(_faded(picture)), _BLENDED),
        ("cmyk", "A JPEG for print, in four inks and without a profile.",
         _jpeg(picture.convert("CMYK")), _CMYK),
        ("subsampled", "A progressive JPEG with its colours at half the size, as most photos on "
         "the web are.", progressive, _SUBSAMPLED),
        ("large-reduction", "Fine stripes over the picture, several times the input's size: "
         "averaged they vanish, without antialiasing the photo becomes darker or brighter.",
         _png(striped), _LOSSLESS),
        ("enlargement", "Far fewer pixels than the input has: interpolated, not repeated.",
         _png(Image.fromarray(_picture(24, 18))), _LOSSLESS),
    ):  # fmt: skip
        file = "photo.png" if content.startswith(b"\x89PNG") else "photo.jpg"
        yield GoldenPhotoFile(name, file, about, content, decoding)


def _turned(picture: Image.Image, orientation: int) -> GoldenPhotoFile:
    stored = picture.transpose(_STORED[orientation]) if orientation in _STORED else picture
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return GoldenPhotoFile(
        f"orientation-{orientation}",
        "photo.jpg",
        f"EXIF orientation {orientation}: all eight give the same upright picture.",
        _jpeg(stored, exif=exif.tobytes()),
        _JPEG,
    )


def _picture(width: int, height: int) -> NDArray[np.uint8]:
    """A slope of colours with a red, a green and a blue disc, none of them in the middle.

    Whole numbers throughout, so that every machine draws the same.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    across, down = 1000 * x // width, 1000 * y // height
    slopes = (
        60 + 120 * across // 1000,
        170 - 110 * down // 1000,
        50 + 40 * (across + down) // 1000,
    )
    made = np.stack(slopes, axis=-1)
    for channel, (left, top, radius) in enumerate(_DISCS):
        distance = (across - left) ** 2 + (down - top) ** 2
        # A soft rim: hard edges are where decoders and resamplers differ.
        bump = 150 * np.maximum(radius**2 - distance, 0) // radius**2
        made -= bump[..., None] // 3
        made[..., channel] += bump + bump // 3
    return made.clip(0, 255).astype(np.uint8)


def _faded(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    alpha = (255 * np.arange(width) // (width - 1)).astype(np.uint8)
    made = picture.copy()
    made.putalpha(Image.fromarray(np.tile(alpha, (height, 1))))
    return made


def _striped(width: int, height: int) -> Image.Image:
    """The picture in blocks that compress well, some lines and columns brighter."""
    small = Image.fromarray(_picture(width // 8, height // 8))
    blocks = np.asarray(small.resize((width, height), Image.Resampling.NEAREST)).astype(np.int16)
    y, x = np.mgrid[0:height, 0:width]
    # As wide as what is averaged into one pixel: gone if averaged, a shift of brightness if not.
    stripes = 60 * (y % _STRIPES[1] == 0) - 20 + 60 * (x % _STRIPES[0] == 0) - 15
    return Image.fromarray((blocks + stripes[..., None]).clip(0, 255).astype(np.uint8))


def _jpeg(picture: Image.Image, **settings: object) -> bytes:
    chosen: dict[str, object] = {"quality": 95}
    if picture.mode == "RGB":
        chosen["subsampling"] = "4:4:4"
    return _saved(picture, "JPEG", chosen | settings)


def _png(picture: Image.Image) -> bytes:
    return _saved(picture, "PNG", {"compress_level": 9})


def _saved(picture: Image.Image, kind: str, settings: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def display_p3() -> bytes:
    """An ICC profile, version 2, with Display P3's primaries and a curve near its own."""
    xyz = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
        b"wtpt": (0.96420, 1.0, 0.82491),
    }
    parts = {
        name: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))
        for name, values in xyz.items()
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    parts |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    name = b"Display P3 primaries, gamma 2.2\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * 78
    parts[b"desc"] = description + b"\0" * (-len(description) % 4)
    parts[b"cprt"] = b"text\0\0\0\0No rights\0\0\0"
    return _profile(parts)


def _profile(parts: dict[bytes, bytes]) -> bytes:
    table, data = struct.pack(">I", len(parts)), b""
    begin = 128 + 4 + 12 * len(parts)
    for name, value in parts.items():
        table += name + struct.pack(">II", begin + len(data), len(value))
        data += value
    header = struct.pack(
        ">I4sI4s4s4s", begin + len(data), b"", 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + data
