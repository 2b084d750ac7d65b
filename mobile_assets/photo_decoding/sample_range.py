"""Which number is white, where a file does not say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]

_DEPTHS = (8, 10, 12, 14)
_STEPS = (256, 257)
_ENOUGH = 0.98
_OVERSHOOT = 1.1
_MOST_OVER_ONE = 4.0
_SAMPLED = 4096
_BLOCK = 1 << 20


@dataclass
class RangeFinder:
    """Looks at all samples of a picture and tells which number is white.

    Whole numbers of up to 16 bits: the fewest of 8, 10, 12, 14 or 16 bits that hold the largest
    one. Scanners and cameras of 12 bits write files of 16. If all are multiples of 256 or of 257,
    the file was made of 8 bits and fills its range already.

    Longer numbers and floating-point ones have no natural white, and a few of them are outliers. Of
    1, 255, 65535 and the type's largest number (floating point: 4294967295), the smallest is taken
    that 98 % of the samples do not exceed by more than a tenth; 1 also where 98 % are up to 4, as
    highlights of linear pictures are. White of up to 65535 is then refined as for whole numbers.
    Not-a-number is black, as is everything below zero; infinity and what is above white are white.

    Attributes:
        most: The largest finite sample.
        common: Divisors of `_STEPS` that still divide every sample.
        sampled: Some samples of each part, for the quantile.
    """

    most: float = 0.0
    common: set[int] = field(default_factory=lambda: set(_STEPS))
    sampled: list[NDArray[np.float64]] = field(default_factory=list)

    def look_at(self, samples: Samples) -> None:
        """Takes a part of the picture into account."""
        for block in _blocks(samples):
            values = block[np.isfinite(block)] if block.dtype.kind == "f" else block.reshape(-1)
            self.most = max(self.most, float(values.max(initial=0)))
            if block.dtype.kind == "f" or block.dtype.itemsize > 2:
                step = max(1, values.size // _SAMPLED)
                self.sampled.append(values[::step].astype(np.float64))
            # Divisors matter up to 16 bits only, and noise excludes them at once.
            self.common = {step for step in self.common if self._divides(values, step)}

    def _divides(self, samples: Samples, step: int) -> bool:
        if samples.dtype.kind == "f" or self.most > 65535 or np.any(samples[:4096] % step):
            return False
        return not np.any(samples % step)

    def certain(self, dtype: np.dtype[Any]) -> bool:
        """Whether nothing that may follow changes the answer."""
        return dtype.kind != "f" and dtype.itemsize <= 2 and self.most >= 1 << _DEPTHS[-1]

    def white(self, dtype: np.dtype[Any], bits: int) -> float:
        """The number that is white.

        Args:
            dtype: Of the samples.
            bits: Of a sample in the file.
        """
        if dtype.kind == "f":
            return self._robust((1.0, 255.0, 65535.0, 4294967295.0))
        full = float((1 << (bits - 1 if dtype.kind == "i" else bits)) - 1)
        if bits > 16:
            return self._robust((255.0, 65535.0, full))
        return self._depth(full)

    def _robust(self, candidates: Iterable[float]) -> float:
        values = np.concatenate(self.sampled) if self.sampled else np.zeros(1)
        usual = float(np.quantile(values, _ENOUGH)) if values.size else 0.0
        *smaller, last = candidates
        for white in smaller:
            if usual <= (_MOST_OVER_ONE if white == 1 else white * _OVERSHOOT):
                return self._depth(white) if white == 65535 else white
        return last

    def _depth(self, full: float) -> float:
        """The smallest usual depth that holds every sample; `full` if that is none."""
        if self.common and self.most > 255:
            return full
        for bits in _DEPTHS:
            white = float((1 << bits) - 1)
            if self.most <= white < full:
                return white
        return full


def to_bytes(samples: Samples, white: float) -> NDArray[np.uint8]:
    """Scales samples to 8 bits, so that `white` becomes 255.

    Whole numbers are rounded down, so that each of the 256 levels has as many of them;
    floating-point ones are rounded to the nearest.
    """
    if samples.dtype == np.uint8 and white == 255:
        return np.asarray(samples, dtype=np.uint8)
    if samples.dtype.kind != "f" and samples.dtype.itemsize <= 2:
        unsigned = np.dtype(f"u{samples.dtype.itemsize}")
        every = np.arange(1 << 8 * unsigned.itemsize, dtype=unsigned).view(samples.dtype)
        return np.asarray(_scaled(every, white)[samples.view(unsigned)])
    scaled = np.empty(samples.shape, np.uint8)
    start = 0
    for block in _blocks(samples):
        scaled[start : start + len(block)] = _scaled(block, white)
        start += len(block)
    return scaled


def _scaled(samples: Samples, white: float) -> NDArray[np.uint8]:
    if samples.dtype.kind != "f" and samples.dtype.itemsize <= 4:
        whole = samples.clip(0, int(white)).astype(np.uint64)
        return np.asarray(whole * np.uint64(255) // np.uint64(white)).astype(np.uint8)
    floats = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
    return np.rint(floats.clip(0, white) * (255 / white)).astype(np.uint8)


def _blocks(samples: Samples) -> Iterator[Samples]:
    """Some rows at a time, so that what is computed of them takes little memory."""
    rows = max(1, _BLOCK // max(1, samples[:1].size))
    for start in range(0, len(samples), rows):
        yield samples[start : start + rows]
