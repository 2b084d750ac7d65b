"""What objects lie on: paper sweeps in the studio, anything in the field."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from train.demo.canvas import Canvas, FloatArray, noise
from train.demo.maker import ground, linear, paint_over, pick
from train.demo.mesh import Skin, Surface, grid_surface
from train.demo.patterns import FIGURES, ORNAMENTS, band, glyph_rows

_SIDE = 384
_PAPERS = ("#eeeeec", "#d6d8d8", "#a9adb0", "#7f858a", "#8fa5ba", "#4c5c70", "#2c2d31", "#dad2c3",
           "#c3c9cb", "#17181a")  # fmt: skip


def studio_ground(rng: np.random.Generator) -> Surface:
    """A paper sweep of one colour."""
    colour = linear(pick(rng, _PAPERS)) * np.float32(rng.uniform(0.85, 1.1))
    albedo = np.clip(np.broadcast_to(colour, (2, 2, 3)), 0, 0.92).astype(np.float32)
    return _sweep(Skin(np.ascontiguousarray(albedo)), 1.0, 0.0)


def cluttered_ground(rng: np.random.Generator) -> Surface:
    """Wood, cloth, sand, stone, a printed page or a crate."""
    paint = _FIELD[int(rng.integers(len(_FIELD)))]
    return _sweep(Skin(paint(rng)), float(rng.uniform(3.0, 6.0)), float(rng.uniform(0, 180)))


def _sweep(skin: Skin, period: float, turn: float) -> Surface:
    """Level ground that curves up far behind; the texture repeats each `period`."""
    t = np.linspace(0, math.pi / 2, 12)
    y = np.concatenate([[-30.0], 9 + 6 * np.sin(t), [15.0]])
    z = np.concatenate([[0.0], 6 - 6 * np.cos(t), [40.0]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(y), np.diff(z)))]) - 30
    x = np.linspace(-40, 40, 9)
    points = np.stack(
        [np.broadcast_to(x, (len(y), 9)), np.repeat(y[:, None], 9, 1), np.repeat(z[:, None], 9, 1)],
        axis=2,
    )
    c, s = math.cos(math.radians(turn)) / period, math.sin(math.radians(turn)) / period
    u, v = np.broadcast_arrays(x[None, :], along[:, None])
    uv = np.stack([c * u - s * v, s * u + c * v], axis=2).astype(np.float32)
    return grid_surface(points.astype(np.float32), uv, skin, closed=False)


def _wood(rng: np.random.Generator) -> FloatArray:
    colour = linear(pick(rng, ("#8a6238", "#6b4a2b", "#b08a5a", "#54402f")))
    albedo = np.empty((_SIDE, _SIDE, 3), np.float32)
    planks = int(rng.integers(3, 7))
    for rows in np.array_split(np.arange(_SIDE), planks):
        plank = ground(rng, len(rows), _SIDE, colour * np.float32(rng.uniform(0.7, 1.25)), 0.1)
        grain = np.sin(
            14 * noise(rng, len(rows), _SIDE, 2, 3) + np.linspace(0, 30, len(rows))[:, None]
        )
        plank *= 1 + 0.13 * grain[..., None]
        plank[:3] *= 0.2
        albedo[rows] = plank
    return np.clip(albedo, 0, 0.9)


def _cloth(rng: np.random.Generator) -> FloatArray:
    colours = ("#7c1f2a", "#20406a", "#d8d2c2", "#2f5b3c", "#c48a2c", "#3a3a40")
    albedo = ground(rng, _SIDE, _SIDE, linear(pick(rng, colours)), 0.06)
    second = linear(pick(rng, colours))
    for _ in range(int(rng.integers(0, 5))):
        at, wide = int(rng.integers(_SIDE)), int(rng.integers(6, 50))
        stripe = np.zeros((_SIDE, _SIDE), np.float32)
        stripe[:, at : at + wide] += 0.5
        stripe[at : at + wide] += 0.5
        paint_over(albedo, stripe, second)
    weave = np.indices((_SIDE, _SIDE)).sum(axis=0) // 2 % 2
    return np.asarray(np.clip(albedo * (0.85 + 0.15 * weave[..., None]), 0, 0.9), np.float32)


def _sand(rng: np.random.Generator) -> FloatArray:
    colour = linear(pick(rng, ("#b59a6f", "#8c7a60", "#77706a", "#5f5a3f")))
    albedo = ground(rng, _SIDE, _SIDE, colour, 0.12)
    albedo *= 1 + 0.35 * rng.standard_normal((_SIDE, _SIDE, 1)).astype(np.float32)
    canvas = Canvas(_SIDE, _SIDE)
    for _ in range(int(rng.integers(20, 160))):
        x, y, r = rng.random(3)
        canvas.ellipse(float(x), float(y), 0.004 + 0.014 * float(r), 0.004 + 0.01 * float(r))
    paint_over(albedo, canvas.mask() * np.float32(0.7), colour * np.float32(rng.uniform(0.3, 1.8)))
    return np.clip(albedo, 0.01, 0.9)


def _print(rng: np.random.Generator) -> FloatArray:
    albedo = ground(rng, _SIDE, _SIDE, linear(pick(rng, ("#dcd8cc", "#e8e6df", "#d9c79c"))), 0.03)
    canvas = Canvas(_SIDE, _SIDE)
    for column in range(3):
        glyph_rows(canvas.sub(column / 3 + 0.02, 0.05, 0.28, 0.9), rng, 18, 12)
    paint_over(albedo, canvas.mask() * np.float32(0.85), linear("#26241f"))
    return albedo


def _patterned(rng: np.random.Generator) -> FloatArray:
    albedo = ground(rng, _SIDE, _SIDE, linear(pick(rng, ("#b9a98a", "#6d2f2f", "#34506b"))), 0.06)
    rows = int(rng.integers(3, 7))
    for span in np.array_split(np.arange(_SIDE), rows):
        kind = pick(rng, tuple(ORNAMENTS) + tuple(FIGURES))
        mask = band(kind, _SIDE, len(span), int(rng.integers(4, 10)), rng)
        coat = albedo[span]
        paint_over(
            coat, mask * np.float32(0.8), linear(pick(rng, ("#e0d6bf", "#2b2523", "#c08a3a")))
        )
        albedo[span] = coat
    return albedo


def _stone(rng: np.random.Generator) -> FloatArray:
    albedo = ground(rng, _SIDE, _SIDE, linear(pick(rng, ("#8b8d8c", "#a39c90", "#5c5f63"))), 0.3)
    joint = np.zeros((_SIDE, _SIDE), np.float32)
    step = _SIDE // int(rng.integers(1, 4))
    joint[::step], joint[:, ::step] = 1, 1
    joint[1::step], joint[:, 1::step] = 1, 1
    paint_over(albedo, joint * np.float32(0.7), linear("#2c2b29"))
    return albedo


_FIELD: tuple[Callable[[np.random.Generator], FloatArray], ...] = (
    _wood, _cloth, _sand, _print, _patterned, _stone,
)  # fmt: skip
