"""Surfaces in numpy: bodies of revolution, flat pieces, tubes, with relief."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from train.demo.canvas import FloatArray

IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Skin:
    """What a surface is made of.

    Attributes:
        albedo: float32 `[height, width, 3]`, linear reflectance 0 to 1. Row 0 is at
            texture coordinate v = 0, so v grows downwards.
        roughness: 0 (mirror) to 1 (matt).
        specular: Strength of the highlight, 0 to 1; 0 is purely diffuse.
        metallic: 0 to 1.
    """

    albedo: FloatArray
    roughness: float = 0.8
    specular: float = 0.0
    metallic: float = 0.0


@dataclass(frozen=True)
class Surface:
    """A triangle mesh with its skin.

    Attributes:
        positions: float32 `[vertices, 3]`, z up, the front towards -y.
        normals: float32 `[vertices, 3]`, unit length, outwards.
        uv: float32 `[vertices, 2]`, 0 to 1.
        faces: int32 `[triangles, 3]`.
    """

    positions: FloatArray
    normals: FloatArray
    uv: FloatArray
    faces: IntArray
    skin: Skin

    def moved(self, matrix: FloatArray, offset: FloatArray) -> Surface:
        """Turn by a rotation `[3, 3]` and then shift by `[3]`."""
        return replace(
            self,
            positions=(self.positions @ matrix.T + offset).astype(np.float32),
            normals=(self.normals @ matrix.T).astype(np.float32),
        )

    def scaled(self, factor: float) -> Surface:
        """Grow about the origin."""
        return replace(self, positions=self.positions * np.float32(factor))


@dataclass(frozen=True)
class Pose:
    """A way to lay an object before the camera.

    Attributes:
        name: Such as "standing" or "reverse".
        tilt: Turn about the x axis in degrees, applied first.
        yaw: Lowest and highest turn about the vertical, in degrees.
        elevation: Lowest and highest elevation of the camera, in degrees.
        weight: How often the pose is taken, relative to the others.
    """

    name: str
    tilt: float = 0.0
    yaw: tuple[float, float] = (-180.0, 180.0)
    elevation: tuple[float, float] = (8.0, 38.0)
    weight: float = 1.0


@dataclass(frozen=True)
class Model:
    """An object as it can be photographed.

    Attributes:
        parameters: What tells it apart, for the description in `demo.json`.
    """

    surfaces: tuple[Surface, ...]
    poses: tuple[Pose, ...]
    title: str
    parameters: dict[str, str | int | float] = field(default_factory=dict)


def sample(image: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    """Look an image up bilinearly, wrapping in u: float32 of the shape of `u`.

    Args:
        image: float32 `[height, width]`.
        u: float32 of any shape, 0 to 1 across the width.
        v: float32 of the same shape, 0 to 1 down the height.
    """
    height, width = image.shape
    x = u * width - 0.5
    y = np.clip(v * height - 0.5, 0, height - 1)
    x0, y0 = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    fx, fy = (x - x0).astype(np.float32), (y - y0).astype(np.float32)
    left, right, low = x0 % width, (x0 + 1) % width, np.minimum(y0 + 1, height - 1)
    top = image[y0, left] * (1 - fx) + image[y0, right] * fx
    bottom = image[low, left] * (1 - fx) + image[low, right] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)


def grid_surface(points: FloatArray, uv: FloatArray, skin: Skin, *, closed: bool) -> Surface:
    """Make a surface of a grid of points.

    Args:
        points: float32 `[rows, columns, 3]`; columns run anticlockwise seen from
            outside with the rows going up, so that normals point outwards.
        uv: float32 `[rows, columns, 2]`.
        closed: Whether the first and last columns are the same points.
    """
    rows, columns = points.shape[:2]
    if closed:
        ring = points[:, :-1]
        across = np.roll(ring, -1, axis=1) - np.roll(ring, 1, axis=1)
        across = np.concatenate([across, across[:, :1]], axis=1)
    else:
        across = np.gradient(points, axis=1)
    normals = np.cross(across, np.gradient(points, axis=0))
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    # At a pole the ring has no extent; the sum of its neighbours' normals stands in.
    for row, neighbour in ((0, 1), (rows - 1, rows - 2)):
        if float(length[row].max()) < 1e-3 * float(length[neighbour].max()):
            normals[row] = normals[neighbour].sum(axis=0)
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    corner = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel()
    c, d = corner[1:, :-1].ravel(), corner[1:, 1:].ravel()
    faces = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])
    return Surface(
        points.reshape(-1, 3).astype(np.float32),
        normals.reshape(-1, 3).astype(np.float32),
        uv.reshape(-1, 2).astype(np.float32),
        faces,
        skin,
    )


def spline(knots: Sequence[tuple[float, float]], number: int) -> FloatArray:
    """A smooth curve through points, evenly spaced along its length: float32 `[number, 2]`.

    Args:
        knots: At least two (r, z) points; a doubled point makes a corner.
    """
    points = np.asarray(knots, np.float64)
    padded = np.concatenate([points[:1], points, points[-1:]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(
            0.5
            * (
                2 * p1
                + (p2 - p0) * t
                + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
                + (3 * p1 - p0 - 3 * p2 + p3) * t**3
            )
        )
    curve = np.concatenate([*pieces, points[-1:]])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    where = np.linspace(0, along[-1], number)
    return np.stack([np.interp(where, along, curve[:, k]) for k in (0, 1)], 1).astype(np.float32)


def revolve(
    profile: FloatArray,
    height: FloatArray,
    skin: Skin,
    *,
    columns: int = 161,
    round_by: FloatArray | None = None,
) -> Surface:
    """Turn a profile about the z axis, with relief.

    Args:
        profile: float32 `[rows, 2]` of (r, z), ordered so that the outside goes up.
        height: float32 `[h, w]`, relief outwards along the profile's normal, in the
            units of the profile; row 0 belongs to the profile's end (v = 0).
        skin: The material; its texture runs like `height`.
        columns: Vertices round the axis, the seam's counted twice.
        round_by: float32 `[rows, columns]` of factors on the radius, for bodies
            that are not round.
    """
    rows = len(profile)
    turn = np.linspace(0, 1, columns, dtype=np.float32)[None, :].repeat(rows, 0)
    v = np.linspace(1, 0, rows, dtype=np.float32)[:, None].repeat(columns, 1)
    tangent = np.gradient(profile, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    out = sample(height, turn, v)
    out[:, -1] = out[:, 0]
    # Relief fades at the poles, where neighbouring columns meet in one point.
    out *= np.minimum(1, profile[:, :1] / (0.05 * profile[:, 0].max()))
    radius = profile[:, :1] + out * tangent[:, 1:]
    z = profile[:, 1:] - out * tangent[:, :1]
    if round_by is not None:
        radius = radius * round_by
    angle = turn * np.float32(2 * math.pi) + np.float32(math.pi / 2)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=2)
    return grid_surface(points, np.stack([turn, v], axis=2), skin, closed=True)


def tube(path: FloatArray, radii: FloatArray, skin: Skin, *, flat: float = 1.0) -> Surface:
    """A tube of varying radius along a path, for handles.

    Args:
        path: float32 `[rows, 3]`.
        radii: float32 `[rows]`.
        flat: Thickness in the path's plane relative to that across it.

    Returns:
        The tube; its open ends are meant to lie inside another body.
    """
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(path[-1] - path[0], path[len(path) // 2] - path[0]).astype(np.float64)
    side /= np.linalg.norm(side)
    up = np.cross(side, along)
    turn = np.linspace(0, 1, 17, dtype=np.float32)
    c, s = np.cos(2 * math.pi * turn), np.sin(2 * math.pi * turn)
    rim = c[None, :, None] * side[None, None, :] - flat * s[None, :, None] * up[:, None, :]
    points = path[:, None, :] + radii[:, None, None] * rim
    v = np.linspace(0, 1, len(path), dtype=np.float32)
    uv = np.stack(np.broadcast_arrays(turn[None, :], v[:, None]), axis=2)
    return grid_surface(points.astype(np.float32), uv, skin, closed=True)


def pillow(
    size: tuple[float, float, float],
    corner: float,
    edge: float,
    faces: tuple[FloatArray, FloatArray],
    skin: Skin,
    *,
    wobble: FloatArray | None = None,
    number: int = 121,
    dome: float = 0.0,
    hole: float = 0.0,
) -> tuple[Surface, Surface]:
    """A flat piece with a front (up) and a back: coin, tablet, tile, scarab.

    Args:
        size: Half width, half depth and half thickness.
        corner: Exponent of the outline: 2 is an ellipse, larger is squarer.
        edge: Exponent of the rounding: 3 is a cushion, 12 a coin.
        faces: Relief of front and back, float32 `[n, n]`, along +z and -z.
        skin: The material; the texture's left half is the front and its right half
            the back, both as seen by someone who looks at them.
        wobble: float32 `[k]` of factors on the radius round the outline.
        dome: Extra height of the front's middle, in units of the thickness.
        hole: Half width of a square hole in the middle; 0 for none.
    """
    line = np.linspace(-1, 1, number)
    line = np.sign(line) * (1 - (1 - np.abs(line)) ** 1.35)
    s, t = np.meshgrid(line, line)
    x, y = s * np.sqrt(1 - t**2 / 2), t * np.sqrt(1 - s**2 / 2)
    rho, angle = np.hypot(x, y), np.arctan2(y, x)
    reach = (np.abs(np.cos(angle)) ** corner + np.abs(np.sin(angle)) ** corner) ** (-1 / corner)
    if wobble is not None:
        around = np.linspace(-math.pi, math.pi, len(wobble) + 1)
        reach = reach * np.interp(angle, around, np.append(wobble, wobble[0]))
    x, y = rho * reach * np.cos(angle), rho * reach * np.sin(angle)
    rise = size[2] * np.sqrt(np.maximum(0, 1 - np.minimum(rho, 1) ** edge))
    inside = np.clip((1 - rho) * 12, 0, 1)
    made = []
    for side, relief in enumerate(faces):
        sign = 1 - 2 * side
        px = np.clip((sign * x + 1) / 2, 0.004, 0.996).astype(np.float32)
        py = np.clip((1 - y) / 2, 0.004, 0.996).astype(np.float32)
        bulge = dome * size[2] * np.maximum(0, 1 - rho**2.2) ** 0.6 if side == 0 else 0.0
        z = sign * (rise + bulge + inside * sample(relief, px, py))
        gap = np.maximum(np.abs(x), np.abs(y)) < hole
        z = np.where(gap, 0, z)
        points = np.stack([x * size[0], y * size[1], z], axis=2).astype(np.float32)
        uv = np.stack([(px + side) / 2, py], axis=2)
        if side:
            points, uv, gap = points[:, ::-1], uv[:, ::-1], gap[:, ::-1]
        made.append(_pierced(grid_surface(points, uv, skin, closed=False), gap.ravel()))
    return made[0], made[1]


def _pierced(surface: Surface, gap: npt.NDArray[np.bool_]) -> Surface:
    return replace(surface, faces=surface.faces[~gap[surface.faces].all(axis=1)])


def turn_about(axis: str, degrees: float) -> FloatArray:
    """The rotation matrix about "x", "y" or "z", float32 `[3, 3]`."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.asarray(rows[axis], np.float32)
