"""What the tables of decoding share: small pictures, a case, and colour arithmetic."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import photo_files as made
from photo_files import Array
from PIL import Image

HEIGHT, WIDTH = 21, 34
generator = np.random.default_rng(5)
RGB = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = generator.integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)
ALPHA = generator.integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)
WIDE = (GREY.astype(np.uint16) * 257).astype(np.uint16)
MIDDLE = np.full((HEIGHT, WIDTH, 1), 128, np.uint8)
FLAT = np.full((HEIGHT, WIDTH, 3), (200, 90, 40), np.uint8)


class Case(NamedTuple):
    """A file, and the upright sRGB pixels that are right."""

    name: str
    content: Callable[[], bytes]
    wanted: Array
    limit: float = 0


def grey(values: Array) -> Array:
    """Greys `[H, W]` or `[H, W, 1]` as RGB."""
    return np.repeat(np.rint(values).reshape(*values.shape[:2], 1), 3, axis=2)


def over_white(colours: Array, alpha: Array) -> Array:
    share = alpha / 255.0
    return np.asarray(colours * share + 255 * (1 - share))


def srgb(light: Array) -> Array:
    """sRGB 0–255 of linear light 0–1, by IEC 61966-2-1."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def light(stored: Array) -> Array:
    part = stored / 255.0
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


LINEAR = made.profile(b"GRAY", 1.0)
P3_PRIMARIES = np.array(
    [
        [0.515102, 0.291965, 0.157153],
        [0.241182, 0.692236, 0.0665819],
        [-0.00104941, 0.0418818, 0.784378],
    ]
)
SRGB_PRIMARIES = np.array(
    [
        [0.436066, 0.385147, 0.143066],
        [0.222488, 0.716873, 0.0606085],
        [0.013916, 0.0970764, 0.714096],
    ]
)


def from_p3(pixels: Array) -> Array:
    """sRGB of Display P3 with sRGB's curve."""
    return srgb((light(pixels) @ (np.linalg.inv(SRGB_PRIMARIES) @ P3_PRIMARIES).T).clip(0, 1))


# Flat halves: what is left and right is told, and compression changes nothing.
HALVES = np.repeat([[(200, 40, 40)] * 16 + [(40, 160, 60)] * 32], 32, axis=0).astype(np.uint8)


def saved(pixels: Array, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **how)
    return file.getvalue()


def malformed_tags() -> Iterator[tuple[str, tuple[int, int, int, bytes]]]:
    yield "XResolution -1/0", (0x011A, 10, 1, struct.pack("<ll", -1, 0))
    yield "ResolutionUnit as text", (0x0128, 2, 8, b"inches\0\0")
    yield "DateTime as fractions", (0x0132, 5, 1, struct.pack("<LL", 1, 0))
    yield "Make as numbers", (0x010F, 12, 1, struct.pack("<d", float("nan")))
    yield "an unknown type", (0x0131, 77, 3, b"abcd")
    yield "a count beyond the file", (0x010E, 2, 0x7FFFFFFF, b"abcd")
    yield "a count of none", (0x010E, 2, 0, b"")
    yield "GPS directory as text", (0x8825, 2, 6, b"north\0")
    yield "an EXIF directory outside", (0x8769, 4, 1, struct.pack("<L", 0xFFFFFF))
