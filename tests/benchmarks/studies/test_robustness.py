"""The perturbations on real pictures, the worst case, and a small measurement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import object_picture, picture, tiny_weights
from PIL import Image

from benchmarks.results.measurement import TestPhoto
from benchmarks.studies.corruptions import PERTURBATIONS, Perturbation, Scene, generator_of
from benchmarks.studies.robustness import CLEAN, RobustnessStudy, spread_photos
from train.trainer import train_run
from train.training_plan import TrainOptions

pytestmark = pytest.mark.slow

PUBLISHED = RobustnessStudy.read(RobustnessStudy.published().with_suffix(".json"))
BY_NAME = {perturbation.name: perturbation for perturbation in PERTURBATIONS}
SIZE = (64, 48)


def mask_of(size: tuple[int, int]) -> Image.Image:
    """The middle of the photo is the object."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[size[1] // 4 : -size[1] // 4, size[0] // 4 : -size[0] // 4] = 255
    return Image.fromarray(mask)


def scene_of(perturbation: Perturbation, photo: str = "a") -> Scene:
    grounds = [picture(seed, 90, 70) for seed in range(50, 54)]
    return Scene(generator_of(photo, perturbation.name), SIZE, mask_of((96, 80)), grounds)


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda p: p.name)
def test_each_perturbation_changes_a_photo_always_the_same_way(perturbation: Perturbation) -> None:
    # Grain, as real photos have, or a slight blur would change nothing.
    grain = np.random.default_rng(0).integers(-20, 21, (80, 96, 3))
    before = (np.asarray(picture(7, 96, 80)) + grain).clip(0, 255).astype(np.uint8)
    photo = Image.fromarray(before)
    first, second = (perturbation(photo, scene_of(perturbation)) for _ in range(2))
    assert first.mode == "RGB"
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert np.array_equal(np.asarray(photo), before)  # the photo itself is left alone
    seen, plain = (np.asarray(p.resize(SIZE, Image.Resampling.BILINEAR)) for p in (first, photo))
    assert not np.array_equal(seen, plain)


def test_another_photo_is_changed_another_way() -> None:
    photo, noise = picture(7, 96, 80), BY_NAME["noise, strong"]
    ways = [np.asarray(noise(photo, scene_of(noise, name))) for name in "ab"]
    assert not np.array_equal(*ways)


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(PERTURBATIONS)


def test_stronger_is_further_from_the_photo() -> None:
    photo = picture(7, 96, 80)

    def distance(name: str) -> float:
        changed = np.asarray(BY_NAME[name](photo, scene_of(BY_NAME[name])), np.float64)
        return float(np.abs(changed - np.asarray(photo)).mean())

    for mild, strong in (
        ("rotation ±15°", "rotation ±30°"),
        ("1 stop darker", "2 stops darker"),
        ("noise, mild", "noise, strong"),
        ("out of focus, mild", "out of focus, strong"),
        ("shaken, mild", "shaken, strong"),
        ("JPEG quality 30", "JPEG quality 10"),
        ("at 70 % of its size", "at 45 % of its size"),
        ("perspective, mild", "perspective, strong"),
    ):
        assert distance(mild) < distance(strong), mild


def test_rotation_by_halves_and_quarters_loses_nothing() -> None:
    photo = picture(7, 96, 80)
    half = BY_NAME["rotation 180°"](photo, scene_of(BY_NAME["rotation 180°"]))
    assert np.array_equal(np.asarray(half), np.asarray(photo)[::-1, ::-1])
    quarter = BY_NAME["rotation ±90°"](photo, scene_of(BY_NAME["rotation ±90°"]))
    assert quarter.size == (80, 96)


def test_a_swapped_ground_keeps_the_object_and_nothing_of_the_old_ground() -> None:
    pixels = np.full((80, 96, 3), (0, 0, 255), np.uint8)
    pixels[20:60, 24:72] = (255, 0, 0)  # just the mask
    photo = Image.fromarray(pixels)
    for name in ("plain ground", "textured ground", "messy ground"):
        changed = np.asarray(BY_NAME[name](photo, scene_of(BY_NAME[name]))).astype(int)
        assert (changed[24:56, 28:68] == (255, 0, 0)).all()
        edge = changed[16:64, 20:76]
        # Where the old ground's blue shines through, blue would be far above red and green.
        assert not ((edge[..., 2] > 200) & (edge[..., :2].max(axis=2) < 60)).any(), name


def test_perspective_shows_the_whole_photo() -> None:
    """White corners on black: they stay in the frame, so nothing of the object is cut away."""
    pixels = np.zeros((80, 96, 3), np.uint8)
    pixels[30:50, 38:58] = 255
    changed = BY_NAME["perspective, strong"](
        Image.fromarray(pixels), scene_of(BY_NAME["perspective, strong"])
    )
    white = np.asarray(changed)[..., 0] > 128
    assert 0.3 < white.sum() / 400 < 1.0  # smaller, as it is further away, and there


def test_spread_takes_about_as_many_of_each_object() -> None:
    photos = [
        TestPhoto(Path(f"{n}/{v}"), n, str(n), "", True, f"{(v * 7919 + n) % 997:03}")
        for n in range(5)
        for v in range(20 if n else 2)
    ]
    chosen = spread_photos(photos, 32)
    assert [sum(p.object_index == n for p in chosen) for n in range(5)] in (
        [2, 8, 8, 7, 7], [2, 8, 7, 8, 7], [2, 8, 7, 7, 8], [2, 7, 8, 8, 7], [2, 7, 8, 7, 8],
        [2, 7, 7, 8, 8],
    )  # fmt: skip
    assert spread_photos(photos[::-1], 32) == chosen[::-1]
    assert len(spread_photos(photos, 1000)) == len(photos)


def test_worst_case_and_verdict_are_of_the_rows() -> None:
    """Rows of known drops: 20 points against 40, of 100 % and of 50 %."""
    group = PUBLISHED.groups[0].model_copy(
        update={"objects": ("a", "b", "c", "d"), "tested": (10, 10, 10, 10)}
    )
    rights = {("field", CLEAN): 10, ("field", "a"): 8, ("field", "b"): 9}
    rights |= {("paper", CLEAN): 5, ("paper", "a"): 4, ("paper", "b"): 1}
    row = PUBLISHED.rows[0]
    rows = tuple(
        row.model_copy(update={"recipe": recipe, "perturbation": name, "right": (right,) * 4})
        for (recipe, name), right in rights.items()
    )
    study = PUBLISHED.model_copy(update={"groups": (group,), "rows": rows})
    points, shares = study.targets()
    assert points.measured.value == pytest.approx(0.5)
    assert shares.measured.value == pytest.approx(0.2 / 0.8)
    assert "| field | a | 20.0 (20.0 to 20.0) | 20.0% (20.0% to 20.0%) |" in study.page()
    assert "| paper | b | 40.0 (40.0 to 40.0) | 80.0% (80.0% to 80.0%) |" in study.page()


def test_published_rows_are_of_every_perturbation() -> None:
    assert PUBLISHED.perturbations == (CLEAN, *BY_NAME)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, further photos of their objects, masks of these and a folder of grounds."""
    root = tmp_path_factory.mktemp("robustness")
    for number in range(4):
        for view in range(9):
            side = "register" if view < 4 else "left-over"
            path = root / side / "all" / f"OBJ-{number}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            object_picture(number, view).save(path)
            mask = root / "masks" / "all" / f"OBJ-{number}" / f"{view}.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            mask_of((64, 64)).convert("1").save(mask)
    (root / "grounds").mkdir()
    picture(99).save(root / "grounds/a.jpg")
    options = TrainOptions(
        backbone="test_efficientnet",
        weights=tiny_weights(root),
        input_size=64,
        split="stratified",
        hold_out_test=False,
        cache=root / "prepared",
    )
    for recipe in ("probe", "paper"):
        chosen = replace(options, recipe=recipe, epochs=1 if recipe == "paper" else None)
        train_run(root / "register", root / recipe, chosen)
    return root


def words_of(work: Path, out: Path, *runs: str) -> list[str]:
    photos = work / "left-over"
    words = [*(runs or (f"{work}/probe={photos}", f"{work}/paper={photos}"))]
    words += ["--grounds", str(work / "grounds"), "--masks", str(work / "masks")]
    return [*words, "--table", str(out / "page.md")]


def test_same_pictures_give_the_same_rows(work: Path, tmp_path: Path) -> None:
    for name in "ab":
        assert RobustnessStudy.main([*words_of(work, tmp_path / name), "--limit", "12"]) == 0
    first, second = (RobustnessStudy.read(tmp_path / name / "page.json") for name in "ab")
    assert first.rows == second.rows
    assert first.perturbations == (CLEAN, *BY_NAME)
    assert first.recipes == ("paper", "probe")
    assert first.groups[0].tested == (3, 3, 3, 3)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (("probe=left-over", "probe=left-over"), "Give one run per recipe and photos"),
        (("probe=left-over", "paper=register"), "Give a run of every recipe for every folder"),
        (("nowhere=left-over",), "is not a run"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    work: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    runs: tuple[str, ...],
    message: str,
) -> None:
    paths = [f"{work}/{run.replace('=', f'={work}/')}" for run in runs]
    assert RobustnessStudy.main(words_of(work, tmp_path, *paths)) == 2
    assert message in capsys.readouterr().err


def test_a_missing_mask_is_named(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words_of(work, tmp_path)
    words[words.index("--masks") + 1] = str(work / "grounds")
    assert RobustnessStudy.main(words) == 2
    assert "has no mask" in capsys.readouterr().err
