"""The decision rule: what the officer is told, and how its thresholds are chosen."""

from __future__ import annotations

import numpy as np
import pytest

from mobile_assets.decision import DecisionThresholds, answer, choose_thresholds, decide
from mobile_assets.labels import LabelMap

LABELS = LabelMap.of([(f"o{n}", "", "", 3) for n in range(4)])


def photos(best: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """One row of probabilities a photo: the first object has `best`, the others share the rest."""
    rows = np.array([[p, *[(1 - p) / 3] * 3] for p in best])
    return rows, np.array([0 if ok else 1 for ok in right])


def test_match_needs_precision() -> None:
    best = list(np.linspace(0.99, 0.5, 50))
    right = [True] * 30 + [False, True] * 10
    thresholds = choose_thresholds(*photos(best, right))
    # 30 right, then one wrong of 31, 31 of 32 … below 95 % from the second wrong one on
    share = np.cumsum(right) / np.arange(1, 51)
    assert thresholds.match == pytest.approx(best[int(np.flatnonzero(share >= 0.95)[-1])])
    assert thresholds.validation_photos == 50


@pytest.mark.parametrize(("count", "matches"), [(15, False), (16, True)])
def test_match_needs_enough_photos(count: int, matches: bool) -> None:
    thresholds = choose_thresholds(*photos([0.9] * count, [True] * count))
    assert (thresholds.match == pytest.approx(0.9)) == matches
    assert (thresholds.match == 1.0) == (not matches)


def test_without_validation_photos_every_answer_is_a_shortlist() -> None:
    thresholds = choose_thresholds(np.zeros((0, 4)), np.zeros(0, dtype=int))
    assert answer([0.97, 0.01, 0.01, 0.01], LABELS, thresholds).verdict == "shortlist"
    assert answer([1.0, 0.0, 0.0, 0.0], LABELS, thresholds).verdict == "shortlist"


def test_reject_lies_below_what_right_answers_have() -> None:
    best = list(np.linspace(0.95, 0.4, 100))
    thresholds = choose_thresholds(*photos(best, [True] * 100))
    assert 0.4 <= thresholds.reject <= 0.42
    assert thresholds.reject <= thresholds.match


@pytest.mark.parametrize(
    ("probability", "verdict"),
    [(0.9, "match"), (0.8, "match"), (0.79, "shortlist"), (0.3, "shortlist"), (0.29, None)],
)
def test_three_verdicts(probability: float, verdict: str | None) -> None:
    thresholds = DecisionThresholds(match=0.8, reject=0.3, validation_photos=9)
    rest = (1 - probability) / 3
    found = answer([rest, probability, rest, rest], LABELS, thresholds, top=3)
    assert found.verdict == (verdict or "not in the register")
    assert len(found.candidates) == 3
    if verdict:
        assert found.candidates[0].label.object_id == "o1"


@pytest.mark.parametrize(
    ("match", "probability", "verdict"),
    [
        (1.0, 1.0, "shortlist"),
        (0.8, 1.0, "match"),
        (0.8, 0.8, "match"),
        (0.8, 0.3, "shortlist"),
        (1.0, 0.29, "not in the register"),
    ],
)
def test_a_match_threshold_of_one_means_never(
    match: float, probability: float, verdict: str
) -> None:
    thresholds = DecisionThresholds(match=match, reject=0.3, validation_photos=9)
    assert decide(probability, thresholds) == verdict


def test_ties_go_to_the_lower_index_and_lengths_must_fit() -> None:
    thresholds = DecisionThresholds(match=1, reject=0, validation_photos=0)
    order = [c.label.index for c in answer([0.25] * 4, LABELS, thresholds).candidates]
    assert order == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="for 4 labels"):
        answer([0.5, 0.5], LABELS, thresholds)
