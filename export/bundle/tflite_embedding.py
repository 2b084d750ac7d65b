"""Embedding photos by a TFLite file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from export.bundle.embedded_photos import Embed
from export.tflite.interpreter import interpreter, run_one
from mobile_assets.log_suppression import quiet


def tflite_embed(content: bytes) -> Embed:
    """Embeds by a TFLite file, photo by photo as a phone does."""
    with quiet():
        runner = interpreter(content)

    def embed(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A copy: the interpreter's own memory is overwritten by the next photo.
        return np.stack([np.array(run_one(runner, photo)) for photo in photos])

    return embed
