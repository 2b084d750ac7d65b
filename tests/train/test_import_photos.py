"""Importing tables: photos found by name, media tables, ids, and what is refused or listed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from museum_exports import import_checked, listed, photos_of, put_photos, write_text

from mobile_assets.errors import InputError
from mobile_assets.object_record import MAX_FIELD_CHARACTERS, ObjectRecord
from train.registers.importers.importer import ImportOptions, plan_import, run_import

OBJECTS = "ObjectNumber,Title,Image\n1889.1,Jug,EA1.jpg\n1889.2,Bowl,EA2.jpg\n"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos", "EA1.jpg", "more/EA1b.jpg", "EA2.jpg")


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("EA1.jpg;EA1b.jpg", ["EA1.jpg", "more/EA1b.jpg"]),
        ("EA1.jpg | EA1b.jpg", ["EA1.jpg", "more/EA1b.jpg"]),
        ("EA1.jpg\nEA1b.jpg", ["EA1.jpg", "more/EA1b.jpg"]),
        ("EA1.jpg, EA1b.jpg", ["EA1.jpg", "more/EA1b.jpg"]),
        ("a, b.jpg", ["a, b.jpg"]),
        ("c;d.jpg", ["c;d.jpg"]),
        (r"D:\fotos\MORE\ea1B.JPG", ["more/EA1b.jpg"]),
        ("file:///media/EA1.jpg", ["EA1.jpg"]),
        ("https://museum.example/media/EA%31.jpg?size=full#x", ["EA1.jpg"]),
        ('"EA1.jpg"', ["EA1.jpg"]),
        ("EA1.tif", ["EA1.jpg"]),
        ("../../EA1.jpg", ["EA1.jpg"]),
    ],
)
def test_ways_to_name_photos(tmp_path: Path, cell: str, found: list[str]) -> None:
    photos = put_photos(tmp_path / "photos", "EA1.jpg", "more/EA1b.jpg", "a, b.jpg", "c;d.jpg")
    quoted = cell.replace('"', '""')
    text = f'ObjectNumber,Image\n1,"{quoted}"\n'
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    assert photos_of(imported) == {"1": sorted(found)}


def test_a_separator_of_ones_own(tmp_path: Path, photos: Path) -> None:
    text = "ObjectNumber,Image\n1,EA1.jpg##EA2.jpg\n"
    imported, _ = import_checked(write_text(tmp_path, text), photos, separator="##")
    assert photos_of(imported) == {"1": ["EA1.jpg", "EA2.jpg"]}


def test_photos_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    photos = put_photos(tmp_path / "photos", "a/1/x.jpg", "b/1/x.jpg", "c/X.jpg")
    text = "ObjectNumber,Image\nA,D:\\b\\1\\x.jpg\nB,x.jpg\nC,c/X.jpg\n"
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    assert photos_of(imported) == {"A": ["b/1/x.jpg"], "C": ["c/X.jpg"]}
    assert "photos have this name" in listed(imported, "row")["objects.csv, line 3"]


def test_names_spelled_in_two_ways_are_the_same(tmp_path: Path) -> None:
    photos = put_photos(tmp_path / "photos", "Ba\u0308r.jpg")
    imported, _ = import_checked(write_text(tmp_path, "ObjectNumber,Image\n1,Bär.jpg\n"), photos)
    assert imported.objects == 1


def test_every_row_without_a_photo_is_listed_with_its_reason(tmp_path: Path, photos: Path) -> None:
    text = (
        "ObjectNumber,Title,Image\n1,Jug,EA1.jpg\n2,Bowl,gone.jpg\n3,Cup,\n,Plate,EA2.jpg\n"
        "1,Jug,EA1.jpg\n"
    )
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    reasons = listed(imported, "row")
    assert reasons["objects.csv, line 3"] == "gone.jpg: no such photo"
    assert reasons["objects.csv, line 4"] == "names no photo"
    assert reasons["objects.csv, line 5"] == "ObjectNumber is empty"
    assert "objects.csv, line 2 names the same photo already" in reasons["objects.csv, line 6"]
    assert (imported.rows, imported.rows_used) == (5, 1)
    with (tmp_path / "register.not-imported.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(imported.findings)
    assert [row["kind"] for row in rows[:4]] == ["row"] * 4


def test_a_photo_of_two_objects_is_of_neither(tmp_path: Path, photos: Path) -> None:
    text = "ObjectNumber,Image\n1,EA1.jpg;EA2.jpg\n2,EA2.jpg\n"
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    assert photos_of(imported) == {"1": ["EA1.jpg"]}
    left = [f for f in imported.findings if f.value == "EA2.jpg"]
    assert [(f.object_id, f.reason) for f in left] == [
        ("1", "the same photo is given to 2"), ("2", "the same photo is given to 1"),
    ]  # fmt: skip


def test_a_row_per_photo_makes_one_object(tmp_path: Path, photos: Path) -> None:
    text = (
        "ObjectNumber,Title,Medium,Image\n"
        "1,Jug,,EA1.jpg\n1,Jug,Stoneware,EA2.jpg\n1,Mug,,EA1b.jpg\n"
    )
    imported, register = import_checked(write_text(tmp_path, text), photos)
    assert register is not None
    (label,) = register.label_map().labels
    assert (label.title, label.photos) == ("Jug", 3)
    assert label.record == ObjectRecord(materials="Stoneware")
    assert (
        "title is another one than in objects.csv, line 2"
        in (listed(imported, "note")["objects.csv, line 4"])
    )


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (("1889.0", "1890.0"), ("1889", "1890")),
        (("1889.0", "1889.1"), ("1889.0", "1889.1")),
        (("007", "08"), ("007", "08")),
        (("=1+1", "-5"), ("=1+1", "-5")),
        (("'x", '"y'), ("'x", '"y')),
    ],
)
def test_ids_stay_as_they_are(
    tmp_path: Path, photos: Path, ids: tuple[str, str], expected: tuple[str, str]
) -> None:
    text = f"Image,ObjectNumber\nEA1.jpg,{ids[0]}\nEA2.jpg, {ids[1]}\n"
    imported, register = import_checked(write_text(tmp_path, text), photos)
    assert sorted(photos_of(imported)) == sorted(expected)
    assert register is not None
    assert register.object_ids == tuple(sorted(expected))


@pytest.mark.parametrize(
    ("object_id", "reason"),
    [("1.889E+11", "rounded number"), ('"A\nB"', "line break"), ("A\x07", "control character")],
)
def test_ids_that_cannot_be_right_are_listed(
    tmp_path: Path, photos: Path, object_id: str, reason: str
) -> None:
    text = f"ObjectNumber,Title,Image\n1,,EA1.jpg\n{object_id},,EA2.jpg\n"
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    (why,) = listed(imported, "row").values()
    assert reason in why


def test_formulas_do_not_reach_a_spreadsheet_and_come_back_as_they_were(
    tmp_path: Path, photos: Path
) -> None:
    text = (
        "ObjectNumber,Title,Medium,Note,Image\n"
        '1,=HYPERLINK(0),- gilt,@x,EA1.jpg\n2,Cup,,,"=x.jpg"\n'
    )
    _imported, register = import_checked(write_text(tmp_path, text), photos)
    for name in ("register.csv", "register.not-imported.csv"):
        with (tmp_path / name).open(encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert register is not None
    assert register.label_map()[0].title == "=HYPERLINK(0)"
    assert register.records["1"].materials == "- gilt"


def test_a_text_that_is_too_long_is_cut_and_noted(tmp_path: Path, photos: Path) -> None:
    text = f"ObjectNumber,Medium,Image\n1,{'x' * 2000},EA1.jpg\n"
    imported, register = import_checked(write_text(tmp_path, text), photos)
    assert register is not None
    assert len(register.records["1"].materials) == MAX_FIELD_CHARACTERS
    assert "the rest is cut" in listed(imported, "note")["objects.csv, line 2"]
    assert not register.problems


def test_splits_are_understood(tmp_path: Path, photos: Path) -> None:
    text = "ObjectNumber,Split,Image\n1,Train,EA1.jpg\n2,validation,EA2.jpg\n3,dev,EA1b.jpg\n"
    imported, register = import_checked(write_text(tmp_path, text), photos)
    assert register is not None
    assert [photo.split for photo in register.photos] == ["train", "val", None]
    assert "split is left out" in listed(imported, "note")["objects.csv, line 4"]


def test_json_lines_are_written_too(tmp_path: Path, photos: Path) -> None:
    path = write_text(tmp_path, OBJECTS)
    _, register = import_checked(path, photos, out=tmp_path / "sub" / "register.jsonl")
    assert register is not None
    assert register.photos[0].path == "../photos/EA1.jpg"
    assert register.photos[0].title == "Jug"


MEDIA = "MediaID,ObjectID,FileName,Caption\n1,17,EA1.jpg,front\n2,17,EA1b.jpg,back\n3,18,EA2.jpg,\n"


def test_a_media_table_of_its_own(tmp_path: Path, photos: Path) -> None:
    objects = write_text(
        tmp_path, "ObjectID,ObjectNumber,Title\n17,1889.1,Jug\n18,1889.2,Bowl\n19,3,Cup\n"
    )
    media = write_text(
        tmp_path, MEDIA + "4,99,EA9.jpg,\n5,,EA8.jpg,\n6,18,,\n7,18,EA7.jpg,\n", "m.csv"
    )
    imported, _ = import_checked(objects, photos, media=media)
    assert photos_of(imported) == {"1889.1": ["EA1.jpg", "more/EA1b.jpg"], "1889.2": ["EA2.jpg"]}
    reasons = listed(imported, "row")
    assert reasons["objects.csv, line 4"] == "the media table has no photo of it"
    assert reasons["m.csv, line 5"] == "99 is the key of no object"
    assert reasons["m.csv, line 6"] == "ObjectID is empty"
    assert reasons["m.csv, line 7"] == "names no photo"
    assert reasons["m.csv, line 8"] == "EA7.jpg: no such photo"
    assert (imported.rows, imported.rows_used) == (3, 2)
    assert (imported.media_rows, imported.media_rows_used) == (7, 3)
    text = (tmp_path / "register.csv").read_text(encoding="utf-8")
    assert "source:media:Caption" in text


def test_a_media_table_that_refers_to_the_object_id(tmp_path: Path, photos: Path) -> None:
    objects = write_text(tmp_path, "ObjectNumber,Title\nA,Jug\nA,Jug again\nB,Bowl\n")
    media = write_text(tmp_path, "object number,file\nA,EA1.jpg\nB,EA2.jpg\n", "media.csv")
    imported, _ = import_checked(objects, photos, media=media)
    assert photos_of(imported) == {"A": ["EA1.jpg"], "B": ["EA2.jpg"]}
    assert "describes A again" in listed(imported, "row")["objects.csv, line 3"]


def test_a_key_of_several_objects_is_refused_by_row(tmp_path: Path, photos: Path) -> None:
    objects = write_text(tmp_path, "ObjectID,ObjectNumber\n1,A\n1,B\n2,C\n")
    media = write_text(tmp_path, "ObjectID,FileName\n1,EA1.jpg\n2,EA2.jpg\n", "media.csv")
    imported, _ = import_checked(objects, photos, media=media)
    assert photos_of(imported) == {"C": ["EA2.jpg"]}
    assert "1 is the key of several objects" in listed(imported, "row")["media.csv, line 2"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("Colour,Image\nred,EA1.jpg\n", "--map object_id=COLUMN"),
        ("ObjectNumber,Title\n1,Jug\n", "--map path=COLUMN"),
        ("ObjectNumber,Image\n1,gone.jpg\n", "None of the 1 rows"),
        (b"PK\x03\x04rubbish", "no Excel workbook"),
        (b"%PDF-1.7", "is no text"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    tmp_path: Path, photos: Path, text: str | bytes, error: str
) -> None:
    with pytest.raises(InputError, match=error):
        import_checked(write_text(tmp_path, text), photos)
    assert not (tmp_path / "register.csv").exists()


def test_where_to_write_and_read_is_checked_first(tmp_path: Path, photos: Path) -> None:
    path = write_text(tmp_path, OBJECTS)
    with pytest.raises(InputError, match="is the source itself"):
        plan_import(ImportOptions(path, photos, path, force=True))
    with pytest.raises(InputError, match=r"end the name in .csv or .jsonl"):
        plan_import(ImportOptions(path, photos, tmp_path / "register.xlsx"))
    with pytest.raises(InputError, match="does not exist"):
        plan_import(ImportOptions(tmp_path / "none.csv", photos, tmp_path / "register.csv"))
    with pytest.raises(InputError, match="is not a folder"):
        import_checked(path, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no photos"):
        import_checked(path, tmp_path / "empty")
    import_checked(path, photos)
    with pytest.raises(InputError, match="already exists"):
        import_checked(path, photos)
    import_checked(path, photos, force=True)


def test_photos_outside_the_folder_are_never_named(tmp_path: Path, photos: Path) -> None:
    put_photos(tmp_path, "secret.jpg")
    (photos / "link").symlink_to(tmp_path, target_is_directory=True)
    text = "ObjectNumber,Image\n1,EA1.jpg\n2,../secret.jpg\n3,/etc/passwd\n"
    path = write_text(tmp_path, text)
    imported, _ = import_checked(path, photos, out=tmp_path / "out" / "register.csv")
    assert photos_of(imported) == {"1": ["EA1.jpg"]}
    assert len(listed(imported, "row")) == 2


def test_names_that_no_manifest_can_hold_are_listed(tmp_path: Path, photos: Path) -> None:
    try:
        put_photos(photos, "EA\udcff.jpg")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system knows UTF-8 names only")
    plan = plan_import(
        ImportOptions(write_text(tmp_path, OBJECTS), photos, tmp_path / "register.csv")
    )
    reasons = {f.place: f.reason for f in run_import(plan).findings if f.kind == "photo"}
    assert reasons["EA?.jpg"] == "its name is not UTF-8: rename it"
