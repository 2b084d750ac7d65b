"""Text from registers that would command a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest

from mobile_assets.visible_text import ESCAPES, visible

COMMANDS = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *"\u2028\u2029\ufeff\udcff\ud800\U000e0041",
]


@pytest.mark.parametrize("character", COMMANDS)
def test_no_command_passes(character: str) -> None:
    shown = visible(f"a{character}b")
    assert shown.isascii() and shown.isprintable()
    # JSON reads the escape back as the character that it stands for.
    assert json.loads(f'"{shown}"') == f"a{character}b"


def test_every_control_character_of_unicode_is_among_them() -> None:
    for number in range(0x110000):
        if unicodedata.category(chr(number)) in {"Cc", "Zl", "Zp", "Cs"}:
            assert visible(chr(number)).startswith("\\u"), hex(number)


def test_words_of_all_languages_stay() -> None:
    text = "Krüg «Ägypten» 埃及 مصر हिन्दी 👩‍🎓 \\u001b –"
    assert visible(text) == text


def test_own_lines_stay_and_nothing_else() -> None:
    assert visible("a\nb\r\x1b[2J", keep_lines=True) == "a\nb\\u000d\\u001b[2J"


@pytest.mark.parametrize("text", ["Krüg", "埃及", "\U0001f3fa", "\udcff"])
def test_what_an_encoding_lacks_is_an_escape_that_json_reads(text: str) -> None:
    written = json.dumps(text, ensure_ascii=False).encode("ascii", ESCAPES)
    assert json.loads(written) == text
