"""Ways of making the input held against the real things, and the mistakes that apps make."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure.preprocessing_sensitivity import CONTRACT, INPUT_PIPELINES
from benchmarks.preprocessing import resampling, resampling_kernels
from mobile_assets import integration_errors
from mobile_assets.input_pipeline import InputPipeline, inputs_of
from mobile_assets.photos import decode
from mobile_assets.preprocessing import Preprocessing, resize

BY_NAME = {way.name: way for way in INPUT_PIPELINES}


def contract_of(height: int, width: int) -> Preprocessing:
    return Preprocessing(height=height, width=width, mean=(0, 0, 0), std=(1, 1, 1))


SMALL = contract_of(16, 16)


def pattern(height: int, width: int) -> Image.Image:
    """Hard to resample: neighbours differ much. Sides chosen so that no place lies on a tie."""
    y, x, c = np.mgrid[:height, :width, :3]
    return Image.fromarray(((37 * x + 53 * y + 101 * c + 7 * x * y) % 256).astype(np.uint8))


def noise(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def far(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).mean())


# `pattern(37, 53)` brought to 16 × 16; every fifth row and third column. Made by
# - MediaPipe 1.2.2: ImageClassifier with a float32 TFLite model that returns its input,
# - skia-python 144.1: drawImageRect on a raster surface, SkFilterMode linear and nearest,
# - Chromium 150.0.7871.100, headless: drawImage and getImageData; of an ImageBitmap with
#   imageSmoothingQuality low and high (medium gave the same), and of an <img>.
RECORDED = json.loads((Path(__file__).parents[1] / "resampled.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", RECORDED)
def test_a_way_makes_what_the_real_thing_made(name: str) -> None:
    made = BY_NAME[name](pattern(37, 53), SMALL)[::5, ::3]
    real = np.array(RECORDED[name])
    assert np.abs(made.astype(int) - real).max() <= 1, made.tolist()
    # The figures tell the ways apart: every other way is further off than rounding.
    for other in RECORDED.keys() - {name}:
        assert far(BY_NAME[other](pattern(37, 53), SMALL)[::5, ::3], real) > 1


def test_half_pixel_centres_are_torchs() -> None:
    import torch

    photo = noise(37, 53)
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].float()
    made = torch.nn.functional.interpolate(pixels, (16, 16), mode="bilinear", align_corners=False)
    own = resampling_kernels.bilinear(np.asarray(photo), 16, 16)
    assert np.abs(own - made[0].permute(1, 2, 0).numpy()).max() < 1e-3


def test_halving_takes_means_of_two_and_of_three() -> None:
    even = np.array([[10, 20, 31, 40]], np.uint8)[..., None]
    assert resampling_kernels.halved(even)[..., 0].tolist() == [[15, 35]]  # 35.5 is cut off
    odd = np.array([[10, 20, 30, 40, 70]], np.uint8)[..., None]
    assert resampling_kernels.halved(odd)[..., 0].tolist() == [[20, 45]]
    assert resampling_kernels.halved(np.full((1, 1, 3), 7, np.uint8)).tolist() == [[[7, 7, 7]]]


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_sampled_decode_is_about_libjpegs(size: int) -> None:
    file = io.BytesIO()
    picture(3, 321, 243).save(file, "JPEG", quality=92)
    with Image.open(file) as opened:
        opened.draft("RGB", (321 // size, 243 // size))
        real = np.asarray(opened.convert("RGB"))
    with Image.open(file) as opened:
        made = np.asarray(resampling.sampled_decode(opened.convert("RGB"), size))
    assert made.shape == real.shape
    assert far(made, real) < 1


def test_android_reduces_by_powers_of_two_or_by_any_number() -> None:
    """Stripes three wide: steps of three hit one colour; means of two or four do not."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[:, 1::3] = 255
    photo = Image.fromarray(pixels)
    assert (np.asarray(resampling.sampled_decode(photo, 3)) == 255).all()
    contract = contract_of(32, 32)  # a third: power of two 2, whole number 3
    assert (resampling.target_size(photo, contract) == 255).all()
    expected = resampling.bilinear(photo.reduce(2), contract)
    assert np.array_equal(resampling.sample_size(photo, contract), expected)
    assert 60 < float(resampling.sample_size(photo, contract).mean()) < 110
    # Of six, libjpeg takes two and every third pixel is taken of the rest.
    assert np.array_equal(
        np.asarray(resampling.sampled_decode(photo, 6)), np.asarray(photo.reduce(2))[1::3, 1::3]
    )


def banded(*, high: bool = False) -> Image.Image:
    """Green in the middle square, red beyond it on both sides of the longer side."""
    pixels = np.zeros((60, 120, 3), np.uint8)
    pixels[...] = (255, 0, 0)
    pixels[:, 30:90] = (0, 255, 0)
    photo = Image.fromarray(pixels)
    return photo.transpose(Image.Transpose.ROTATE_90) if high else photo


@pytest.mark.parametrize("high", [False, True])
def test_crops_keep_the_middle_and_letterboxes_all(high: bool) -> None:
    photo = banded(high=high)
    for name in ("vision-center-crop", "android-crop", "centre-crop", "evaluation-crop"):
        made = BY_NAME[name](photo, SMALL).astype(int)
        # At the edges a filter may look a little beyond the part that is kept.
        assert (made[..., 1] > 200).all() and (made[1:-1, 1:-1, 0] < 5).all(), name
    for name in ("vision-scale-fill", "bilinear", "mediapipe-cpu"):
        made = BY_NAME[name](photo, SMALL)
        assert 0.4 < (made[..., 0] > 128).mean() < 0.6, name
    for name, beside in (("vision-scale-fit", 0), ("letterbox-black", 0), ("letterbox-grey", 128)):
        made = BY_NAME[name](photo, SMALL)
        rows = made if not high else made.swapaxes(0, 1)
        assert (rows[:4] == beside).all() and (rows[-4:] == beside).all(), name
        assert far(rows[4:12], resize(photo, contract_of(16, 8) if high else contract_of(8, 16))
                   .swapaxes(0, 1 if high else 0)) < 8, name  # fmt: skip


def test_antialiasing_is_what_keeps_noise_down() -> None:
    photo = noise(320, 320)
    for name in ("torchvision", "vision-scale-fill", "canvas-high", "canvas-image"):
        assert np.std(BY_NAME[name](photo, SMALL)) < 25, name
    for name in ("mediapipe-cpu", "bilinear", "nearest", "canvas-low"):
        assert np.std(BY_NAME[name](photo, SMALL)) > 30, name
    assert far(BY_NAME["torchvision"](photo, SMALL), resize(photo, SMALL)) < 1


@pytest.mark.parametrize("way", (CONTRACT, *INPUT_PIPELINES), ids=lambda way: way.name)
def test_every_way_makes_an_input_and_leaves_the_photo_alone(way: InputPipeline) -> None:
    for size in ((53, 37), (300, 100), (9, 7)):
        photo = picture(5, *size)
        before = np.array(photo)
        made = way(photo, contract_of(20, 28))
        assert made.shape == (20, 28, 3)
        assert made.dtype in (np.uint8, np.float32)
        assert np.array_equal(np.asarray(photo), before)
        assert np.array_equal(made, way(photo, contract_of(20, 28)))


def test_ways_are_told_apart() -> None:
    photo = noise(90, 61)
    names = [way.name for way in (CONTRACT, *INPUT_PIPELINES)]
    assert len(set(names)) == len(names)
    own = CONTRACT(photo, SMALL)
    for way in INPUT_PIPELINES:
        if way.name not in {"torchvision"}:
            assert not np.array_equal(way(photo, SMALL), own), way.name
    for way, values in inputs_of(photo, SMALL, INPUT_PIPELINES):
        assert np.array_equal(values, way(photo, SMALL)), way.name


@pytest.mark.parametrize(
    ("name", "orientation"), [("rotated-left", 6), ("rotated-right", 8), ("upside-down", 3)]
)
def test_a_missed_rotation_is_what_the_file_holds(
    name: str, orientation: int, tmp_path: Path
) -> None:
    """A file that says how it is to be turned: heeded it is upright, not heeded it is this."""
    stored = noise(40, 30) if orientation != 3 else noise(30, 40)
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    upright = decode(tmp_path / "a.png")
    assert not np.array_equal(np.asarray(upright), np.asarray(stored))
    assert np.array_equal(BY_NAME[name](upright, SMALL), resize(stored, SMALL))


def one_pixel(name: str, *colour: int) -> list[int] | list[float]:
    values = BY_NAME[name](Image.new("RGB", (4, 4), colour), contract_of(2, 2))
    return [value.item() for value in values[0, 0]]


@pytest.mark.parametrize(
    ("name", "colour", "expected"),
    [
        ("bgr", (10, 20, 30), (30, 20, 10)),
        ("alpha-first", (10, 20, 30), (255, 10, 20)),
        ("grey", (255, 0, 0), (76, 76, 76)),
        ("zero-to-one", (0, 51, 255), (0, 0.2, 1)),
        ("minus-one-to-one", (0, 51, 255), (-1, -0.6, 1)),
        ("int8-shift", (0, 128, 255), (-128, 0, 127)),
        ("imagenet-normalised", (0, 255, 51), (-0.485 / 0.229, 0.544 / 0.224, -0.206 / 0.225)),
        ("yuv-full-as-limited", (0, 0, 0), (0, 0, 0)),
        ("yuv-full-as-limited", (128, 128, 128), (130, 130, 130)),
        ("yuv-full-as-limited", (240, 240, 240), (255, 255, 255)),
        ("yuv-limited-as-full", (0, 0, 0), (16, 16, 16)),
        ("yuv-limited-as-full", (255, 255, 255), (235, 235, 235)),
        ("yuv-bt709", (90, 90, 90), (90, 90, 90)),
        ("yuv-chroma-swapped", (255, 0, 0), (16, 63, 255)),
        ("display-p3", (255, 255, 255), (255, 255, 255)),
        ("display-p3", (255, 0, 0), (234, 51, 35)),  # the known corner of sRGB in Display P3
    ],
)
def test_a_mistake_does_what_it_says(
    name: str, colour: tuple[int, int, int], expected: tuple[float, float, float]
) -> None:
    assert one_pixel(name, *colour) == pytest.approx(expected, abs=1e-5)


def test_yuv_is_jpegs() -> None:
    photo = noise(8, 8)
    real = np.asarray(photo.convert("YCbCr")).astype(np.float32) - np.float32((0, 128, 128))
    assert (
        np.abs(integration_errors.to_yuv(np.asarray(photo), integration_errors.BT601) - real).max()
        <= 1
    )
    back = integration_errors.from_yuv(
        integration_errors.to_yuv(np.asarray(photo), integration_errors.BT709),
        integration_errors.BT709,
    )
    assert np.array_equal(back, np.asarray(photo))


def test_display_p3_is_what_colour_management_undoes() -> None:
    """The matrix from the primaries of both spaces, whose white is D65."""

    def to_xyz(primaries: list[tuple[float, float]]) -> NDArray[np.float64]:
        columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
        white = np.array((0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290))
        return columns * np.linalg.solve(columns, white)

    srgb = to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)])
    p3 = to_xyz([(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)])
    assert np.abs(np.linalg.solve(p3, srgb) - integration_errors._SRGB_TO_P3).max() < 1e-4


def test_planes_come_in_another_order_of_bytes() -> None:
    pixels = np.asarray(noise(16, 16))
    made = BY_NAME["planes-first"](noise(16, 16), SMALL)
    assert made.tobytes() == pixels.transpose(2, 0, 1).tobytes() != pixels.tobytes()


def test_a_thumbnail_keeps_colours_and_loses_detail() -> None:
    contract = contract_of(224, 224)
    smooth, rough = picture(3, 800, 600), noise(600, 800)
    assert far(BY_NAME["thumbnail"](smooth, contract), resize(smooth, contract)) < 4
    assert np.std(BY_NAME["thumbnail"](rough, contract)) < 0.75 * np.std(resize(rough, contract))


def test_cut_out_is_the_middle_of_the_photo() -> None:
    pixels = np.asarray(noise(40, 60))
    assert np.array_equal(BY_NAME["not-scaled"](noise(40, 60), SMALL), pixels[12:28, 22:38])
    small = BY_NAME["not-scaled"](Image.new("RGB", (8, 4), "white"), SMALL)
    assert small.sum() == 8 * 4 * 3 * 255
    assert (small[6:10, 4:12] == 255).all()


def test_what_a_cast_to_bytes_leaves() -> None:
    floats = np.array([0.0, 0.99, 1.0, -0.99, -1.0, -128.0, 127.0, 300.0], np.float32)
    assert integration_errors.as_bytes(floats).tolist() == [0, 0, 1, 0, 255, 128, 127, 44]
    assert integration_errors.as_bytes(floats).dtype == np.uint8
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(integration_errors.as_bytes(pixels), pixels)
