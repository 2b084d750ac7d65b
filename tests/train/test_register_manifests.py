"""Manifests as people and programs write them: read rightly, or refused with line and remedy."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path

import pytest
from conftest import picture

from mobile_assets.errors import InputError
from train.registers.inspection import inspect
from train.registers.readers import read_register
from train.registers.register import Register

ROWS = "path{0}object_id{0}title\np/0.jpg{0}A{0}x\np/1.jpg{0}A{0}x\np/2.jpg{0}B{0}y\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    for number in range(4):
        picture(number).save(tmp_path / f"p/{number}.jpg")
    return tmp_path


def read(folder: Path, content: bytes | str, name: str = "m.csv") -> Register:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    return read_register(folder / name)


def rows_of(register: Register) -> list[tuple[str, str, str]]:
    return [(photo.path, photo.object_id, photo.title) for photo in register.photos]


GOOD = [("p/0.jpg", "A", "x"), ("p/1.jpg", "A", "x"), ("p/2.jpg", "B", "y")]
COMMAS = ROWS.format(",")


@pytest.mark.parametrize(
    "content",
    [
        COMMAS,
        ROWS.format(";"),
        ROWS.format("\t"),
        ROWS.format("|"),
        "sep=;\n" + ROWS.format(";"),
        "SEP=,\r\n" + COMMAS.replace("\n", "\r\n"),
        '"sep=|"\n' + ROWS.format("|"),
        "sep=^\n" + ROWS.format("^"),
        "\n \n" + COMMAS,
        COMMAS.replace("\n", "\r"),
        COMMAS.removesuffix("\n"),
        COMMAS.encode("utf-8-sig"),
        COMMAS.encode("utf-16"),
        b"\xfe\xff" + COMMAS.encode("utf-16-be"),
        COMMAS.encode("utf-16-le"),
        COMMAS.encode("utf-16-be"),
        COMMAS.encode("utf-32"),
        COMMAS.replace("path,object_id,title", "Path, OBJECT_ID ,Title"),
        COMMAS.replace("path,object_id,title", '"PATH","Object ID","title"'),
        COMMAS.replace("path,object_id,title", "path,objectId,title"),
        COMMAS.replace("p/", "p\\"),
        COMMAS.replace("p/", ".\\p\\"),
        COMMAS.replace("\n", ",,\n"),
        COMMAS + ",,\n\n , ,\n",
        COMMAS + "path,object_id,title\n",
        COMMAS.replace(",A,x", ',"A","x"'),
    ],
)
def test_spellings_of_one_manifest(folder: Path, content: bytes | str) -> None:
    rows = rows_of(read(folder, content))
    assert [(path.removeprefix("./"), *rest) for path, *rest in rows] == GOOD


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ('"Bowl\nwith spout"', "Bowl with spout"),
        ('"Bowl\r\nwith spout"', "Bowl with spout"),
        ('"Bowl \n\n with spout"', "Bowl with spout"),
        ("Bowl\x0bwith spout", "Bowl with spout"),
        ("Bowl\x0cwith spout", "Bowl with spout"),
        ("Bowl\x85with spout", "Bowl with spout"),
        ("Bowl\u2028with spout", "Bowl with spout"),
        ("Bowl\u2029with spout", "Bowl with spout"),
        ('"Bowl, with ""spout"""', 'Bowl, with "spout"'),
        ('Bowl 5" high', 'Bowl 5" high'),
        ('"Bowl\nsee p/1.jpg, too"', "Bowl see p/1.jpg, too"),
        ("Bowl\twith spout", "Bowl\twith spout"),
        (" Kru\u0308g ", "Krüg"),
    ],
)
def test_line_breaks_and_quotes_in_titles(folder: Path, title: str, expected: str) -> None:
    register = read(folder, COMMAS.replace("A,x\np/1", f"A,{title}\np/1"))
    assert rows_of(register) == [("p/0.jpg", "A", expected), *GOOD[1:]]


def test_json_lines_with_every_line_break_in_a_title(folder: Path) -> None:
    rows = [
        {"path": f"p/{number}.jpg", "object_id": "A", "title": f"Bowl{end}x"}
        for number, end in enumerate(["\u2028", "\x85", "\n"])
    ]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    register = read(folder, text, "m.jsonl")
    assert rows_of(register) == [(f"p/{n}.jpg", "A", "Bowl x") for n in range(3)]
    upper = '{"Path": "p/0.jpg", "Object ID": "A", "SPLIT": "Validation", "title": null}'
    assert read(folder, upper, "m.ndjson").photos[0].split == "val"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        # An unclosed quotation mark: never closed, closed in a later row, in every column.
        (COMMAS.replace("A,x", 'A,"x', 1), "line 2: .*quotation mark.* never closed"),
        (COMMAS.replace("B,y", 'B,"y'), "line 4: .*quotation mark.* never closed"),
        (COMMAS.replace("A,x", 'A,"x', 1).replace("B,y", 'B,y"'), "line 2: .*swallows line 3"),
        (COMMAS.replace("A,x", 'A,"x', 1).replace("1.jpg,A,x", '1.jpg,A,x"'), "swallows line 3"),
        (COMMAS.replace("A,x", 'A,"x', 1).replace("B,y", 'B,"y"'), "line 2: .*quotation"),
        (COMMAS.replace("A,x", '"A,x', 1).replace(",B", ',B"'), "line 2: .*swallows line 3"),
        (COMMAS.replace("p/0", '"p/0').replace("1.jpg", '1.jpg"'), "line 2: .*swallows line 3"),
        (COMMAS.replace("A,x", 'A,"x"z', 1), "line 2: .*quotation"),
        ("path,object_id,title\n" + 'p/0.jpg,A,"' + "x" * 200_000, "line 2: .*never closed"),
        # Rows that do not fit.
        (COMMAS.replace("A,x", "A", 1), "line 2: not as many fields.*2 instead of 3"),
        (COMMAS.replace("B,y", "B,y,z"), "line 4: not as many fields.*4 instead of 3"),
        (COMMAS.replace("p/1.jpg", " "), "line 3: path and object_id must not be empty"),
        (COMMAS.replace(",B", ", "), "line 4: path and object_id"),
        (COMMAS.replace("title\n", "\n"), "line 2: not as many fields.*3 instead of 2"),
        ("path,,object_id\np/0.jpg,,A\np/1.jpg,x,A\n", "line 3: 'x' stands in a column without"),
        ("sep=;\n" + ROWS.format(";").replace("B;", ";"), "line 5: path and object_id"),
        # Columns.
        (COMMAS.replace("object_id", "path"), "lacks the column object_id.*'path'"),
        (COMMAS.replace("title", "object id"), "object_id is named twice"),
        (COMMAS.replace("title", "colour"), "unknown column colour"),
        ("", "lacks the column path, object_id"),
        # Splits.
        (
            COMMAS.replace("title", "split").replace("y", "holdout"),
            "split 'x' is not one of train, val, test",
        ),
        # Ids.
        (COMMAS.replace(",B", ',"A\nB"'), r"line 4: .*'A<U\+000A>B' holds a line break"),
        (COMMAS.replace(",B", ',"A\rB"'), r"line 4: .*line break \(U\+000D\)"),
        (COMMAS.replace(",B", ",A\x0bB"), r"line 4: .*line break \(U\+000B\)"),
        (COMMAS.replace(",B", ",A\x0cB"), r"line 4: .*line break \(U\+000C\)"),
        (COMMAS.replace(",B", ",A\x85B"), r"line 4: .*line break \(U\+0085\)"),
        (COMMAS.replace(",B", ",A\u2028B"), r"line 4: .*line break \(U\+2028\)"),
        (COMMAS.replace(",B", ",A\u2029B"), r"line 4: .*line break \(U\+2029\)"),
        (COMMAS.replace(",B", ",A\x1eB"), r"line 4: .*line break \(U\+001E\)"),
        (COMMAS.replace(",B", ",A\tB"), r"line 4: .*control character"),
        (COMMAS.replace(",B", ",\u200b"), "line 4: .*is blank"),
        # Encodings.
        (COMMAS.replace("y", "Krüg").encode("cp1252"), "line 4: not UTF-8.*0xFC.*CSV UTF-8"),
        (COMMAS.encode("utf-16")[:-1], "not UTF-16"),
        (COMMAS.replace("y", "\0"), "line 4: .*zero byte"),
        (b"PK\x03\x04" + b"\0" * 30, "is an Excel or OpenDocument workbook"),
        (bytes(range(200, 0, -1)), "m.csv, line 1: not UTF-8"),
        # Contradictions.
        (COMMAS.replace("p/2", "p/0"), r"line 4: p/0.jpg is given to B and to A \(line 2\)"),
        (COMMAS.replace("p/2", "./p//0"), "line 4: .* is given to B and to A"),
        (
            "path,object_id,split\np/0.jpg,A,train\np/0.jpg,A,test\n",
            "line 3: p/0.jpg is put into test and, in line 2, into train",
        ),
        (COMMAS.replace("p/2.jpg", '"p/2\n.jpg"'), "line 4: the path .*line break"),
    ],
)
def test_refused_with_line_and_remedy(folder: Path, content: bytes | str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        read(folder, content)
    assert re.search(words, str(refused.value))
    with pytest.raises(InputError, match=re.escape(str(refused.value))):
        inspect(folder / "m.csv")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"path": "p/1.jpg", "object_id": 10}', "values are strings"),
        ('["p/1.jpg", "A"]', "not an object"),
        ('{"path": "p/1.jpg", "object_id": "A"', "not JSON"),
        ('{"path": "p/1.jpg", "path": "p/2.jpg", "object_id": "A"}', "path is there twice"),
        ('{"path": "p/1.jpg", "Path": "p/2.jpg", "object_id": "A"}', "path is there twice"),
        ('{"path": "p/1.jpg", "object_id": "A", "colour": "red"}', "unknown column colour"),
        ('{"path": "p/1.jpg", "object_id": "A\\u0000"}', "control character"),
        ('{"path": "p/1.jpg", "object_id": "A\\nB"}', "line break"),
        ('{"path": "p/1.jpg", "object_id": "\\ud800"}', "not Unicode"),
        ('{"path": "p/\\ud800.jpg", "object_id": "A"}', "not Unicode"),
        ('{"path": "p/\\u0000.jpg", "object_id": "A"}', "control character"),
        ('{"path": "p/1.jpg", "object_id": "A", "title": "\\ud800"}', "title .*not Unicode"),
        ('{"path": "p/1.jpg", "object_id": ' + "9" * 5000 + "}", "not a row"),
        ("[" * 100_000, "not a row"),
        ('{"path": "p/1.jpg", "object_id": null}', "must not be empty"),
    ],
)
def test_json_lines_that_are_no_row(folder: Path, line: str, words: str) -> None:
    first = '{"path": "p/0.jpg", "object_id": "A"}\n'
    with pytest.raises(InputError, match=f"m.jsonl, line 2: .*{words}"):
        read(folder, first + line + "\n", "m.jsonl")


def test_everything_that_is_wrong_is_told_at_once(folder: Path) -> None:
    content = COMMAS.replace("p/0.jpg,A", ",A").replace("p/1.jpg,A,x", "p/1.jpg,A")
    with pytest.raises(InputError, match=r"(?s)these 2 things.*line 2: path.*line 3: not as many"):
        read(folder, content)
    many = "path,object_id\n" + ",A\n" * 50
    with pytest.raises(InputError, match=r"(?s)these 50 things.*line 21: .*and 30 more$"):
        read(folder, many)


@pytest.mark.parametrize(
    ("written", "side"),
    [
        *((word, "train") for word in ("train", "Training", "TRAIN ")),
        *((word, "val") for word in ("val", "validation", "Valid", "dev")),
        *((word, "test") for word in ("test", "Testing")),
        ("", None),
    ],
)
def test_names_of_splits(folder: Path, written: str, side: str | None) -> None:
    register = read(folder, f"path,object_id,split\np/0.jpg,A,{written}\n")
    assert register.photos[0].split == side


@pytest.mark.parametrize("composed", ["NFC", "NFD"])
def test_names_composed_otherwise_are_found(folder: Path, composed: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[composed]
    name = unicodedata.normalize(composed, "Krüge/Krüg.jpg")  # type: ignore[arg-type]
    (folder / name).parent.mkdir()
    picture(9).save(folder / name)
    written = unicodedata.normalize(other, "Krüge/Krüg.jpg")  # type: ignore[arg-type]
    register = read(folder, f"path,object_id\n{written},A\n")
    assert [photo.path for photo in register.photos] == [name]
    assert not inspect(folder / "m.csv").kinds.get("unreadable")
    assert inspect(folder / "m.csv").photos == 1


@pytest.mark.parametrize(
    ("start", "folders"),
    [
        ("C:\\Users\\me\\register\\", "p\\"),
        ("d:/register/", "p/"),
        ("\\\\server\\share\\register\\", "p\\"),
        ("//server/share/", "p/"),
        ("/Volumes/USB stick/", "p/"),
        ("C:\\", "P\\"),
    ],
)
def test_absolute_paths_of_another_machine(folder: Path, start: str, folders: str) -> None:
    register = read(folder, COMMAS.replace("p/", start + folders))
    assert rows_of(register) == GOOD
    warned = [problem for problem in register.problems if "paths that begin with" in problem.reason]
    assert len(warned) == 1
    assert start.replace("\\", "/") in warned[0].reason
    # Folders of two machines are not mixed up: such a path is a photo that is not there.
    mixed = COMMAS.replace("p/0", f"{start}{folders}0").replace("p/2", "E:\\other\\p\\2")
    assert read(folder, mixed).photos[2].path == "E:/other/p/2.jpg"


def test_capitals_of_another_system_are_found_and_told(folder: Path) -> None:
    register = read(folder, COMMAS.replace("p/0.jpg", "P\\0.JPG"))
    assert rows_of(register) == GOOD
    assert any("in other capitals" in problem.reason for problem in register.problems)
    picture(7).save(folder / "p/a.png")
    picture(8).save(folder / "p/A.png")
    asked = "path,object_id\np/a.PNG,A\np/a.png,B\n"  # which of the two is meant nobody knows
    paths = {photo.object_id: photo.path for photo in read(folder, asked).photos}
    assert paths == {"A": "p/a.PNG", "B": "p/a.png"}


def test_a_missing_photo_is_told_with_its_line(folder: Path) -> None:
    (folder / "m.csv").write_text(COMMAS.replace("p/1", "p/none"))
    [unreadable] = [p for p in inspect(folder / "m.csv").problems if p.kind == "unreadable"]
    assert (unreadable.path, "line 3 of the manifest" in unreadable.reason) == ("p/none.jpg", True)


def test_what_is_no_regular_file_is_told_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "p/pipe.jpg")
    (folder / "p/folder.jpg").mkdir()
    (folder / "p/zero.jpg").symlink_to("/dev/zero")
    names = ("pipe", "folder", "zero")
    content = COMMAS + "".join(f"p/{name}.jpg,B,y\n" for name in names)
    register = read(folder, content)
    assert rows_of(register) == GOOD
    told = {p.path: p.reason for p in register.problems if p.kind == "unreadable"}
    assert set(told) == {f"p/{name}.jpg" for name in names}
    assert "line 5" in told["p/pipe.jpg"]


def test_contradicting_titles_are_told(folder: Path) -> None:
    register = read(folder, COMMAS.replace("p/1.jpg,A,x", "p/1.jpg,A,z"))
    assert register.label_map()[0].title == "x"
    [told] = [problem for problem in register.problems if problem.kind == "warning"]
    assert told.path == "A"
    assert "'x' (line 2), 'z' (line 3)" in told.reason


def test_a_second_manifest_is_told(folder: Path) -> None:
    (folder / "manifest.csv").write_text(COMMAS)
    (folder / "Manifest.TSV").write_text(ROWS.format("\t"))
    register = read_register(folder)
    assert rows_of(register) == GOOD
    assert [(problem.kind, problem.path) for problem in register.problems] == [
        ("ignored", "Manifest.TSV")
    ]
    (folder / "manifest.csv").rename(folder / "MANIFEST.csv")
    assert rows_of(read_register(folder)) == GOOD


def test_every_row_is_used_or_told(folder: Path) -> None:
    content = COMMAS + "p/0.jpg,A,x\n,,\npath,object_id,title\np/3.jpg,B,y\n"
    register = read(folder, content)
    told = [problem for problem in register.problems if problem.kind == "ignored"]
    assert len(register.photos) + len(told) == len(content.splitlines()) - 1
