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
    """The `[photos]` bool array that `pack` was given; the text tells its length up to seven only.

    Raises:
        DamagedError: The text is not base64, or not of so many photos.
    """
    bits = np.unpackbits(_decoded(text, "u1", "answers to", photos).view(np.uint8))
    if not photos <= len(bits) < photos + 8 or bits[photos:].any():
        raise _wrong_length("answers to", len(bits), photos)
    return bits[:photos].astype(np.bool_)


def pack_indices(indices: NDArray[np.int64]) -> str:
    """`[photos]` class indices, −1 for none: four bytes each, little-endian, as base64."""
    return base64.b64encode(indices.astype("<i4").tobytes()).decode("ascii")


def unpack_indices(text: str, photos: int) -> NDArray[np.int64]:
    """The `[photos]` array that `pack_indices` was given.

    Raises:
        DamagedError: The text is not base64, or not of so many photos.
    """
    indices = _decoded(text, "<i4", "objects of", photos)
    if len(indices) != photos:
        raise _wrong_length("objects of", len(indices), photos)
    return indices.astype(np.int64)


def _decoded(text: str, dtype: str, what: str, photos: int) -> NDArray[np.integer]:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), dtype=dtype)
    except ValueError as error:
        raise DamagedError(
            f"The {what} {photos} photos in a results file cannot be read ({error}). "
            "It was edited: measure again."
        ) from None


def _wrong_length(what: str, length: int, photos: int) -> DamagedError:
    return DamagedError(
        f"A results file holds the {what} {length} photos where it says {photos}. "
        "It was edited: measure again."
    )
