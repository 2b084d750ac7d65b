"""From studio to phone: the fixed halves, what is trained on, a small trial."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import object_picture, tiny_weights

from benchmarks.studies.domain_shift import (
    DomainShiftStudy,
    Source,
    half_of,
    in_half,
    photos_asked,
    read_source,
    training_photos,
)
from benchmarks.studies.recipe_runs import RECIPES
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_file


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("grocery")
    for number in range(3):
        name = ("Carton", "Bag", "Box")[number]
        (root / "studio" / name).mkdir(parents=True)
        object_picture(number, 0).save(root / "studio" / name / f"P-{number}.png")
        folder = root / "photos" / name / f"P-{number}"
        folder.mkdir(parents=True)
        for view in range(10):
            object_picture(number, view + 1).save(folder / f"{view:03}.png")
    return root


@pytest.fixture(scope="module")
def source(photos: Path) -> Source:
    return read_source(photos)


def test_halves_are_fixed_whole_and_apart() -> None:
    names = [f"{n:03}.jpg" for n in range(21)]
    dev, test = half_of(names, "dev"), half_of(names, "test")
    assert sorted((*dev, *test)) == names
    assert (len(dev), len(test)) == (11, 10)
    assert half_of(names[::-1], "test") == test


def test_training_never_has_a_photo_of_the_asked_half(source: Source) -> None:
    tested = {path for path, _ in photos_asked(source)}
    assert tested == {path for own in in_half(source, "test").values() for path in own}
    for seed in range(5):
        trained = [path for path, _ in training_photos(source, 4, seed)]
        assert len(trained) == len(set(trained)) == 3 * 5
        assert not tested & set(trained)


def test_more_photos_include_the_fewer(source: Source) -> None:
    two, four = (set(training_photos(source, n, 1)) for n in (2, 4))
    assert two < four
    assert two != set(training_photos(source, 2, 2))
    with pytest.raises(InputError, match="5 phone photos to train on, not 6"):
        training_photos(source, 6, 0)


def test_objects_that_do_not_match_are_refused(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "other"
    root.mkdir()
    (root / "photos").symlink_to(photos / "photos")
    for name in ("Bag/P-1.png", "Box/wrong.png"):
        (root / "studio" / name).parent.mkdir(parents=True)
        object_picture(1, 0).save(root / "studio" / name)
    with pytest.raises(InputError, match=r"do not show the same objects \(P-0, P-2, wrong\)"):
        read_source(root)


@pytest.mark.slow
def test_trial_trains_asks_and_keeps_what_is_finished(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, table = tmp_path / "out", tmp_path / "page.md"
    words = ["--photos", str(photos), "--out", str(out), "--table", str(table), "--seeds", "0,1"]
    words += ["--phone-seeds", "0", "--backbone", "test_efficientnet"]
    words += ["--weights", str(tiny_weights(tmp_path)), "--input-size", "64", "--epochs", "1"]
    assert DomainShiftStudy.main(words) == 0
    study = DomainShiftStudy.read(table.with_suffix(".json"))
    # The paper's recipe with studio pictures alone.
    assert len(study.runs) == 2 * len(RECIPES) + 2 * (len(RECIPES) - 1)
    alone = [row for row in study.runs if row.setting == "studio"]
    assert {(row.train_photos, row.val_photos) for row in alone} == {(3, 0)}
    assert {row.tested for row in study.runs} == {(5, 5, 5)}
    trained = {sha256_file(path) for path in (out / "test").glob("seed*/*/register/*/*/*")}
    tested = {sha256_file(path) for path in (out / "test/asked").glob("*/*/*")}
    assert trained
    assert tested
    assert not trained & tested
    capsys.readouterr()
    assert DomainShiftStudy.main(words) == 0
    messages = capsys.readouterr().err
    assert messages.count("trained before, kept") == len(study.runs)
    assert "trained in" not in messages
