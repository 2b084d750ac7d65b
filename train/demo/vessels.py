"""Pots: amphorae, jugs, vases, jars, beakers and bowls."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from train.demo.canvas import FloatArray, noise
from train.demo.maker import Maker, Zone, linear, paint_over, pick, sister_zones, wear_words
from train.demo.mesh import Model, Pose, Skin, Surface, revolve, spline, tube
from train.demo.patterns import FIGURES, ORNAMENTS, band

_ROWS, _COLUMNS = 320, 576


@dataclass(frozen=True)
class Ware:
    """A fabric with its paints and shine.

    Attributes:
        roughness: As in `Skin`.
        specular: As in `Skin`.
        relief: Height of the decoration; negative if it is cut in.
    """

    name: str
    fabric: str
    paints: tuple[str, ...]
    roughness: float
    specular: float
    relief: float = 0.0


WARES: dict[str, tuple[Ware, ...]] = {
    "Oriental": (
        Ware("blue-and-white porcelain", "#e6e8e2", ("#27457f", "#5474a8"), 0.25, 0.5),
        Ware("celadon", "#9db394", ("#6d8a68",), 0.3, 0.5, -0.007),
        Ware("turquoise-glazed", "#3c979b", ("#173133", "#1f5a6e"), 0.3, 0.5),
        Ware("famille-rose porcelain", "#ece6da", ("#b5485a", "#3f7a4d", "#c79a3a"), 0.25, 0.5),
    ),
    "Egyptian": (
        Ware("buff", "#c8a57a", ("#6e2d1f", "#3a2a22"), 0.85, 0.0),
        Ware("faience", "#4fa6a3", ("#1c2b30", "#27547a"), 0.35, 0.4),
        Ware("black-topped red", "#9a4a30", ("#231b19", "#d9b98c"), 0.6, 0.2),
    ),
    "Fulling Mill": (
        Ware("red-figured", "#b9622f", ("#1d1715", "#7c2f1c"), 0.45, 0.3),
        Ware("samian", "#a03d22", ("#8a3019",), 0.35, 0.4, 0.013),
        Ware("colour-coated", "#d3b48a", ("#46291f", "#82512f"), 0.6, 0.15),
        Ware("grey burnished", "#77736b", ("#3a3937",), 0.5, 0.2, -0.01),
    ),
    "Castle": (
        Ware("green-glazed", "#66702e", ("#3c4a1b", "#b39a55"), 0.35, 0.45, 0.012),
        Ware("salt-glazed stoneware", "#8d6740", ("#4d3120", "#39486d"), 0.35, 0.4, 0.009),
        Ware("slip-trailed", "#6b3a1f", ("#dfc07c",), 0.35, 0.4, 0.01),
    ),
}


@dataclass(frozen=True)
class Shape:
    """Ranges of a vessel's proportions, in units of its height."""

    name: str
    foot: tuple[float, float]
    belly: tuple[float, float]
    middle: tuple[float, float]
    neck: tuple[float, float]
    shoulder: tuple[float, float]
    lip: tuple[float, float]
    handles: int = 0


SHAPES: tuple[Shape, ...] = (
    Shape("amphora", (0.1, 0.17), (0.29, 0.37), (0.46, 0.6), (0.09, 0.14), (0.73, 0.79),
          (0.12, 0.19), 2),
    Shape("jug", (0.2, 0.27), (0.31, 0.42), (0.34, 0.5), (0.16, 0.22), (0.68, 0.76),
          (0.18, 0.24), 1),
    Shape("vase", (0.14, 0.22), (0.24, 0.37), (0.4, 0.68), (0.06, 0.13), (0.78, 0.85),
          (0.09, 0.18)),
    Shape("jar", (0.14, 0.28), (0.42, 0.56), (0.5, 0.65), (0.25, 0.36), (0.86, 0.9), (0.28, 0.42)),
    Shape("beaker", (0.24, 0.34), (0.36, 0.46), (0.35, 0.6), (0.32, 0.4), (0.82, 0.88),
          (0.35, 0.46)),
    Shape("bowl", (0.35, 0.6), (0.8, 1.05), (0.62, 0.75), (0.95, 1.2), (0.93, 0.95), (1.0, 1.3)),
)  # fmt: skip


def vessel(shape: Shape, maker: Maker) -> Model:
    """A pot with zones of decoration."""
    ware = WARES[maker.collection][int(maker.mould.integers(len(WARES[maker.collection])))]
    zones = _mould_zones(maker.mould, len(ware.paints))
    profile, outside = _profile(shape, maker)
    shown = sister_zones(zones, maker, len(ware.paints))
    wear = float(maker.own.beta(2, 3))
    albedo, height = _coat(maker, ware)
    # The texture runs along the whole profile, of which the outside is a part.
    inner = 1 - outside
    _decorate(maker, ware, shown, (1 - 0.08 * outside, inner), (albedo, height), wear=wear)
    if shape.name == "bowl":
        _decorate(maker, ware, shown[-3:], (inner * 0.95, inner * 0.1), (albedo, height), wear=wear)
    chips = _chip_rim(maker.own, (albedo, height), rim=inner, wear=wear, ware=ware)
    maker.weather(albedo, height, wear, linear("#6a5b48"))
    skin = Skin(albedo, ware.roughness, ware.specular)
    spout = _spout(profile) if shape.handles == 1 else None
    surfaces = [revolve(profile, height, skin, columns=193, round_by=spout)]
    surfaces += _handles(shape, maker, profile, skin)
    main = max(shown, key=lambda zone: zone.high - zone.low)
    label = f"{ware.name} {shape.name} with {main.kind}{wear_words(wear)}".capitalize()
    described = "; ".join(f"{z.repeats} {z.kind} (paint {z.paint})" for z in shown)
    return Model(tuple(surfaces), _poses(shape), label, {
        "ware": ware.name, "zones": described, "chips": chips, "wear": round(wear, 3),
    })  # fmt: skip


def _poses(shape: Shape) -> tuple[Pose, ...]:
    if shape.name == "bowl":
        return (
            Pose("standing", elevation=(12, 45)),
            Pose("from above", elevation=(50, 75), weight=0.5),
            Pose("tilted", tilt=55, elevation=(10, 30), yaw=(-60, 60), weight=0.3),
        )
    return (Pose("standing"), Pose("lying", tilt=88, elevation=(35, 70), weight=0.1))


def _mould_zones(rng: np.random.Generator, paints: int) -> list[Zone]:
    """One broad zone and several narrow ones, filling the body from the foot up."""
    number = int(rng.integers(3, 6))
    sizes = rng.uniform(0.45, 1.0, number)
    sizes[int(rng.integers(number // 3, number))] += 1.6
    edges = np.concatenate([[0], np.cumsum(sizes / sizes.sum())]) * 0.92 + 0.04
    zones = []
    for k in range(number):
        low, high = float(edges[k]), float(edges[k + 1])
        if sizes[k] > 1.4:
            kind, repeats = pick(rng, tuple(FIGURES)), int(rng.integers(5, 11))
        elif rng.random() < 0.25:
            kind, repeats = "lines", int(rng.integers(1, 5))
        else:
            kind, repeats = pick(rng, tuple(ORNAMENTS)), int(rng.integers(11, 30))
        gap = 0.08 * (high - low)
        zones.append(Zone(low + gap, high - gap, kind, repeats, int(rng.integers(paints))))
    return zones


def _profile(shape: Shape, maker: Maker) -> tuple[FloatArray, float]:
    """The profile, and the share of its length that is outside."""
    ranges = (shape.foot, shape.belly, shape.middle, shape.neck, shape.shoulder, shape.lip)
    mould = [float(maker.mould.uniform(*r)) for r in ranges]
    foot, belly, middle, neck, high, lip = (maker.near(v, 0.04) for v in mould)
    high, middle = min(high, 0.95), min(middle, high - 0.1)
    wall = 0.03
    outer = [
        (0.0, 0.0), (foot * 0.9, 0.0), (foot, 0.0), (foot, 0.03), (foot * 0.88, 0.07),
        ((foot + belly) / 2 * 1.06, middle * 0.5), (belly, middle),
        ((belly + neck) / 2 * 1.05, (middle + 1.4 * high) / 2.4), (neck, high),
        (neck * 0.96, (high + 1) / 2), (lip, 0.985), (lip, 1.0),
    ]  # fmt: skip
    inner = [
        (lip - wall, 1.0), (neck * 0.96 - wall, (high + 1) / 2), (neck - wall, high),
        (belly - wall, middle), ((foot + belly) / 2 - wall, middle * 0.5), (0.0, 0.08),
    ]  # fmt: skip
    whole = spline(outer + inner, 150)
    top = int(np.argmax(whole[:, 1] - 1e-4 * np.arange(len(whole))))
    return whole, top / (len(whole) - 1)


def _coat(maker: Maker, ware: Ware) -> tuple[FloatArray, FloatArray]:
    albedo = maker.coat(_ROWS, _COLUMNS, ware.fabric, 0.09)
    height = noise(maker.own, _ROWS, _COLUMNS, 6, 4) * np.float32(0.0022)
    if ware.name.startswith("black-topped"):
        fade = np.clip(1.6 - np.linspace(0, 1, _ROWS) * 3.4, 0, 1)[:, None]
        uneven = np.clip(fade + 0.15 * noise(maker.own, _ROWS, _COLUMNS, 4), 0, 1)
        paint_over(albedo, uneven.astype(np.float32), linear("#1f1a18"))
    return albedo, height


def _decorate(
    maker: Maker,
    ware: Ware,
    zones: tuple[Zone, ...],
    span: tuple[float, float],
    coat: tuple[FloatArray, FloatArray],
    *,
    wear: float,
) -> None:
    """Paint, cut or raise the zones between two texture rows (`span`, bottom first)."""
    albedo, height = coat
    bottom, top = span
    for zone in zones:
        first = round((bottom - zone.high * (bottom - top)) * _ROWS)
        last = round((bottom - zone.low * (bottom - top)) * _ROWS)
        if last - first < 3:
            continue
        mask = band(zone.kind, _COLUMNS, last - first, zone.repeats, maker.own)
        mask = maker.worn(mask, 0.6 * wear)
        strength = np.float32(0.75 if ware.relief else 0.95)
        paint_over(albedo[first:last], mask * strength, linear(ware.paints[zone.paint]))
        height[first:last] += mask * np.float32(ware.relief)
        if zone.kind in FIGURES:
            for row in (first - 2, last):
                edge = slice(max(0, row), row + 2)
                line = np.full_like(height[edge], 0.8)
                paint_over(albedo[edge], line, linear(ware.paints[zone.paint]))


def _chip_rim(
    rng: np.random.Generator,
    coat: tuple[FloatArray, FloatArray],
    *,
    rim: float,
    wear: float,
    ware: Ware,
) -> int:
    """Break bits off the rim; returns how many."""
    albedo, height = coat
    number = int(rng.poisson(0.6 + 2.5 * wear))
    y, x = np.mgrid[0:_ROWS, 0:_COLUMNS].astype(np.float32)
    for _ in range(number):
        where, size = float(rng.random()) * _COLUMNS, float(rng.uniform(8, 24))
        row = (rim + float(rng.uniform(-0.01, 0.05))) * _ROWS
        across = np.abs(x - where)
        far = np.hypot(np.minimum(across, _COLUMNS - across) / 1.5, y - row)
        chip = np.clip((size * (1 + 0.3 * noise(rng, _ROWS, _COLUMNS, 24, 2)) - far) / 3, 0, 1)
        mask = chip.astype(np.float32)
        height -= mask * np.float32(0.005)
        inside = 0.5 * linear(ware.fabric) + linear("#8f7b62") * 0.5
        paint_over(albedo, mask * np.float32(0.9), inside)
    return number


def _spout(profile: FloatArray) -> FloatArray:
    """A pouring lip opposite the handle."""
    angle = np.linspace(0, 2 * math.pi, 193) + math.pi / 2
    away = np.abs((angle + math.pi) % (2 * math.pi) - math.pi)
    pull = np.exp(-((away / 0.4) ** 2))
    rise = np.clip((profile[:, 1] - 0.85) / 0.15, 0, 1) ** 1.5
    return np.asarray(1 + 0.3 * rise[:, None] * pull[None, :], np.float32)


def _handles(shape: Shape, maker: Maker, profile: FloatArray, skin: Skin) -> list[Surface]:
    if not shape.handles:
        return []
    outer = profile[: int(np.argmax(profile[:, 1]))]
    low, high = float(maker.mould.uniform(0.55, 0.68)), float(maker.mould.uniform(0.86, 0.95))
    reach, thick = maker.near(float(maker.mould.uniform(0.16, 0.3)), 0.06), 0.035
    r_low, r_high = (float(np.interp(z, outer[:, 1], outer[:, 0])) - 0.02 for z in (low, high))
    made = []
    for side in (-1.0, 1.0)[: shape.handles]:
        t = np.linspace(0, 1, 24)
        out = r_low + (r_high - r_low) * t + reach * np.sin(math.pi * t) ** 0.8
        z = low + (high - low) * t + 0.08 * np.sin(math.pi * t)
        path = np.stack([side * out, 0 * t, z], axis=1).astype(np.float32)
        radii = np.full(24, thick * (1.0 if shape.handles == 2 else 1.3), np.float32)
        made.append(tube(path, radii, replace(skin, albedo=skin.albedo[-60:]), flat=0.7))
    return made
