"""From studio to phone: the fixed halves, what is trained on, a small trial, the published page."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import object_picture, tiny_weights

from benchmarks.studies.domain_shift import (
    Published,
    Source,
    half_of,
    in_half,
    main,
    page,
    read_source,
    training_photos,
    verdicts,
)
from mobile_assets.errors import InputError
from mobile_assets.files import sha256_file

PUBLISHED = Path(__file__).parents[3] / "benchmarks/studies/domain_shift.json"


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
    for half in ("dev", "test"):
        asked = {path for own in in_half(source, half).values() for path, _ in own}
        for seed in range(5):
            trained = [file for file, *_ in training_photos(source, half, 4, seed)]
            assert len(trained) == len(set(trained)) == 3 * 5
            assert not asked & set(trained)


def test_more_photos_include_the_fewer(source: Source) -> None:
    two, four = (set(training_photos(source, "test", n, 1)) for n in (2, 4))
    assert two < four
    assert two != set(training_photos(source, "test", 2, 2))
    with pytest.raises(InputError, match="5 phone photos to train on, not 6"):
        training_photos(source, "test", 6, 0)


def test_objects_that_do_not_match_are_refused(photos: Path, tmp_path: Path) -> None:
    root = tmp_path / "other"
    root.mkdir()
    (root / "photos").symlink_to(photos / "photos")
    for name in ("Bag/P-1.png", "Box/wrong.png"):
        (root / "studio" / name).parent.mkdir(parents=True)
        object_picture(1, 0).save(root / "studio" / name)
    with pytest.raises(InputError, match=r"do not show the same objects \(P-0, P-2, wrong\)"):
        read_source(root)


def test_trial_writes_a_page_that_its_rows_regenerate(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--photos", str(photos), "--out", str(tmp_path / "out"), "--seeds", "0,1"]
    words += ["--backbone", "test_efficientnet", "--weights", str(tiny_weights(tmp_path))]
    words += [
        "--paper-with-phone",
        "--input-size",
        "64",
        "--epochs",
        "1",
        "--table",
        str(tmp_path / "studio.md"),
    ]
    assert main(words) == 0
    published = Published.read(tmp_path / "studio.json")
    assert page(published) == (tmp_path / "studio.md").read_text(encoding="utf-8")
    assert len(published.runs) == 2 * 3 * 3
    alone = [row for row in published.runs if row.setting == "studio"]
    assert {(row.train_photos, row.val_photos) for row in alone} == {(3, 0)}
    assert {row.tested for row in published.runs} == {(5, 5, 5)}
    trained = {sha256_file(path) for path in (tmp_path / "out/test").glob("seed*/*/register/*/*/*")}
    assert not trained & {sha256_file(path) for path in (tmp_path / "out/test/asked").glob("*/*/*")}
    # A number that is changed by hand would be seen.
    changed = published.runs[0].model_copy(update={"top1": (0, 0, 5)})
    assert published.runs[0].top1 != (0, 0, 5)
    assert page(published.model_copy(update={"runs": (changed, *published.runs[1:])})) != page(
        published
    )
    capsys.readouterr()
    assert main(words) == 0
    said = capsys.readouterr().err
    assert said.count("trained before, kept") == 18
    assert "trained in" not in said


def test_published_page_is_regenerated_from_its_rows() -> None:
    published = Published.read(PUBLISHED)
    assert page(published) == PUBLISHED.with_suffix(".md").read_text(encoding="utf-8")
    assert published.half == "test"
    assert len(verdicts(published)) == 1
