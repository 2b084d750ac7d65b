"""Importing Excel workbooks: what cells mean, several sheets, damage and bombs."""

from __future__ import annotations

import contextlib
import datetime
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from museum_exports import (
    import_checked,
    listed,
    photos_of,
    put_photos,
    read_part,
    replace_part,
    share_strings,
    write_text,
    write_workbook,
)
from openpyxl import Workbook, load_workbook

from mobile_assets.errors import InputError
from train.registers.importers import archive, workbook
from train.registers.importers.cells import Cell, as_cell

HEADER = ["ObjectNumber", "Title", "Dated", "Image"]
SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return put_photos(tmp_path / "photos", "EA1.jpg", "EA2.jpg", "EA3.jpg")


def objects(folder: Path, *rows: list[Any]) -> Path:
    return write_workbook(folder / "objects.xlsx", Objects=[HEADER, *rows])


def changed(path: Path, change: Any) -> None:
    """Changes a workbook as a person does in Excel."""
    book = load_workbook(path)
    change(book)
    book.save(path)


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (1889, "General", "1889"),
        (1889.0, "General", "1889"),
        (42, "00000", "00042"),
        (1889.1, "General", "1889.1"),
        (1889.1, "0.00", "1889.10"),
        (0.1 + 0.2, "General", "0.3"),
        (1234567, "#,##0", "1234567"),
        (True, "General", "yes"),
        ("  x ", "General", "  x "),
        ("007", "General", "007"),
        (datetime.datetime(1889, 10, 1), "yyyy-mm-dd", "1889-10-01"),
        (datetime.datetime(1989, 10, 1, 12, 30), "General", "1989-10-01 12:30:00"),
        (datetime.time(12, 30), "General", "12:30:00"),
    ],
)
def test_what_a_cell_means(value: Any, number_format: str, text: str) -> None:
    assert as_cell(value, "n", number_format).text == text


def test_cells_that_mean_nothing_say_why() -> None:
    assert as_cell("#N/A", "e", "General") == Cell(error="the error value #N/A")
    assert as_cell(float("inf"), "n", "General").error
    assert "15 digits" in as_cell(1234567890123456, "n", "General").doubt
    assert "a date" in as_cell(datetime.datetime(1889, 10, 1), "d", "General").doubt
    assert "1889.10" in as_cell(1889.1, "n", "General").remark


def test_a_workbook_is_imported(tmp_path: Path, photos: Path) -> None:
    path = objects(
        tmp_path,
        [1889.0, "Bärenkrug", datetime.date(1889, 10, 1), "EA1.jpg"],
        [7, "Bowl", 1600, "EA2.jpg; EA3.jpg"],
    )
    changed(path, lambda book: setattr(book["Objects"]["A3"], "number_format", "0000"))
    imported, register = import_checked(path, photos)
    assert photos_of(imported) == {"1889": ["EA1.jpg"], "0007": ["EA2.jpg", "EA3.jpg"]}
    assert register is not None
    assert register.records["1889"].date == "1889-10-01"
    assert register.records["0007"].date == "1600"
    assert imported.photos[0].place == "objects.xlsx, sheet Objects, row 3"
    assert not imported.findings


def test_a_workbook_with_shared_strings_is_imported(tmp_path: Path, photos: Path) -> None:
    path = objects(tmp_path, ["A", "Bärenkrug", None, "EA1.jpg"])
    share_strings(path)
    imported, register = import_checked(path, photos)
    assert photos_of(imported) == {"A": ["EA1.jpg"]}
    assert register is not None
    assert register.label_map()[0].title == "Bärenkrug"


def test_ids_that_excel_has_changed_are_listed(tmp_path: Path, photos: Path) -> None:
    path = objects(
        tmp_path,
        [datetime.date(2001, 3, 1), "Jug", None, "EA1.jpg"],
        [1234567890123456, "Bowl", None, "EA2.jpg"],
        [1889.1, "Cup", None, "EA3.jpg"],
    )
    imported, _ = import_checked(path, photos)
    assert photos_of(imported) == {"1889.1": ["EA3.jpg"]}
    date, number = listed(imported, "row").values()
    assert "a date to Excel" in date
    assert "15 digits" in number
    assert "1889.1 and 1889.10 are the same" in listed(imported, "note")[imported.photos[0].place]


def test_formulas_count_with_their_last_value(tmp_path: Path, photos: Path) -> None:
    path = objects(
        tmp_path,
        ["=A1", "Jug", None, "EA1.jpg"],
        ["B", "=B2", None, "EA2.jpg"],
        ["C", "Cup", None, '="EA3"&".jpg"'],
    )
    xml = read_part(path, SHEET).decode()
    # What Excel itself writes: the value beside the formula.
    computed = xml.replace('".jpg"</f><v></v>', '".jpg"</f><v>EA3.jpg</v>')
    computed = computed.replace('<c r="D4">', '<c r="D4" t="str">')
    assert computed.count("EA3.jpg") == 1
    replace_part(path, SHEET, computed.encode())
    imported, register = import_checked(path, photos)
    assert photos_of(imported) == {"B": ["EA2.jpg"], "C": ["EA3.jpg"]}
    assert "never computed" in listed(imported, "row")["objects.xlsx, sheet Objects, row 2"]
    assert register is not None
    assert register.label_map()[0].title == ""
    assert "Title is left out" in listed(imported, "note")["objects.xlsx, sheet Objects, row 3"]


def test_error_values_are_listed(tmp_path: Path, photos: Path) -> None:
    path = objects(tmp_path, ["#N/A", "Jug", None, "EA1.jpg"], ["B", "Cup", "#REF!", "EA2.jpg"])
    imported, register = import_checked(path, photos)
    assert "the error value #N/A" in listed(imported, "row")["objects.xlsx, sheet Objects, row 2"]
    assert register is not None
    assert not register.records


def test_merged_cells_stand_in_each_row(tmp_path: Path, photos: Path) -> None:
    path = objects(
        tmp_path,
        ["A", "Jug", 1600, "EA1.jpg"],
        [None, None, None, "EA2.jpg"],
        ["B", "Cup", None, "EA3.jpg"],
    )

    cells = "".join(f'<mergeCell ref="{c}"/>' for c in ("A2:A3", "B2:B3", "C2:C1048576"))
    merged = f"</sheetData><mergeCells>{cells}</mergeCells>".encode()
    replace_part(path, SHEET, read_part(path, SHEET).replace(b"</sheetData>", merged))
    imported, register = import_checked(path, photos)
    assert photos_of(imported) == {"A": ["EA1.jpg", "EA2.jpg"], "B": ["EA3.jpg"]}
    assert register is not None
    assert register.records["B"].date == "1600"


def test_merged_cells_have_a_limit(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MAX_MERGED_CELLS", 3)
    path = objects(tmp_path, ["A", "Jug", 1600, "EA1.jpg"], ["B", "Cup", None, "EA2.jpg"])
    changed(path, lambda book: book["Objects"].merge_cells("A2:B3"))
    with pytest.raises(InputError, match="are merged"):
        import_checked(path, photos)


def test_hidden_rows_are_read_and_noted(tmp_path: Path, photos: Path) -> None:
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"], ["B", "Cup", None, "EA2.jpg"])
    changed(path, lambda book: setattr(book["Objects"].row_dimensions[3], "hidden", True))
    imported, _ = import_checked(path, photos)
    assert imported.objects == 2
    note = listed(imported, "note")["objects.xlsx, sheet Objects"]
    assert note == "1 hidden rows are read too: 3"


def test_titles_above_the_columns_and_gaps(tmp_path: Path, photos: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["B2"] = "Register of 3 May"
    for column, name in enumerate(HEADER, start=3):
        sheet.cell(5, column, name)
    sheet.cell(9, 3, "A")
    sheet.cell(9, 6, "EA1.jpg")
    book.save(tmp_path / "objects.xlsx")
    imported, _ = import_checked(tmp_path / "objects.xlsx", photos)
    assert photos_of(imported) == {"A": ["EA1.jpg"]}
    assert imported.photos[0].place == "objects.xlsx, sheet Sheet, row 9"
    assert "above the row" in listed(imported, "note")["objects.xlsx, sheet Sheet, row 2"]


def test_several_sheets(tmp_path: Path, photos: Path) -> None:
    path = write_workbook(
        tmp_path / "objects.xlsx",
        Objects=[["ObjectID", "ObjectNumber"], [1, "A"], [2, "B"]],
        Media=[["ObjectID", "FileName"], [1, "EA1.jpg"], [2, "EA2.jpg"], [3, "EA3.jpg"]],
        Empty=[],
    )
    with pytest.raises(InputError, match="several sheets: Objects, Media"):
        import_checked(path, photos)
    with pytest.raises(InputError, match="It has: Objects, Media, Empty"):
        import_checked(path, photos, sheet="None")
    imported, _ = import_checked(path, photos, sheet="Objects", media_sheet="Media")
    assert photos_of(imported) == {"A": ["EA1.jpg"], "B": ["EA2.jpg"]}
    assert (
        "3 is the key of no object" in listed(imported, "row")["objects.xlsx, sheet Media, row 4"]
    )


def test_a_hidden_sheet_is_noted(tmp_path: Path, photos: Path) -> None:
    rows = [HEADER, ["A", "Jug", None, "EA1.jpg"]]
    path = write_workbook(tmp_path / "objects.xlsx", Old=rows, Objects=rows)
    changed(path, lambda book: setattr(book["Old"], "sheet_state", "hidden"))
    imported, _ = import_checked(path, photos)
    assert imported.photos[0].place == "objects.xlsx, sheet Objects, row 2"
    assert "another sheet" in listed(imported, "note")["objects.xlsx, sheet Old"]


def test_a_wrong_statement_of_the_size_hides_no_row(tmp_path: Path, photos: Path) -> None:
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"], ["B", "Cup", None, "EA2.jpg"])
    xml = read_part(path, SHEET).decode()
    assert '<dimension ref="A1:D3"/>' in xml
    for size in ("A1", "A1:XFD1048576"):
        replace_part(path, SHEET, xml.replace("A1:D3", size).encode())
        imported, _ = import_checked(path, photos, force=True)
        assert imported.objects == 2


def test_a_sheet_that_breaks_off_gives_the_rows_before(tmp_path: Path, photos: Path) -> None:
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"], ["B", "Cup", None, "EA2.jpg"])
    xml = read_part(path, SHEET)
    replace_part(path, SHEET, xml[: xml.index(b'<row r="3"') + 20])
    imported, _ = import_checked(path, photos)
    assert photos_of(imported) == {"A": ["EA1.jpg"]}
    assert "damaged after row 2" in listed(imported, "unread")["objects.xlsx, sheet Objects"]


def test_a_cell_that_cannot_be_read_costs_no_other(tmp_path: Path, photos: Path) -> None:
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"], ["B", "Cup", 70077, "EA2.jpg"])
    share_strings(path)
    xml = read_part(path, SHEET).decode()
    broken = xml.replace("<v>70077</v></c>", f"<v>{'7' * 5000}</v></c>")
    broken = broken.replace('<c r="A2" t="s"><v>4</v>', '<c r="A2" t="s"><v>999</v>')
    assert "999" in broken
    assert "7777" in broken
    replace_part(path, SHEET, broken.encode())
    imported, _ = import_checked(path, photos)
    assert photos_of(imported) == {"B": ["EA2.jpg"]}
    assert "cannot be read" in listed(imported, "row")["objects.xlsx, sheet Objects, row 2"]


def test_no_workbook(tmp_path: Path, photos: Path) -> None:
    old = write_text(tmp_path, b"\xd0\xcf\x11\xe0" + bytes(600), "old.xls")
    with pytest.raises(InputError, match="old Excel workbook, or one with a password"):
        import_checked(old, photos)
    good = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"])
    cut = write_text(tmp_path, good.read_bytes()[:-100], "cut.xlsx")
    with pytest.raises(InputError, match="no Excel workbook, or a damaged one"):
        import_checked(cut, photos)
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as other:
        other.writestr("readme.txt", "no workbook")
    with pytest.raises(InputError, match="cannot be opened as an Excel workbook"):
        import_checked(tmp_path / "other.xlsx", photos)
    empty = write_workbook(tmp_path / "empty.xlsx", Objects=[])
    with pytest.raises(InputError, match="no sheet with a row"):
        import_checked(empty, photos)


def test_a_workbook_under_another_ending_is_read(tmp_path: Path, photos: Path) -> None:
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"]).rename(tmp_path / "objects.csv")
    imported, _ = import_checked(path, photos)
    assert imported.objects == 1


ENTITIES = (
    b'<!DOCTYPE x [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 20) for n in range(12))
    + b"]>"
)


@pytest.mark.parametrize("part", [SHEET, "xl/sharedStrings.xml", "xl/workbook.xml"])
@pytest.mark.parametrize("entity", [b"&m;", b"&f;"])
def test_entities_are_not_replaced(tmp_path: Path, photos: Path, part: str, entity: bytes) -> None:
    secret = write_text(tmp_path, "TOP SECRET", "secret.txt")
    path = objects(tmp_path, ["Jug", "Jug", None, "EA1.jpg"])
    if part != SHEET:
        share_strings(path)
    xml = read_part(path, part)
    start = xml.index(b"?>") + 2 if xml.startswith(b"<?xml") else 0
    definition = ENTITIES.replace(b"]>", f'<!ENTITY f SYSTEM "{secret.as_uri()}">]>'.encode())
    name = xml[start:].lstrip()[1:].split(b" ")[0].split(b">")[0]
    definition = definition.replace(b"DOCTYPE x", b"DOCTYPE " + name)
    evil = (
        xml[:start]
        + definition
        + xml[start:].replace(b"Jug", entity).replace(b"<v>4</v>", b"<v>" + entity + b"</v>")
    )
    replace_part(path, part, evil)
    with contextlib.suppress(InputError):
        import_checked(path, photos)
    for written in tmp_path.glob("register*"):
        assert "SECRET" not in written.read_text(encoding="utf-8")
        assert "hahaha" not in written.read_text(encoding="utf-8")


def bomb(path: Path, part: str, start: bytes, piece: bytes, count: int, end: bytes) -> None:
    """A part that unpacks to a million times what it takes on the disk."""
    with zipfile.ZipFile(path) as source:
        parts = {name: source.read(name) for name in source.namelist() if name != part}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in parts.items():
            target.writestr(name, data)
        with target.open(part, "w", force_zip64=True) as file:
            file.write(start)
            for _ in range(count // 10_000):
                file.write(piece * 10_000)
            file.write(end)


BEGIN = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
END = b"</sheetData></worksheet>"


@pytest.mark.parametrize(
    ("part", "piece", "count", "error"),
    [
        (SHEET, b"<row/>", 13_000_000, "more than the 12,000,000 tags"),
        ("xl/sharedStrings.xml", b"x" * 1000, 300_000, "more than the 200 MB"),
        ("xl/styles.xml", b"<a/>", 5_000_000, "holds xl/styles.xml of 20 MB"),
        ("docProps/evil.bin", b"<a/>", 5_000_000, "holds docProps/evil.bin of 20 MB"),
    ],
)
def test_bombs_are_refused_before_they_are_unpacked(
    tmp_path: Path, photos: Path, part: str, piece: bytes, count: int, error: str
) -> None:
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"])
    bomb(path, part, BEGIN, piece, count, END)
    assert path.stat().st_size < 3_000_000
    with pytest.raises(InputError, match=error):
        import_checked(path, photos)


def test_pictures_in_a_workbook_do_not_count(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_OTHER_BYTES", 40_000)
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"])
    bomb(path, "xl/media/image1.png", b"\x89PNG", b"<a/>", 100_000, b"")
    imported, _ = import_checked(path, photos)
    assert imported.objects == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program's own peak")
def test_the_largest_workbook_that_is_read_stays_within_its_memory(
    tmp_path: Path, photos: Path
) -> None:
    path = objects(tmp_path, ["A", "Jug", None, "EA1.jpg"])
    begin = (
        BEGIN + read_part(path, SHEET).partition(b"<sheetData>")[2].partition(b"</sheetData>")[0]
    )
    bomb(path, SHEET, begin, b"<a/>", 11_900_000, END)
    script = (
        "import sys; from pathlib import Path; from train.registers.importers.importer import *\n"
        "source, photos, out = map(Path, sys.argv[1:])\n"
        "run_import(plan_import(ImportOptions(source, photos, out)))\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    words = [sys.executable, "-c", script, str(path), str(photos), str(tmp_path / "register.csv")]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 1_500_000  # kilobytes
