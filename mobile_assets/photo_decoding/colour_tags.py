"""What a file says about its colours, and the arithmetic behind it.

Code points are those of ITU-T H.273, which PNG's `cICP` and the `nclx` box of HEIC and AVIF use.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SDR_WHITE = 203.0
"""cd/m² of white in a picture of high dynamic range (ITU-R BT.2408); what is brighter is white."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_SRGB_GAMMA = 2.2
_GAMMA_TOLERANCE = 0.02
_CHROMATICITY_TOLERANCE = 0.002

SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""x and y of red, green, blue and white."""

_D65 = (0.3127, 0.3290)
_PRIMARIES: dict[int, tuple[float, ...]] = {
    1: SRGB_PRIMARIES,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}


@dataclass(frozen=True)
class CodePoints:
    """Colour primaries and transfer characteristics by H.273; 2 means unspecified."""

    primaries: int
    transfer: int


@dataclass(frozen=True)
class ColourTags:
    """What is to be obeyed of a file's colour information; all empty for sRGB.

    Attributes:
        profile: ICC profile. Obeyed when it is whole and of the pixels' own kind.
        code_points: Primaries and transfer by number, where there is no profile.
        gamma: Exponent that makes light of stored values, where neither is given.
        primaries: x and y of red, green, blue and white, with or without `gamma`.
    """

    profile: bytes | None = None
    code_points: CodePoints | None = None
    gamma: float | None = None
    primaries: tuple[float, ...] | None = None

    @property
    def chromaticities(self) -> tuple[float, ...] | None:
        """The primaries; None for those of sRGB and for unknown ones."""
        told = self.primaries
        if self.code_points is not None:
            told = _PRIMARIES.get(self.code_points.primaries)
        if told is None or np.allclose(told, SRGB_PRIMARIES, atol=_CHROMATICITY_TOLERANCE):
            return None
        return told

    def light(self) -> Floats | None:
        """Linear light, 0–1, of the 256 stored values; None where sRGB's curve holds.

        The curves of BT.601, BT.709 and BT.2020 belong to cameras, and their pictures are shown on
        screens of sRGB's kind: they are taken for sRGB. So is an exponent near 2.2, which files
        state that are sRGB for readers who do not know that name.
        """
        stored = np.arange(256) / 255.0
        if self.code_points is not None:
            return _light_of(self.code_points.transfer, stored)
        if self.gamma is None or abs(self.gamma / _SRGB_GAMMA - 1) < _GAMMA_TOLERANCE:
            return None
        return np.asarray(stored**self.gamma)


def _light_of(transfer: int, stored: Floats) -> Floats | None:
    if transfer in (4, 5):
        return np.asarray(stored ** (2.2 if transfer == 4 else 2.8))
    if transfer == 8:
        return stored
    if transfer == 16:
        return np.asarray(np.minimum(_pq(stored) / SDR_WHITE, 1))
    if transfer == 17:
        return np.asarray(np.minimum(52.37 / 48 * stored**2.6, 1))
    if transfer == 18:
        return np.asarray(np.minimum(1000 * _hlg(stored) ** 1.2 / SDR_WHITE, 1))
    return None


def _pq(stored: Floats) -> Floats:
    """cd/m² by the perceptual quantiser (SMPTE ST 2084)."""
    root = stored ** (1 / 78.84375)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        1 / 0.1593017578125
    )
    return np.asarray(10000 * light)


def _hlg(stored: Floats) -> Floats:
    """Light of the scene, 0–1, by hybrid log-gamma (ITU-R BT.2100)."""
    bright = (np.exp((stored - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(stored <= 0.5, stored**2 / 3, bright)


def srgb_light(stored: Floats) -> Floats:
    """Linear light of sRGB values, both 0–1."""
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def srgb_bytes(light: Floats) -> NDArray[np.uint8]:
    """8-bit sRGB of linear light 0–1, rounded."""
    stored = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * stored).clip(0, 255)).astype(np.uint8)


def primaries_of(numbers: Sequence[int]) -> tuple[float, ...] | None:
    """Chromaticities of PNG's `cHRM`: white, red, green, blue, in hundred-thousandths.

    Returns:
        Red, green, blue, white; None where no colours can be made of them.
    """
    told = tuple(number / 100000 for number in (*numbers[2:], *numbers[:2]))
    return told if all(0 < number < 1 for number in told) and _matrix(told) is not None else None


def _matrix(chromaticities: Sequence[float]) -> Floats | None:
    """XYZ of linear red, green and blue, adapted to D50, `[3, 3]`; None if they are in line."""
    xy = np.array(chromaticities, dtype=np.float64).reshape(4, 2)
    xyz = np.stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(axis=1)) / xy[:, 1]])
    if abs(np.linalg.det(xyz[:, :3])) < 1e-6:
        return None
    matrix = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ xyz[:, 3])
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ matrix)


def icc_profile(chromaticities: Sequence[float], light: Floats) -> bytes:
    """An ICC profile of an RGB colour space.

    Args:
        chromaticities: x and y of red, green, blue and white.
        light: Linear light of the 256 stored values, 0–1.
    """
    matrix = _matrix(chromaticities)
    assert matrix is not None
    curve = b"curv" + struct.pack(">II", 0, 256)
    curve += np.rint(65535 * light).astype(">u2").tobytes()
    tags = {b"wtpt": _xyz(_D50), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    tags |= {
        name + b"XYZ": _xyz(matrix[:, column]) for column, name in enumerate((b"r", b"g", b"b"))
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"    ", 0x02100000, b"mntr", b"RGB ", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + _s15(_D50)
    return head.ljust(128, b"\0") + table + body


def _xyz(values: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + _s15(values)


def _s15(values: Floats) -> bytes:
    return struct.pack(">3i", *np.rint(values * 65536).astype(int).tolist())
