"""Importing CSV exports: columns of their own, photos by name, broken rows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from museum_exports import import_checked, listed, photos_of, put_photos, write_text

from mobile_assets.errors import InputError
from mobile_assets.object_record import ObjectRecord
from train.registers.importers import text_table
from train.registers.inspection import inspect

TMS = (
    "ObjectID,ObjectNumber,ObjectName,Title,Dated,Medium,Dimensions,Signed,Department,InsuranceValue,"
    "PrimaryImage,Image 2\n"
    '17,1889.1,Jug,"Jug, with beasts",17th century,Stoneware,H 21 cm,WR,Castle,£4000,'
    r"\\server\tms\2019\EA1.jpg,EA1b.jpg"
    "\n18,1889.2,Bowl,Bowl,1600,Porcelain,D 30 cm,,Castle,£50,EA2.jpg,\n"
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos", "EA1.jpg", "more/EA1b.jpg", "EA2.jpg")


def test_an_export_of_tms(tmp_path: Path, photos: Path) -> None:
    imported, register = import_checked(write_text(tmp_path, TMS), photos)
    assert photos_of(imported) == {"1889.1": ["EA1.jpg", "more/EA1b.jpg"], "1889.2": ["EA2.jpg"]}
    assert register is not None
    assert register.records["1889.1"] == ObjectRecord(
        type="Jug", materials="Stoneware", measurements="H 21 cm", inscriptions="WR",
        date="17th century",
    )  # fmt: skip
    (jug, bowl) = register.label_map().labels
    assert (jug.title, jug.collection, jug.photos) == ("Jug, with beasts", "Castle", 2)
    assert bowl.record is not None
    assert not imported.findings


def test_unknown_columns_stay_in_the_register_and_go_no_further(
    tmp_path: Path, photos: Path
) -> None:
    _, register = import_checked(write_text(tmp_path, TMS), photos)
    with (tmp_path / "register.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["source:InsuranceValue"] == "£4000"
    assert rows[0]["source:ObjectID"] == "17"
    assert rows[0]["source:row"] == "objects.csv, line 2"
    assert register is not None
    assert "4000" not in register.label_map().json
    assert inspect(tmp_path / "register.csv").photos == 3


def test_an_export_of_museumplus_in_german(tmp_path: Path, photos: Path) -> None:
    text = (
        "Inventar-Nr.;Sachbegriff;Titel;Datierung;Material/Technik;Maße;Künstler;Fundort;Bilddatei\n"
        'A 1;Krug;"Krug mit Bären";um 1600;Steinzeug;"12,5 x 9 cm";unbekannt;Köln;EA1.jpg\n'
    )
    imported, register = import_checked(write_text(tmp_path, text.encode("cp1252")), photos)
    assert photos_of(imported) == {"A 1": ["EA1.jpg"]}
    assert register is not None
    assert register.records["A 1"] == ObjectRecord(
        type="Krug", materials="Steinzeug", measurements="12,5 x 9 cm", date="um 1600",
        maker="unbekannt", place_of_origin="Köln",
    )  # fmt: skip
    assert "Windows-1252" in listed(imported, "note")["objects.csv"]


def test_an_export_of_adlib(tmp_path: Path, photos: Path) -> None:
    text = (
        "priref\tobject_number\tobject_name\ttitle\tcreator\tproduction.date.start\tmaterial\t"
        "reproduction.reference\n5\tB-2\tkan\tKan\tonbekend\t1600\tsteengoed\tEA2\n"
    )
    imported, register = import_checked(write_text(tmp_path, text, "adlib.tsv"), photos)
    assert photos_of(imported) == {"B-2": ["EA2.jpg"]}
    assert register is not None
    assert register.records["B-2"].date == "1600"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        ("ObjectNumber,Title,Image\n1,Bärenkrug,EA1.jpg\n".encode("utf-8-sig"), None),
        ("ObjectNumber,Title,Image\n1,Bärenkrug,EA1.jpg\n".encode("utf-16"), None),
        ("ObjectNumber,Title,Image\n1,Bärenkrug,EA1.jpg\n".encode("utf-16-le"), "utf-16-le"),
        ("ObjectNumber,Title,Image\r\n1,Bärenkrug,EA1.jpg\r\n".encode("latin-1"), None),
        ("ObjectNumber,Title,Image\r1,Bärenkrug,EA1.jpg\r".encode("mac-roman"), "mac-roman"),
        ("sep=;\nObjectNumber;Title;Image\n1;Bärenkrug;EA1.jpg\n".encode(), None),
        ("OBJECT NUMBER|title|IMAGE\n1|Bärenkrug|EA1.jpg\n".encode(), None),
        ("Objects of 3.5.2024\n\nObjectNumber,Title,Image\n1,Bärenkrug,EA1.jpg".encode(), None),
        ("ObjectNumber,Title,Image,,,\n1,Bärenkrug,EA1.jpg,,,\n".encode(), None),
    ],
)
def test_encodings_separators_and_line_ends(
    tmp_path: Path, photos: Path, data: bytes, encoding: str | None
) -> None:
    imported, register = import_checked(write_text(tmp_path, data), photos, encoding=encoding)
    assert photos_of(imported) == {"1": ["EA1.jpg"]}
    assert register is not None
    assert register.label_map()[0].title == "Bärenkrug"


def test_a_wrong_encoding_is_refused(tmp_path: Path, photos: Path) -> None:
    path = write_text(tmp_path, "ObjectNumber,Image\nä,EA1.jpg\n")
    with pytest.raises(InputError, match="no such encoding"):
        import_checked(path, photos, encoding="utf-0")
    with pytest.raises(InputError, match="not ascii text"):
        import_checked(path, photos, encoding="ascii")
    with pytest.raises(InputError, match="give --encoding utf-16-le"):
        import_checked(write_text(tmp_path, "ObjectNumber,Image\n".encode("utf-16-le")), photos)


def test_one_damaged_byte_does_not_garble_the_other_words(tmp_path: Path, photos: Path) -> None:
    text = "ObjectNumber,Title,Image\n1,Bären und Löwen,EA1.jpg\nX\xff,Krüge,EA2.jpg\n"
    data = text.encode("utf-8").replace("\xff".encode(), b"\xff")
    imported, register = import_checked(write_text(tmp_path, data), photos)
    assert register is not None
    assert register.label_map()[0].title == "Bären und Löwen"
    assert "bytes that are no text" in listed(imported, "row")["objects.csv, line 3"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ('2,"Bowl,EA2.jpg', "never closed"),
        ('2,"Bowl" big,EA2.jpg', "do not match"),
        ('2,"Bowl,EA2.jpg\n3,Cup 12",EA2.jpg', "not closed here"),
        ('2,"Bowl,EA2.jpg\n3,Cup,gone.jpg\n4,Cup 12",EA2.jpg', "not closed here"),
        ("2,Bowl,big,EA2.jpg", "4 fields where the columns are 3"),
    ],
)
def test_a_broken_row_takes_no_other_with_it(
    tmp_path: Path, photos: Path, broken: str, reason: str
) -> None:
    text = f"ObjectNumber,Title,Image\n1,Jug,EA1.jpg\n{broken}\n9,Cup,EA1b.jpg\n"
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    assert photos_of(imported) == {"1": ["EA1.jpg"], "9": ["more/EA1b.jpg"]}
    assert reason in listed(imported, "row")["objects.csv, line 3"]


def test_a_torn_row_is_never_taken_for_two(tmp_path: Path, photos: Path) -> None:
    imported, _ = import_checked(
        write_text(tmp_path, 'ObjectNumber,Image\n1,EA1.jpg\n"A\nB",EA2.jpg\n3,EA1b.jpg\n'), photos
    )
    assert photos_of(imported) == {"1": ["EA1.jpg"], "3": ["more/EA1b.jpg"]}
    assert list(listed(imported, "row")) == ["objects.csv, line 3"]


def test_text_on_several_lines_is_one_cell(tmp_path: Path, photos: Path) -> None:
    text = 'ObjectNumber,Inscription,Title,Image\n1,"Anno\nDomini\n\n1600","Jug, ""WR""",EA1.jpg\n'
    imported, register = import_checked(write_text(tmp_path, text), photos)
    assert register is not None
    assert register.records["1"].inscriptions == "Anno / Domini / 1600"
    assert register.label_map()[0].title == 'Jug, "WR"'
    assert imported.rows == 1


def test_zero_bytes_do_not_reach_the_register(tmp_path: Path, photos: Path) -> None:
    rows = f"9,{'x' * 5000},gone.jpg\n1,Ju\0g,EA1.jpg\n2,y,EA2.jpg\n"
    path = write_text(tmp_path, f"ObjectNumber,Title,Image\n{rows}")
    _, register = import_checked(path, photos)
    assert register is not None
    assert register.label_map()[0].title == "Ju g"


def test_a_file_that_is_cut_off(tmp_path: Path, photos: Path) -> None:
    text = "ObjectNumber,Title,Image\n1,Jug,EA1.jpg\n2,Bow"
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    assert photos_of(imported) == {"1": ["EA1.jpg"]}
    assert "cut off" in listed(imported, "row")["objects.csv, line 3"]


def test_rows_without_their_last_separators_are_read(tmp_path: Path, photos: Path) -> None:
    text = "ObjectNumber,Image,Title,Medium\n1,EA1.jpg,Jug\n"
    imported, _register = import_checked(write_text(tmp_path, text), photos)
    assert photos_of(imported) == {"1": ["EA1.jpg"]}
    assert "only 3 of 4 fields" in listed(imported, "note")["objects.csv, line 2"]


def test_tables_have_limits(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_table, "MAX_CHARACTERS", 100)
    text = f"ObjectNumber,Title,Image\n1,Jug,EA1.jpg\n2,{'x' * 100},EA2.jpg\n"
    imported, _ = import_checked(write_text(tmp_path, text), photos)
    assert photos_of(imported) == {"1": ["EA1.jpg"]}
    assert listed(imported, "row")["objects.csv, line 3"] == "over 100 characters"
    monkeypatch.setattr(text_table, "MAX_CELLS", 5)
    with pytest.raises(InputError, match="more than the 5 cells"):
        import_checked(write_text(tmp_path, text), photos, force=True)
    monkeypatch.setattr(text_table, "MAX_BYTES", 50)
    with pytest.raises(InputError, match="are read"):
        import_checked(write_text(tmp_path, text), photos, force=True)
