"""Photographic scenes: where camera, lights, ground and clutter stand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from train.demo.canvas import FloatArray
from train.demo.grounds import cluttered_ground, studio_ground
from train.demo.mesh import Model, Pose, Surface, turn_about

Vector = tuple[float, float, float]

# Farther than the camera ever stands, so that no light comes before the lens.
_LIGHT_DISTANCE = 10.0

_ASPECTS = (1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 1.0, 4 / 3, 3 / 4)


@dataclass(frozen=True)
class Softbox:
    """A square light facing the object, which lies at the origin.

    Attributes:
        size: Half the length of its sides.
        irradiance: What a surface facing it receives at the origin, linear RGB.
    """

    position: Vector
    size: float
    irradiance: Vector


@dataclass(frozen=True)
class Camera:
    """A perspective camera.

    Attributes:
        fov: Horizontal field of view in degrees.
    """

    origin: Vector
    target: Vector
    up: Vector
    fov: float
    width: int
    height: int


@dataclass(frozen=True)
class Development:
    """What camera and darkroom do to the light.

    Attributes:
        exposure: Factor on the linear image.
        balance: Factors on red, green and blue.
        grain: Standard deviation of the noise at mid grey, 0 to 1.
        blur: Length of the motion blur in shares of the longer side.
        blur_angle: Its direction in degrees.
        soft: Radius of the defocus in shares of the longer side.
        vignette: Loss of light in the corners, 0 to 1.
    """

    exposure: float
    balance: Vector
    grain: float
    blur: float
    blur_angle: float
    soft: float
    vignette: float
    quality: int


@dataclass(frozen=True)
class Scene:
    """Everything that is needed to take one photo."""

    surfaces: tuple[Surface, ...]
    lights: tuple[Softbox, ...]
    ambient: Vector
    camera: Camera
    development: Development


def studio_scene(
    model: Model, rng: np.random.Generator, series: np.random.Generator, pixels: int
) -> Scene:
    """A museum photograph on a plain ground.

    Args:
        series: What a series of photos shares: ground and mood of the light.
    """
    # Half the photos were taken some other day: a ground must not give an object away.
    ground = studio_ground(series if rng.random() < 0.5 else rng)
    warm, mood = float(series.normal(0, 0.045)), float(series.uniform(0.2, 0.75))
    pose = _choose(model.poses, rng)
    placed = _place(model.surfaces, pose, float(rng.uniform(*pose.yaw)))
    side = 1.0 if rng.random() < 0.5 else -1.0
    key_az, key_el = side * float(rng.uniform(15, 95)), float(rng.uniform(30, 72))
    key = _softbox(key_az, key_el, float(rng.uniform(0.9, 2.2)), (1.0, 1.0, 1.0))
    weak = mood * float(rng.uniform(0.5, 1.0))
    fill = _softbox(-key_az * 0.8, float(rng.uniform(20, 55)), 2.0, (weak, weak, weak))
    ambient = float(rng.uniform(0.05, 0.17))
    total = math.sin(math.radians(key_el)) + 0.5 * weak + ambient * math.pi
    camera = _camera(
        placed, rng, pixels, elevation=float(rng.uniform(*pose.elevation)),
        fill=float(rng.uniform(0.55, 0.92)), shift=0.035, roll=2.5,
    )  # fmt: skip
    development = Development(
        exposure=float(rng.uniform(0.85, 1.2)) * 1.15 * math.pi / total,
        balance=(math.exp(warm), 1.0, math.exp(-warm)),
        grain=float(rng.uniform(0.003, 0.011)),
        blur=0.0, blur_angle=0.0, soft=float(rng.uniform(0, 0.0012)),
        vignette=float(rng.uniform(0, 0.15)), quality=int(rng.integers(85, 96)),
    )  # fmt: skip
    return Scene((*placed, ground), (key, fill), (ambient, ambient, ambient), camera, development)


def field_scene(
    model: Model, strangers: Sequence[Model], rng: np.random.Generator, pixels: int
) -> Scene:
    """A hurried picture with a phone: clutter, bad light, shaky hands."""
    pose = _choose(model.poses, rng)
    placed = _place(model.surfaces, pose, float(rng.uniform(*pose.yaw)))
    elevation = float(np.clip(rng.uniform(*pose.elevation) + rng.uniform(-8, 10), 10, 86))
    lights, ambient, exposure = _field_light(rng)
    occluded = rng.random() < 0.25
    litter = [
        surface
        for k, other in enumerate(strangers)
        for surface in _litter(other, rng, occluding=occluded and k == 0)
    ]
    camera = _camera(
        placed, rng, pixels, elevation=elevation, fill=float(rng.uniform(0.35, 0.85)),
        shift=0.16, roll=9.0,
    )  # fmt: skip
    shaken = rng.random() < 0.45
    tint = rng.normal(0, 0.08, 2)
    development = Development(
        exposure=exposure,
        balance=(math.exp(float(tint[0])), 1.0, math.exp(float(tint[1]))),
        grain=float(rng.uniform(0.01, 0.035)),
        blur=float(rng.uniform(0.008, 0.028)) if shaken else 0.0,
        blur_angle=float(rng.uniform(0, 180)), soft=float(rng.uniform(0, 0.004)),
        vignette=float(rng.uniform(0, 0.35)), quality=int(rng.integers(45, 82)),
    )  # fmt: skip
    surfaces = (*placed, *litter, cluttered_ground(rng))
    return Scene(surfaces, lights, ambient, camera, development)


def _choose(poses: Sequence[Pose], rng: np.random.Generator) -> Pose:
    weights = np.array([pose.weight for pose in poses])
    return poses[int(rng.choice(len(poses), p=weights / weights.sum()))]


def _place(surfaces: Sequence[Surface], pose: Pose, yaw: float) -> tuple[Surface, ...]:
    """Lay an object on the ground about the origin, grown to a radius of 1."""
    matrix = turn_about("z", yaw) @ turn_about("x", pose.tilt)
    points = np.concatenate([s.positions for s in surfaces]) @ matrix.T
    low, high = points.min(axis=0), points.max(axis=0)
    factor = 2 / float(np.linalg.norm(high - low))
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    return tuple(s.moved(matrix, -middle).scaled(factor) for s in surfaces)


def _litter(other: Model, rng: np.random.Generator, *, occluding: bool) -> list[Surface]:
    """A stranger, smaller or larger, beside, behind or (occluding) before the object."""
    placed = _place(other.surfaces, _choose(other.poses, rng), float(rng.uniform(0, 360)))
    size = float(rng.uniform(0.35, 0.95))
    if occluding:
        angle, far = math.radians(float(rng.uniform(-125, -55))), 0.95 + 0.45 * size
        size *= 0.6
    else:
        angle, far = math.radians(float(rng.uniform(-25, 205))), float(rng.uniform(1.0, 2.2)) + size
    shift = np.array([far * math.cos(angle), far * math.sin(angle), 0], np.float32)
    return [s.scaled(size).moved(np.eye(3, dtype=np.float32), shift) for s in placed]


def _softbox(azimuth: float, elevation: float, size: float, irradiance: Vector) -> Softbox:
    """A light seen from the object: azimuth 0 is behind the camera."""
    return Softbox(_towards(azimuth, elevation, _LIGHT_DISTANCE), 1.6 * size, irradiance)


def _towards(azimuth: float, elevation: float, far: float) -> Vector:
    az, el = math.radians(azimuth), math.radians(elevation)
    return (far * math.sin(az) * math.cos(el), -far * math.cos(az) * math.cos(el),
            far * math.sin(el))  # fmt: skip


def _field_light(rng: np.random.Generator) -> tuple[tuple[Softbox, ...], Vector, float]:
    """Harsh sun, a dim room or a coloured lamp; with the exposure that goes with it."""
    azimuth, elevation = float(rng.uniform(-110, 110)), float(rng.uniform(22, 70))
    mood = int(rng.integers(3))
    if mood == 0:
        colour, size, ambient = (1.0, 0.93, 0.8), 0.12, (0.07, 0.085, 0.11)
    elif mood == 1:
        colour, size, ambient = (1.0, 0.97, 0.9), 2.5, (0.15, 0.15, 0.15)
    else:
        tints: tuple[Vector, ...] = ((1.0, 0.72, 0.42), (0.75, 0.95, 1.0), (0.85, 1.0, 0.75))
        colour, size, ambient = tints[int(rng.integers(3))], 0.8, (0.09, 0.08, 0.07)
    total = math.sin(math.radians(elevation)) + sum(ambient) / 3 * math.pi
    level = (0.9, 0.5, 0.75)[mood] * float(rng.uniform(0.7, 1.35))
    return (_softbox(azimuth, elevation, size, colour),), ambient, level * math.pi / total


def _camera(
    surfaces: Sequence[Surface],
    rng: np.random.Generator,
    pixels: int,
    *,
    elevation: float,
    fill: float,
    shift: float,
    roll: float,
) -> Camera:
    """A camera in front of the object whose frame it fills to a share of `fill`."""
    far = float(rng.uniform(4.0, 8.0))
    origin = np.array(_towards(0.0, elevation, far)) + np.array([0, 0, 0.4])
    middle = np.array([0, 0, 0.4])
    right, up, ahead = _axes(origin, middle)
    points = np.concatenate([s.positions[::7] for s in surfaces]) - origin
    depth = points @ ahead
    across, down = points @ right / depth, points @ up / depth
    spans = (float(np.ptp(across)), float(np.ptp(down)))
    aspect = _aspect(spans[0] / spans[1], rng)
    wide = max(spans[0], spans[1] * aspect) / fill
    x = (float(across.min()) + float(across.max())) / 2 + wide * shift * float(rng.normal())
    y = (float(down.min()) + float(down.max())) / 2 + wide / aspect * shift * float(rng.normal())
    aim = origin + far * (ahead + x * right + y * up)
    tilt = math.radians(roll * float(rng.normal()))
    top = math.cos(tilt) * up + math.sin(tilt) * right
    width, height = (
        (pixels, round(pixels / aspect)) if aspect >= 1 else (round(pixels * aspect), pixels)
    )
    return Camera(
        _vector(origin), _vector(aim), _vector(top),
        2 * math.degrees(math.atan(wide / 2)), width, height,
    )  # fmt: skip


def _axes(origin: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    ahead = (target - origin) / np.linalg.norm(target - origin)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return right, np.cross(right, ahead), ahead


def _aspect(wanted: float, rng: np.random.Generator) -> float:
    """The frame of three random ones that suits the object best."""
    offers = [_ASPECTS[int(k)] for k in rng.integers(0, len(_ASPECTS), 3)]
    return min(offers, key=lambda a: abs(math.log(a / wanted)))


def _vector(values: FloatArray) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z
