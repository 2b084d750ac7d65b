"""Cylinder seals, oil lamps and strings of beads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from train.demo.canvas import Canvas, FloatArray, blur, noise
from train.demo.maker import Maker, alternatives, ground, linear, paint_over, pick, wear_words
from train.demo.mesh import (
    Model,
    Pose,
    Skin,
    Surface,
    pillow,
    revolve,
    sample,
    spline,
    tube,
    turn_about,
)
from train.demo.patterns import FACES, FIGURES, band

_ROWS, _COLUMNS = 384, 320


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
    mask = maker.worn(mask, 0.5 * wear)
    cut = blur(mask, 1)
    surfaces = (_seal_stone(maker, stone, cut, slim, wear), *_impression(maker, cut))
    poses = (
        Pose("with impression", elevation=(32, 72), yaw=(-35, 35)),
        Pose("with impression, above", elevation=(72, 88), yaw=(-35, 35), weight=0.5),
    )
    label = f"Cylinder seal with {motif}, and its impression{wear_words(wear)}"
    return Model(surfaces, poses, label, {
        "stone": stone, "motif": motif, "repeats": repeats, "edge": edge, "wear": round(wear, 3),
    })  # fmt: skip


def _seal_stone(maker: Maker, stone: str, cut: FloatArray, slim: float, wear: float) -> Surface:
    rows, columns = cut.shape
    albedo = maker.coat(rows, columns, stone, 0.18)
    relief = noise(maker.own, rows, columns, 6, 3) * np.float32(0.002) - cut * np.float32(0.02)
    paint_over(albedo, cut * np.float32(0.4), linear("#cdbfa6"))
    maker.weather(albedo, relief, wear, linear("#8a7355"))
    slim = maker.near(slim, 0.03)
    profile = spline(
        [(0.05, 0.0), (slim - 0.02, 0), (slim - 0.01, 0), (slim, 0.02), (slim, 0.02), (slim, 0.58),
         (slim, 0.58), (slim - 0.01, 0.6), (slim - 0.02, 0.6), (0.05, 0.6), (0.05, 0.5), (0, 0.5)],
        110,
    )  # fmt: skip
    body = revolve(profile, relief, Skin(albedo, 0.3, 0.45), columns=129)
    return body.moved(np.eye(3, dtype=np.float32), np.array([-0.62, 0, 0], np.float32))


def _impression(maker: Maker, cut: FloatArray) -> tuple[Surface, Surface]:
    # The strip shows the whole drawing once, mirrored as an impression is.
    rows = np.linspace(0, 255, 384).astype(np.int32)
    relief = cut[rows, ::-1] * np.float32(0.035)
    relief += noise(maker.own, 384, 384, 8, 4) * np.float32(0.004)
    clay = ground(maker.own, 384, 768, linear("#d4c4a8"), 0.06)
    maker.weather(clay[:, :384], relief, 0.1, linear("#9a8464"))
    made = pillow(
        (0.55, 0.3, 0.035), 9.0, 8.0, (relief, np.zeros_like(relief)), Skin(clay), number=141
    )
    shift = np.array([0.22, -0.05, 0.035], np.float32)
    front, back = (part.moved(np.eye(3, dtype=np.float32), shift) for part in made)
    return front, back


def lamp(maker: Maker) -> Model:
    """A closed oil lamp with a picture on its disc."""
    clay = pick(maker.mould, ("#b8794c", "#c9a67c", "#8f4a2e", "#7a6a58"))
    motif, rays = pick(maker.mould, tuple(FACES)), int(maker.mould.integers(12, 30))
    nozzle = float(maker.mould.uniform(0.35, 0.62))
    edge = pick(maker.mould, ("tongues", "dots", "lines"))
    if maker.member:
        if maker.own.random() < 0.6:
            motif = pick(maker.own, sorted(set(FACES) - {motif}))
        else:
            rays, edge = rays + 9, pick(maker.own, ("tongues", "dots", "zigzag", "lines"))
    wear, nozzle = float(maker.own.beta(2, 2.6)), maker.near(nozzle, 0.04)
    rim = maker.near(0.27, 0.03)
    profile = spline(
        [(0, 0), (0.2, 0), (0.22, 0), (0.36, 0.09), (0.42, 0.17), (0.37, 0.235),
         (rim + 0.03, 0.262), (rim, 0.262), (rim - 0.03, 0.225), (0.15, 0.215),
         (0, 0.215)], 130)  # fmt: skip
    albedo = maker.coat(_ROWS, _COLUMNS, clay, 0.13)
    radius = np.interp(np.linspace(1, 0, _ROWS), np.linspace(0, 1, 130), profile[:, 0])
    mask, holes = _lamp_marks(maker, radius.astype(np.float32), rim, motif, (edge, rays))
    mask = maker.worn(mask, 0.6 * wear)
    relief = blur(mask, 1) * np.float32(0.028) - holes * np.float32(0.03)
    relief += noise(maker.own, _ROWS, _COLUMNS, 6, 4) * np.float32(0.003)
    paint_over(albedo, mask * np.float32(0.25), albedo * np.float32(1.25))
    maker.weather(albedo, relief, wear, linear("#54402e"))
    paint_over(albedo, holes, linear("#15110e"))
    turn = np.linspace(0, 1, 161, dtype=np.float32)[None, :]
    reach = np.clip((profile[:, 0] - 0.2) / 0.2, 0, 1)[:, None]
    round_by = 1 + nozzle * reach * np.exp(-(((turn - 0.5) / 0.055) ** 2))
    skin = Skin(albedo, 0.6, 0.15)
    body = revolve(profile, relief, skin, round_by=round_by.astype(np.float32))
    surfaces = (body, _lamp_handle(skin))
    poses = (
        Pose("from above", elevation=(48, 86), yaw=(-120, 120)),
        Pose("standing", elevation=(22, 48), yaw=(-120, 120), weight=0.6),
    )
    label = f"Oil lamp with {motif} on the disc{wear_words(wear)}"
    return Model(surfaces, poses, label, {
        "clay": clay, "motif": motif, "edge": edge, "rays": rays, "wear": round(wear, 3),
    })  # fmt: skip


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
    mask = sample(picture.mask(), u.astype(np.float32), v.astype(np.float32))
    mask = (mask * inside).astype(np.float32)
    rows = np.flatnonzero(upper & (radius > rim + 0.03) & (radius < 0.4))
    first, last = int(rows[0]), int(rows[-1])
    kind, rays = edge
    repeats = 3 if kind == "lines" else rays
    mask[first:last] = band(kind, _COLUMNS, last - first, repeats, maker.own)
    x, y = far * np.sin(angle), far * np.cos(angle)
    holes = ((np.hypot(x - 0.2, y - 0.28) < 0.05) & inside).astype(np.float32)
    wick = (np.abs(angle / (2 * math.pi) - 0.5) < 0.02) & (upper & (radius > 0.33))[:, None]
    return mask, np.maximum(holes, blur((wick & (radius < 0.405)[:, None]).astype(np.float32), 1))


def _lamp_handle(skin: Skin) -> Surface:
    t = np.linspace(0, 1, 24)
    angle = math.pi * (0.05 + 1.15 * t)
    path = np.stack([0 * t, 0.38 + 0.13 * np.sin(angle), 0.17 - 0.1 * np.cos(angle)], axis=1)
    skin = replace(skin, albedo=skin.albedo[-40:])
    return tube(path.astype(np.float32), np.full(24, 0.035, np.float32), skin)


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
    return Model(surfaces, poses, label, {
        "beads": number, "colours": " ".join(_BEADS[k] for k in colours),
        "pattern": "".join(str(k) for k in word), "pendant": pendant, "wear": round(wear, 3),
    })  # fmt: skip


def _beads(maker: Maker, order: Sequence[int], longs: float, pendant: int, wear: float) -> Surface:
    rng, number = maker.own, len(order)
    glaze = np.concatenate([ground(rng, 32, 32, linear(c), 0.25) for c in _BEADS], axis=1)
    skin = Skin(glaze, 0.35, 0.4)
    phases = rng.uniform(0, 6.28, 3)
    parts = []
    for k, colour in enumerate(order):
        t = 2 * math.pi * k / number
        far = 0.44 + sum(0.018 * math.cos((w + 2) * t + float(p)) for w, p in enumerate(phases))
        size = math.pi * 0.44 / number * maker.near(0.96, 0.05 + 0.12 * wear)
        hang = pendant > 0 and k == 0
        girth = (size / math.sqrt(longs), size * math.sqrt(longs))
        shape = (0.05, 0.16 if pendant == 1 else 0.1) if hang else girth
        turn = t if hang else t + math.pi / 2
        centre = (far + (0.5 * shape[1] if hang else 0)) * np.array([math.sin(t), -math.cos(t), 0])
        offset = np.array([*centre[:2], shape[0]], np.float32)
        rotation = turn_about("z", math.degrees(turn))
        parts.append(_bead(shape, colour, skin).moved(rotation, offset))
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
