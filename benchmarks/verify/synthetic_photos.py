"""Pictures for checks of bundles without photos."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

SYNTHETIC_PHOTOS = 6
"""How many pictures are drawn where no photos are given."""

_SYNTHETIC_SIZES = ((640, 480), (480, 640), (1000, 750))


def synthetic_photos() -> Iterator[Image.Image]:
    """`SYNTHETIC_PHOTOS` smooth coloured pictures of several sizes, always the same ones."""
    generator = np.random.default_rng(20)
    for number in range(SYNTHETIC_PHOTOS):
        cells = generator.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        size = _SYNTHETIC_SIZES[number % len(_SYNTHETIC_SIZES)]
        yield Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC)
