"""Which photos are unfit, what is told of them, and vectors that another language can follow."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from conftest import picture
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mobile_assets.fitness import ADVICE, ADVICE_FOR, FitnessLimits, judge, measure
from mobile_assets.fitness_vectors import SIDE, DrawnPhoto, draw, fitness_vectors

Pixels = NDArray[np.uint8]

VECTORS = {vector.name: vector for vector in fitness_vectors()}
PHOTO = draw(DrawnPhoto(texture=20))


def pixels_of(photo: Image.Image) -> Pixels:
    return np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def test_vectors_say_what_their_photos_are() -> None:
    for name, vector in VECTORS.items():
        assert (vector.kind or "fit") == name.split(",")[0], (name, vector.measures)
    assert len(VECTORS) >= 40
    assert set(Counter(vector.kind for vector in VECTORS.values())) == {None, *ADVICE_FOR}


def test_vectors_are_drawn_the_same_everywhere() -> None:
    """Some hashes, as another language must find them; they follow from whole numbers alone."""
    assert VECTORS["fit, plain object"].pixels_sha256[:16] == "7d99d97c01c95873"
    assert VECTORS["noise, 7 soft cells"].pixels_sha256[:16] == "8fa4b87295ebb449"
    assert VECTORS["shaken, with noise"].pixels_sha256[:16] == "3b3f4bb5899261dd"


def test_no_vector_lies_at_a_limit() -> None:
    """So an app that sums in another order, within the tolerance, gives the same answer."""
    limits = FitnessLimits()
    for vector in VECTORS.values():
        for name, limit in limits.model_dump().items():
            assert not math.isclose(getattr(vector.measures, name), limit, rel_tol=0.01), (
                vector.name,
                name,
            )


@pytest.mark.parametrize("degrees", [0.0, 22.5, 45.0, 67.5, 90.0, 112.5, 135.0, 157.5])
def test_a_shaken_photo_tells_the_direction(degrees: float) -> None:
    steps = ((1, 0), (2, 1), (1, 1), (1, 2), (0, 1), (-1, 2), (-1, 1), (-2, 1))
    x, y = steps[round(degrees / 22.5)]
    assert VECTORS[f"shaken, along {x} {y}"].measures.direction == degrees


def test_what_a_photo_becomes() -> None:
    """From fit to unfit as one thing gets worse, and never back."""
    photo = Image.fromarray(PHOTO)

    def kinds(versions: list[Image.Image]) -> list[str | None]:
        return [judge(pixels_of(version)).kind for version in versions]

    blurred = kinds([photo.filter(ImageFilter.GaussianBlur(s)) for s in (0, 1, 2, 3, 10, 14, 20)])
    assert blurred == [None] * 4 + ["blurred"] * 3
    darker = kinds([photo.point(lambda v, g=g: round(v * g)) for g in (1, 0.7, 0.5, 0.2, 0.05, 0)])
    assert darker == [None] * 3 + ["dark"] * 3
    brighter = kinds([photo.point(lambda v, g=g: min(255, round(v * g))) for g in (1, 1.5, 8, 99)])
    assert brighter == [None] * 2 + ["overexposed"] * 2


def test_a_smooth_object_on_plain_ground_is_fit() -> None:
    """A shaded ball without any texture, near and far, dark on white and white on black."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    for radius in (0.15, 0.4, 0.8):
        height = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0)) / radius
        for ground, dark, bright in ((255, 10, 120), (0, 90, 250), (120, 90, 180)):
            ball = dark + (bright - dark) * height[..., None] * np.array([1.0, 0.8, 0.6])
            photo = np.where(height[..., None] > 0, ball, ground).astype(np.uint8)
            assert judge(photo).fit, (radius, ground, judge(photo))


@pytest.mark.parametrize("seed", range(8))
def test_soft_colour_noise_is_no_photo(seed: int) -> None:
    fitness = judge(pixels_of(picture(seed)))
    assert fitness.kind in ("noise", "blurred"), fitness
    cells = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    cloud = pixels_of(Image.fromarray(cells).resize((300, 300), Image.Resampling.BICUBIC))
    assert judge(cloud).kind == "noise"


def test_other_input_sizes() -> None:
    """A photo and its blurred copy are told apart at every input size that networks have."""
    photo = Image.fromarray(PHOTO)
    blurred = photo.filter(ImageFilter.GaussianBlur(14))
    for size in ((192, 192), (240, 240), (260, 300), (384, 384)):
        assert judge(np.asarray(photo.resize(size))).fit
        assert judge(np.asarray(blurred.resize(size))).kind == "blurred"
    for side in (8, 32, 64):  # too small to tell
        assert judge(np.asarray(blurred.resize((side, side)))).fit


def test_limits_decide() -> None:
    assert judge(PHOTO, FitnessLimits(sharpness=5, steadiness=0)).kind == "blurred"
    assert judge(PHOTO, FitnessLimits(bright=250)).kind == "dark"


def test_every_kind_has_advice() -> None:
    assert judge(PHOTO).advice is None
    for vector in VECTORS.values():
        if vector.kind is not None:
            assert ADVICE[ADVICE_FOR[vector.kind]]
    dark = judge(np.zeros((SIDE, SIDE, 3), np.uint8))
    assert (dark.kind, dark.advice, dark.fit) == ("dark", "more-light", False)


@pytest.mark.parametrize(
    "pixels", [np.zeros((224, 224), np.uint8), np.zeros((224, 224, 3), np.float32)]
)
def test_other_arrays_are_refused(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match=r"not \[height, width, 3\] uint8"):
        measure(pixels)


def test_a_few_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="less than 8 pixels"):
        measure(np.zeros((7, 224, 3), np.uint8))
