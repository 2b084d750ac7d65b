"""What ways of making the input cost, and which of them a number points to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from test_input_pipelines import BY_NAME, RECORDED, SMALL, far

from benchmarks.gates.diagnosis import matching_pipelines
from benchmarks.measure import preprocessing_sensitivity
from benchmarks.measure.evaluation_set import sample_photos
from benchmarks.measure.preprocessing_sensitivity import INPUT_PIPELINES
from benchmarks.measure.preprocessing_sensitivity import measure_preprocessing as measured
from benchmarks.results.classification import wilson_interval
from benchmarks.results.measurement import TestPhoto
from benchmarks.results.schema import PreprocessingCost
from benchmarks.results.target import REFERENCE
from mobile_assets.errors import InputError
from mobile_assets.input_pipeline import InputPipeline, Values
from mobile_assets.photos import decode
from train.run import Run


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


PLANTED = {"register": "planted", "min_photos": 3, "seed": 0, **REFERENCE._asdict()}
del PLANTED["unit"]


def costs_of(
    photos: tuple[TestPhoto, ...],
    predict: Callable[[Values], NDArray[np.float32]],
    *,
    byte_input: bool = False,
    ways: tuple[InputPipeline, ...] = INPUT_PIPELINES,
) -> dict[str, PreprocessingCost]:
    costs = measured(
        photos, SMALL, predict, identity=PLANTED, seed=0, bootstrap=200, byte_input=byte_input,
        ways=ways,
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
        # Objects are drawn, not photos: either of the two may be drawn twice.
        assert by_red[name].drop_ci95 == (0, 100)
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
    batches: list[int] = []

    def spy(path: Path) -> Image.Image:
        decoded.append(path)
        return decode(path)

    def predict(batch: Values) -> NDArray[np.float32]:
        batches.append(len(batch))
        return red(batch)

    monkeypatch.setattr(preprocessing_sensitivity, "decode", spy)
    again = InputPipeline("resampling", "again", "The toolkit's own once more")
    found = costs_of(photos, predict, ways=(again, BY_NAME["bgr"]))
    assert sorted(decoded) == sorted(photo.path for photo in photos)
    assert sum(batches) == 2 * len(photos)
    assert max(batches) <= preprocessing_sensitivity.BATCH
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


def batch_of(side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    pixels = np.random.default_rng(1).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    return pixels, pixels.astype(np.float32)


def test_torch_takes_floats_as_they_are(golden_run: Run) -> None:
    from benchmarks.runtimes.torch_runtime import open_reference

    pixels, floats = batch_of(64)
    with open_reference(golden_run) as session:
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
