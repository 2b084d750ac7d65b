"""Files of unknown origin: strict JSON, regular files only, names that mean one file everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mobile_assets.bundle_contents import BundleContents
from mobile_assets.bundle_paths import path_problem, path_problems
from mobile_assets.errors import DamagedError, InputError
from mobile_assets.files import sha256_bytes, sha256_path
from mobile_assets.preprocessing import Preprocessing
from mobile_assets.regular_files import read_regular
from mobile_assets.schema import parse_record
from mobile_assets.strict_json import parse_json

PATH = Path("file.json")


@pytest.mark.parametrize(
    "value",
    [{}, [], "", 0, -1, 1.5, True, None, {"a": [1, {"b": ["c"]}], "d": "\u2028 é \U0001f5ff"},
     2**63, -(10**18), 1e308, "\\u0041", {"": ""}],
)  # fmt: skip
def test_json_is_read(value: object) -> None:
    for text in (
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps(value) + "\n",
    ):
        assert json.loads(json.dumps(parse_json(text.encode(), PATH))) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1, "a": 1}', "'a' is there twice"),
        (b'{"a": [{"b": 1, "c": 2, "b": 3}]}', "'b' is there twice"),
        (b'{"a": 1, "\\u0061": 1}', "'a' is there twice"),
        (b"NaN", "NaN is no number"),
        (b"[Infinity]", "Infinity is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"1e999", "too large a number"),
        (b"-1e999", "too large a number"),
        (b"1" * 5000, "5,000 digits"),
        (b"-" + b"1" * 21, "22 digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 900 + b"]" * 900, ""),
        (b'"\\ud800"', "surrogates"),
        (b'{"\\udfff": 1}', "surrogates"),
        (b"\xff", "decode"),
        (b'"\xed\xa0\x80"', "decode"),
        (b"\xef\xbb\xbf1", "BOM"),
        (b"\xff\xfe1\x00", "decode"),
        (b"1\x00", "Extra data"),
        (b"", "Expecting value"),
        (b"01", "Extra data"),
        (b"[1,]", "Expecting value"),
        (b"{'a': 1}", "double quotes"),
        (b'"\n"', "control character"),
        (b"[1] // comment", "Extra data"),
        (b"[" + b"0," * 200 + b"0]", "more than 100 values"),
    ],
)
def test_what_is_no_json_is_refused(content: bytes, reason: str) -> None:
    if not reason:  # deep, and no deeper than Python reads
        parse_json(content, PATH, most_values=1000)
        return
    with pytest.raises(DamagedError, match=reason) as caught:
        parse_json(content, PATH, most_values=100 if "100 values" in reason else 10**6)
    assert len(str(caught.value)) < 300 and "file.json" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"height": "64"}, {"height": 64.0}, {"height": True}, {"mean": [0.5, 0.5]},
     {"mean": ["0.5", 0.5, 0.5]}, {"mean": {"0": 0.5}}, {"value_range": [False, 255]},
     {"value_range": [0.0, 255]}, {"colour": None}, {"std": [True, True, True]}],
)  # fmt: skip
def test_types_are_strict(change: dict[str, object]) -> None:
    contract = Preprocessing(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0))
    value = contract.model_dump(mode="json") | {"version": 1}
    good = json.dumps(value)

    def read(text: str) -> None:
        record = json.loads(text)
        version = record.pop("version")
        content = json.dumps(record | {"v": version}).encode()
        parse_record(Versioned, content, PATH, key="v", version=1)

    read(good)
    read(json.dumps(value | {"mean": [1, 0, 0]}))  # an integer is a number
    for version in (True, 1.0, "1", None, 2):
        with pytest.raises(DamagedError, match="schema version"):
            read(json.dumps(value | {"version": version}))
    with pytest.raises(DamagedError, match="not a valid Versioned file"):
        read(json.dumps(value | change))


class Versioned(Preprocessing):
    v: int


def test_regular_files_only(tmp_path: Path) -> None:
    file, link, fifo = tmp_path / "file", tmp_path / "link", tmp_path / "fifo"
    file.write_bytes(b"content")
    link.symlink_to(file)
    os.mkfifo(fifo)
    assert read_regular(file, most=7) == b"content" == read_regular(link, most=7, links=True)
    for path in (link, fifo, tmp_path, Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(DamagedError):
            read_regular(path, most=7)
    with pytest.raises(DamagedError, match="7 bytes, and no such file has more than 6"):
        read_regular(file, most=6)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "nowhere", most=7)


@pytest.mark.parametrize(
    "path", ["a", "a/b.c", "models/m.mlpackage/Data/x", ".hidden", "é/Ü.jpg", "a b", "console.txt",
             "a..b", "..a", "com/x", "nullable", "日本/写真.png"],
)  # fmt: skip
def test_names_that_a_bundle_may_have(path: str) -> None:
    assert path_problem(path) is None


@pytest.mark.parametrize(
    "path",
    ["", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/../b", "a/./b", "a/..", "\\a",
     "a\\b", "..\\a", "C:", "C:a", "C:/a", "//server/a", "a:b", "a\0", "a\nb", "a\x7f", "a\x9b",
     "a*", "a?", 'a"', "a<", "a>", "a|", "a.", "a ", "a/b. ", "con", "CON", "nul.txt",
     "a/Aux.tar.gz",
     "lpt1", "COM¹", "a\u202eb", "e\u0301", "\ud800", "a" * 600],
)  # fmt: skip
def test_names_that_a_bundle_may_not_have(path: str) -> None:
    assert path_problem(path) is not None


def test_two_names_of_one_file() -> None:
    assert list(path_problems(["a/b", "a/B"])) == ["a/B and a/b differ in case only"]
    assert list(path_problems(["ß", "SS"])) != [] and list(path_problems(["a", "b"])) == []


def listed(folder: Path) -> BundleContents:
    files = (path for path in folder.rglob("*") if path.is_file())
    hashes = {
        path.relative_to(folder).as_posix(): sha256_bytes(path.read_bytes()) for path in files
    }
    return BundleContents(folder, hashes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    for name in ("m.pkg/a", "m.pkg/a.b/c", "m.pkg/a/../b", "n"):
        path = Path(os.path.normpath(folder / name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_contents_are_copied_and_hashed_as_one(folder: Path) -> None:
    contents = listed(folder)
    copy = contents.copy("m.pkg")
    assert sha256_path(copy) == sha256_path(folder / "m.pkg") == contents.hash("m.pkg")
    assert copy.parents[2].stat().st_mode & 0o077 == 0  # nobody else gets in
    (folder / "m.pkg/a").write_text("changed")
    assert contents.copy("m.pkg") == copy and sha256_path(copy) == contents.hash("m.pkg")
    with pytest.raises(DamagedError, match="SHA-256 differs"):
        listed_before = contents
        listed_before.read("m.pkg/a")
    for name in ("m", "m.pkg/", "../bundle/n", "", "."):
        with pytest.raises(DamagedError, match="not among the files"):
            contents.copy(name)
    del contents, listed_before
    assert not copy.exists()


def test_no_room_for_a_copy(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="TMPDIR"):
        listed(folder).copy("n")


def test_folders_without_end_are_refused(folder: Path) -> None:
    contents = listed(folder)
    deep = folder
    for _ in range(60):
        deep = deep / "d"
        deep.mkdir()
    (problem,) = contents.problems()
    assert "nested too deeply" in problem


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program's own peak")
def test_a_hostile_file_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(b"[" + b"{}," * 10_000_000 + b"0]")
    program = (
        "import sys; from pathlib import Path; from mobile_assets.bundle_info import BundleInfo\n"
        "from mobile_assets.errors import DamagedError\n"
        "try: BundleInfo.read(Path(sys.argv[1]))\n"
        "except DamagedError as error: print(error)\n"
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    *_, refusal, peak = done.stdout.splitlines()
    assert "more than" in refusal
    assert int(peak) * 1024 < 1.5e9
