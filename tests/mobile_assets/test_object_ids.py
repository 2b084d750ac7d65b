"""Object ids are one visible line each: no reader of `labels.txt` sees more lines or fewer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mobile_assets.errors import DamagedError, InputError
from mobile_assets.labels import LabelMap
from mobile_assets.object_ids import unfit_object_id

READERS = {
    "Python's splitlines": str.splitlines,
    "Java's and C#'s readLine": lambda text: re.split("\r\n|\n|\r", text)[:-1],
    "Java's Scanner": lambda text: re.split("\r\n|[\n\r\u2028\u2029\u0085]", text)[:-1],
    "Swift's newlines": lambda text: re.split("[\n-\r\u0085\u2028\u2029]", text)[:-1],
    "C's strings": lambda text: text.split("\0")[0].split("\n")[:-1],
    "Windows' text mode": lambda text: text.split("\x1a")[0].split("\n")[:-1],
    "blank lines left out": lambda text: [line for line in text.splitlines() if line.strip()],
}
"""How platforms divide `labels.txt` into lines."""


def spoils_lines(character: str) -> bool:
    """Whether some reader takes an id with the character for more lines than one, or for fewer."""
    text = f"A{character}B\n1971.78\n"
    return any(len(read(text)) != 2 for read in READERS.values())


def test_every_character_that_some_reader_ends_a_line_at_is_refused() -> None:
    # Beyond the first 65,536 code points Unicode has no line ends and no controls.
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code <= 0xDFFF]
    spoiling = [character for character in characters if spoils_lines(character)]
    assert len(spoiling) == 12
    assert all(unfit_object_id(f"A{character}B") for character in spoiling)


@pytest.mark.parametrize(
    ("object_id", "words"),
    [
        ("A\nB", r"a line break \(U\+000A\)"),
        ("A\r\nB", r"a line break \(U\+000D\)"),
        ("A\u2028B", r"a line break \(U\+2028\)"),
        ("A\tB", r"a control character \(U\+0009\)"),
        ("\x1b[31mA", r"a control character \(U\+001B\)"),
        ("M\udcfcller", "not Unicode text"),
        ("", "is blank"),
        (" \u00a0\u3000", "is blank"),
        ("\u200b\ufeff\u3164", "is blank"),
    ],
)
def test_ids_that_are_no_line(tmp_path: Path, object_id: str, words: str) -> None:
    assert re.search(words, unfit_object_id(object_id) or "")
    with pytest.raises(InputError, match=words):
        LabelMap.of([("A", "", "", 3), (object_id, "", "", 3)])
    entry = {"index": 0, "object_id": object_id, "collection": "", "title": "", "photos": 3}
    (tmp_path / "labels.json").write_text(json.dumps([entry]))
    with pytest.raises(DamagedError, match=r"labels\.json (is not a label map|cannot be read)"):
        LabelMap.read(tmp_path / "labels.json")


def test_ids_as_museums_have_them_are_fit() -> None:
    ids = [
        "1971.78a",
        "C,D;E",
        'F"G',
        "=1+1",
        "<b>H</b>",
        "../../J",
        "K|L",
        "Ü/n",
        "M\\N",
        "青花瓷",
    ]
    assert [unfit_object_id(object_id) for object_id in ids] == [None] * len(ids)
    labels = LabelMap.of([(object_id, "", "", 3) for object_id in ids])
    assert all(len(read(labels.text)) == len(ids) for read in READERS.values())
