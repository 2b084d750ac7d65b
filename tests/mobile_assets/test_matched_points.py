"""Points found again: under known warps where they must be, and none where there is nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mobile_assets.errors import MissingDependencyError
from mobile_assets.local_features import (
    CANDIDATES,
    KEY_POINTS,
    LARGEST_SIDE,
    LocalFeatures,
    Match,
    available,
    evidence,
    local_features,
    match,
    rerank,
)
from mobile_assets.match_picture import DRAWN, GAP, SideBySide, draw, svg
from mobile_assets.spatial_verification import KeyPoints, agreeing_pairs

Picture = NDArray[np.uint8]
SIDE = 256


def textured(seed: int, side: int = SIDE) -> Image.Image:
    """Overlapping shapes in many sizes and tones, as painted or printed surfaces have."""
    generator = np.random.default_rng(seed)
    picture = Image.new("RGB", (side, side), "grey")
    pen = ImageDraw.Draw(picture)
    for _ in range(250):
        x, y = generator.integers(0, side, 2)
        wide, high = generator.integers(3, side // 8, 2)
        colour = tuple(int(v) for v in generator.integers(0, 256, 3))
        shape = (pen.ellipse, pen.rectangle)[generator.integers(2)]
        shape((x, y, x + wide, y + high), fill=colour)
    return picture.filter(ImageFilter.GaussianBlur(0.7))


def warped(picture: Image.Image, degrees: float, scale: float) -> tuple[Image.Image, Picture]:
    """The picture turned and resized about its middle, and the map from the warped one to it."""
    radians, middle = np.deg2rad(degrees), SIDE / 2
    linear = (
        np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]]) / scale
    )
    linear = linear @ np.array([[1.0, 0.15], [0.0, 1.1]])  # sheared and squashed as well
    shift = middle - linear @ [middle, middle]
    inverse = np.concatenate([linear, shift[:, None]], axis=1)
    data = tuple(inverse.ravel())
    moved = picture.transform(
        picture.size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC, fillcolor="white"
    )
    return moved, inverse


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (35, 0.8), (-120, 1.3)])
def test_points_are_found_where_the_warp_put_them(degrees: float, scale: float) -> None:
    picture = textured(0)
    moved, inverse = warped(picture, degrees, scale)
    found = match(np.asarray(moved), np.asarray(picture))
    assert found.inliers > 40
    expected = found.points_photo * SIDE @ inverse[:, :2].T + inverse[:, 2]
    apart = np.linalg.norm(expected - found.points_reference * SIDE, axis=1)
    assert np.median(apart) < 1
    assert apart.max() < 10


def test_points_are_found_in_photos_of_another_size() -> None:
    picture = textured(1)
    found = match(np.asarray(picture.resize((900, 900))), np.asarray(picture))
    assert found.inliers > 40
    assert np.abs(found.points_photo - found.points_reference).max() < 10 / SIDE


def test_other_surfaces_share_hardly_a_point() -> None:
    shared = [match(np.asarray(textured(2)), np.asarray(textured(n))).inliers for n in range(3, 6)]
    assert max(shared) <= 6
    assert evidence(max(shared)) < evidence(12) / 2


def test_the_same_pictures_give_the_same_points() -> None:
    picture, moved = np.asarray(textured(0)), np.asarray(warped(textured(0), 20, 0.9)[0])
    first, second = (match(moved, picture) for _ in range(2))
    assert first.inliers
    assert np.array_equal(first.points_photo, second.points_photo)
    assert np.array_equal(first.points_reference, second.points_reference)
    by_features = match(local_features(moved), local_features(picture))
    assert np.array_equal(first.points_photo, by_features.points_photo)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 400), (400, 1), (15, 300), (16, 16), (200, 160), (3000, 40)]
)
@pytest.mark.parametrize("kind", ["blank", "noise"])
def test_any_picture_is_taken(size: tuple[int, int], kind: str) -> None:
    shape = (size[1], size[0], 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    picture = noise if kind == "noise" else np.full(shape, 255, np.uint8)
    features = local_features(picture)
    assert len(features.key_points) == len(features.descriptors) <= KEY_POINTS
    assert max(features.width, features.height) <= LARGEST_SIDE
    if kind == "blank" or min(size) < 16:
        assert not len(features.key_points)
    for other in (picture, np.asarray(textured(0))):
        assert match(picture, other).inliers <= KEY_POINTS


def test_repeated_patterns_are_taken() -> None:
    tile = np.indices((SIDE, SIDE)).sum(axis=0) // 8 % 2 * 255
    board = np.repeat(tile[:, :, None], 3, axis=2).astype(np.uint8)
    found = match(board, board[3:, 5:])
    assert found.inliers <= KEY_POINTS


def key_points(points: NDArray[np.float64], size: float = 4, angle: float = 0) -> KeyPoints:
    count = len(points)
    return KeyPoints(
        points.astype(np.float32),
        np.full(count, size, np.float32),
        np.full(count, angle, np.float32),
    )


def test_pairs_agree_in_place_size_and_direction() -> None:
    generator = np.random.default_rng(0)
    ours = generator.uniform(0, 200, (30, 2))
    theirs = 2 * ours[:, ::-1] * [-1, 1] + [500, 20]  # turned by 90 degrees, twice the size
    pairs = key_points(ours), key_points(theirs, size=8, angle=90)
    assert np.array_equal(agreeing_pairs(*pairs), np.arange(30))
    # A few that lie elsewhere, are too large or are turned the other way are left out.
    pairs[1].points[:3] += 60
    pairs[1].sizes[3:6] *= 4
    pairs[1].angles[6:9] += 90
    assert np.array_equal(agreeing_pairs(*pairs), np.arange(9, 30))


def test_points_that_all_fall_on_a_spot_do_not_agree() -> None:
    ours = np.random.default_rng(0).uniform(0, 200, (40, 2))
    assert len(agreeing_pairs(key_points(ours), key_points(np.full((40, 2), 50.0)))) <= 1


def test_the_candidate_with_the_points_comes_first() -> None:
    photo = np.asarray(warped(textured(0), 10, 0.9)[0])
    others = [[np.asarray(textured(n))] for n in range(1, 4)]
    references = [*others, [], [np.asarray(textured(8)), np.asarray(textured(0))]]
    scores = [0.5, 0.49, 0.48, 0.47, 0.3]
    ranked = rerank(photo, scores, references)
    assert [candidate.index for candidate in ranked] == [4, 0, 1, 2, 3]
    best = ranked[0]
    assert best.match is not None
    assert best.reference == 1
    assert evidence(best.match.inliers) > 0.2
    assert ranked[-1].match is None  # no reference picture


def test_candidates_beyond_the_first_keep_their_order() -> None:
    photo = np.asarray(textured(0))
    nothing = LocalFeatures(key_points(np.zeros((0, 2))), np.zeros((0, 128), np.float32), 9, 9)
    references = [[nothing]] * CANDIDATES + [[photo]] * 2
    scores = [1 - n / 100 for n in range(len(references))]
    ranked = rerank(photo, scores, references)
    assert [candidate.index for candidate in ranked] == list(range(len(references)))
    assert ranked[-1].match is None


def test_without_opencv_the_scores_decide() -> None:
    script = """
import sys
sys.modules["cv2"] = None
import numpy as np
from mobile_assets.errors import MissingDependencyError
from mobile_assets.local_features import available, local_features, rerank
picture = np.zeros((40, 40, 3), np.uint8)
assert not available()
assert [c.index for c in rerank(picture, [0.1, 0.3, 0.2], [[picture]] * 3)] == [1, 2, 0]
try:
    local_features(picture)
except MissingDependencyError as error:
    print(error)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert "pip install 'artefact-id[local]'" in done.stdout


def pairs_of(count: int) -> Match:
    points = np.linspace(0, 1, 2 * count, dtype=np.float32).reshape(-1, 2)
    return Match(points, points[::-1])


@pytest.mark.parametrize("count", [0, 1, 2, DRAWN, 3 * DRAWN])
def test_the_pairs_are_drawn(count: int) -> None:
    found = pairs_of(count)
    place = SideBySide.of((300, 200), (100, 100), 100)
    assert place.width == 150 + GAP + 100
    lines = place.lines(found)
    assert len(lines) == min(count, DRAWN)
    assert all(0 <= x <= 150 and 150 + GAP <= u <= place.width for x, _, u, _ in lines)
    text = svg(found, place)
    assert text.count("<line") == len(lines)
    assert not re.search(r"nan|inf", text)
    drawing = draw(Image.new("RGB", (300, 200)), Image.new("L", (100, 100)), found, height=100)
    assert drawing.size == (place.width, 100)
    coloured = (np.asarray(drawing).std(axis=2) > 20).any()
    assert coloured == (count > 0)


def test_the_pairs_as_json() -> None:
    assert json.loads(json.dumps(pairs_of(2).as_json()))[0] == [0.0, 0.3333, 0.6667, 1.0]


def test_opencv_is_here() -> None:
    """Or nothing above was tested."""
    assert available()
    assert issubclass(MissingDependencyError, Exception)
