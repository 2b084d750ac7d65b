"""Figurines, seals, lamps and necklaces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from train.demo.canvas import Canvas, FloatArray, blur, noise
from train.demo.maker import (
    Maker,
    alternatives,
    ground,
    linear,
    near,
    paint_over,
    pick,
    wear_words,
    weather,
    worn,
)
from train.demo.mesh import (
    Model,
    Pose,
    Skin,
    Surface,
    grid_surface,
    pillow,
    revolve,
    sample,
    spline,
    tube,
    turn_about,
)
from train.demo.patterns import FACES, FIGURES, band, glyph_rows

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
    points = np.stack(
        [radius * np.cos(angle), depth, profile[:, 1:].repeat(_SPOKES, 1)], axis=2
    )
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
    glaze, ink = pick(maker.mould, ("#4aa19b|#1d2f3d", "#2f6f9f|#10202e", "#8fae8d|#3a3328",
                                    "#c9b38a|#5b2f1e", "#7a4b30|#d9bd86")).split("|")
    rows, columns = int(maker.mould.integers(4, 8)), int(maker.mould.integers(3, 6))
    stripes, upright = int(maker.mould.integers(5, 12)), bool(maker.mould.random() < 0.5)
    waist, head = float(maker.mould.uniform(0.16, 0.2)), float(maker.mould.uniform(0.085, 0.105))
    if maker.member:
        rows = max(3, rows + int(maker.own.choice([-2, -1, 1, 2])))
        stripes = max(0, stripes + int(maker.own.choice([-3, 0, 3])))
        upright = upright if maker.own.random() < 0.7 else not upright
    waist, head = near(maker.own, waist, 0.03), near(maker.own, head, 0.03)
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
    shown = worn(maker.own, ink_mask, 0.8 * wear)
    albedo = ground(maker.own, _ROWS, _COLUMNS, linear(glaze), 0.13)
    paint_over(albedo, shown * np.float32(0.92), linear(ink))
    lumps -= blur(ink_mask, 1) * np.float32(0.004)
    grain = noise(maker.own, _ROWS, _COLUMNS, 6, 4) * np.float32(0.0025)
    lumps += grain
    weather(maker.own, albedo, grain - ink_mask * np.float32(0.002), wear, linear("#8a7355"))
    label = f"Shabti with {rows} {'columns' if upright else 'rows'} of signs{wear_words(wear)}"
    about: dict[str, str | int | float] = {
        "glaze": glaze, "rows": rows, "columns": columns, "upright": int(upright),
        "wig_stripes": stripes, "wear": round(wear, 3),
    }  # fmt: skip
    surface = _body(profile, 0.72, lumps, Skin(albedo, 0.4, 0.4))
    return Model((surface,), _figure_poses(), label, about)


def _figure_poses() -> tuple[Pose, ...]:
    return (
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
    return lumps + hair * (0.006 + 0.004 * np.sin(turn * 2 * math.pi * 4 * stripes)).astype(
        np.float32
    )


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
    profile = spline([(near(maker.own, r, 0.035), z) for r, z in knots], _RINGS)
    heights = _heights(profile)
    lumps = _idol_lumps(heights, seated, folds, crown)
    mask = np.zeros((_ROWS, _COLUMNS), np.float32)
    first, last = (int(np.argmin(np.abs(heights - z))) for z in ((0.16, 0.03) if seated else (0.2, 0.04)))
    mask[first:last] = band(motif, _COLUMNS, last - first, repeats, maker.own)
    mask = worn(maker.own, mask, 0.6 * wear)
    lumps -= blur(mask, 1) * np.float32(0.012)
    lumps += noise(maker.own, _ROWS, _COLUMNS, 6, 4) * np.float32(0.003)
    albedo = ground(maker.own, _ROWS, _COLUMNS, linear(stone), 0.2)
    veins = np.exp(-((noise(maker.own, _ROWS, _COLUMNS, 3, 4) * 9) ** 2))
    paint_over(albedo, (0.35 * veins).astype(np.float32), albedo * np.float32(0.5))
    _idol_face(maker, albedo, heights, seated)
    weather(maker.own, albedo, lumps.copy(), wear, linear("#4c4336"))
    label = f"{'Seated' if seated else 'Standing'} figure with {motif} round the base{wear_words(wear)}"
    about: dict[str, str | int | float] = {
        "stone": stone, "seated": int(seated), "base": motif, "repeats": repeats,
        "folds": folds, "crown": crown, "wear": round(wear, 3),
    }  # fmt: skip
    surface = _body(profile, 0.85 if seated else 0.75, lumps, Skin(albedo, 0.42, 0.4))
    return Model((surface,), _figure_poses()[:2], label, about)


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
    return lumps + top * (0.012 * np.cos(2 * math.pi * points * turn) * (crown > 0)).astype(np.float32)


def _idol_face(maker: Maker, albedo: FloatArray, heights: FloatArray, seated: bool) -> None:
    canvas, face = Canvas(_COLUMNS, _ROWS), 0.84 if seated else 0.885
    y = float(np.argmin(np.abs(heights - face))) / _ROWS
    for x in (0.45, 0.55):
        canvas.ellipse(x, y, 0.022, 0.006)
    low = float(np.argmin(np.abs(heights - face + 0.05))) / _ROWS
    canvas.line([(0.465, low), (0.5, low + 0.004), (0.535, low)], 0.008)
    paint_over(albedo, canvas.mask() * np.float32(0.8), albedo * np.float32(0.25))


def seal(maker: Maker) -> Model:
    """A cylinder seal beside its modern impression."""
    stone = pick(maker.mould, ("#3a3f45", "#6e2f27", "#33507d", "#c7bda5", "#5d6b4c", "#8a6a4a"))
    motif, edge = pick(maker.mould, tuple(FIGURES)), pick(maker.mould, ("zigzag", "dots", "none"))
    repeats, slim = int(maker.mould.integers(3, 6)), float(maker.mould.uniform(0.15, 0.21))
    if maker.member:
        if maker.own.random() < 0.5:
            repeats = repeats + 1 if maker.own.random() < 0.6 else max(2, repeats - 1)
        else:
            motif = pick(maker.own, alternatives(motif))
    wear = float(maker.own.beta(2, 2.6))
    mask = np.zeros((256, 384), np.float32)
    mask[52:204] = band(motif, 384, 152, repeats, maker.own)
    if edge != "none":
        for low in (18, 212):
            mask[low : low + 26] = band(edge, 384, 26, 4 * repeats, maker.own)
    mask = worn(maker.own, mask, 0.5 * wear)
    cut = blur(mask, 1)
    surfaces = (_seal_stone(maker, stone, cut, slim, wear), *_impression(maker, cut))
    poses = (
        Pose("with impression", elevation=(32, 72), yaw=(-35, 35)),
        Pose("with impression, above", elevation=(72, 88), yaw=(-35, 35), weight=0.5),
    )
    label = f"Cylinder seal with {motif}, and its impression{wear_words(wear)}"
    about: dict[str, str | int | float] = {
        "stone": stone, "motif": motif, "repeats": repeats, "edge": edge, "wear": round(wear, 3)
    }
    return Model(surfaces, poses, label, about)


def _seal_stone(maker: Maker, stone: str, cut: FloatArray, slim: float, wear: float) -> Surface:
    albedo = ground(maker.own, *cut.shape, linear(stone), 0.18)
    relief = -cut * np.float32(0.02) + noise(maker.own, *cut.shape, 6, 3) * np.float32(0.002)
    paint_over(albedo, cut * np.float32(0.4), linear("#cdbfa6"))
    weather(maker.own, albedo, relief, wear, linear("#8a7355"))
    slim = near(maker.own, slim, 0.03)
    profile = spline([(0.05, 0.0), (slim - 0.02, 0), (slim - 0.01, 0), (slim, 0.02), (slim, 0.02),
                      (slim, 0.58), (slim, 0.58), (slim - 0.01, 0.6), (slim - 0.02, 0.6),
                      (0.05, 0.6), (0.05, 0.5), (0.0, 0.5)], 110)
    body = revolve(profile, relief, Skin(albedo, 0.3, 0.45), columns=129)
    return body.moved(np.eye(3, dtype=np.float32), np.array([-0.62, 0, 0], np.float32))


def _impression(maker: Maker, cut: FloatArray) -> tuple[Surface, Surface]:
    # The strip shows the whole drawing once, mirrored as an impression is.
    wide = np.asarray(cut[::1, ::-1], np.float32)
    relief = np.zeros((384, 384), np.float32)
    rows = np.linspace(0, 255, 384).astype(np.int32)
    relief[:, :] = wide[rows] * np.float32(0.035)
    relief += noise(maker.own, 384, 384, 8, 4) * np.float32(0.004)
    clay = ground(maker.own, 384, 768, linear("#d4c4a8"), 0.06)
    weather(maker.own, clay[:, :384], relief, 0.1, linear("#9a8464"))
    made = pillow((0.55, 0.3, 0.035), 9.0, 8.0, (relief, np.zeros_like(relief)), Skin(clay), number=141)
    shift = np.array([0.22, -0.05, 0.035], np.float32)
    front, back = (part.moved(np.eye(3, dtype=np.float32), shift) for part in made)
    return front, back


def lamp(maker: Maker) -> Model:
    """A closed oil lamp with a picture on its disc."""
    clay = pick(maker.mould, ("#b8794c", "#c9a67c", "#8f4a2e", "#7a6a58"))
    motif, rays = pick(maker.mould, tuple(FACES)), int(maker.mould.integers(12, 30))
    nozzle, edge = float(maker.mould.uniform(0.35, 0.62)), pick(maker.mould, ("tongues", "dots", "lines"))
    if maker.member:
        if maker.own.random() < 0.6:
            motif = pick(maker.own, sorted(set(FACES) - {motif}))
        else:
            rays, edge = rays + 9, pick(maker.own, ("tongues", "dots", "zigzag", "lines"))
    wear, nozzle = float(maker.own.beta(2, 2.6)), near(maker.own, nozzle, 0.04)
    rim = near(maker.own, 0.27, 0.03)
    profile = spline(
        [(0, 0), (0.2, 0), (0.22, 0), (0.36, 0.09), (0.42, 0.17), (0.37, 0.235), (rim + 0.03, 0.262),
         (rim, 0.262), (rim - 0.03, 0.225), (0.15, 0.215), (0, 0.215)], 130)  # fmt: skip
    albedo = ground(maker.own, _ROWS, _COLUMNS, linear(clay), 0.13)
    radius = np.interp(np.linspace(1, 0, _ROWS), np.linspace(0, 1, 130), profile[:, 0])
    mask, holes = _lamp_marks(maker, radius.astype(np.float32), rim, motif, (edge, rays))
    mask = worn(maker.own, mask, 0.6 * wear)
    relief = blur(mask, 1) * np.float32(0.028) - holes * np.float32(0.03)
    relief += noise(maker.own, _ROWS, _COLUMNS, 6, 4) * np.float32(0.003)
    paint_over(albedo, mask * np.float32(0.25), albedo * np.float32(1.25))
    weather(maker.own, albedo, relief, wear, linear("#54402e"))
    paint_over(albedo, holes, linear("#15110e"))
    turn = np.linspace(0, 1, 161, dtype=np.float32)[None, :]
    reach = np.clip((profile[:, 0] - 0.2) / 0.2, 0, 1)[:, None]
    round_by = 1 + nozzle * reach * np.exp(-(((turn - 0.5) / 0.055) ** 2))
    skin = Skin(albedo, 0.6, 0.15)
    surfaces = (revolve(profile, relief, skin, round_by=round_by.astype(np.float32)),
                _lamp_handle(skin))
    poses = (
        Pose("from above", elevation=(48, 86), yaw=(-120, 120)),
        Pose("standing", elevation=(22, 48), yaw=(-120, 120), weight=0.6),
    )
    label = f"Oil lamp with {motif} on the disc{wear_words(wear)}"
    about: dict[str, str | int | float] = {
        "clay": clay, "motif": motif, "edge": edge, "rays": rays, "wear": round(wear, 3)
    }
    return Model(surfaces, poses, label, about)


def _lamp_marks(
    maker: Maker, radius: FloatArray, rim: float, motif: str, edge: tuple[str, int]
) -> tuple[FloatArray, FloatArray]:
    """Relief of disc and shoulder, and the holes, in the lamp's texture."""
    picture = Canvas(192, 192)
    FACES[motif](picture.sub(0.16, 0.16, 0.68, 0.68), maker.own)
    angle = np.linspace(0, 2 * math.pi, _COLUMNS, endpoint=False, dtype=np.float32)[None, :]
    upper = np.arange(_ROWS) < _ROWS * 0.45
    inside = (upper & (radius < rim - 0.03))[:, None]
    far = radius[:, None] / (rim - 0.02) / 2
    u, v = 0.5 - far * np.sin(angle), 0.5 - far * np.cos(angle)
    mask = (sample(picture.mask(), u.astype(np.float32), v.astype(np.float32)) * inside).astype(np.float32)
    rows = np.flatnonzero(upper & (radius > rim + 0.03) & (radius < 0.4))
    first, last = int(rows[0]), int(rows[-1])
    mask[first:last] = band(edge[0], _COLUMNS, last - first, edge[1] if edge[0] != "lines" else 3, maker.own)
    x, y = far * np.sin(angle), far * np.cos(angle)
    holes = ((np.hypot(x - 0.2, y - 0.28) < 0.05) & inside).astype(np.float32)
    wick = (np.abs(angle / (2 * math.pi) - 0.5) < 0.02) & (upper & (radius > 0.33))[:, None]
    return mask, np.maximum(holes, blur((wick & (radius < 0.405)[:, None]).astype(np.float32), 1))


def _lamp_handle(skin: Skin) -> Surface:
    t = np.linspace(0, 1, 24)
    angle = math.pi * (0.05 + 1.15 * t)
    path = np.stack([0 * t, 0.38 + 0.13 * np.sin(angle), 0.17 - 0.1 * np.cos(angle)], axis=1)
    return tube(path, np.full(24, 0.035), Skin(skin.albedo[-40:], skin.roughness, skin.specular))


_BEADS = ("#3b8f92", "#27508c", "#b4532f", "#d8cba8", "#2a2a2c", "#7fae6a", "#c59b3d", "#8a2f2f",
          "#7d6a9a")  # fmt: skip


def necklace(maker: Maker) -> Model:
    """A string of beads, laid out in a ring."""
    number, kinds = int(maker.mould.integers(26, 46)), int(maker.mould.integers(2, 5))
    colours = [int(k) for k in maker.mould.permutation(len(_BEADS))[:kinds]]
    word = [int(k) for k in maker.mould.integers(0, kinds, int(maker.mould.integers(3, 7)))]
    longs, pendant = float(maker.mould.uniform(0.8, 1.7)), int(maker.mould.integers(3))
    if maker.member:
        change = int(maker.own.integers(3))
        if change == 0:
            word = [int(k) for k in maker.own.integers(0, kinds, len(word) + 1)]
        elif change == 1:
            spare = [k for k in range(len(_BEADS)) if k not in colours]
            colours[int(maker.own.integers(kinds))] = int(maker.own.choice(spare))
        else:
            pendant = (pendant + 1) % 3
        number += int(maker.own.integers(-3, 4))
    wear = float(maker.own.beta(2, 2.6))
    order = [colours[word[k % len(word)]] for k in range(number)]
    surfaces = (_beads(maker, order, longs, pendant, wear),)
    poses = (Pose("laid out", elevation=(42, 86)), Pose("low", elevation=(28, 42), weight=0.25))
    label = f"String of {number} beads{' with a pendant' if pendant else ''}{wear_words(wear)}"
    about: dict[str, str | int | float] = {
        "beads": number, "colours": " ".join(_BEADS[k] for k in colours),
        "pattern": "".join(str(k) for k in word), "pendant": pendant, "wear": round(wear, 3),
    }  # fmt: skip
    return Model(surfaces, poses, label, about)


def _beads(maker: Maker, order: Sequence[int], longs: float, pendant: int, wear: float) -> Surface:
    rng, number = maker.own, len(order)
    skin = Skin(np.concatenate([ground(rng, 32, 32, linear(c), 0.25) for c in _BEADS], axis=1), 0.35, 0.4)
    phases = rng.uniform(0, 6.28, 3)
    parts = []
    for k, colour in enumerate(order):
        t = 2 * math.pi * k / number
        far = 0.44 + sum(0.018 * math.cos((w + 2) * t + float(p)) for w, p in enumerate(phases))
        size = math.pi * 0.44 / number * near(rng, 0.96, 0.05 + 0.12 * wear)
        hang = pendant > 0 and k == 0
        girth = (size / math.sqrt(longs), size * math.sqrt(longs))
        shape = (0.05, 0.16 if pendant == 1 else 0.1) if hang else girth
        turn = t if hang else t + math.pi / 2
        centre = (far + (0.5 * shape[1] if hang else 0)) * np.array([math.sin(t), -math.cos(t), 0])
        bead = _bead(shape, colour, skin).moved(
            turn_about("z", math.degrees(turn)),
            np.array([*centre[:2], shape[0]], np.float32),
        )
        parts.append(bead)
    return _joined(parts, skin)


def _bead(shape: tuple[float, float], colour: int, skin: Skin) -> Surface:
    """A lentil of radius shape[0] and half length shape[1] along the y axis."""
    t = np.linspace(-math.pi / 2, math.pi / 2, 13)
    profile = np.stack([shape[0] * np.cos(t) ** 0.7, shape[1] * np.sin(t)], axis=1)
    profile[[0, -1], 0] = 0
    flat = np.zeros((2, 2), np.float32)
    bead = revolve(profile.astype(np.float32), flat, skin, columns=19)
    bead.uv[:, 0] = (colour + 0.1 + 0.8 * bead.uv[:, 0]) / len(_BEADS)
    return bead.moved(turn_about("x", 90), np.zeros(3, np.float32))


def _joined(parts: Sequence[Surface], skin: Skin) -> Surface:
    starts = np.cumsum([0] + [len(p.positions) for p in parts])
    return Surface(
        np.concatenate([p.positions for p in parts]),
        np.concatenate([p.normals for p in parts]),
        np.concatenate([p.uv for p in parts]),
        np.concatenate([p.faces + np.int32(s) for p, s in zip(parts, starts, strict=False)]),
        skin,
    )
