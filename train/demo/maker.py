"""What all families share: colours, paint, wear, and how sisters differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from train.demo.canvas import FloatArray, blur, cracks, noise
from train.demo.mesh import Model
from train.demo.patterns import FIGURES, ORNAMENTS


@dataclass(frozen=True)
class Maker:
    """The randomness an object is made of.

    Attributes:
        mould: What it shares with its sisters; every sister gets the same stream.
        member: Its number among its sisters; 0 is as the mould has it.
    """

    mould: np.random.Generator
    own: np.random.Generator
    collection: str
    member: int

    def fired(self, colour: str) -> FloatArray:
        """A colour as one piece of a batch has it: no two come out quite alike."""
        shade = float(np.exp(np.clip(self.own.normal(0, 0.16), -0.32, 0.32)))
        tint = np.clip(self.own.normal(0, 0.07, 3), -0.14, 0.14)
        return np.asarray(np.clip(linear(colour) * shade * (1 + tint), 0.004, 0.9), np.float32)

    def near(self, value: float, spread: float) -> float:
        """A value within a few per cent of another, as potters manage."""
        return value * (1 + spread * float(np.clip(self.own.normal(), -2, 2)))

    def weather(
        self, albedo: FloatArray, height: FloatArray, amount: float, soil: FloatArray
    ) -> None:
        """Age a surface in place: dirt in the hollows, stains, hairline cracks.

        Args:
            albedo: float32 `[h, w, 3]`.
            height: float32 `[h, w]`, relief.
            amount: 0 for new to 1 for long buried.
        """
        rows, columns = height.shape
        hollow = blur(height, columns / 90) - height
        depth = np.clip(hollow / (float(np.abs(hollow).max()) + 1e-9), 0, 1)
        paint_over(albedo, (0.75 * depth).astype(np.float32), albedo * np.float32(0.35))
        cloud = noise(self.own, rows, columns, 3, 5)
        stains = np.clip((cloud - 0.9 + 0.5 * amount) * 1.6, 0, 0.75 * amount)
        paint_over(albedo, stains.astype(np.float32), soil)
        lines = cracks(self.own, rows, columns, int(self.own.poisson(4 * amount)))
        paint_over(albedo, lines * np.float32(0.8), albedo * np.float32(0.15))
        height -= lines * np.float32(0.004)

    def worn(self, mask: FloatArray, amount: float) -> FloatArray:
        """A mask of paint or relief with parts rubbed away."""
        cloud = noise(self.own, mask.shape[0], mask.shape[1], 6, 5)
        keep = np.clip((1.25 - 0.9 * amount - cloud) * 3, 0.15, 1)
        return np.asarray(mask * keep, np.float32)

    def coat(self, height: int, width: int, colour: str, mottle: float) -> FloatArray:
        """A plain, slightly uneven coat of a colour, float32 `[height, width, 3]`."""
        return ground(self.own, height, width, self.fired(colour), mottle)


Builder = Callable[[Maker], Model]


@dataclass(frozen=True)
class Zone:
    """A horizontal band of decoration.

    Attributes:
        low: Lower edge as a share of the decorated height.
        kind: Pattern, a key of `ORNAMENTS` or `FIGURES`, or "lines".
        paint: Index of its paint.
    """

    low: float
    high: float
    kind: str
    repeats: int
    paint: int


def linear(colour: str) -> FloatArray:
    """Linear RGB of "#rrggbb", float32 `[3]`."""
    raw = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)], np.float32) / 255
    return np.where(raw <= 0.04045, raw / 12.92, ((raw + 0.055) / 1.055) ** 2.4).astype(np.float32)


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of some words."""
    return options[int(rng.integers(len(options)))]


def ground(
    rng: np.random.Generator, height: int, width: int, colour: FloatArray, mottle: float
) -> FloatArray:
    """A plain, slightly uneven coat, float32 `[height, width, 3]`."""
    cloud = noise(rng, height, width, 5, 5)[..., None]
    tint = rng.normal(0, 0.35, 3).astype(np.float32) * np.float32(mottle)
    return np.asarray(np.clip(colour * (1 + cloud * (mottle + tint)), 0.004, 0.95), np.float32)


def paint_over(albedo: FloatArray, mask: FloatArray, colour: FloatArray) -> None:
    """Lay paint on `albedo` in place where `mask` `[height, width]` is above 0."""
    albedo += mask[..., None] * (colour - albedo)


def alternatives(kind: str) -> tuple[str, ...]:
    """Patterns that can stand where `kind` stands."""
    table = FIGURES if kind in FIGURES else ORNAMENTS
    return tuple(sorted(set(table) - {kind}))


def sister_zones(zones: Sequence[Zone], maker: Maker, paints: int) -> tuple[Zone, ...]:
    """The mould's zones as one of its members has them.

    The first member keeps them; each other one differs in at least one of them, by
    another pattern, another number of repeats or another paint.
    """
    if maker.member == 0:
        return tuple(zones)
    rng = maker.own
    certain = int(rng.integers(len(zones)))
    out = []
    for k, zone in enumerate(zones):
        if k != certain and rng.random() > 0.6:
            out.append(zone)
            continue
        way = int(rng.integers(3)) if paints > 1 else int(rng.integers(2))
        if zone.kind == "lines" or way == 1:
            few = rng.random() < 0.5 and zone.repeats > 2
            factor = rng.uniform(0.55, 0.75) if few else rng.uniform(1.4, 1.8)
            out.append(replace(zone, repeats=max(1, round(zone.repeats * float(factor)))))
        elif way == 0:
            out.append(replace(zone, kind=pick(rng, alternatives(zone.kind))))
        else:
            out.append(replace(zone, paint=(zone.paint + 1) % paints))
    return tuple(out)


def wear_words(amount: float) -> str:
    """How a label would put an amount of wear, or nothing."""
    if amount > 0.75:
        return ", heavily worn"
    return ", worn" if amount > 0.5 else ""
