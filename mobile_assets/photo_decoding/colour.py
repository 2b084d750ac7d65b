"""Conversion of decoded pixels to opaque 8-bit sRGB."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from mobile_assets.photo_decoding.colour_tags import (
    ColourTags,
    icc_profile,
    srgb_bytes,
    srgb_light,
)

_MOST_PROFILE = 1 << 24
_WITH_ALPHA = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})
_GREY = frozenset({"1", "L", "LA", "La"})
_PROFILED = frozenset({"RGB", "CMYK", "L", "LAB"})


class ToSrgb:
    """Makes 8-bit sRGB of pictures of one photo, whole or in bands.

    Transparent pixels are put over white, in the colours of the file. A profile that is broken, or
    of another kind than the pixels (of CMYK for RGB, say), is ignored.
    """

    def __init__(self, tags: ColourTags) -> None:
        """Takes what the file says about its colours."""
        self._tags = tags
        self._transforms: dict[str, Any] = {}
        light = tags.light()
        self._light = None if light is None else srgb_bytes(light).tolist()
        if tags.chromaticities is not None:
            curve = srgb_light(np.arange(256) / 255) if light is None else light
            self._profile: bytes | None = icc_profile(tags.chromaticities, curve)
        else:
            self._profile = tags.profile

    def changes(self, photo: Image.Image) -> bool:
        """Whether a picture has to be converted at all."""
        if photo.mode != "RGB" or has_alpha(photo):
            return True
        return self._profile is not None or self._light is not None

    def __call__(self, photo: Image.Image) -> Image.Image:
        """Converts any 8-bit mode of Pillow's; the result is RGB."""
        opaque = _over_white(photo) if has_alpha(photo) else photo
        if opaque.mode == "1":
            opaque = opaque.convert("L")
        elif opaque.mode not in _PROFILED:
            opaque = opaque.convert("RGB")
        # Primaries say nothing about greys, whose curve is all there is.
        if self._light is not None and (opaque.mode == "L" or self._tags.chromaticities is None):
            if opaque.mode in ("L", "RGB"):
                opaque = opaque.point(self._light * len(opaque.getbands()))
        elif (transform := self._transform(opaque.mode)) is not None:
            opaque = ImageCms.applyTransform(opaque, transform) or opaque
        return opaque if opaque.mode == "RGB" else opaque.convert("RGB")

    def _transform(self, mode: str) -> Any:
        """The conversion of a mode by the profile; None where it is taken for sRGB."""
        if mode not in self._transforms:
            self._transforms[mode] = self._build(mode)
        return self._transforms[mode]

    def _build(self, mode: str) -> Any:
        srgb = ImageCms.createProfile("sRGB")
        if self._profile and len(self._profile) <= _MOST_PROFILE:
            # Whatever is wrong with a profile, the picture is there.
            with contextlib.suppress(Exception):
                source = ImageCms.ImageCmsProfile(io.BytesIO(self._profile))
                return ImageCms.buildTransform(source, srgb, mode, "RGB")
        if mode == "LAB":
            return ImageCms.buildTransform(ImageCms.createProfile("LAB"), srgb, mode, "RGB")
        return None


def has_alpha(photo: Image.Image) -> bool:
    """Whether some pixels may be transparent."""
    return photo.mode in _WITH_ALPHA or "transparency" in photo.info


def _over_white(photo: Image.Image) -> Image.Image:
    """The picture over white: grey of greys, else RGB."""
    grey = photo.mode in _GREY
    if photo.mode in ("La", "RGBa"):
        photo = photo.convert("LA" if grey else "RGBA")
    white = Image.new("RGBA", photo.size, (255, 255, 255, 255))
    flat = Image.alpha_composite(white, photo.convert("RGBA"))
    return flat.getchannel("R") if grey else flat.convert("RGB")
