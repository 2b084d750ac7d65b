"""The command `import`: what it shows, asks, keeps and prints."""

from __future__ import annotations

import io
import json
import tomllib
from pathlib import Path

import pytest
from museum_exports import put_photos, write_text

from artefact_id.main import main
from mobile_assets.errors import InputError
from train.registers.importers.mapping import parse_map
from train.registers.readers import read_register

TEXT = (
    "Number of the thing,Object Name,Notes, more,Height,Image\n"
    "A1,Jug,x,y,20 cm,EA1.jpg\nA2,Bowl,,,5 cm,EA2.jpg\n"
)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    put_photos(tmp_path / "photos", "EA1.jpg", "EA2.jpg")
    source = write_text(tmp_path, TEXT.replace("Notes, more", "Notes,more"))
    out = tmp_path / "register.csv"
    return ["import", str(source), "--photos", str(tmp_path / "photos"), "--out", str(out)]


class Terminal(io.StringIO):
    """Standard input with a person at it."""

    def isatty(self) -> bool:
        return True


def test_a_guess_is_shown_and_wants_a_yes(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words += ["--map", "object_id=number of the thing"]
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert "guessed as shown above" in shown
    assert "object_id=Number of the thing,path=Image,type=Object Name" in shown
    assert "Kept in the register only: Notes, more" in shown
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert main(words) == 2
    assert "Nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.glob("register*"))
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "2 objects, 2 photos. 2 rows: 2 used, 0 listed." in printed.out
    assert "Are these columns right? [y/N]" in printed.err


def test_the_mapping_is_kept_and_read_again(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--map", "object_id=Number of the thing,title=Object Name,type=", "--yes"]
    assert main([*words, *given, "--encoding", "utf-8"]) == 0
    saved = tmp_path / "register.map.toml"
    assert tomllib.loads(saved.read_text(encoding="utf-8")) == {
        "columns": {
            "object_id": "Number of the thing", "path": "Image", "title": "Object Name",
            "measurements": "Height",
        },
        "options": {"encoding": "utf-8"},
    }  # fmt: skip
    capsys.readouterr()
    assert main([*words, "--force", "--json"]) == 0
    printed = capsys.readouterr()
    assert "register.map.toml" in printed.err
    assert "guessed" not in printed.err
    result = json.loads(printed.out)
    assert result["columns"]["title"] == ["Object Name"]
    assert (result["rows"], result["rows_used"], result["photos"]) == (2, 2, 2)
    assert read_register(tmp_path / "register.csv").label_map()[0].title == "Jug"

    write_text(tmp_path, TEXT.replace("Object Name", "Name"))
    assert main([*words, "--force"]) == 2
    assert "has no column 'Object Name', which title is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("toml", "error"),
    [
        ("columns = ", "is not TOML"),
        ("columns = 5", "are tables"),
        ("[columns]\ncolour = 'x'", "colour is no field"),
        ("[columns]\ntitle = ['a', 'b']", "title is to be the name of a column"),
        ("[columns]\ntitle = 5", "title is no field"),
        ("[options]\nsheet = 5", "options is not as"),
        ("[else]", "else is not as"),
        ("\xff", "is not TOML"),
    ],
)
def test_a_broken_mapping_is_refused(
    words: list[str], tmp_path: Path, toml: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_text(tmp_path, toml.encode("latin-1"), "register.map.toml")
    assert main([*words, "--yes"]) == 2
    assert error in capsys.readouterr().err


def test_map_words() -> None:
    mapping = parse_map(["object_id=No., old,title=A=B", "path=1,path=2", "media.path=x", "type="])
    assert mapping.columns == {
        "object_id": ("No., old",), "title": ("A=B",), "path": ("1", "2"), "type": (),
    }  # fmt: skip
    assert mapping.media == {"path": ("x",)}
    for word, error in (
        ("title", "write FIELD=COLUMN"),
        ("titel=x", "there is no field 'titel'"),
        ("media.title=x", "there is no field"),
        ("title=a,title=b", "Give it one"),
    ):
        with pytest.raises(InputError, match=error):
            parse_map([word])


def test_several_columns_of_measurements_name_themselves(words: list[str], tmp_path: Path) -> None:
    write_text(tmp_path, "ObjectNumber,Height,Width,Image\nA1,20,12,EA1.jpg\n")
    assert main([*words, "--yes"]) == 0
    record = read_register(tmp_path / "register.csv").records["A1"]
    assert record.measurements == "Height 20; Width 12"


def test_what_is_listed_is_printed_without_control_characters(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[31mred\u202e"
    write_text(tmp_path, f"ObjectNumber,Title{evil},Image\nA1,x,EA1.jpg\nA2,{evil},{evil}.jpg\n")
    for more in ([], ["--json", "--force"]):
        assert main([*words, "--yes", *more]) == 0
        printed = capsys.readouterr()
        for text in (printed.out, printed.err):
            assert "\x1b" not in text
            assert "\u202e" not in text
        assert "no such photo" in printed.out


def test_a_library_that_is_missing_is_named(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_text(tmp_path, b"PK\x03\x04")
    monkeypatch.setitem(__import__("sys").modules, "tomli_w", None)
    assert main([*words, "--yes"]) == 2
    assert "pip install 'artefact-id[import]'" in capsys.readouterr().err
