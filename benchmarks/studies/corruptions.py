"""What happens to a photo between the museum's studio and an officer's phone, imitated.

Every perturbation takes an upright RGB photo at its own size, before the preprocessing contract,
and is decided by a generator of the photo's own: the same photo is always changed the same way.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from mobile_assets.files import sha256_bytes

Floats = NDArray[np.floating]
Picture = Image.Image


@dataclass(frozen=True)
class Scene:
    """What a perturbation may use beside the photo.

    Attributes:
        generator: The photo's own source of chance.
        size: Width and height of the network's input, for perturbations of the resampling.
        mask: Mode "L", 255 on the object; None where there is none.
        grounds: Real pictures to lay the object on; empty where there are none.
    """

    generator: np.random.Generator
    size: tuple[int, int]
    mask: Picture | None = None
    grounds: Sequence[Picture] = ()


Change = Callable[[Picture, Scene], Picture]


@dataclass(frozen=True)
class Perturbation:
    """One kind of change at one strength.

    Attributes:
        needs: What the scene must have: a mask, or grounds besides.
    """

    name: str
    change: Change
    needs: tuple[str, ...] = ()

    def __call__(self, photo: Picture, scene: Scene) -> Picture:
        """The changed photo."""
        return self.change(photo, scene)


def generator_of(photo: str, perturbation: str) -> np.random.Generator:
    """The source of chance of one photo under one perturbation.

    Args:
        photo: Hash of the photo's content.
    """
    digest = sha256_bytes(f"{photo}\0{perturbation}".encode())
    return np.random.default_rng(int(digest[:16], 16))


# --- geometry -------------------------------------------------------------------------------------


def widened(photo: Picture, share: float) -> tuple[Picture, int, int]:
    """The photo on a larger ground that goes on as its edges are, and the margins added."""
    x, y = round(photo.width * share), round(photo.height * share)
    pixels = np.pad(np.asarray(photo), ((y, y), (x, x), (0, 0)), mode="edge")
    # The copied edge is blurred along, so that it shows no stripes.
    wide = Image.fromarray(pixels)
    soft = wide.filter(ImageFilter.GaussianBlur(max(2.0, photo.width / 32)))
    soft.paste(photo, (x, y))
    return soft, x, y


def rotate(photo: Picture, scene: Scene, *, degrees: float) -> Picture:
    """Turned in the picture's plane, either way by chance; the frame stays."""
    sign = scene.generator.choice([-1, 1])
    wide, x, y = widened(photo, 0.5)
    turned = wide.rotate(float(sign * degrees), Image.Resampling.BICUBIC)
    return turned.crop((x, y, x + photo.width, y + photo.height))


def quarter(photo: Picture, scene: Scene, *, turns: int) -> Picture:
    """Turned by quarters, either way by chance; nothing is lost."""
    ways = {1: (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)}
    way = scene.generator.choice(2)
    return photo.transpose(ways[turns][way] if turns in ways else Image.Transpose.ROTATE_180)


def perspective(photo: Picture, scene: Scene, *, share: float) -> Picture:
    """Seen from the side: two corners of one edge drawn in by a share of that edge."""
    wide, x, y = widened(photo, 0.5)
    width, height = photo.size
    inner = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    # A corner of the result shows what lies beyond the photo's corner, so the object narrows.
    away = np.array(inner, np.float64)
    edge = int(scene.generator.integers(4))
    first, second = edge, (edge + 1) % 4
    along = (away[second] - away[first]) * share
    away[first] -= along
    away[second] += along
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    data = _homography(corners, [tuple(corner) for corner in away.tolist()])
    return wide.transform(photo.size, Image.Transform.PERSPECTIVE, data, Image.Resampling.BICUBIC)


def _homography(
    target: Sequence[tuple[float, float]], source: Sequence[tuple[float, ...]]
) -> tuple[float, ...]:
    """The eight numbers with which Pillow finds the source of each target point."""
    rows, values = [], []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist())


def distant(photo: Picture, _scene: Scene, *, share: float) -> Picture:
    """From further away: the photo at a share of its side, its ground going on around it."""
    wide, _, _ = widened(photo, (1 / share - 1) / 2)
    return wide.resize(photo.size, Image.Resampling.LANCZOS)


def zoomed(photo: Picture, _scene: Scene, *, share: float) -> Picture:
    """Too near: the middle of the photo only."""
    x, y = photo.width * (1 - share) / 2, photo.height * (1 - share) / 2
    return photo.crop((round(x), round(y), round(photo.width - x), round(photo.height - y)))


def off_centre(photo: Picture, scene: Scene, *, share: float) -> Picture:
    """The object towards a corner, or beyond the frame: moved by a share of each side."""
    wide, x, y = widened(photo, share)
    left, top = (int(scene.generator.choice([0, 2 * margin])) for margin in (x, y))
    return wide.crop((left, top, left + photo.width, top + photo.height))


# --- light ----------------------------------------------------------------------------------------


def _linear(photo: Picture) -> Floats:
    """Amounts of light, 0–1, of an sRGB photo (its curve taken as a power of 2.2)."""
    light: Floats = (np.asarray(photo, np.float32) / 255) ** np.float32(2.2)
    return light


def _picture(light: Floats) -> Picture:
    return _bytes(255 * light.clip(0, 1) ** np.float32(1 / 2.2))


def _bytes(values: Floats) -> Picture:
    return Image.fromarray((values + 0.5).clip(0, 255).astype(np.uint8))


def exposed(photo: Picture, _scene: Scene, *, stops: float) -> Picture:
    """Under- or overexposed by so many stops."""
    return _picture(_linear(photo) * np.float32(2**stops))


def gamma(photo: Picture, _scene: Scene, *, power: float) -> Picture:
    """Mid-tones raised (below 1) or sunk (above 1), black and white kept."""
    return _bytes(255 * (np.asarray(photo, np.float32) / 255) ** np.float32(power))


def coloured(photo: Picture, _scene: Scene, *, gains: tuple[float, float, float]) -> Picture:
    """Under a light of another colour than the camera balanced for."""
    return _picture(_linear(photo) * np.array(gains, np.float32))


def shaded(photo: Picture, scene: Scene, *, depth: float) -> Picture:
    """Lit from one side: light falls off across the photo, in a direction by chance."""
    angle = scene.generator.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : photo.height * 1j, -1 : 1 : photo.width * 1j].astype(np.float32)
    along = (x * np.cos(angle) + y * np.sin(angle)) / np.float32(np.sqrt(2))
    fall = (1 - depth * (along + 1) / 2).astype(np.float32)
    return _picture(_linear(photo) * fall[..., None])


# --- camera ---------------------------------------------------------------------------------------


def blurred(photo: Picture, _scene: Scene, *, share: float) -> Picture:
    """Out of focus: Gaussian, its sigma a share of the shorter side."""
    return photo.filter(ImageFilter.GaussianBlur(share * min(photo.size)))


def shaken(photo: Picture, scene: Scene, *, share: float) -> Picture:
    """Moved while exposing: the mean of copies along a line, a share of the shorter side long."""
    length = share * min(photo.size)
    angle = scene.generator.uniform(0, np.pi)
    steps = max(2, round(length))
    wide, x, y = widened(photo, share)
    pixels = np.asarray(wide, np.float32)
    total = np.zeros((photo.height, photo.width, 3), np.float32)
    for offset in np.linspace(-length / 2, length / 2, steps):
        left = x + round(offset * np.cos(angle))
        top = y + round(offset * np.sin(angle))
        total += pixels[top : top + photo.height, left : left + photo.width]
    return _bytes(total / steps)


def noisy(photo: Picture, scene: Scene, *, sigma: float) -> Picture:
    """Too little light: noise that is stronger in each pixel's dark parts than in bright ones."""
    pixels = np.asarray(photo, np.float32)
    noise = scene.generator.standard_normal(pixels.shape, dtype=np.float32)
    return _bytes(pixels + noise * np.float32(sigma) * (1.25 - pixels / 510))


def compressed(photo: Picture, _scene: Scene, *, quality: int) -> Picture:
    """Sent by a messenger: JPEG at a low quality."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=quality)
    with Image.open(file, formats=("JPEG",)) as reopened:
        return reopened.convert("RGB")


def resampled(
    photo: Picture, scene: Scene, *, how: Image.Resampling, antialias: bool = True
) -> Picture:
    """Brought to the input size by another filter than the contract's."""
    if antialias:
        return photo.resize(scene.size, how)
    # A transform looks at the nearest four pixels only, however much it shrinks.
    return photo.transform(
        scene.size, Image.Transform.EXTENT, (0, 0, *photo.size), Image.Resampling.BILINEAR
    )


# --- scene ----------------------------------------------------------------------------------------


def occluded(photo: Picture, scene: Scene, *, share: float) -> Picture:
    """A finger before the lens or on the object: from an edge to near the middle."""
    width, height = photo.size
    angle = scene.generator.uniform(0, 2 * np.pi)
    reach = scene.generator.uniform(0.0, 0.15) * min(photo.size)
    thick = share * min(photo.size)
    tip = np.array([width / 2 + reach * np.cos(angle), height / 2 + reach * np.sin(angle)])
    end = tip + np.hypot(width, height) * np.array([np.cos(angle), np.sin(angle)])
    cover = Image.new("L", photo.size)
    pen = ImageDraw.Draw(cover)
    pen.line([*tip, *end], fill=255, width=round(thick))
    pen.ellipse([*(tip - thick / 2), *(tip + thick / 2)], fill=255)
    cover = cover.filter(ImageFilter.GaussianBlur(max(1.0, thick / 20)))
    tone = scene.generator.uniform(0.35, 1.0)
    skin = Image.new("RGB", photo.size, tuple(round(tone * c) for c in (225, 172, 140)))
    shadow = photo.point(lambda value: round(value * 0.75))
    around = cover.filter(ImageFilter.GaussianBlur(thick / 6))
    return Image.composite(skin, Image.composite(shadow, photo, around), cover)


def plain_ground(photo: Picture, scene: Scene) -> Picture:
    """The object on a plain ground of another colour: paper, cloth or a table."""
    colours = ((236, 236, 232), (120, 118, 114), (38, 36, 36), (196, 172, 138), (150, 40, 44))
    colour = colours[int(scene.generator.integers(len(colours)))]
    return on_ground(photo, Image.new("RGB", photo.size, colour), scene)


def textured_ground(photo: Picture, scene: Scene) -> Picture:
    """The object on wood, cloth or stone: generated noise, drawn out one way, of two colours."""
    generator, (width, height) = scene.generator, photo.size
    pairs = (((92, 58, 34), (178, 128, 82)), ((70, 78, 92), (168, 172, 176)),
             ((48, 84, 60), (120, 150, 104)), ((150, 132, 110), (226, 214, 196)))  # fmt: skip
    dark, bright = (np.array(c, np.float32) for c in pairs[int(generator.integers(len(pairs)))])
    total = np.zeros((height, width), np.float32)
    for cells in (4, 12, 40):
        across = int(cells * generator.choice([1, 4]))
        grain = generator.random((cells, across), dtype=np.float32)
        layer = Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(layer, np.float32) / 3
    amount = total.clip(0, 1)[..., None]
    ground = _bytes(dark + (bright - dark) * amount)
    if generator.random() < 0.5:
        ground = ground.transpose(Image.Transpose.ROTATE_90).resize(photo.size)
    return on_ground(photo, ground, scene)


def real_ground(photo: Picture, scene: Scene) -> Picture:
    """The object in a messy place: a part of a real picture of other things."""
    picture = scene.grounds[int(scene.generator.integers(len(scene.grounds)))]
    side = scene.generator.uniform(0.6, 1.0) * min(picture.size)
    left = scene.generator.uniform(0, picture.width - side)
    top = scene.generator.uniform(0, picture.height - side)
    box = (left, top, left + side, top + side)
    ground = picture.resize(photo.size, Image.Resampling.BICUBIC, box=box)
    if scene.generator.random() < 0.5:
        ground = ImageOps.mirror(ground)
    return on_ground(photo, ground, scene)


def on_ground(photo: Picture, ground: Picture, scene: Scene) -> Picture:
    """The object cut out along its mask and laid on a ground, with a soft edge and a shadow."""
    assert scene.mask is not None  # the perturbation says that it needs one
    mask = scene.mask.convert("L").resize(photo.size, Image.Resampling.NEAREST)
    # One pixel is given up, as it has the old ground's colour mixed in.
    soft = mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(1))
    shadow = ImageChops.offset(soft, round(photo.width / 50), round(photo.height / 40))
    shadow = shadow.filter(ImageFilter.GaussianBlur(photo.width / 40)).point(lambda v: v // 2)
    dark = ground.point(lambda value: round(value * 0.3))
    return Image.composite(photo, Image.composite(dark, ground, shadow), soft)


def _of(name: str, change: Callable[..., Picture], **settings: object) -> Perturbation:
    return Perturbation(name, partial(change, **settings))


PERTURBATIONS: tuple[Perturbation, ...] = (
    _of("rotation ±15°", rotate, degrees=15),
    _of("rotation ±30°", rotate, degrees=30),
    _of("rotation ±90°", quarter, turns=1),
    _of("rotation 180°", quarter, turns=2),
    _of("perspective, mild", perspective, share=0.12),
    _of("perspective, strong", perspective, share=0.25),
    _of("1 stop darker", exposed, stops=-1),
    _of("2 stops darker", exposed, stops=-2),
    _of("1 stop brighter", exposed, stops=1),
    _of("gamma 0.6", gamma, power=0.6),
    _of("gamma 1.7", gamma, power=1.7),
    _of("warm light", coloured, gains=(1.25, 0.95, 0.55)),
    _of("cold light", coloured, gains=(0.65, 0.95, 1.3)),
    _of("light from one side", shaded, depth=0.85),
    _of("out of focus, mild", blurred, share=0.006),
    _of("out of focus, strong", blurred, share=0.014),
    _of("shaken, mild", shaken, share=0.03),
    _of("shaken, strong", shaken, share=0.07),
    _of("noise, mild", noisy, sigma=10),
    _of("noise, strong", noisy, sigma=25),
    _of("JPEG quality 30", compressed, quality=30),
    _of("JPEG quality 10", compressed, quality=10),
    _of("off centre by 15 %", off_centre, share=0.15),
    _of("off centre by 25 %", off_centre, share=0.25),
    _of("middle 80 %", zoomed, share=0.8),
    _of("middle 65 %", zoomed, share=0.65),
    _of("at 70 % of its size", distant, share=0.7),
    _of("at 45 % of its size", distant, share=0.45),
    _of("finger, thin", occluded, share=0.12),
    _of("finger, thick", occluded, share=0.22),
    _of("nearest pixel", resampled, how=Image.Resampling.NEAREST),
    _of("bicubic filter", resampled, how=Image.Resampling.BICUBIC),
    _of("no antialiasing", resampled, how=Image.Resampling.BILINEAR, antialias=False),
    Perturbation("plain ground", plain_ground, ("mask",)),
    Perturbation("textured ground", textured_ground, ("mask",)),
    Perturbation("messy ground", real_ground, ("mask", "grounds")),
)
"""All perturbations, in the order of the tables. Strengths were set by looking at pictures, so that
a person still knows the object at a glance; never by what a model answers."""
