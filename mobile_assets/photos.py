"""Decoding any photo that people really have into upright 8-bit sRGB."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from mobile_assets.errors import InputError
from mobile_assets.preprocessing import Preprocessing, resize

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif"}
)
"""File name endings that are taken for photos, in lower case."""

MAX_PIXELS = 200_000_000
"""Photos with more pixels are refused: they take over 600 MB to decode."""

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


def decode(path: Path | str) -> Image.Image:
    """Decodes a photo to upright 8-bit sRGB, transparent pixels over white.

    The first frame of an animation is taken. HEIC works when the caller has registered a HEIF
    plug-in with Pillow, as the command line does.

    Args:
        path: A photo in any format that Pillow reads.

    Returns:
        An RGB image.

    Raises:
        PhotoError: The file is missing, empty, truncated, no picture, or too large.
    """
    try:
        if os.path.getsize(path) == 0:
            raise PhotoError(path, "the file is empty (0 bytes)")
        with warnings.catch_warnings():
            # Pillow's own bomb warning comes at a lower limit; ours is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                return _upright_srgb(opened, path)
    except PhotoError:
        raise
    except Image.DecompressionBombError:
        raise PhotoError(path, f"more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except UnidentifiedImageError:
        raise PhotoError(path, _unidentified(path)) from None
    except FileNotFoundError:
        raise PhotoError(path, "there is no such file") from None
    except IsADirectoryError:
        raise PhotoError(path, "this is a folder, not a photo") from None
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, IndexError) as error:
        # Pillow's decoders raise all of these on broken files.
        raise PhotoError(path, _broken(error)) from None


def load(path: Path | str, contract: Preprocessing) -> NDArray[np.uint8]:
    """Decodes and squashes a photo as the contract says.

    Args:
        path: A photo.
        contract: The model's preprocessing contract.

    Returns:
        `[height, width, 3]` uint8, RGB, 0–255.

    Raises:
        PhotoError: The photo cannot be decoded.
    """
    return resize(decode(path), contract)


def _upright_srgb(opened: Image.Image, path: Path | str) -> Image.Image:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise PhotoError(
            path,
            f"{width}×{height} is more than {MAX_PIXELS // 1_000_000} megapixels",
        )
    opened.seek(0)
    opened.load()
    photo = ImageOps.exif_transpose(opened)
    return _to_srgb(_eight_bit(photo))


def _eight_bit(photo: Image.Image) -> Image.Image:
    """Scales 16-bit and floating-point greys to 8 bits; other modes pass unchanged."""
    if photo.mode in _WIDE_MODES:
        values = np.asarray(photo).astype(np.int64)
        # Mode "I" also carries 8-bit values; 16-bit ones are told by their range.
        scale = 257 if photo.mode != "I" or values.max(initial=0) > 255 else 1
        return Image.fromarray((values.clip(0, 65535) // scale).clip(0, 255).astype(np.uint8))
    if photo.mode == "F":
        greys = np.nan_to_num(np.asarray(photo, dtype=np.float32))
        scale_f = 255.0 if greys.max(initial=0.0) <= 1.0 else 1.0
        return Image.fromarray((greys * scale_f).clip(0, 255).astype(np.uint8))
    return photo


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
        return "not a readable HEIC photo (or the pillow-heif package is not installed)"
    return "not a picture, or its header is damaged"


def _broken(error: Exception) -> str:
    text = str(error).strip().rstrip(".").lower() or type(error).__name__
    return f"damaged ({text})" if "truncated" not in text else f"truncated ({text})"
