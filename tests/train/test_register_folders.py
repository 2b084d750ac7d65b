"""Folders as they lie on real drives: the system's own, links, names that cannot be ids."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from conftest import picture

from mobile_assets.errors import InputError
from train.registers.inspection import inspect
from train.registers.readers import read_register
from train.registers.register import Register

SYSTEM_FOLDERS = [
    "$RECYCLE.BIN", "$Recycle.Bin", "RECYCLER", "System Volume Information", "FOUND.000",
    "#recycle", "#snapshot", "@eaDir", "@Recycle", "@Recently-Snapshot", "@tmp", "lost+found",
    "__MACOSX", ".Trashes", ".Trash-1000", ".Spotlight-V100", ".fseventsd", ".@__thumb",
    ".DS_Store", "Thumbs.db", "desktop.ini", "Network Trash Folder", "Temporary Items",
    "Catalog Previews.lrdata", "Photos.photoslibrary", "~snapshot", "_vti_cnf",
]  # fmt: skip

SYSTEM_FILES = [
    "Thumbs.db", "THUMBS.DB", "ehthumbs.db", "desktop.ini", "Desktop.ini", ".DS_Store", "._1.jpg",
    "Icon\r", "Picasa.ini", "1.jpg@SynoEAStream",
]  # fmt: skip


def put(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path, "JPEG")


def reasons(register: Register) -> dict[str, str]:
    return {problem.path: problem.reason for problem in register.problems}


@pytest.mark.parametrize("name", SYSTEM_FOLDERS)
def test_folders_of_the_system_are_no_objects(tmp_path: Path, name: str) -> None:
    put(tmp_path, "Castle/1889.1/a.jpg", "Castle/1889.1/b.jpg")
    expected = read_register(tmp_path).photos
    put(tmp_path, f"{name}/1889.1/c.jpg", f"{name}/d.jpg", f"Castle/{name}/e.jpg")
    put(tmp_path, f"Castle/1889.1/{name}/f.jpg")
    register = read_register(tmp_path)
    assert register.photos == expected
    assert register.object_ids == ("1889.1",)  # not Castle/1889.1
    [told] = register.problems
    assert f"({name}) and 2 more: left out" in told.reason


@pytest.mark.parametrize("name", SYSTEM_FILES)
def test_files_of_the_system_are_not_worth_a_word(tmp_path: Path, name: str) -> None:
    put(tmp_path, "A/1.jpg", f"A/{name}", name)
    register = read_register(tmp_path)
    assert [photo.path for photo in register.photos] == ["A/1.jpg"]
    assert not register.problems


def test_names_that_only_resemble_the_systems_are_objects(tmp_path: Path) -> None:
    names = ["recycle", "eaDir", "found", "Trash", "snapshot", "lost and found", "$1", "#1", "@1"]
    put(tmp_path, *(f"{name}/1.jpg" for name in names))
    assert read_register(tmp_path).object_ids == tuple(sorted(names))


def test_what_the_toolkit_wrote_is_no_object(tmp_path: Path) -> None:
    put(tmp_path, "A/1.jpg", "B/1.jpg", "bundle/golden/photo.jpg", "report/photo.jpg")
    for name in ("bundle/bundle.json", "bundle/labels.json", "report/report.html"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "report/results.json").write_text("{}")
    register = read_register(tmp_path)
    assert register.object_ids == ("A", "B")
    assert set(reasons(register)) == {"bundle", "report"}


def test_links_to_folders_above_and_beside_are_read_once(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for number in range(30):
        put(root, f"A{number}/1.jpg")
        (root / f"A{number}/up").symlink_to("..")
        (root / f"A{number}/over").symlink_to(f"../A{(number + 1) % 30}")
        (root / f"A{number}/far").symlink_to("../../..")
        (root / f"A{number}/self").symlink_to("self")
    began = time.monotonic()
    register = read_register(root)
    assert time.monotonic() - began < 2
    assert len(register.photos) == 30
    assert "A1, which is read there" in reasons(register)["A0/over"]
    assert "folder or one above it" in reasons(register)["A0/up"]
    assert {"A0/far", "A0/self"} <= set(reasons(register))


def test_links_to_photos_elsewhere_are_followed_in_any_order(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    put(tmp_path / "store", "x/1.jpg", "x/2.jpg", "y/1.jpg")
    put(root, "B/1.jpg")
    (root / "A").symlink_to(tmp_path / "store/x")
    (root / "C").symlink_to(tmp_path / "store/x")  # the same folder again
    (root / "D").symlink_to(root / "B")
    (root / "E").mkdir()
    (root / "E/photo.jpg").symlink_to(tmp_path / "store/y/1.jpg")
    (root / "E/gone.jpg").symlink_to(tmp_path / "store/none.jpg")
    register = read_register(root)
    assert register.photos_per_object == {"A": 2, "B": 1, "E": 2}
    assert reasons(register) == {
        "C": "a link to A, which is read there",
        "D": "a link to B, which is read there",
    }
    unreadable = [p.path for p in inspect(root).problems if p.kind == "unreadable"]
    assert unreadable == ["E/gone.jpg"]


def test_a_loop_of_links_outside_ends(tmp_path: Path) -> None:
    put(tmp_path / "photos", "A/1.jpg")
    for number in range(20):
        folder = tmp_path / f"store/{number}"
        put(tmp_path / "store", f"{number}/x.jpg")
        for other in range(20):
            (folder / f"to{other}").symlink_to(f"../{other}")
    (tmp_path / "photos/B").symlink_to(tmp_path / "store")
    began = time.monotonic()
    register = read_register(tmp_path / "photos", layout="collection")
    assert time.monotonic() - began < 2
    assert len(register.photos) == 20


def test_special_files_are_told_and_not_waited_for(tmp_path: Path) -> None:
    put(tmp_path, "A/1.jpg")
    os.mkfifo(tmp_path / "A/pipe.jpg")
    (tmp_path / "A/zero.jpg").symlink_to("/dev/zero")
    register = read_register(tmp_path)
    assert [photo.path for photo in register.photos] == ["A/1.jpg"]
    assert set(reasons(register)) == {"A/pipe.jpg", "A/zero.jpg"}


@pytest.mark.parametrize(
    "blank", [" ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\u3164", " \u200b"]
)
def test_a_blank_folder_is_refused(tmp_path: Path, blank: str) -> None:
    put(tmp_path, f"{blank}/1.jpg", "A/1.jpg", "B/1.jpg")
    for read in (read_register, inspect):
        with pytest.raises(InputError, match=r"is blank\. Rename the folder"):
            read(tmp_path)


def test_a_blank_collection_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "\u00a0/A/1.jpg", "East/A/1.jpg")
    with pytest.raises(InputError, match=r"the folder '<U\+00A0>' has a blank name\. Rename it"):
        read_register(tmp_path)


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_a_line_break_in_a_folder_is_refused(tmp_path: Path, end: str) -> None:
    put(tmp_path, "A/1.jpg", f"Castle{end}2/1.jpg")
    with pytest.raises(InputError, match=rf"Castle<U\+{ord(end):04X}>2.* holds a line break"):
        read_register(tmp_path)


def test_a_line_break_in_a_collection_is_a_space(tmp_path: Path) -> None:
    put(tmp_path, "Castle\nHill/A/1.jpg", "Castle\nHill/B/1.jpg")
    assert {photo.collection for photo in read_register(tmp_path).photos} == {"Castle Hill"}


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode there")
def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    put(tmp_path, "A/1.jpg", "A/2.jpg")
    (tmp_path / "A/2.jpg").rename(tmp_path / "A" / os.fsdecode(b"M\xfcnze.jpg"))
    register = read_register(tmp_path)
    assert [photo.path for photo in register.photos] == ["A/1.jpg"]
    assert reasons(register) == {"A/M\\udcfcnze.jpg": "its name is not UTF-8: rename the file"}
    put(tmp_path, os.fsdecode(b"M\xfcller/1.jpg"), os.fsdecode(b"M\xfcller/2.jpg"))
    for read in (read_register, inspect):
        with pytest.raises(InputError, match=r"M\\udcfcller: the folder's name is not UTF-8"):
            read(tmp_path)
    with pytest.raises(InputError, match="or of one above it, is not UTF-8"):
        read_register(tmp_path / os.fsdecode(b"M\xfcller"), layout="object")


def test_spellings_that_become_one_object_are_told(tmp_path: Path) -> None:
    put(tmp_path, "A/1.jpg", "A /2.jpg", "u\u0308/1.jpg", "ü/2.jpg", "B/1.jpg")
    register = read_register(tmp_path)
    assert register.photos_per_object == {"A": 2, "B": 1, "ü": 2}
    assert "spelled 'A', 'A '" in reasons(register)["A"]
    assert "'u\\u0308', '\\xfc'" in reasons(register)["ü"]


def test_folders_too_deep_are_told(tmp_path: Path) -> None:
    put(tmp_path, "A/1.jpg", "A/" + "/".join("123456789") + "/1.jpg")
    register = read_register(tmp_path)
    assert "deeper than 8" in reasons(register)["A/1/2/3/4/5/6/7/8"]
    assert len(register.photos) == 1
