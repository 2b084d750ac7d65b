"""Cells that a spreadsheet must not take for formulas, and that come back as they were."""

from __future__ import annotations

import csv
import io
import random
import re

import numpy as np
import pytest

from mobile_assets.csv_table import csv_text, plain, safe

FORMULAS = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "=cmd|' /C calc'!A0", " =1", "\t=1", "\r=1", "\n=1", '"=1',
    "'=1", "' \"=1", "\u00a0=1", "\ufeff=1", "\u200b=1", "＝1", "－1", "a;=1", 'a;"=1', "a\t=1",
    "a\n=1", "a\r\n@x", "\tx", "\rx", "-", "--1", "-1-1", "+5", "-inf", "=", "@", "a; -b", "1;-1+1",
]  # fmt: skip
HARMLESS = [
    "", "a", "a=1", "1971.78", "C,D;E", 'F"G', "Bowl, -rim", "it's", "'tis", "'",
    "-5", "-0.25", "1e-3", "-1.5E+10", "0", "12.", ".5", "a@b.org", "K|L", "Krüg; 埃及",
]  # fmt: skip


def cell_starts(text: str) -> list[str]:
    """What a spreadsheet may find at the start of a cell, whichever separator it takes."""
    return [part.lstrip(' \u00a0\ufeff\u200b"') for part in re.split(r"[;\t\r\n]", text)]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text_and_comes_back(text: str) -> None:
    assert safe(text) != text
    for part in cell_starts(safe(text)):
        assert not re.match("[=+@\\-＝＋＠－]", part)
    assert not re.match(r"[\t\r]", safe(text))
    assert plain(safe(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_and_numbers_stay(text: str) -> None:
    assert safe(text) == text == plain(text)


def test_any_text_comes_back() -> None:
    draw = random.Random(0)
    for _ in range(50_000):
        text = "".join(draw.choices("'\" \t\r\n;,=+-@a5.\u00a0\ufeff＝", k=draw.randint(0, 8)))
        assert plain(safe(text)) == text, repr(text)
        (row,) = csv.DictReader(io.StringIO(csv_text([{"x": text, "y": 1}]), newline=""))
        assert plain(row["x"]) == text, repr(text)
        assert row["y"] == "1"


def test_numbers_stay_numbers_and_nothing_is_empty() -> None:
    row = {"a": -1.5, "b": None, "c": 3, "d": True, "e": np.float32(-0.5), "f": float("-inf")}
    assert csv_text([row]) == "a,b,c,d,e,f\n-1.5,,3,True,-0.5,-inf\n"


def test_columns_are_guarded_and_kept() -> None:
    assert csv_text([], ["=x", "y"]) == "'=x,y\n"
    assert csv_text([]) == ""
    assert csv_text([{"a": ""}]) == 'a\n""\n'
    assert csv_text([{"b": 1, "a": 2}], ["a", "b"]) == "a,b\n2,1\n"
