"""From linear light to a JPEG: what lens, sensor and file format do to a picture."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from train.demo.canvas import FloatArray
from train.demo.scene import Development


def develop(image: FloatArray, how: Development, rng: np.random.Generator) -> bytes:
    """Expose, blur, add grain and compress to a JPEG file.

    Args:
        image: Linear RGB, float32 `[height, width, 3]`.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    light = image * np.float32(how.exposure) * np.asarray(how.balance, np.float32)
    light = np.minimum(light, 4.0)
    if how.blur * longer >= 1.5:
        light = _smear(light, how.blur * longer, how.blur_angle)
    if how.soft * longer >= 0.3:
        light = _soften(light, how.soft * longer)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = light * (1 - how.vignette * (x**2 + y**2) / 2)[..., None].astype(np.float32)
    # Photon noise grows with the root of the light.
    grain = rng.standard_normal(light.shape).astype(np.float32)
    light = light + grain * np.float32(how.grain) * np.sqrt(light + 0.02) * np.float32(1.6)
    shown = _tone(np.maximum(light, 0))
    pixels = (np.clip(shown, 0, 1) * 255 + 0.5).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=how.quality)
    return file.getvalue()


def _tone(light: FloatArray) -> FloatArray:
    """Encode as sRGB with a shoulder: highlights above 0.7 are compressed, not cut."""
    knee = np.float32(0.7)
    over = np.maximum(light - knee, 0)
    light = np.minimum(light, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))
    low = light * 12.92
    high = 1.055 * np.power(np.maximum(light, 1e-6), 1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, low, high).astype(np.float32)


def _smear(image: FloatArray, length: float, angle: float) -> FloatArray:
    """Average along a line, as a moving hand does."""
    steps = max(2, math.ceil(length))
    total = np.zeros_like(image)
    for t in np.linspace(-0.5, 0.5, steps).tolist():
        dx = round(t * length * math.cos(math.radians(angle)))
        dy = round(t * length * math.sin(math.radians(angle)))
        total += _shifted(image, dx, dy)
    return (total / steps).astype(np.float32)


def _soften(image: FloatArray, sigma: float) -> FloatArray:
    reach = max(1, math.ceil(2 * sigma))
    weights = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    weights /= weights.sum()
    for across in (True, False):
        image = sum(  # type: ignore[assignment]
            _shifted(image, k if across else 0, 0 if across else k) * np.float32(w)
            for k, w in zip(range(-reach, reach + 1), weights.tolist(), strict=True)
        )
    return image


def _shifted(image: FloatArray, dx: int, dy: int) -> FloatArray:
    """The image moved by whole pixels, its edge repeated."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - dy, 0, height - 1)
    columns = np.clip(np.arange(width) - dx, 0, width - 1)
    return image[rows][:, columns]
