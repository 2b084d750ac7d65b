"""Flat pieces: coins, tokens, tablets, tiles and scarabs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.demo.canvas import Canvas, FloatArray, blur, noise
from train.demo.maker import Maker, alternatives, linear, paint_over, pick, wear_words
from train.demo.mesh import Model, Pose, Skin, pillow
from train.demo.patterns import FACES, FIGURES, glyph, glyph_rows, wedge_rows

_SIDE = 320

_FLAT = (
    Pose("obverse", elevation=(52, 88), yaw=(-35, 35), weight=1.0),
    Pose("reverse", tilt=180, elevation=(52, 88), yaw=(-35, 35), weight=0.7),
    Pose("obverse, oblique", elevation=(32, 52), yaw=(-60, 60), weight=0.3),
)


@dataclass(frozen=True)
class Metal:
    """A metal with its corrosion.

    Attributes:
        roughness: As in `Skin`.
        metallic: As in `Skin`.
    """

    name: str
    colour: str
    crust: str
    roughness: float
    metallic: float


_SILVER = Metal("silver", "#b4b2ac", "#4b4640", 0.42, 0.75)
_BRONZE = Metal("bronze", "#7d5f3c", "#5a7d66", 0.5, 0.45)
_BRASS = Metal("brass", "#a68a4f", "#5b4c33", 0.42, 0.6)
_LEAD = Metal("lead", "#77777a", "#a9a49a", 0.7, 0.25)
_COPPER = Metal("copper", "#8a5636", "#3f4f46", 0.5, 0.5)


@dataclass(frozen=True)
class Coinage:
    """A kind of struck or cast disc.

    Attributes:
        reverse: Motifs of the back.
        legends: Words round the edge; empty for none.
        square_hole: Whether it was cast with a square hole and four signs.
    """

    name: str
    metals: tuple[Metal, ...]
    obverse: tuple[str, ...]
    reverse: tuple[str, ...]
    legends: tuple[str, ...]
    square_hole: bool = False


COINAGES: dict[str, Coinage] = {
    "coin": Coinage(
        "coin", (_BRONZE, _SILVER, _BRASS), ("head",),
        ("warriors", "birds", "beasts", "boats", "trees", "rosettes"),
        ("IMP CAES AVG PIVS", "DIVVS AVGVSTVS PP", "CONSTANTINVS AVG", "FAVSTINA AVGVSTA"),
    ),
    "penny": Coinage(
        "penny", (_SILVER, _COPPER), ("head", "cross"), ("cross", "birds", "beasts", "rosettes"),
        ("+EDWARDVS REX ANG", "+HENRICVS REX", "+CIVITAS DVNELM", "+WILLELM REX"),
    ),
    "cash": Coinage("cash coin", (_BRASS, _BRONZE, _COPPER), ("signs",), ("signs",), (), True),
    "token": Coinage(
        "token", (_LEAD, _BRASS), ("rosettes", "fish", "birds", "cross", "trees", "boats"),
        ("cross", "signs", "spirals", "rosettes"), ("", "DVNELM CIVITAS", "AT THE SIGN OF"),
    ),
}  # fmt: skip


def coin(coinage: Coinage, maker: Maker) -> Model:
    """A struck or cast disc."""
    metal = coinage.metals[int(maker.mould.integers(len(coinage.metals)))]
    motifs = [pick(maker.mould, coinage.obverse), pick(maker.mould, coinage.reverse)]
    legend = pick(maker.mould, coinage.legends) if coinage.legends else ""
    rim = pick(maker.mould, ("dots", "line", "none"))
    if maker.member:  # another die for the back, and now and then for the front
        others = [m for m in coinage.reverse if m != motifs[1]] or ["signs"]
        motifs[1] = pick(maker.own, others)
        if maker.own.random() < 0.4 and coinage.legends:
            legend = pick(maker.own, coinage.legends)
    wear = float(maker.own.beta(2, 2.4))
    sides = [_die(maker, motif, legend, rim, coinage) for motif in motifs]
    masks = [maker.worn(mask, 0.8 * wear) for mask in sides]
    reliefs = [blur(mask, 1) * np.float32(0.055 * (1 - 0.45 * wear)) for mask in masks]
    albedo, relief = _metal_coat(maker, metal, reliefs, wear)
    outline = 1 + 0.035 * _round_noise(maker.own, 5) * (0.4 + wear)
    surfaces = pillow(
        (0.5, maker.near(0.5, 0.015), 0.03), 2.0, 14.0,
        (relief[:, :_SIDE], relief[:, _SIDE:]),
        Skin(albedo, metal.roughness + 0.2 * wear, 0.4, metal.metallic * (1 - 0.5 * wear)),
        wobble=outline, hole=0.17 if coinage.square_hole else 0.0, number=141,
    )  # fmt: skip
    label = f"{metal.name} {coinage.name} with {motifs[0]} and {motifs[1]}{wear_words(wear)}"
    return Model(surfaces, _FLAT, label.capitalize(), {
        "metal": metal.name, "obverse": motifs[0], "reverse": motifs[1],
        "legend": legend, "rim": rim, "wear": round(wear, 3),
    })  # fmt: skip


def _die(maker: Maker, motif: str, legend: str, rim: str, coinage: Coinage) -> FloatArray:
    canvas = Canvas(_SIDE, _SIDE)
    x, y = maker.own.normal(0, 0.012, 2).tolist()
    inner = 0.36 if legend else 0.44
    middle = canvas.sub(0.5 - inner + x, 0.5 - inner + y, 2 * inner, 2 * inner)
    if coinage.square_hole:
        for x, y in ((0.5, 0.13), (0.87, 0.5), (0.5, 0.87), (0.13, 0.5)):
            glyph(middle.sub(x - 0.15, y - 0.15, 0.3, 0.3), maker.own)
        for k in (0.3, 0.7):
            middle.line([(k, 0.3), (k, 0.7)], 0.03)
            middle.line([(0.3, k), (0.7, k)], 0.03)
    else:
        FACES[motif](middle.sub(0.1, 0.1, 0.8, 0.8), maker.own)
    if legend:
        canvas.ring_text(legend, 0.4, 0.1)
    if rim == "dots":
        for k in range(44):
            angle = 2 * math.pi * k / 44
            canvas.disc(0.5 + 0.475 * math.cos(angle), 0.5 + 0.475 * math.sin(angle), 0.011)
    elif rim == "line" or coinage.square_hole:
        canvas.arc(0.5, 0.5, 0.475, (0.0, 1.0), 0.02)
    return canvas.mask()


def _metal_coat(
    maker: Maker, metal: Metal, reliefs: Sequence[FloatArray], wear: float
) -> tuple[FloatArray, FloatArray]:
    relief = np.concatenate(reliefs, axis=1)
    relief += noise(maker.own, _SIDE, 2 * _SIDE, 16, 4) * np.float32(0.004 * (0.4 + wear))
    albedo = maker.coat(_SIDE, 2 * _SIDE, metal.colour, 0.12)
    low = 1 - np.clip(relief / 0.03, 0, 1)
    cloud = noise(maker.own, _SIDE, 2 * _SIDE, 6, 5)
    crust = np.clip((cloud - 0.7 + 0.9 * wear) * 1.3, 0, 1) * (0.35 + 0.65 * low)
    paint_over(albedo, (0.9 * crust).astype(np.float32), linear(metal.crust))
    paint_over(albedo, (0.5 * low).astype(np.float32), albedo * np.float32(0.4))
    maker.weather(albedo, relief, 0.3 * wear, linear("#4a4136"))
    return albedo, relief


def _round_noise(rng: np.random.Generator, waves: int) -> FloatArray:
    """Smooth noise round a closed outline, float32 `[128]`."""
    angle = np.linspace(0, 2 * math.pi, 128, endpoint=False)
    out = np.zeros(128)
    for wave in range(2, 2 + waves):
        out += float(rng.normal()) / wave * np.cos(wave * angle + float(rng.uniform(0, 6.28)))
    return out.astype(np.float32)


def tablet(maker: Maker) -> Model:
    """A clay tablet with rows of wedge signs on both sides."""
    clay = pick(maker.mould, ("#b08e68", "#8f7456", "#a5714f", "#8a8274", "#c2a784"))
    size = tuple(float(maker.mould.uniform(*r)) for r in ((0.3, 0.46), (0.42, 0.52), (0.09, 0.15)))
    rows, fill = int(maker.mould.integers(5, 10)), 0.96
    if maker.member:
        rows = max(3, rows + int(maker.own.choice([-2, -1, 0, 1, 2])))
        fill = float(maker.own.uniform(0.6, 0.96))
    wear = float(maker.own.beta(2, 2.6))
    sides = []
    for side in range(2):
        canvas = Canvas(_SIDE, _SIDE)
        page = canvas.sub(0.08, 0.07, 0.84, 0.86)
        wedge_rows(page, maker.own, rows - side, fill)
        for row in range(rows - side + 1):
            y = row / (rows - side)
            page.line([(0, y), (1, y)], 0.008, 110)
        sides.append(-blur(maker.worn(canvas.mask(), 0.75 * wear), 1) * np.float32(0.03))
    relief = np.concatenate(sides, axis=1)
    relief += noise(maker.own, _SIDE, 2 * _SIDE, 8, 5) * np.float32(0.006)
    albedo = maker.coat(_SIDE, 2 * _SIDE, clay, 0.12)
    maker.weather(albedo, relief, 0.4 + 0.5 * wear, linear("#5d4c3a"))
    broken = 1 + 0.03 * _round_noise(maker.own, 8)
    loss = int(maker.own.poisson(0.8 * wear))
    for _ in range(loss):
        notch = int(maker.own.integers(128))
        away = np.abs((np.arange(128) - notch + 64) % 128 - 64)
        broken -= float(maker.own.uniform(0.12, 0.3)) * np.exp(-((away / 7) ** 2))
    surfaces = pillow(
        (maker.near(size[0], 0.03), maker.near(size[1], 0.03), size[2]), 5.0, 3.2,
        (relief[:, :_SIDE], relief[:, _SIDE:]), Skin(albedo), wobble=broken, number=161,
    )  # fmt: skip
    poses = (
        Pose("obverse", elevation=(48, 88), yaw=(-25, 25)),
        Pose("reverse", tilt=180, elevation=(48, 88), yaw=(-25, 25), weight=0.5),
        Pose("leaning", tilt=62, elevation=(10, 35), yaw=(-40, 40), weight=0.6),
    )
    label = f"Clay tablet with {rows} ruled lines of writing{wear_words(wear)}"
    return Model(surfaces, poses, label, {
        "clay": clay, "rows": rows, "written": round(fill, 2), "losses": loss,
        "wear": round(wear, 3),
    })  # fmt: skip


_TILES = {
    "Castle": (("inlaid floor tile", "#8c4326", ("#d8b878",)),
               ("green-glazed floor tile", "#4f5a2a", ("#c9b26b", "#2c331a"))),
    "Oriental": (("cobalt and turquoise tile", "#e3e2d8", ("#23447f", "#3d9a9a", "#7d3a2a")),
                 ("lustre tile", "#e0d4b8", ("#8a5424", "#2c5a7a"))),
}  # fmt: skip


def tile(maker: Maker) -> Model:
    """A square tile with a motif, corners and a border."""
    options = _TILES.get(maker.collection, _TILES["Castle"])
    name, fabric, paints = options[int(maker.mould.integers(len(options)))]
    motif, corner = pick(maker.mould, tuple(FIGURES)), pick(maker.mould, tuple(FIGURES))
    border, turns = pick(maker.mould, ("double", "dots", "none")), int(maker.mould.integers(1, 3))
    if maker.member:
        change = int(maker.own.integers(3))
        motif = pick(maker.own, alternatives(motif)) if change == 0 else motif
        corner = pick(maker.own, alternatives(corner)) if change == 1 else corner
        border = pick(maker.own, ("double", "dots", "none", "single")) if change == 2 else border
        turns += int(maker.own.integers(2))
    wear = float(maker.own.beta(2, 2.8))
    albedo = maker.coat(_SIDE, 2 * _SIDE, fabric, 0.1)
    relief = noise(maker.own, _SIDE, 2 * _SIDE, 8, 4) * np.float32(0.004)
    for k, mask in enumerate(_tile_masks(maker, motif, corner, border, turns)):
        shown = maker.worn(mask, 0.7 * wear)
        paint_over(albedo[:, :_SIDE], shown * np.float32(0.93), linear(paints[k % len(paints)]))
        relief[:, :_SIDE] -= mask * np.float32(0.006)
    paint_over(albedo[:, _SIDE:], np.full((_SIDE, _SIDE), 0.85, np.float32), linear("#a58a6c"))
    maker.weather(albedo, relief, wear, linear("#55493a"))
    side = maker.near(0.45, 0.015)
    outline = 1 + 0.02 * _round_noise(maker.own, 8) * (0.3 + wear)
    surfaces = pillow(
        (side, 0.45, 0.055), 14.0, 16.0, (relief[:, :_SIDE], relief[:, _SIDE:]),
        Skin(albedo, 0.4 + 0.3 * wear, 0.35), wobble=outline,
    )  # fmt: skip
    poses = (
        Pose("flat", elevation=(50, 88), yaw=(-180, 180)),
        Pose("leaning", tilt=70, elevation=(8, 35), yaw=(-45, 45), weight=0.7),
    )
    label = f"{name} with {motif}, {corner} in the corners{wear_words(wear)}".capitalize()
    return Model(surfaces, poses, label, {
        "motif": motif, "corner": corner, "border": border, "turns": turns,
        "wear": round(wear, 3),
    })  # fmt: skip


def _tile_masks(maker: Maker, motif: str, corner: str, border: str, turns: int) -> list[FloatArray]:
    """Middle, corners and border, one mask for each paint."""
    middle, corners, edge = (Canvas(_SIDE, _SIDE) for _ in range(3))
    FACES[motif](middle.sub(0.28, 0.28, 0.44, 0.44), maker.own)
    for ring in range(turns):
        middle.arc(0.5, 0.5, 0.29 + 0.04 * ring, (0.0, 1.0), 0.018)
    state = maker.own.bit_generator.state
    for x in (0.06, 0.74):
        for y in (0.06, 0.74):
            maker.own.bit_generator.state = state  # the same figure in every corner
            FACES[corner](corners.sub(x, y, 0.2, 0.2), maker.own)
    for inset in {"double": (0.025, 0.055), "single": (0.04,)}.get(border, ()):
        far = 1 - inset
        edge.line([(inset, inset), (far, inset), (far, far), (inset, far), (inset, inset)], 0.014)
    if border == "dots":
        for k in range(1, 16):
            for x, y in ((k / 16, 0.03), (k / 16, 0.97), (0.03, k / 16), (0.97, k / 16)):
                edge.disc(x, y, 0.013)
    return [middle.mask(), corners.mask(), edge.mask()]


def scarab(maker: Maker) -> Model:
    """A scarab: a beetle above, an engraved base below."""
    stone = pick(maker.mould, ("#3f8f8c", "#2f5f86", "#7d8f5a", "#c2b08c", "#33322f", "#8d4f35"))
    rows, columns = int(maker.mould.integers(2, 5)), int(maker.mould.integers(2, 4))
    notches, split = int(maker.mould.integers(0, 4)), float(maker.mould.uniform(0.36, 0.46))
    width = float(maker.mould.uniform(0.34, 0.4))
    if maker.member:
        rows = max(1, rows + int(maker.own.choice([-1, 0, 1])))
        notches = int(maker.own.integers(0, 6))
        split += float(maker.own.uniform(-0.05, 0.05))
    wear = float(maker.own.beta(2, 2.6))
    back, base = Canvas(_SIDE, _SIDE), Canvas(_SIDE, _SIDE)
    _beetle(back, maker.own, split, notches)
    angles = np.linspace(0, 2 * math.pi, 40).tolist()
    base.line([(0.5 + 0.4 * math.cos(t), 0.5 + 0.43 * math.sin(t)) for t in angles], 0.022)
    glyph_rows(base.sub(0.24, 0.18, 0.52, 0.64), maker.own, rows, columns)
    cut = [maker.worn(canvas.mask(), 0.5 * wear) for canvas in (back, base)]
    relief = -blur(np.concatenate(cut, axis=1), 1) * np.float32(0.028)
    relief += noise(maker.own, _SIDE, 2 * _SIDE, 8, 4) * np.float32(0.003)
    albedo = maker.coat(_SIDE, 2 * _SIDE, stone, 0.14)
    maker.weather(albedo, relief, wear, linear("#b39b74"))
    surfaces = pillow(
        (maker.near(width, 0.05), 0.5, 0.09), 2.3, 7.0, (relief[:, :_SIDE], relief[:, _SIDE:]),
        Skin(albedo, 0.4, 0.4), dome=2.0,
    )  # fmt: skip
    poses = (
        Pose("back", elevation=(40, 85), yaw=(-60, 60)),
        Pose("base", tilt=180, elevation=(52, 88), yaw=(-40, 40), weight=0.8),
        Pose("side", elevation=(20, 40), weight=0.35),
    )
    label = f"Scarab with {rows} rows of signs{wear_words(wear)}"
    return Model(surfaces, poses, label, {
        "stone": stone, "rows": rows, "columns": columns, "notches": notches,
        "wear": round(wear, 3),
    })  # fmt: skip


def _beetle(canvas: Canvas, rng: np.random.Generator, split: float, notches: int) -> None:
    """Head, shield and wing cases as cut lines."""
    shield = ((0.06, 0), (0.3, 0.04), (0.5, 0.05), (0.7, 0.04), (0.94, 0))
    canvas.line([(x, split + y) for x, y in shield], 0.03)
    canvas.line([(0.5, split + 0.05), (0.5, 0.97)], 0.028)
    canvas.line([(0.25, 0.12), (0.32, 0.24), (0.5, 0.27), (0.68, 0.24), (0.75, 0.12)], 0.028)
    for x in (0.38, 0.62):
        canvas.line([(x, 0.05), (x + (x - 0.5) * 0.3, 0.14)], 0.024)
    for k in range(notches):
        y = split + 0.12 + 0.09 * k
        for x, way in ((0.5, -1), (0.5, 1)):
            canvas.line([(x + way * 0.07, y), (x + way * 0.3, y - 0.03)], 0.018)
    if rng.random() < 0.4:
        for x in (0.18, 0.82):
            canvas.polygon([(x - 0.04, split + 0.1), (x + 0.04, split + 0.1), (x, split + 0.2)])
