"""Decoding any photo that people really have into upright 8-bit sRGB."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from mobile_assets.errors import InputError
from mobile_assets.preprocessing import Preprocessing, resize

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif"}
)
"""File name endings that are taken for photos, in lower case."""

MAX_PIXELS = 200_000_000
"""Photos with more pixels are refused: they take over 600 MB to decode."""

REDUCED_AT_LEAST = 2
"""A JPEG that is decoded at a reduced scale keeps at least so many pixels per pixel of the model's
input, along each side; `load` says what that costs."""

_OPENING = threading.Lock()
_PHOTOMETRIC = 262
_WIDE_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


class PhotoError(InputError):
    """A photo cannot be decoded. `reason` is one short phrase, for tables."""

    def __init__(self, path: Path | str, reason: str) -> None:
        """Makes the message from the photo's path and the reason."""
        super().__init__(f"{path}: {reason}. Replace the photo or take it out.")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PhotoError], tuple[Path, str]]:
        """Lets the error cross from a worker process."""
        return (PhotoError, (self.path, self.reason))


def decode(path: Path | str, *, at_least: int | None = None) -> Image.Image:
    """Decodes a photo to upright 8-bit sRGB, transparent pixels over white.

    The first frame of an animation and the first page of a TIFF are taken. HEIC works when the
    caller has registered a HEIF plug-in with Pillow, as the command line does.

    Args:
        path: A photo in any format that Pillow reads.
        at_least: A JPEG may be decoded at a half, a quarter or an eighth of its scale, as long as
            both sides keep so many pixels; see `load`. None decodes every pixel.

    Returns:
        An RGB image.

    Raises:
        PhotoError: The file is missing, empty, truncated, no picture, or too large.
    """
    with opened_photo(path) as opened:
        return upright_srgb(opened, at_least=at_least)


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


@contextlib.contextmanager
def opened_photo(path: Path | str) -> Iterator[Image.Image]:
    """Opens a photo, its size checked and its pixels not yet decoded.

    Yields:
        Pillow's image at its first frame.

    Raises:
        PhotoError: The file is missing, empty, no picture or too large; also for whatever Pillow
            raises inside the block, where it decodes.
    """
    try:
        if os.path.getsize(path) == 0:
            raise PhotoError(path, "the file is empty (0 bytes)")
        with _open(path) as opened:
            _check_size(opened, path)
            opened.seek(0)
            yield opened
    except PhotoError:
        raise
    except UnidentifiedImageError:
        raise PhotoError(path, _unidentified(path)) from None
    except FileNotFoundError:
        raise PhotoError(path, "there is no such file") from None
    except IsADirectoryError:
        raise PhotoError(path, "this is a folder, not a photo") from None
    except PermissionError:
        raise PhotoError(path, "no permission to read it") from None
    except MemoryError:
        raise PhotoError(path, "decoding it takes more memory than there is") from None
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError) as error:
        # Pillow's decoders raise all of these on broken files.
        raise PhotoError(path, _broken(error)) from None


def upright_srgb(opened: Image.Image, *, at_least: int | None = None) -> Image.Image:
    """Decodes an opened photo; `decode` says how.

    Args:
        opened: From `opened_photo`, inside its block.
        at_least: As for `decode`.
    """
    if at_least is not None and isinstance(opened, JpegImageFile):
        opened.draft(None, (at_least, at_least))
    opened.load()
    inverted = _white_is_zero(opened)
    photo = _eight_bit(ImageOps.exif_transpose(opened))
    return _to_srgb(ImageOps.invert(photo) if inverted else photo)


def _open(path: Path | str) -> Image.Image:
    # Pillow's limit is lower than ours, and the check is ours: sensors of 200 megapixels exist.
    with _OPENING:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_size(opened: Image.Image, path: Path | str) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise PhotoError(
            path, f"{width}×{height} is more than {MAX_PIXELS // 1_000_000} megapixels"
        )


def _white_is_zero(opened: Image.Image) -> bool:
    """Whether a wide TIFF counts from white to black, which Pillow heeds in 8-bit ones only."""
    if not isinstance(opened, TiffImageFile) or opened.mode not in _WIDE_MODES:
        return False
    return bool(opened.tag_v2.get(_PHOTOMETRIC) == 0)


def _eight_bit(photo: Image.Image) -> Image.Image:
    """Scales 16-bit and floating-point greys to 8 bits; other modes pass unchanged."""
    if photo.mode == "F":
        greys = np.nan_to_num(np.asarray(photo, dtype=np.float32))
        greys *= 255.0 if greys.max(initial=0.0) <= 1.0 else 1.0
        return _grey(greys.clip(0, 255, out=greys).astype(np.uint8), photo)
    if photo.mode not in _WIDE_MODES:
        return photo
    values = np.asarray(photo)
    if photo.mode == "I":
        # Mode "I" carries 8, 16 and unsigned 32 bits, told by their range.
        unsigned = values.view(np.uint32)
        most = int(unsigned.max(initial=0))
        scale = 1 if most <= 255 else 257 if most <= 65535 else 1 << 24
        return _grey((unsigned // np.uint32(scale)).astype(np.uint8), photo)
    return _grey((values // 257).astype(np.uint8), photo)


def _grey(values: NDArray[np.uint8], source: Image.Image) -> Image.Image:
    made = Image.fromarray(values)
    if "icc_profile" in source.info:
        made.info["icc_profile"] = source.info["icc_profile"]
    return made


def _to_srgb(photo: Image.Image) -> Image.Image:
    """Converts any 8-bit mode to sRGB, obeying an embedded profile, over white."""
    has_alpha = photo.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in photo.info
    profile = photo.info.get("icc_profile")
    if has_alpha:
        with_alpha = photo.convert("RGBA")
        white = Image.new("RGBA", photo.size, (255, 255, 255, 255))
        flat = Image.alpha_composite(white, with_alpha).convert("RGB")
        return _apply_profile(flat, profile)
    if photo.mode in {"P", "1", "YCbCr", "HSV", "RGBX"}:
        photo = photo.convert("RGB")
    converted = _apply_profile(photo, profile)
    return converted if converted.mode == "RGB" else converted.convert("RGB")


def _apply_profile(photo: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts to sRGB by the embedded profile; a broken or unfitting one is ignored."""
    if not profile or photo.mode not in {"RGB", "CMYK", "L", "LAB"}:
        return photo
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        result = ImageCms.profileToProfile(photo, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return photo
    return photo if result is None else result


def _unidentified(path: Path | str) -> str:
    if Path(path).suffix.lower() in {".heic", ".heif"}:
        return (
            "not a readable HEIC photo, or the extra that reads them is not installed: "
            "pip install 'artefact-id[heic]'"
        )
    return "not a picture, or its header is damaged"


def _broken(error: Exception) -> str:
    text = str(error).strip().rstrip(".").lower() or type(error).__name__
    return f"damaged ({text})" if "truncated" not in text else f"truncated ({text})"
