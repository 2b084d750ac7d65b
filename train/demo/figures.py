"""Figurines: shabtis, and idols of stone or bronze."""

from __future__ import annotations

import math

import numpy as np

from train.demo.canvas import Canvas, FloatArray, blur, noise
from train.demo.maker import Maker, alternatives, linear, paint_over, pick, wear_words
from train.demo.mesh import Model, Pose, Skin, Surface, grid_surface, sample, spline
from train.demo.patterns import FIGURES, band, glyph_rows

_ROWS, _COLUMNS, _RINGS, _SPOKES = 384, 320, 150, 145


def _body(profile: FloatArray, flat: float, lumps: FloatArray, skin: Skin) -> Surface:
    """A figure about an upright axis; `lumps` `[h, w]` adds to its radius."""
    turn = np.linspace(0, 1, _SPOKES, dtype=np.float32)[None, :].repeat(len(profile), 0)
    v = np.linspace(1, 0, len(profile), dtype=np.float32)[:, None].repeat(_SPOKES, 1)
    out = sample(lumps, turn, v)
    out[:, -1] = out[:, 0]
    radius = profile[:, :1] + out * np.minimum(1, profile[:, :1] / 0.05)
    angle = turn * np.float32(2 * math.pi) + np.float32(math.pi / 2)
    depth = flat * radius * np.sin(angle)
    points = np.stack([radius * np.cos(angle), depth, profile[:, 1:].repeat(_SPOKES, 1)], axis=2)
    return grid_surface(points, np.stack([turn, v], axis=2), skin, closed=True)


def _bump(
    lumps: FloatArray, heights: FloatArray, turn: float, z: float, size: tuple[float, float, float]
) -> None:
    """Raise a rounded lump at a turn (0.5 is the front) and height, in place."""
    around = np.abs(np.linspace(0, 1, lumps.shape[1], dtype=np.float32) - turn)[None, :]
    up = (heights - z)[:, None]
    lumps += np.float32(size[2]) * np.exp(-((around / size[0]) ** 2) - (up / size[1]) ** 2)


def _heights(profile: FloatArray) -> FloatArray:
    """Height of every texture row above the foot of the profile, float32 `[_ROWS]`."""
    along = np.linspace(1, 0, _ROWS)
    return np.interp(along, np.linspace(0, 1, len(profile)), profile[:, 1]).astype(np.float32)


def shabti(maker: Maker) -> Model:
    """A mummy-shaped funerary figure with an inscription."""
    glazes = ("#4aa19b|#1d2f3d", "#2f6f9f|#10202e", "#8fae8d|#3a3328", "#c9b38a|#5b2f1e",
              "#7a4b30|#d9bd86")  # fmt: skip
    glaze, ink = pick(maker.mould, glazes).split("|")
    rows, columns = int(maker.mould.integers(4, 8)), int(maker.mould.integers(3, 6))
    stripes, upright = int(maker.mould.integers(5, 12)), bool(maker.mould.random() < 0.5)
    waist, head = float(maker.mould.uniform(0.16, 0.2)), float(maker.mould.uniform(0.085, 0.105))
    if maker.member:
        rows = max(3, rows + int(maker.own.choice([-2, -1, 1, 2])))
        stripes = max(0, stripes + int(maker.own.choice([-3, 0, 3])))
        upright = upright if maker.own.random() < 0.7 else not upright
    waist, head = maker.near(waist, 0.03), maker.near(head, 0.03)
    wear = float(maker.own.beta(2, 2.6))
    profile = spline(
        [(0, 0), (0.1, 0), (0.115, 0), (0.115, 0.05), (0.1, 0.12), (0.13, 0.35), (waist, 0.58),
         (waist * 1.12, 0.7), (waist * 0.95, 0.765), (head * 1.12, 0.8), (head * 1.25, 0.86),
         (head * 1.15, 0.94), (head * 0.7, 0.985), (0, 1.0)],
        _RINGS,
    )  # fmt: skip
    heights = _heights(profile)
    lumps = _shabti_lumps(heights, stripes)
    ink_mask = _shabti_ink(maker, heights, (rows, columns), upright, stripes)
    shown = maker.worn(ink_mask, 0.8 * wear)
    albedo = maker.coat(_ROWS, _COLUMNS, glaze, 0.13)
    paint_over(albedo, shown * np.float32(0.92), linear(ink))
    lumps -= blur(ink_mask, 1) * np.float32(0.004)
    grain = noise(maker.own, _ROWS, _COLUMNS, 6, 4) * np.float32(0.0025)
    lumps += grain
    maker.weather(albedo, grain - ink_mask * np.float32(0.002), wear, linear("#8a7355"))
    label = f"Shabti with {rows} {'columns' if upright else 'rows'} of signs{wear_words(wear)}"
    surface = _body(profile, 0.72, lumps, Skin(albedo, 0.4, 0.4))
    return Model((surface,), _POSES, label, {
        "glaze": glaze, "rows": rows, "columns": columns, "upright": int(upright),
        "wig_stripes": stripes, "wear": round(wear, 3),
    })  # fmt: skip


_POSES = (
    Pose("front", yaw=(-50, 50), elevation=(2, 28)),
    Pose("back", yaw=(150, 210), elevation=(2, 28), weight=0.2),
    Pose("lying", tilt=-88, yaw=(-30, 30), elevation=(50, 85), weight=0.5),
)


def _shabti_lumps(heights: FloatArray, stripes: int) -> FloatArray:
    lumps = np.zeros((_ROWS, _COLUMNS), np.float32)
    _bump(lumps, heights, 0.5, 0.03, (0.09, 0.035, 0.085))  # feet
    _bump(lumps, heights, 0.5, 0.885, (0.035, 0.018, 0.02))  # nose
    _bump(lumps, heights, 0.5, 0.82, (0.045, 0.03, 0.035))  # beard
    for side in (-1, 1):
        _bump(lumps, heights, 0.5 + side * 0.14, 0.77, (0.05, 0.07, 0.035))  # wig
        _bump(lumps, heights, 0.5 + side * 0.1, 0.64, (0.1, 0.025, 0.028))  # arms
        _bump(lumps, heights, 0.5 + side * 0.045, 0.655, (0.03, 0.022, 0.02))  # hands
    turn = np.linspace(0, 1, _COLUMNS, dtype=np.float32)[None, :]
    hair = ((heights > 0.8) & (heights < 0.97))[:, None] * (np.abs(turn - 0.5) > 0.13)
    strands = hair * (0.006 + 0.004 * np.sin(turn * 2 * math.pi * 4 * stripes))
    return np.asarray(lumps + strands, np.float32)


def _shabti_ink(
    maker: Maker, heights: FloatArray, size: tuple[int, int], upright: bool, stripes: int
) -> FloatArray:
    canvas = Canvas(_COLUMNS, _ROWS)

    def row(z: float) -> float:
        return float(np.argmin(np.abs(heights - z))) / _ROWS

    top, low = row(0.57), row(0.12)
    rows, columns = size
    page = canvas.sub(0.28, top, 0.44, low - top)
    if upright:
        for k in range(max(2, rows // 2)):
            wide = 1 / max(2, rows // 2)
            glyph_rows(page.sub(k * wide, 0, wide * 0.9, 1), maker.own, 8, 1)
            page.line([(k * wide, 0), (k * wide, 1)], 0.02)
    else:
        glyph_rows(page, maker.own, rows, columns)
    pillar = canvas.sub(0.94, row(0.72), 0.06, row(0.1) - row(0.72))
    glyph_rows(pillar, maker.own, 12, 1)
    for x in (0.455, 0.545):
        canvas.ellipse(x, row(0.9), 0.022, 0.008)
        canvas.line([(x - 0.03, row(0.915)), (x + 0.03, row(0.915))], 0.008)
    canvas.line([(0.47, row(0.862)), (0.53, row(0.862))], 0.008)
    for k in range(stripes):
        for side in (0.16, 0.84):
            x = side + (k / max(1, stripes - 1) - 0.5) * 0.3
            canvas.line([(x, row(0.97)), (x, row(0.8))], 0.012)
    return canvas.mask()


def idol(maker: Maker) -> Model:
    """A seated or standing figure of stone, bronze or ivory."""
    stone = pick(maker.mould, ("#7fa283", "#d9cbb0", "#5f4a33", "#8b8a85", "#b58a4a", "#4b5d56"))
    seated = bool(maker.mould.random() < 0.5)
    folds, crown = int(maker.mould.integers(3, 8)), int(maker.mould.integers(3))
    knots = _SEATED if seated else _STANDING
    motif, repeats = pick(maker.mould, tuple(FIGURES)), int(maker.mould.integers(5, 10))
    if maker.member:
        crown = int(maker.own.integers(4))
        motif = pick(maker.own, alternatives(motif)) if maker.own.random() < 0.6 else motif
        folds += int(maker.own.choice([-2, 0, 2]))
    wear = float(maker.own.beta(2, 2.6))
    profile = spline([(maker.near(r, 0.035), z) for r, z in knots], _RINGS)
    heights = _heights(profile)
    lumps = _idol_lumps(heights, seated, folds, crown)
    mask = np.zeros((_ROWS, _COLUMNS), np.float32)
    first, last = (
        int(np.argmin(np.abs(heights - z))) for z in ((0.16, 0.03) if seated else (0.2, 0.04))
    )
    mask[first:last] = band(motif, _COLUMNS, last - first, repeats, maker.own)
    mask = maker.worn(mask, 0.6 * wear)
    lumps -= blur(mask, 1) * np.float32(0.012)
    lumps += noise(maker.own, _ROWS, _COLUMNS, 6, 4) * np.float32(0.003)
    albedo = maker.coat(_ROWS, _COLUMNS, stone, 0.2)
    veins = np.exp(-((noise(maker.own, _ROWS, _COLUMNS, 3, 4) * 9) ** 2))
    paint_over(albedo, (0.35 * veins).astype(np.float32), albedo * np.float32(0.5))
    _idol_face(albedo, heights, seated=seated)
    maker.weather(albedo, lumps.copy(), wear, linear("#4c4336"))
    posture = "Seated" if seated else "Standing"
    label = f"{posture} figure with {motif} round the base{wear_words(wear)}"
    surface = _body(profile, 0.85 if seated else 0.75, lumps, Skin(albedo, 0.42, 0.4))
    return Model((surface,), _POSES[:2], label, {
        "stone": stone, "seated": int(seated), "base": motif, "repeats": repeats,
        "folds": folds, "crown": crown, "wear": round(wear, 3),
    })  # fmt: skip


_SEATED = ((0, 0), (0.4, 0), (0.42, 0), (0.42, 0.05), (0.36, 0.17), (0.38, 0.22), (0.4, 0.28),
           (0.27, 0.4), (0.25, 0.52), (0.28, 0.6), (0.2, 0.67), (0.1, 0.71), (0.14, 0.78),
           (0.145, 0.88), (0.09, 0.97), (0, 1.0))  # fmt: skip
_STANDING = ((0, 0), (0.2, 0), (0.22, 0), (0.22, 0.06), (0.16, 0.2), (0.17, 0.3), (0.15, 0.5),
             (0.17, 0.68), (0.15, 0.75), (0.06, 0.79), (0.085, 0.85), (0.09, 0.91), (0.05, 0.975),
             (0, 1.0))  # fmt: skip


def _idol_lumps(heights: FloatArray, seated: bool, folds: int, crown: int) -> FloatArray:
    lumps = np.zeros((_ROWS, _COLUMNS), np.float32)
    face = 0.82 if seated else 0.87
    _bump(lumps, heights, 0.5, face, (0.03, 0.02, 0.025))
    if seated:
        for side in (-1, 1):
            _bump(lumps, heights, 0.5 + side * 0.13, 0.25, (0.07, 0.05, 0.09))
            _bump(lumps, heights, 0.5 + side * 0.2, 0.48, (0.06, 0.1, 0.06))
        _bump(lumps, heights, 0.5, 0.36, (0.07, 0.03, 0.09))
    else:
        for side in (-1, 1):
            _bump(lumps, heights, 0.5 + side * 0.12, 0.58, (0.06, 0.09, 0.035))
        _bump(lumps, heights, 0.5, 0.62, (0.06, 0.035, 0.045))
    turn = np.linspace(0, 1, _COLUMNS, dtype=np.float32)[None, :]
    cloth = ((heights > 0.22) & (heights < 0.7))[:, None]
    sway = 0.6 * np.sin(heights * 14)[:, None]
    lumps += cloth * (0.009 * np.sin(2 * math.pi * 3 * folds * turn + sway)).astype(np.float32)
    points = 3 + 2 * crown
    top = (heights > face + 0.045)[:, None]
    spikes = top * (0.012 * np.cos(2 * math.pi * points * turn) * (crown > 0))
    return np.asarray(lumps + spikes, np.float32)


def _idol_face(albedo: FloatArray, heights: FloatArray, *, seated: bool) -> None:
    canvas, face = Canvas(_COLUMNS, _ROWS), 0.84 if seated else 0.885
    y = float(np.argmin(np.abs(heights - face))) / _ROWS
    for x in (0.45, 0.55):
        canvas.ellipse(x, y, 0.022, 0.006)
    low = float(np.argmin(np.abs(heights - face + 0.05))) / _ROWS
    canvas.line([(0.465, low), (0.5, low + 0.004), (0.535, low)], 0.008)
    paint_over(albedo, canvas.mask() * np.float32(0.8), albedo * np.float32(0.25))
