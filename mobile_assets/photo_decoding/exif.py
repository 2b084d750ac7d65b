"""The orientation that EXIF states, and nothing else of EXIF.

Every other tag may be malformed without harm: it is neither read nor written.
"""

from __future__ import annotations

import struct

from PIL import Image

_ORIENTATION = 0x0112
_INTEGERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l"}
_HEADER = b"Exif\0"

TURNS: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a stored picture upright, by its EXIF orientation; 1 stands upright as it is."""


def exif_orientation(exif: bytes | None) -> int:
    """The orientation of the first directory (IFD0) of EXIF data.

    Args:
        exif: EXIF data, with or without the name `Exif` and two zeros in front; None for none.

    Returns:
        1 to 8; 1 where there is none, or one that makes no sense. Of several the last counts.
    """
    if not exif:
        return 1
    if exif.startswith(_HEADER):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 8:
        return 1
    (start,) = struct.unpack_from(order + "L", exif, 4)
    if start + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, start)
    orientation = 1
    for entry in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, values = struct.unpack_from(order + "HHL", exif, entry)
        if tag == _ORIENTATION and kind in _INTEGERS and values > 0:
            letter = _INTEGERS[kind]
            if values * struct.calcsize("<" + letter) > 4:
                continue  # not in the entry itself: nobody writes it so
            (value,) = struct.unpack_from(order + letter, exif, entry + 8)
            orientation = valid_orientation(value)
    return orientation


def valid_orientation(value: object) -> int:
    """The value if it is one of 1 to 8, or else 1."""
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
