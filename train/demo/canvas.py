"""Drawing of masks: what is painted, pressed or cut into an object's surface."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

FloatArray = npt.NDArray[np.float32]
Point = tuple[float, float]

_OVERSAMPLING = 2


class Cell:
    """A rectangle of a canvas with its own unit coordinates (x right, y down)."""

    def __init__(self, draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float]) -> None:
        self._draw = draw
        self._left, self._top, self.width, self.height = box
        self._unit = min(self.width, self.height)

    def sub(self, left: float, top: float, width: float, height: float) -> Cell:
        """A rectangle of this one, in its unit coordinates."""
        x, y = self._at((left, top))
        return Cell(self._draw, (x, y, width * self.width, height * self.height))

    def square(self) -> Cell:
        """The largest square in the middle of this cell."""
        wide, high = self._unit / self.width, self._unit / self.height
        return self.sub(0.5 - wide / 2, 0.5 - high / 2, wide, high)

    def line(self, points: Sequence[Point], width: float = 0.08, value: int = 255) -> None:
        """A polyline; `width` is a share of the cell's shorter side."""
        pixels = max(1, round(width * self._unit))
        self._draw.line([self._at(p) for p in points], fill=value, width=pixels, joint="curve")

    def polygon(self, points: Sequence[Point], value: int = 255) -> None:
        """A filled polygon."""
        self._draw.polygon([self._at(p) for p in points], fill=value)

    def ellipse(self, x: float, y: float, rx: float, ry: float, value: int = 255) -> None:
        """A filled ellipse, its radii as shares of the cell's width and height."""
        self._draw.ellipse([self._at((x - rx, y - ry)), self._at((x + rx, y + ry))], fill=value)

    def disc(self, x: float, y: float, radius: float, value: int = 255) -> None:
        """A filled circle, its radius as a share of the cell's shorter side."""
        wide, high = self._unit / self.width, self._unit / self.height
        self.ellipse(x, y, radius * wide, radius * high, value)

    def arc(self, x: float, y: float, radius: float, turn: Point, width: float = 0.08) -> None:
        """A circular arc from `turn[0]` to `turn[1]`, in turns clockwise from the right."""
        wide, high = self._unit / self.width, self._unit / self.height
        angles = np.linspace(turn[0], turn[1], 18) * 2 * math.pi
        self.line(
            [
                (x + radius * wide * math.cos(a), y + radius * high * math.sin(a))
                for a in angles.tolist()
            ],
            width,
        )

    def _at(self, point: Point) -> Point:
        return self._left + point[0] * self.width, self._top + point[1] * self.height


class Canvas(Cell):
    """A whole drawing area, smoothed by oversampling."""

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
        super().__init__(
            ImageDraw.Draw(self._image),
            (0.0, 0.0, float(self._image.width), float(self._image.height)),
        )

    def cells(self, number: int) -> Iterator[Cell]:
        """Split the canvas into `number` cells side by side."""
        for k in range(number):
            yield self.sub(k / number, 0.0, 1.0 / number, 1.0)

    def ring_text(self, text: str, radius: float, size: float) -> None:
        """Write letters round the middle, upright at the top, as on a coin."""
        side = self._image.height
        font = ImageFont.load_default(size * side)
        for k, letter in enumerate(text):
            angle = 2 * math.pi * (k + 0.5) / len(text)
            box = round(size * side * 1.6)
            tile = Image.new("L", (box, box))
            ImageDraw.Draw(tile).text((box / 2, box / 2), letter, 255, font, anchor="mm")
            turned = tile.rotate(-math.degrees(angle), Image.Resampling.BILINEAR)
            x = side * (0.5 + radius * math.sin(angle)) - box / 2
            y = side * (0.5 - radius * math.cos(angle)) - box / 2
            self._image.paste(255, (round(x), round(y)), turned)

    def mask(self) -> FloatArray:
        """The drawing, float32 `[height, width]`, 0 to 1."""
        size = (self._image.width // _OVERSAMPLING, self._image.height // _OVERSAMPLING)
        small = self._image.resize(size, Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32) / np.float32(255)


def blur(image: FloatArray, radius: float) -> FloatArray:
    """Smooth with three box filters, wrapping round in both directions; float32, the same shape.

    Args:
        image: float32 `[height, width]` or `[height, width, channels]`.
        radius: Half width of the boxes in pixels; below 0.5 nothing is done.
    """
    reach = round(radius)
    out = image
    if reach < 1:
        return out
    for axis in (0, 1):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (reach + 1, reach)
        for _ in range(3):
            total = np.cumsum(np.pad(out, pad, mode="wrap"), axis=axis, dtype=np.float64)
            upper = np.take(total, range(2 * reach + 1, total.shape[axis]), axis=axis)
            lower = np.take(total, range(0, total.shape[axis] - 2 * reach - 1), axis=axis)
            out = ((upper - lower) / (2 * reach + 1)).astype(np.float32)
    return out


def noise(
    rng: np.random.Generator, height: int, width: int, grains: int, octaves: int = 4
) -> FloatArray:
    """Cloudy noise that joins at left and right: float32 `[height, width]`, mostly -1 to 1.

    Args:
        grains: Grains of the coarsest octave across the width.
        octaves: Octaves, each twice as fine and half as strong.
    """
    out = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        across = min(grains * 2**octave, width)
        down = max(2, min(round(across * height / width), height))
        grid = rng.standard_normal((down, across)).astype(np.float32)
        wrapped = np.concatenate([grid[:, -2:], grid, grid[:, :2]], axis=1)
        border = round(2 * width / across)
        big = Image.fromarray(wrapped).resize(
            (width + 2 * border, height), Image.Resampling.BICUBIC
        )
        out += np.asarray(big, np.float32)[:, border : border + width] * np.float32(0.5**octave)
    return out * np.float32(0.6)


def cracks(
    rng: np.random.Generator, height: int, width: int, number: int, thick: float = 1.5
) -> FloatArray:
    """Hairline cracks as wandering lines, float32 `[height, width]`, 0 to 1."""
    canvas = Canvas(width, height)
    for _ in range(number):
        x, y = float(rng.random()), float(rng.random())
        heading = float(rng.random()) * 2 * math.pi
        points = [(x, y)]
        for _ in range(int(rng.integers(6, 16))):
            heading += float(rng.normal(0, 0.45))
            x += 0.035 * math.cos(heading) * height / width
            y += 0.035 * math.sin(heading)
            points.append((x, y))
        canvas.line(points, thick / height)
    return canvas.mask()
