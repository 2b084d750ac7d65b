"""The Durham layout: accession numbers in file names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from mobile_assets.errors import InputError
from train.registers.durham import accession_number
from train.registers.inspection import inspect
from train.registers.readers import read_register
from train.registers.register import Register


def make(root: Path, *paths: str) -> Path:
    """Tiny real photos, each of another colour."""
    for number, path in enumerate(paths):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number % 256, number // 256, 9)).save(file, "PNG")
    return root


def objects(register: Register) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for photo in register.photos:
        found.setdefault(photo.object_id, []).append(photo.path.rsplit("/", 1)[1])
    return found


@pytest.mark.parametrize(
    ("collection", "group", "name", "wanted"),
    [
        # numbers as the museum writes them
        ("oriental", "1971", "DUROM.1971.78.A.jpg", "DUROM.1971.78.A"),
        ("oriental", "1962", "DUROM.1962.212.1.jpg", "DUROM.1962.212.1"),
        ("oriental", "N", "DUROM.N.123.jpg", "DUROM.N.123"),
        ("egyptian", "EG", "EG6141.jpg", "EG6141"),
        ("fulling_mill", "1990", "FUL 77.JPG", "FUL.77"),
        # case and separators
        ("oriental", "1971", "durom_1971_78_a.png", "DUROM.1971.78.A"),
        ("oriental", "1971", "DUROM-1971-78.png", "DUROM.1971.78"),
        ("oriental", "1971", "DUROM 1971 78A.png", "DUROM.1971.78.A"),
        ("egyptian", "EG", "eg 6141.png", "EG6141"),
        ("egyptian", "EG", "EG_6141.png", "EG6141"),
        # the folder's year
        ("oriental", "1971", "78.png", "1971.78"),
        ("oriental", "1971", "1971.78.png", "1971.78"),
        ("oriental", "1971", "1972.78.png", "1972.78"),
        ("oriental", "1971", "DUROM.78.png", "DUROM.1971.78"),
        ("oriental", "1971", "1900.png", "1971.1900"),
        ("oriental", "Amulets", "12.png", "Amulets/12"),
        # views of the authors' convention
        ("oriental", "1971", "1971.78aa.png", "1971.78"),
        ("oriental", "1971", "1971.78 BB.png", "1971.78"),
        ("oriental", "1971", "1971.78.ab.png", "1971.78"),
        ("oriental", "1971", "1971.78q1.png", "1971.78"),
        ("oriental", "1971", "1971.78d02.png", "1971.78"),
        ("oriental", "1971", "1971.78pc.png", "1971.78"),
        ("oriental", "1971", "1971.78cu.png", "1971.78"),
        ("oriental", "1971", "1971.78_small.png", "1971.78"),
        ("oriental", "1971", "1971.78a_aa.png", "1971.78.A"),
        ("egyptian", "1971", "1971.78ab.png", "1971.78.AB"),
        ("egyptian", "1971", "1971.78aa.png", "1971.78"),
        # a letter is a part, but in two collections a view
        ("oriental", "1971", "1971.78b.png", "1971.78.B"),
        ("egyptian", "EG", "EG12B.png", "EG12.B"),
        ("castle", "1990", "1990.5b.png", "1990.5"),
        ("fulling_mill", "1990", "1990.5b.png", "1990.5"),
        ("castle", "1990", "1990.5.B.png", "1990.5.B"),
        # numbered views, copies, words
        ("oriental", "1971", "DUROM.1971.78_2.png", "DUROM.1971.78"),
        ("egyptian", "EG", "EG1234-3.png", "EG1234"),
        ("oriental", "1971", "1971.78 (2).png", "1971.78"),
        ("oriental", "1971", "1971.78.A (12).png", "1971.78.A"),
        ("oriental", "1971", "DUROM_1971_78_v1.png", "DUROM.1971.78"),
        ("oriental", "1971", "1971.78_detail.png", "1971.78"),
        ("oriental", "1971", "1971.78 - Copy.png", "1971.78"),
        ("oriental", "1971", "1971.78 copy 2.png", "1971.78"),
        ("oriental", "1971", "1971.78 front 2.png", "1971.78"),
        # what nothing tells from a part stays apart; several objects in a photo are their own
        ("oriental", "1971", "DUROM_1971_78_2.png", "DUROM.1971.78.2"),
        ("oriental", "1971", "1971.78-80.png", "1971.78-80"),
        ("oriental", "1971", "1971.78 & 79.png", "1971.78-79"),
        # no number
        ("oriental", "1971", "IMG_1234.png", None),
        ("oriental", "1971", "DSCN0042.png", None),
        ("oriental", "1971", "P1010234.png", None),
        ("oriental", "1971", "20190304_1.png", None),
        ("oriental", "1971", "Buddha.png", None),
        ("oriental", "1971", "vase 3.png", None),
        ("oriental", "1971", "1971.png", None),
        ("oriental", "Amulets", "1971.png", None),
        ("oriental", "1971", "(2).png", None),
    ],
)
def test_the_number_in_a_name(
    collection: str, group: str, name: str, wanted: str | None, tmp_path: Path
) -> None:
    number = accession_number(name, group=group, collection=collection)
    assert (number and number.text(number.prefix)) == wanted
    path = f"images/{collection}/{group}/{name}"
    make(tmp_path, path, f"images/{collection}/{group}/9999.png")
    register = read_register(tmp_path, layout="durham")
    read = {photo.path: photo.object_id for photo in register.photos}
    assert read.get(path) == wanted
    warned = any(p.path == path and p.kind == "warning" for p in register.problems)
    assert warned == (wanted is None)


def test_two_spellings_are_one_object_and_are_reported(tmp_path: Path) -> None:
    folder = "images/oriental/1971"
    names = ("DUROM.1971.78.A.png", "DUROM_1971_78_a.png", "1971.78A.png", "78.A_2.png")
    make(tmp_path, *(f"{folder}/{name}" for name in names), f"{folder}/DUROM.1971.78.B.png")
    register = read_register(tmp_path)
    assert set(objects(register)) == {"DUROM.1971.78.A", "DUROM.1971.78.B"}
    assert len(objects(register)["DUROM.1971.78.A"]) == 4
    (problem,) = register.problems
    assert (problem.kind, problem.path) == ("warning", "DUROM.1971.78.A")
    for spelling in ("DUROM.1971.78.A", "DUROM_1971_78_a", "1971.78A", "78.A"):
        assert spelling in problem.reason


def test_views_of_one_spelling_are_not_worth_a_word(tmp_path: Path) -> None:
    names = ("78.png", "78aa.png", "78bb.png", "78d1.png", "78 (2).png", "78_top.png")
    make(tmp_path, *(f"images/oriental/1971/{name}" for name in names))
    register = read_register(tmp_path)
    assert set(objects(register)) == {"1971.78"}
    assert register.problems == ()


def test_between_two_museums_a_bare_number_stays_its_own(tmp_path: Path) -> None:
    names = ("DUROM.1971.5.png", "DURMA.1971.5.png", "1971.5.png")
    make(tmp_path, *(f"images/oriental/1971/{name}" for name in names))
    assert set(objects(read_register(tmp_path))) == {"DUROM.1971.5", "DURMA.1971.5", "1971.5"}


def test_bare_numbers_of_two_groups_are_two_objects(tmp_path: Path) -> None:
    make(tmp_path, "images/oriental/Bowls/12.png", "images/oriental/Amulets/12.png")
    assert set(objects(read_register(tmp_path))) == {"Amulets/12", "Bowls/12"}


def test_one_number_in_two_collections_is_told_apart(tmp_path: Path) -> None:
    make(tmp_path, "images/oriental/1971/5.png", "images/castle/1971/1971.5.png")
    assert set(objects(read_register(tmp_path))) == {"Castle/1971.5", "Oriental/1971.5"}


def test_remarks_after_a_number_are_reported(tmp_path: Path) -> None:
    make(tmp_path, "images/oriental/1971/1971.78 Ming vase.png", "images/oriental/1971/1971.7.png")
    register = read_register(tmp_path)
    assert "1971.78" in objects(register)
    (problem,) = register.problems
    assert "'Ming vase' after 1971.78" in problem.reason


def test_collections_deeper_folders_and_what_is_left_out(tmp_path: Path) -> None:
    make(
        tmp_path,
        "images/fulling_mill/1990/FUL.1990.7.png",
        "images/egyptian/EG/1-500/EG5.png",
        "images/Chinese export/1950/1950.3.png",
        "images/samian/1990/1.png",
        "images/samian/1990/2.png",
        "images/oriental/loose.png",
    )
    (tmp_path / "images/oriental/1971").mkdir()
    (tmp_path / "images/oriental/1971/notes.txt").write_text("not a photo")
    register = read_register(tmp_path, layout="durham")
    assert {photo.collection for photo in register.photos} == {
        "Fulling Mill",
        "Egyptian",
        "Chinese export",
    }
    ignored = {p.path: p.reason for p in register.problems if p.kind == "ignored"}
    assert "2 photos" in ignored["images/samian/1990"]
    assert set(ignored) == {
        "images/samian/1990",
        "images/oriental/loose.png",
        "images/oriental/1971/notes.txt",
    }


def test_the_images_folder_itself_may_be_given(tmp_path: Path) -> None:
    make(tmp_path, "images/oriental/1971/5.png", "images/oriental/1971/6.png")
    register = read_register(tmp_path / "images", layout="durham")
    assert set(objects(register)) == {"1971.5", "1971.6"}
    assert {photo.collection for photo in register.photos} == {"Oriental"}


def test_auto_takes_it_only_where_nothing_else_is_meant(tmp_path: Path) -> None:
    make(tmp_path / "a", "images/oriental/1971/5.png")
    assert set(objects(read_register(tmp_path / "a"))) == {"1971.5"}
    make(tmp_path / "b", "images/oriental/5.png", "images/oriental/6.png")
    assert set(objects(read_register(tmp_path / "b"))) == {"oriental"}
    make(tmp_path / "c", "images/oriental/1971/5.png", "oriental/5/1.png")
    assert set(objects(read_register(tmp_path / "c"))) == {"5"}
    make(tmp_path / "d", "pictures/oriental/1971/5.png")
    with pytest.raises(InputError, match="--layout durham"):
        read_register(tmp_path / "d")


def test_no_number_anywhere_is_an_error_that_says_so(tmp_path: Path) -> None:
    make(tmp_path, "images/oriental/1971/IMG_1.png")
    with pytest.raises(InputError, match=r"1 photos, but none .* accession number"):
        read_register(tmp_path)


def test_the_register_does_not_depend_on_the_order_of_files(tmp_path: Path) -> None:
    names = ("1971.78A.png", "DUROM.1971.78.a.png", "79.png", "IMG_2.png", "80 pot lid.png")
    make(tmp_path / "a", *(f"images/oriental/1971/{name}" for name in names))
    for name in reversed(names):
        target = tmp_path / "b/images/oriental/1971" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "a/images/oriental/1971" / name, target)
    first, second = (read_register(tmp_path / side) for side in "ab")
    assert first.photos == second.photos
    assert first.problems == second.problems


def test_inspect_shows_it(tmp_path: Path) -> None:
    views = ("", "aa", "bb")
    make(
        tmp_path,
        *(f"images/oriental/1971/1971.{n}{view}.png" for n in (1, 2) for view in views),
        *(f"images/castle/1990/1990.7{view}.png" for view in ("a", "b", "c", "d")),
        "images/oriental/1971/unknown.png",
    )
    found = inspect(tmp_path)
    assert (found.objects, found.photos) == (3, 10)
    assert [(row.name, row.objects, row.photos) for row in found.per_collection] == [
        ("Oriental", 2, 6),
        ("Castle", 1, 4),
    ]
    assert [row.objects for row in found.thresholds] == [3, 1, 0, 0]
    warned = [problem.path for problem in found.problems if problem.kind == "warning"]
    assert warned == ["images/oriental/1971/unknown.png"]
