"""The largest photo that is read, so that one file never takes more than 1.5 GB of memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mobile_assets.photo_decoding.errors import UnreadableError

MAX_PIXELS = 200_000_000
"""Photos with more pixels are refused. Cameras of 200 megapixels are the largest of phones'."""

MAX_SIDE = 65_535
"""No side may be longer: the filter that shrinks a line grows with it."""

FULL_PIXELS = 64_000_000
"""Photos with more pixels are read at half their size: each pixel is the mean of four."""

DECODER_BYTES = 1_100_000_000
"""So much memory a decoder may take for itself and for the picture that it makes."""

MAX_FILE = 512 << 20
"""The longest file in bytes of the formats that are decoded from memory: WebP, HEIC and AVIF."""

BAND_PIXELS = 4_000_000
"""About so many pixels of a large photo are converted at a time."""

BAND_BYTES = 200_000_000
"""So much memory a band of a TIFF takes while it is decompressed."""

LARGE_PIXELS = 16_000_000
"""Photos with more pixels are decoded one at a time in a process, and converted in bands."""

_LARGE = threading.Lock()


def check_size(size: tuple[int, int], *, per_pixel: float = 0.0, kind: str = "photo") -> None:
    """Refuses a photo that is too large, before a pixel of it is decoded.

    Args:
        size: Width and height in pixels.
        per_pixel: Bytes that the decoder takes for each pixel, beyond any that is done in rows.
        kind: What the file is, for the message.

    Raises:
        UnreadableError: It has too many pixels, or too long a side.
    """
    width, height = size
    most = MAX_PIXELS if per_pixel <= 0 else min(MAX_PIXELS, int(DECODER_BYTES / per_pixel))
    if width * height > most:
        raise UnreadableError(
            f"{width}×{height} is more than {most // 1_000_000} megapixels, the most that are read "
            f"of a {kind}"
        )
    if max(size) > MAX_SIDE:
        raise UnreadableError(f"{width}×{height} has a side of more than {MAX_SIDE} pixels")


def reduction(size: tuple[int, int]) -> int:
    """By how much the sides of a photo are divided: 1, or 2 above `FULL_PIXELS`."""
    return 1 if size[0] * size[1] <= FULL_PIXELS else 2


@contextmanager
def turn_of(size: tuple[int, int]) -> Iterator[None]:
    """Lets threads decode small photos side by side, but large ones one after the other."""
    if size[0] * size[1] <= LARGE_PIXELS:
        yield
        return
    with _LARGE:
        yield
