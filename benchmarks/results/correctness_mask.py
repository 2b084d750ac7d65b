"""Facts of each photo, small enough to stand in `results.json`: answered right, which object."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray

from mobile_assets.errors import DamagedError


def pack(right: NDArray[np.bool_]) -> str:
    """One bit per photo, eight to a byte with the first photo highest, as base64."""
    return base64.b64encode(np.packbits(right).tobytes()).decode("ascii")


def unpack(text: str, photos: int) -> NDArray[np.bool_]:
    """The array that `pack` was given.

    Args:
        text: What `pack` made of it.
        photos: Its length, which the text tells up to seven only.

    Returns:
        `[photos]` bool.

    Raises:
        DamagedError: The text is not base64, or not of so many photos.
    """
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except ValueError as error:
        raise DamagedError(
            f"The answers to {photos} photos in a results file cannot be read ({error}). "
            "It was edited: measure again."
        ) from None
    bits = np.unpackbits(data)
    if not photos <= len(bits) < photos + 8 or bits[photos:].any():
        raise DamagedError(
            f"A results file holds the answers to {len(bits)} photos where a row says {photos}. "
            "It was edited: measure again."
        )
    return bits[:photos].astype(np.bool_)


def pack_indices(indices: NDArray[np.int64]) -> str:
    """Four bytes a photo, little-endian, as base64.

    Args:
        indices: `[photos]` class indices, −1 for none.
    """
    return base64.b64encode(indices.astype("<i4").tobytes()).decode("ascii")


def unpack_indices(text: str, photos: int) -> NDArray[np.int64]:
    """The array that `pack_indices` was given.

    Raises:
        DamagedError: The text is not base64, or not of so many photos.
    """
    try:
        indices = np.frombuffer(base64.b64decode(text, validate=True), dtype="<i4")
    except ValueError as error:
        raise DamagedError(
            f"The objects of {photos} photos in a results file cannot be read ({error}). "
            "It was edited: measure again."
        ) from None
    if len(indices) != photos:
        raise DamagedError(
            f"A results file holds the objects of {len(indices)} photos where it says {photos}. "
            "It was edited: measure again."
        )
    return indices.astype(np.int64)
