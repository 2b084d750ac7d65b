"""A photo as large as a phone's camera makes it, for the time from the file to the answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mobile_assets.photos import decode

SENSOR = (4032, 3024)
"""Width and height of the stored picture: 12 megapixels, the commonest format of phones."""

ORIENTATION = 6
"""EXIF's word for a sensor that lay on its side: what a phone held upright writes."""

QUALITY = 90
_EXIF_ORIENTATION = 0x0112
_STRIP = 252  # rows of the sensor whose noise is made at once: a twelfth of them


def make_camera_photo(source: Path, target: Path, *, seed: int = 0) -> None:
    """Writes a 12-megapixel JPEG of a smaller photo, with a sensor's noise.

    Decoding takes longer the more detail a JPEG holds, and an enlarged photo has none of its own.
    The noise grows with the light, as photons do, and is of one size over neighbouring pixels, as
    it is after a camera has filled in the colours that its sensor did not see.

    Raises:
        PhotoError: The source cannot be decoded.
    """
    width, height = SENSOR
    upright = decode(source).resize((height, width), Image.Resampling.BICUBIC)
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    pixels = np.array(stored)
    generator = np.random.default_rng(seed)
    for top in range(0, height, _STRIP):
        strip = pixels[top : top + _STRIP]
        coarse = generator.standard_normal((len(strip) // 2, width // 2, 3), dtype=np.float32)
        noise = coarse.repeat(2, axis=0).repeat(2, axis=1)
        noise *= np.sqrt(4.0 + 0.1 * strip)
        strip[...] = (strip + noise).round().clip(0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = ORIENTATION
    Image.fromarray(pixels).save(target, format="JPEG", quality=QUALITY, exif=exif)
