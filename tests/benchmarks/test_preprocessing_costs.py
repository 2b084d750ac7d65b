"""Ways of making the input held against the real things, mistakes, and what they cost."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from numpy.typing import NDArray
from PIL import Image
from tiny_run import finish_run

from benchmarks.gates.diagnosis import matching_pipelines, preprocessing_table
from benchmarks.measure import preprocessing_sensitivity
from benchmarks.measure.preprocessing_sensitivity import CONTRACT, INPUT_PIPELINES, sample_photos
from benchmarks.measure.preprocessing_sensitivity import measure_preprocessing as measured
from benchmarks.preprocessing import resampling, resampling_kernels
from benchmarks.results.classification import Indices, wilson_interval
from benchmarks.results.measurement import TestPhoto
from benchmarks.results.schema import PreprocessingCost
from benchmarks.results.target import REFERENCE
from mobile_assets import input_pipeline, integration_errors
from mobile_assets.errors import InputError
from mobile_assets.input_pipeline import InputPipeline, Resample, Values, inputs_of
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


# --- against the real things ----------------------------------------------------------------------

# `pattern(37, 53)` brought to 16 × 16; every fifth row and third column. Made by
# - MediaPipe 1.2.2: ImageClassifier with a float32 TFLite model that returns its input,
# - skia-python 144.1: drawImageRect on a raster surface, SkFilterMode linear and nearest,
# - Chromium 150.0.7871.100, headless: drawImage and getImageData; of an ImageBitmap with
#   imageSmoothingQuality low and high (medium gave the same), and of an <img>.
RECORDED = {
    "mediapipe-cpu": [
        [[0, 101, 202], [112, 213, 58], [223, 68, 169], [79, 180, 73], [191, 36, 137],
         [46, 147, 72]],
        [[101, 202, 47], [114, 101, 60], [155, 116, 199], [145, 38, 139], [101, 138, 131],
         [86, 142, 166]],
        [[202, 47, 148], [144, 201, 92], [86, 159, 36], [211, 104, 205], [171, 48, 149],
         [115, 146, 93]],
        [[46, 147, 72], [107, 128, 64], [88, 189, 56], [68, 169, 62], [69, 150, 119],
         [110, 131, 56]],
    ],
    "bilinear": [
        [[83, 184, 103], [72, 165, 170], [142, 75, 176], [131, 232, 77], [120, 133, 82],
         [190, 123, 136]],
        [[190, 114, 183], [140, 55, 156], [97, 190, 97], [42, 135, 236], [177, 92, 174],
         [118, 211, 143]],
        [[176, 108, 122], [166, 85, 117], [157, 63, 158], [202, 47, 148], [173, 87, 138],
         [150, 83, 175]],
        [[114, 201, 60], [132, 153, 86], [79, 180, 110], [105, 206, 51], [131, 144, 77],
         [83, 171, 104]],
    ],
    "nearest": [
        [[97, 198, 43], [25, 126, 227], [209, 54, 155], [137, 238, 83], [65, 166, 11],
         [249, 94, 195]],
        [[245, 90, 191], [175, 20, 121], [105, 206, 51], [35, 136, 237], [221, 66, 167],
         [151, 252, 97]],
        [[197, 42, 143], [199, 44, 145], [201, 46, 147], [203, 48, 149], [205, 50, 151],
         [207, 52, 153]],
        [[89, 190, 35], [93, 194, 39], [97, 198, 43], [101, 202, 47], [105, 206, 51],
         [109, 210, 55]],
    ],
    "canvas-low": [
        [[79, 180, 109], [74, 169, 170], [134, 75, 176], [129, 230, 75], [124, 129, 90],
         [183, 124, 129]],
        [[197, 110, 185], [146, 49, 150], [94, 195, 88], [45, 130, 231], [179, 92, 167],
         [117, 209, 141]],
        [[175, 108, 121], [163, 84, 113], [151, 60, 161], [202, 47, 148], [166, 91, 136],
         [142, 87, 176]],
        [[111, 202, 57], [130, 156, 81], [79, 180, 105], [103, 204, 49], [127, 148, 73],
         [86, 172, 97]],
    ],
    "canvas-high": [
        [[109, 141, 121], [118, 125, 131], [155, 106, 154], [134, 171, 91], [122, 139, 117],
         [146, 130, 134]],
        [[140, 118, 149], [112, 86, 154], [137, 116, 148], [103, 93, 161], [135, 122, 153],
         [122, 124, 151]],
        [[124, 139, 124], [125, 135, 115], [124, 132, 119], [178, 94, 146], [123, 137, 128],
         [125, 116, 146]],
        [[109, 161, 103], [134, 134, 109], [102, 175, 96], [96, 197, 54], [107, 139, 122],
         [122, 135, 113]],
    ],
    "canvas-image": [
        [[73, 149, 149], [145, 141, 114], [163, 84, 175], [127, 114, 82], [111, 115, 147],
         [120, 139, 128]],
        [[167, 145, 132], [92, 103, 109], [211, 81, 162], [154, 22, 123], [131, 143, 89],
         [89, 132, 169]],
        [[177, 123, 132], [174, 143, 137], [187, 151, 136], [194, 162, 149], [107, 150, 145],
         [126, 74, 162]],
        [[121, 172, 83], [116, 127, 108], [80, 159, 92], [102, 203, 57], [140, 120, 114],
         [104, 143, 129]],
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_a_way_makes_what_the_real_thing_made(name: str) -> None:
    found = BY_NAME[name](pattern(37, 53), SMALL)[::5, ::3]
    real = np.array(RECORDED[name])
    assert np.abs(found.astype(int) - real).max() <= 1, found.tolist()
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
        found = np.asarray(resampling.sampled_decode(opened.convert("RGB"), size))
    assert found.shape == real.shape
    assert far(found, real) < 1


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
        found = BY_NAME[name](photo, SMALL).astype(int)
        # At the edges a filter may look a little beyond the part that is kept.
        assert (found[..., 1] > 200).all() and (found[1:-1, 1:-1, 0] < 5).all(), name
    for name in ("vision-scale-fill", "bilinear", "mediapipe-cpu"):
        found = BY_NAME[name](photo, SMALL)
        assert 0.4 < (found[..., 0] > 128).mean() < 0.6, name
    for name, beside in (("vision-scale-fit", 0), ("letterbox-black", 0), ("letterbox-grey", 128)):
        found = BY_NAME[name](photo, SMALL)
        rows = found if not high else found.swapaxes(0, 1)
        assert (rows[:4] == beside).all() and (rows[-4:] == beside).all(), name
        assert far(rows[4:12], resize(photo, contract_of(16, 8) if high else contract_of(8, 16))
                   .swapaxes(0, 1 if high else 0)) < 8, name  # fmt: skip


def test_a_crop_to_an_input_that_is_not_square_keeps_its_shape() -> None:
    assert input_pipeline.centred(Image.new("RGB", (120, 60)), contract_of(20, 30)) == (
        15,
        0,
        105,
        60,
    )
    assert input_pipeline.centred(Image.new("RGB", (60, 120)), contract_of(20, 30)) == (
        0,
        40,
        60,
        80,
    )


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
        found = way(photo, contract_of(20, 28))
        assert found.shape == (20, 28, 3)
        assert found.dtype in (np.uint8, np.float32)
        assert np.array_equal(np.asarray(photo), before)
        assert np.array_equal(found, way(photo, contract_of(20, 28)))


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


# --- mistakes -------------------------------------------------------------------------------------


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
    found = BY_NAME["planes-first"](noise(16, 16), SMALL)
    assert found.tobytes() == pixels.transpose(2, 0, 1).tobytes() != pixels.tobytes()


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


# --- the measure ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestPhoto, ...]:
    """Twenty photos: object 0 red and bright on its left, object 1 blue and bright on its right."""
    root = tmp_path_factory.mktemp("costs")
    found = []
    for number in range(20):
        index = number % 2
        pixels = np.zeros((40, 60, 3), np.uint8)
        pixels[..., 0 if index == 0 else 2] = 150 + number
        half = slice(None, 30) if index == 0 else slice(30, None)
        pixels[:, half] += 60
        Image.fromarray(pixels).save(root / f"{number}.png")
        found.append(TestPhoto(root / f"{number}.png", index, str(index), "", True))
    return tuple(found)


def red(batch: Values) -> NDArray[np.float32]:
    """Object 0 if there is much red; looks at nothing else."""
    share = batch[..., 0].mean(axis=(1, 2)) / 255
    return np.stack((share, 0.55 - share), axis=1).astype(np.float32)


def left(batch: Values) -> NDArray[np.float32]:
    """Object 0 if the left is brighter; looks at nothing else."""
    columns = batch.astype(np.float32).mean(axis=(1, 3))
    return columns.reshape(len(batch), 2, -1).mean(axis=2)


def costs_of(
    photos: tuple[TestPhoto, ...],
    predict: Callable[[Values], NDArray[np.float32]],
    *,
    byte_input: bool = False,
    ways: tuple[InputPipeline, ...] = INPUT_PIPELINES,
) -> dict[str, PreprocessingCost]:
    truth: Indices = np.array([photo.object_index for photo in photos], np.int64)
    costs = measured(
        photos, SMALL, predict, truth, subject=REFERENCE, register_name="planted", min_photos=3,
        run_seed=0, seed=0, bootstrap=200, byte_input=byte_input, ways=ways,
    )  # fmt: skip
    return {cost.name: cost for cost in costs}


def test_a_planted_mistake_is_found(photos: tuple[TestPhoto, ...]) -> None:
    by_red, by_left = costs_of(photos, red), costs_of(photos, left)
    assert list(by_red) == ["contract", *BY_NAME]
    for costs in (by_red, by_left):
        assert costs["contract"].top1 == costs["contract"].agreement == 1
        assert costs["contract"].drop_ci95 == (0, 0)
    assert {n for n, c in by_red.items() if c.drop_points == 100} == {"bgr", "yuv-chroma-swapped"}
    assert by_left["mirrored"].drop_points == by_left["upside-down"].drop_points == 100
    assert by_left["bgr"].drop_points == by_red["mirrored"].drop_points == 0
    for name in RECORDED:
        assert by_red[name].drop_points == by_left[name].drop_points == 0, name
    # All red, or none: one object of two is right.
    for name in ("alpha-first", "zero-to-one", "minus-one-to-one"):
        assert by_red[name].top1 == by_red[name].agreement == 0.5, name
        low, high = by_red[name].drop_ci95 or (0, 0)
        assert 20 < low < 50 < high < 80
    assert by_red["bgr"].family == "mistake" and by_red["nearest"].family == "resampling"
    assert by_red["bgr"].top1_ci95 == pytest.approx((0, 0.1611), abs=1e-4)


def test_floats_reach_the_network_unless_it_takes_bytes(photos: tuple[TestPhoto, ...]) -> None:
    given: dict[bool, set[str]] = {True: set(), False: set()}
    largest: list[float] = []
    for byte_input, seen in given.items():

        def spy(batch: Values, seen: set[str] = seen) -> NDArray[np.float32]:
            seen.add(batch.dtype.name)
            if batch.dtype == np.float32:
                largest.append(float(batch.max()))
            return red(batch)

        costs_of(photos, spy, byte_input=byte_input, ways=(BY_NAME["zero-to-one"],))
    assert given == {True: {"uint8"}, False: {"uint8", "float32"}}
    assert max(largest) <= 1


def test_each_photo_is_decoded_once_and_alike_inputs_asked_once(
    photos: tuple[TestPhoto, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    asked: list[int] = []

    def spy(path: Path) -> Image.Image:
        decoded.append(path)
        return decode(path)

    def predict(batch: Values) -> NDArray[np.float32]:
        asked.append(len(batch))
        return red(batch)

    monkeypatch.setattr(preprocessing_sensitivity, "decode", spy)
    again = InputPipeline("resampling", "again", "The toolkit's own once more")
    found = costs_of(photos, predict, ways=(again, BY_NAME["bgr"]))
    assert sorted(decoded) == sorted(photo.path for photo in photos)
    assert sum(asked) == 2 * len(photos)
    assert max(asked) <= preprocessing_sensitivity.BATCH
    assert found["again"].top1 == 1 and found["bgr"].top1 == 0


def test_an_unreadable_photo_is_left_out(photos: tuple[TestPhoto, ...], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    first = TestPhoto(broken, 1, "1", "", True)
    costs = costs_of((first, *photos), red, ways=(BY_NAME["bgr"],))
    assert (costs["contract"].photos, costs["contract"].top1, costs["bgr"].top1) == (20, 1, 0)
    nothing = costs_of((first,), red, ways=(BY_NAME["bgr"],))
    assert nothing["bgr"].photos == 0 and nothing["bgr"].top1 is None


def test_drawing_takes_some_in_their_order(photos: tuple[TestPhoto, ...]) -> None:
    some = sample_photos(photos, 7, seed=1)
    assert len(some) == 7
    assert (
        some
        == tuple(photo for photo in photos if photo in some)
        == sample_photos(photos, 7, seed=1)
    )
    assert some != sample_photos(photos, 7, seed=2)
    assert sample_photos(photos, 20, seed=1) == photos


# --- looking up -----------------------------------------------------------------------------------


def known(**shares: float) -> list[PreprocessingCost]:
    return [
        PreprocessingCost(
            register="r", min_photos=3, seed=0, variant="v", runtime="t", family="mistake",
            name=name, what="?", photos=300, top1=share, drop_points=100 * (0.9 - share),
            top1_ci95=wilson_interval(round(300 * share), 300),
        )  # type: ignore[call-arg]
        for name, share in shares.items()
    ]  # fmt: skip


def test_a_number_tells_the_mistake() -> None:
    costs = known(own=0.9, bgr=0.62, grey=0.55, range=0.02)
    assert [cost.name for cost in matching_pipelines(costs, 0.56, 300)] == ["grey"]
    assert [cost.name for cost in matching_pipelines(costs, 0.58, 300)] == ["grey", "bgr"]
    # Fewer photos tell less; more than were measured tell no more.
    assert [cost.name for cost in matching_pipelines(costs, 0.7, 20)] == ["bgr", "grey"]
    assert matching_pipelines(costs, 0.58, 100_000) == matching_pipelines(costs, 0.58, 300)
    assert [cost.name for cost in matching_pipelines(costs, 0.0, 40)] == ["range"]
    assert matching_pipelines(costs, 0.3, 300) == ()


@pytest.mark.parametrize(("top1", "photos"), [(58.0, 100), (-0.1, 100), (0.5, 0)])
def test_what_is_no_number_of_photos_is_refused(top1: float, photos: int) -> None:
    with pytest.raises(InputError):
        matching_pipelines(known(own=0.9), top1, photos)


def test_the_table_begins_with_the_dearest() -> None:
    lines = preprocessing_table(known(own=0.9, grey=0.55, bgr=0.62)).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| grey", "| bgr", "| own"]
    assert "| grey | 55.0 % | 49–61 % | 35.0 |" in lines[2]


def test_resamplings_are_functions_of_photo_and_contract() -> None:
    functions: list[Resample] = [way.resample for way in resampling.RESAMPLINGS]
    assert len(set(functions)) == len(functions)


# --- sessions that are given floats ---------------------------------------------------------------


def batch_of(side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    pixels = np.random.default_rng(1).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    return pixels, pixels.astype(np.float32)


def test_torch_takes_floats_as_they_are(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from benchmarks.runtimes.torch_runtime import open_reference
    from mobile_assets.labels import Label, LabelMap
    from train.model import build_model
    from train.run import Split, SplitPhoto

    torch.manual_seed(0)
    contract = contract_of(32, 32)
    model = build_model("test_efficientnet", "linear", objects=2, preprocessing=contract)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 2:
                weights.mul_(1000)  # so that an untrained network minds what it is shown
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    names = ("a", "b")
    labels = LabelMap(
        labels=tuple(
            Label(index=i, object_id=n, collection="", title="", photos=1)
            for i, n in enumerate(names)
        )
    )
    photos = tuple(
        SplitPhoto(path=f"{n}/1.png", object_id=n, sha256=n * 64, split="train") for n in names
    )
    split = Split(strategy="stratified", seed=0, min_photos=3, photos=photos)
    run = finish_run(tmp_path, labels, split, preprocessing=contract, head="linear")
    pixels, floats = batch_of(32)
    with open_reference(run) as session:
        expected = session.predict(pixels)
        assert np.array_equal(session.predict(floats), expected)
        # Not scaled, not clipped, not made bytes of.
        assert far(session.predict(floats / np.float32(255)), expected) > 1e-2
        assert far(session.predict(floats + np.float32(0.4)), expected) > 1e-6


def test_litert_takes_floats_where_the_file_does(tmp_path: Path) -> None:
    import torch

    from benchmarks.runtimes.litert_runtime import LitertSession
    from export.network.fold import FoldedNetwork
    from export.tflite.convert import activation_ranges, convert_float32, to_int8

    torch.manual_seed(0)
    body = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(4, 3),
    )  # fmt: skip
    with torch.no_grad():
        body[4].weight.mul_(0.02)  # so that no probability is 0 or 1
    network = FoldedNetwork(torch.zeros(1, 3, 1, 1), (0, 1, 0, 1), body).eval()
    pixels, floats = batch_of(16)
    float32 = convert_float32(network, SMALL, description="of a test")
    (tmp_path / "float32.tflite").write_bytes(float32)
    (tmp_path / "int8.tflite").write_bytes(to_int8(float32, activation_ranges(float32, pixels)))
    with LitertSession(tmp_path / "float32.tflite", threads=1) as session:
        assert np.array_equal(session.predict(floats), session.predict(pixels))
        image = torch.from_numpy(floats / 255).permute(0, 3, 1, 2)
        expected = network(image).softmax(dim=1).detach().numpy()
        assert far(session.predict(floats / np.float32(255)), expected) < 1e-5
        assert far(session.predict(pixels), expected) > 1e-3
    with LitertSession(tmp_path / "int8.tflite", threads=1) as session:
        assert session.predict(pixels).shape == (3, 3)
        with pytest.raises(InputError, match="takes uint8, and was given float32"):
            session.predict(floats)
