"""Decoration: bands of ornament, figures, writing and wedge signs.

Each pattern fills a canvas with a number of repeats and joins up at its left and
right, so that it can run round a vessel.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from train.demo.canvas import Canvas, Cell, FloatArray, Point

Draw = Callable[[Cell, np.random.Generator], None]


def _spiral(cell: Cell, _: np.random.Generator) -> None:
    cell.square().line(
        [
            (0.5 + 0.2 * t * math.cos(2 * math.pi * t), 0.5 + 0.2 * t * math.sin(2 * math.pi * t))
            for t in np.linspace(0, 2.2, 28).tolist()
        ],
        0.09,
    )


def _chevrons(cell: Cell, _: np.random.Generator) -> None:
    for x in (0.0, 0.4):
        cell.line([(x + 0.1, 0.05), (x + 0.45, 0.5), (x + 0.1, 0.95)], 0.1)


def _arches(cell: Cell, _: np.random.Generator) -> None:
    turns = np.linspace(math.pi, 2 * math.pi, 14).tolist()
    for size in (0.46, 0.24):
        cell.line([(0.5 + size * math.cos(t), 0.95 + 1.8 * size * math.sin(t)) for t in turns])


def _scroll(cell: Cell, _: np.random.Generator) -> None:
    turns = np.linspace(0, 1, 16).tolist()
    cell.line([(t, 0.5 + 0.25 * math.sin(2 * math.pi * t)) for t in turns], 0.07)
    for x, y in ((0.25, 0.3), (0.75, 0.7)):
        cell.ellipse(x + 0.06, y, 0.12, 0.13)
        cell.ellipse(x - 0.14, 1 - y, 0.07, 0.1)


def _petals(cell: Cell, _: np.random.Generator) -> None:
    box = cell.square()
    for k in range(6):
        angle = k * math.pi / 3
        box.disc(0.5 + 0.27 * math.cos(angle), 0.5 + 0.27 * math.sin(angle), 0.15)
    box.disc(0.5, 0.5, 0.09)


def _human(cell: Cell, rng: np.random.Generator) -> None:
    lift, stride = float(rng.uniform(-0.25, 0.3)), float(rng.uniform(0.08, 0.24))
    box = cell.square()
    box.disc(0.5, 0.13, 0.09)
    box.polygon([(0.34, 0.25), (0.66, 0.25), (0.58, 0.6), (0.42, 0.6)])
    box.line([(0.46, 0.55), (0.5 - stride, 0.98)], 0.09)
    box.line([(0.54, 0.55), (0.5 + stride, 0.98)], 0.09)
    box.line([(0.36, 0.28), (0.18, 0.42 + lift / 2), (0.1, 0.45 - lift)], 0.07)
    box.line([(0.64, 0.28), (0.82, 0.42 - lift / 2), (0.92, 0.42 + lift)], 0.07)
    if rng.random() < 0.5:
        box.line([(0.92, 0.05), (0.92, 0.98)], 0.04)


def _beast(cell: Cell, rng: np.random.Generator) -> None:
    neck, horn = float(rng.uniform(0.05, 0.3)), float(rng.random())
    box = cell.square()
    box.ellipse(0.48, 0.55, 0.28, 0.15)
    for x in (0.26, 0.36, 0.6, 0.7):
        box.line([(x, 0.6), (x + 0.03, 0.95)], 0.06)
    box.line([(0.7, 0.5), (0.82, 0.45 - neck)], 0.12)
    box.ellipse(0.88, 0.42 - neck, 0.1, 0.07)
    box.line([(0.22, 0.5), (0.1, 0.3 + 0.4 * horn)], 0.05)
    if horn > 0.4:
        box.line([(0.84, 0.38 - neck), (0.76, 0.18 - neck / 2)], 0.05)


def _bird(cell: Cell, rng: np.random.Generator) -> None:
    reach = float(rng.uniform(0.0, 0.2))
    box = cell.square()
    box.ellipse(0.45, 0.55, 0.26, 0.17)
    box.polygon([(0.24, 0.5), (0.02, 0.75), (0.3, 0.65)])
    box.line([(0.64, 0.5), (0.74, 0.3 - reach)], 0.1)
    box.disc(0.76, 0.25 - reach, 0.09)
    box.polygon([(0.82, 0.2 - reach), (0.98, 0.28 - reach), (0.82, 0.3 - reach)])
    box.line([(0.42, 0.68), (0.42, 0.97)], 0.05)
    box.line([(0.54, 0.68), (0.54, 0.97)], 0.05)


def _fish(cell: Cell, rng: np.random.Generator) -> None:
    box, fat = cell.square(), float(rng.uniform(0.13, 0.24))
    box.ellipse(0.45, 0.5, 0.36, fat)
    box.polygon([(0.75, 0.5), (0.98, 0.25), (0.98, 0.75)])
    box.disc(0.22, 0.46, 0.04, 0)


def _boat(cell: Cell, rng: np.random.Generator) -> None:
    cell.polygon([(0.02, 0.4), (0.2, 0.6), (0.8, 0.6), (0.98, 0.35), (0.8, 0.82), (0.2, 0.82)])
    for x in np.linspace(0.2, 0.8, int(rng.integers(4, 8))).tolist():
        cell.line([(x, 0.75), (x - 0.04, 1.0)], 0.05)
    cell.polygon([(0.4, 0.3), (0.6, 0.3), (0.6, 0.6), (0.4, 0.6)])
    if rng.random() < 0.5:
        cell.line([(0.3, 0.05), (0.3, 0.6)], 0.06)


def _tree(cell: Cell, rng: np.random.Generator) -> None:
    box = cell.square()
    box.line([(0.5, 0.98), (0.5, 0.2)], 0.07)
    for y in np.linspace(0.15, 0.7, int(rng.integers(3, 6))).tolist():
        box.line([(0.2, y - 0.08), (0.5, y + 0.12), (0.8, y - 0.08)], 0.07)


def glyph(cell: Cell, rng: np.random.Generator) -> None:
    """One invented sign of three to five strokes."""
    box = cell.sub(0.1, 0.06, 0.8, 0.88)
    for _ in range(int(rng.integers(3, 6))):
        x, y = (float(v) for v in rng.choice([0.1, 0.5, 0.9], 2))
        kind = int(rng.integers(4))
        if kind == 0:
            box.line([(x, 0.1), (x, 0.9)], 0.13)
        elif kind == 1:
            box.line([(0.1, y), (0.9, y)], 0.13)
        elif kind == 2:
            box.arc(0.5, y, 0.3, (0.0, float(rng.choice([0.5, 1.0]))), 0.12)
        else:
            box.line([(0.1, y), (0.9, 1 - x)], 0.12)


def _line(points: list[Point], width: float) -> Draw:
    return lambda cell, _: cell.line(points, width)


def _polygon(points: list[Point], value: int = 255) -> Draw:
    return lambda cell, _: cell.polygon(points, value)


def _both(first: Draw, second: Draw) -> Draw:
    def draw(cell: Cell, rng: np.random.Generator) -> None:
        first(cell, rng)
        second(cell, rng)

    return draw


_WAVE = [(t, 0.5 + 0.33 * math.sin(2 * math.pi * t)) for t in np.linspace(0, 1, 16).tolist()]

ORNAMENTS: dict[str, Draw] = {
    "meander": _both(
        _line([(0, 0.88), (0, 0.12), (0.84, 0.12), (0.84, 0.66), (0.42, 0.66), (0.42, 0.4),
               (0.6, 0.4)], 0.11), _line([(0, 0.88), (1.02, 0.88)], 0.11)),
    "zigzag": _line([(0, 0.85), (0.5, 0.15), (1, 0.85)], 0.16),
    "triangles": _polygon([(0, 0.95), (0.5, 0.1), (1, 0.95)]),
    "dots": lambda cell, _: cell.disc(0.5, 0.5, 0.3),
    "tongues": _polygon([(0.12, 0), (0.88, 0), (0.88, 0.6), (0.5, 1.0), (0.12, 0.6)]),
    "checker": _both(_polygon([(0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)]),
                     _polygon([(0.5, 0.5), (1, 0.5), (1, 1), (0.5, 1)])),
    "diamonds": _both(_polygon([(0.5, 0.02), (0.95, 0.5), (0.5, 0.98), (0.05, 0.5)]),
                      _polygon([(0.5, 0.3), (0.7, 0.5), (0.5, 0.7), (0.3, 0.5)], 0)),
    "lattice": _both(_line([(0, 0), (1, 1)], 0.09), _line([(0, 1), (1, 0)], 0.09)),
    "wave": _line(_WAVE, 0.16),
    "chevrons": _chevrons,
    "arches": _arches,
    "scroll": _scroll,
}  # fmt: skip
"""Narrow ornament, for bands."""

FIGURES: dict[str, Draw] = {
    "spirals": _spiral,
    "rosettes": _petals,
    "warriors": _human,
    "beasts": _beast,
    "birds": _bird,
    "fish": _fish,
    "boats": _boat,
    "trees": _tree,
    "signs": glyph,
}
"""Motifs about as high as wide, for friezes and faces."""


def band(kind: str, width: int, height: int, repeats: int, rng: np.random.Generator) -> FloatArray:
    """A band of ornament or figures: float32 `[height, width]`, 0 to 1, joining left and right.

    Args:
        kind: A key of `ORNAMENTS` or `FIGURES`, or "lines".
        repeats: How often the motif stands side by side ("lines": how many lines).
    """
    canvas = Canvas(width, max(2, height))
    if kind == "lines":
        for k in range(repeats):
            y, half = (k + 0.5) / repeats, 0.2 / repeats
            canvas.polygon([(0, y - half), (1, y - half), (1, y + half), (0, y + half)])
    else:
        draw = ORNAMENTS.get(kind) or FIGURES[kind]
        for cell in canvas.cells(repeats):
            draw(cell, rng)
    return canvas.mask()[:height]


def glyph_rows(cell: Cell, rng: np.random.Generator, rows: int, columns: int) -> None:
    """Rows of invented signs with ruled lines between them."""
    for row in range(rows):
        for column in range(columns):
            glyph(cell.sub(column / columns, row / rows, 1 / columns, 0.86 / rows), rng)
        y = (row + 0.96) / rows
        cell.line([(0, y), (1, y)], 0.012)


def wedge_rows(cell: Cell, rng: np.random.Generator, rows: int, fill: float) -> None:
    """Rows of wedge signs as pressed into clay; `fill` is the written share of a row."""
    for row in range(rows):
        x, high = 0.02, 0.8 / rows
        top = (row + 0.1) / rows
        end = fill * float(rng.uniform(0.8, 1.0))
        while x < end:
            wide = float(rng.uniform(0.05, 0.1))
            _wedge_sign(cell.sub(x, top, wide, high), rng)
            x += wide * 1.15


def _wedge_sign(cell: Cell, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 5))):
        x, y = float(rng.uniform(0, 0.7)), float(rng.uniform(0, 0.6))
        upright = [(x, y), (x + 0.36, y), (x + 0.21, y + 0.25), (x + 0.18, 1), (x + 0.14, y + 0.25)]
        lying = [(x, y), (x + 0.15, y + 0.14), (1, y + 0.17), (x + 0.15, y + 0.22), (x, y + 0.36)]
        cell.polygon(upright if rng.random() < 0.5 else lying)


def bust(cell: Cell, rng: np.random.Generator) -> None:
    """A head in profile, looking right."""
    nose, chin, crown = (float(v) for v in rng.uniform(-0.04, 0.05, 3))
    cell.polygon(
        [(0.3, 0.98), (0.36, 0.74), (0.27, 0.6), (0.24, 0.35), (0.34, 0.14), (0.52, 0.08 + crown),
         (0.66, 0.18), (0.69, 0.34), (0.8 + nose, 0.48), (0.71, 0.52), (0.74, 0.58), (0.71, 0.63),
         (0.74 + chin, 0.72), (0.6, 0.78), (0.62, 0.86), (0.78, 0.98)],
        200,
    )  # fmt: skip
    cell.disc(0.62, 0.4, 0.035, 90)
    cell.line([(0.3, 0.3), (0.5, 0.22), (0.68, 0.28)], 0.05)
    if rng.random() < 0.5:
        for t in np.linspace(0, 1, 5).tolist():
            cell.polygon(
                [(0.3 + 0.3 * t, 0.24 - 0.1 * t), (0.27 + 0.3 * t, 0.06), (0.36 + 0.3 * t, 0.18)]
            )
    else:
        cell.line([(0.26, 0.5), (0.34, 0.62), (0.3, 0.72)], 0.06)


def cross(cell: Cell, rng: np.random.Generator) -> None:
    """A cross with something in each of its quarters."""
    cell.line([(0.5, 0.04), (0.5, 0.96)], 0.1)
    cell.line([(0.04, 0.5), (0.96, 0.5)], 0.1)
    pellets = int(rng.integers(1, 5))
    for quarter in range(4):
        x, y = 0.26 + 0.48 * (quarter % 2), 0.26 + 0.48 * (quarter // 2)
        if rng.random() < 0.3:
            cell.arc(x, y, 0.1, (0.0, 1.0), 0.05)
            continue
        for k in range(pellets):
            angle = 2 * math.pi * k / pellets
            far = 0.08 if pellets > 1 else 0.0
            cell.disc(x + far * math.cos(angle), y + far * math.sin(angle), 0.05)


FACES: dict[str, Draw] = {**FIGURES, "head": bust, "cross": cross}
"""What can stand in the middle of a coin, token, tile, lamp or scarab."""
