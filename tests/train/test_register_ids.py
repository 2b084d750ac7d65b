"""Ids that a person takes for one are told, and never joined."""

from __future__ import annotations

import pytest

from train.registers.object_ids import look_alikes, one_line, visible


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("1971.78A", "1971.78a", "upper and lower case"),
        ("STRASSE", "Straße", "characters that look alike"),
        ("EG 1", "EG1", "white space"),
        ("EG 1", "EG  1", "white space"),
        ("EG 1", "EG\u00a01", "white space"),
        ("EG 1", "EG\u20091", "white space"),
        ("EG1", "EG\u200b1", "invisible characters"),
        ("EG1", "EG1\ufeff", "invisible characters"),
        ("EG1", "EG\u00ad1", "invisible characters"),
        ("EG1", "\u202aEG1\u202c", "invisible characters"),
        ("EG1", "EG1\u2060", "invisible characters"),
        ("EG1", "EG1\ufe0f", "invisible characters"),
        ("EG1", "EG\uff11", "characters that look alike"),
        ("file", "ﬁle", "look alike"),
        ("1971-78", "1971\u201378", "characters that look alike"),
        ("1971-78", "1971\u221278", "characters that look alike"),
        ("A1", "\u04101", "characters that look alike"),
        ("K'1", "K\u20191", "characters that look alike"),
        ("EG 1", "eg\u200b1", "case, white space and invisible"),
    ],
)
def test_look_alikes(first: str, second: str, words: str) -> None:
    told = [problem for problem in look_alikes([first, second, "other"]) if words in problem.reason]
    assert len(told) == 1
    assert visible(first) in told[0].reason
    assert visible(second) in told[0].reason


@pytest.mark.parametrize("object_id", ["A\u200b", "\ufeffA", "A\u200eB", "A\u00adB"])
def test_an_invisible_character_is_told_even_alone(object_id: str) -> None:
    [problem] = look_alikes([object_id, "B"])
    assert "holds an invisible character (U+" in problem.reason
    assert "<U+" in problem.reason


def test_ids_that_differ_are_not_worth_a_word() -> None:
    assert not list(look_alikes(["1971.78", "1971.79", "A.1", "A1", "Ä", "A", "1/2", "12"]))


def test_words_are_brought_onto_one_line() -> None:
    assert one_line(" Bowl\r\n\twith\x0bspout ") == "Bowl with spout"
    assert one_line("two  spaces\tand a tab") == "two  spaces\tand a tab"
