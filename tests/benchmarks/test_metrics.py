"""Metrics against cases worked out by hand, and inputs that have no answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks.results.calibration import calibration_deviation
from benchmarks.results.classification import (
    NO_ANSWER,
    Answers,
    agreement,
    confused_pairs,
    difference_interval,
    expected_calibration_error,
    join_answers,
    reduce_answers,
    top_k,
    wilson_interval,
)
from benchmarks.results.cluster_bootstrap import paired_change_interval, paired_drop_interval
from benchmarks.results.correctness_mask import pack, unpack
from benchmarks.results.row_fields import Calibration, ReliabilityBin
from benchmarks.results.scores import macro_scores
from mobile_assets.errors import DamagedError

NONE = np.zeros(0, dtype=np.int64)
NOTHING = np.zeros(0, dtype=np.bool_)


def indices(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def flags(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text], dtype=np.bool_)


def drop_interval(
    reference: np.ndarray,
    variant: np.ndarray,
    objects: np.ndarray | None = None,
    resamples: int = 5000,
) -> tuple[float, float] | None:
    """The interval of the drop; each photo shows an object of its own unless told otherwise."""
    objects = np.arange(len(reference)) if objects is None else objects
    return paired_drop_interval(reference, variant, objects, resamples=resamples, seed=0)


def answers_of(rows: list[list[float]], truth: list[int], keep: int = 3) -> Answers:
    return reduce_answers(np.array(rows, dtype=np.float32), indices(*truth), keep=keep)


def test_rank_and_best_objects() -> None:
    answers = answers_of([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.2, 0.3, 0.5]], [1, 1, 0])
    assert answers.rank.tolist() == [0, 2, 2]
    assert answers.best.tolist() == [[1, 2, 0], [0, 2, 1], [2, 1, 0]]
    assert answers.probability[0].tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert top_k(answers.rank, 1) == pytest.approx(1 / 3)
    assert top_k(answers.rank, 3) == 1.0


def test_of_equal_probabilities_the_lower_index_is_first() -> None:
    answers = answers_of([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.0, 0.0, 0.0]], [0, 1, 2])
    assert answers.rank.tolist() == [0, 1, 2]
    assert answers.top.tolist() == [0, 0, 0]


def test_rank_and_best_agree_where_many_are_equal() -> None:
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 4, (300, 9)).astype(np.float32)
    truth = generator.integers(0, 9, 300)
    answers = reduce_answers(rows, truth, keep=9)
    positions = [list(best).index(right) for best, right in zip(answers.best, truth, strict=True)]
    assert answers.rank.tolist() == positions


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_no_answer(bad: float) -> None:
    answers = answers_of([[bad, 0.9, 0.1], [0.1, 0.9, 0.0]], [1, 1])
    assert answers.top.tolist() == [NO_ANSWER, 1]
    assert answers.rank.tolist() == [3, 0]
    assert answers.invalid == 1
    assert top_k(answers.rank, 3) == 0.5
    assert np.isfinite(answers.probability).all()
    assert agreement(answers.top, answers.top) == 0.5


def test_answers_are_joined_and_selected() -> None:
    first, second = answers_of([[0.9, 0.1]], [0]), answers_of([[0.8, 0.2], [0.3, 0.7]], [1, 1])
    joined = join_answers([first, second])
    assert joined.rank.tolist() == [0, 1, 0]
    assert joined.right.tolist() == [True, False, True]
    assert joined.select(flags("101")).top.tolist() == [0, 1]


def test_agreement_counts_equal_first_answers_and_macro_scores_none_of_none() -> None:
    assert agreement(indices(1, 2, 3, 4), indices(1, 2, 4, 3)) == 0.5
    scores = macro_scores(indices(NO_ANSWER, NO_ANSWER), indices(0, 1))
    assert (scores.precision, scores.recall, scores.f1) == (0.0, 0.0, 0.0)


def test_wilson_interval_matches_published_values_and_keeps_within_bounds() -> None:
    # Newcombe, Statistics in Medicine 17, 857 (1998), table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    for photos in (1, 7, 10_000):
        low, high = wilson_interval(photos, photos) or (0, 0)
        assert 0 < low < high == 1.0
        low, high = wilson_interval(0, photos) or (1, 1)
        assert 0.0 == low < high < 1


def test_bootstrap_interval_matches_theory_and_is_zero_where_nothing_changed() -> None:
    same = flags("1100")
    assert drop_interval(same, same) == (0.0, 0.0)
    generator = np.random.default_rng(5)
    reference = generator.random(2000) < 0.9
    variant = reference.copy()
    variant[np.flatnonzero(reference)[:60]] = False
    variant[np.flatnonzero(~reference)[:20]] = True
    interval = drop_interval(reference, variant, resamples=20_000)
    # Variance of a paired difference: (lost + won - (lost - won)² / n) / n².
    error = 196.0 * np.sqrt(80 - 40**2 / 2000) / 2000
    assert interval == pytest.approx((2.0 - error, 2.0 + error), abs=0.06)
    assert interval == drop_interval(reference, variant, resamples=20_000)


def test_bootstrap_draws_objects_with_all_their_photos() -> None:
    # Of twenty objects with ten photos each, two lose all theirs.
    objects = np.repeat(np.arange(20), 10)
    reference, variant = np.ones(200, np.bool_), objects >= 2
    # As for 2 of 20 alone: the binomial's quantiles are 0 and 5 of 20.
    assert drop_interval(reference, variant, objects) == (0.0, 25.0)
    alone = drop_interval(reference, variant)
    assert alone is not None and alone[1] - alone[0] < 10
    # Objects with several photos and one weigh by their photos.
    photos = np.arange(11)
    few = drop_interval(np.ones(11, np.bool_), photos == 10, np.minimum(photos // 10, 1), 200)
    assert few == (0.0, 100.0)


def test_bootstrap_is_paired() -> None:
    # Half of the photos are hard, for both alike: an unpaired interval would be 19 points wide.
    reference = np.arange(200) % 2 == 0
    variant = reference.copy()
    variant[0] = False
    low, high = drop_interval(reference, variant) or (0.0, 99.0)
    assert 0.0 <= low < high <= 2.0


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    assert expected_calibration_error(confidence, flags("1110"), bins=10) == pytest.approx(0.05)
    assert expected_calibration_error(np.array([1.0]), flags("0"), bins=10) == pytest.approx(1.0)


def test_confused_pairs() -> None:
    truth = indices(0, 0, 0, 1, 2, 2)
    top = indices(1, 1, 0, 0, NO_ANSWER, 2)
    assert confused_pairs(top, truth, limit=5) == [(0, 1, 2), (1, 0, 1)]
    assert confused_pairs(top, truth, limit=1) == [(0, 1, 2)]
    assert confused_pairs(truth, truth, limit=5) == []


def test_without_photos_nothing_is_a_number() -> None:
    assert top_k(NONE, 1) is None
    assert agreement(NONE, NONE) is None
    assert macro_scores(NONE, NONE) is None
    assert wilson_interval(0, 0) is None
    assert drop_interval(NOTHING, NOTHING) is None
    assert expected_calibration_error(np.zeros(0), NOTHING) is None
    assert confused_pairs(NONE, NONE, limit=3) == []


@pytest.mark.parametrize("photos", [0, 1, 7, 8, 9, 64, 1001])
def test_bits_come_back(photos: int) -> None:
    right = np.random.default_rng(photos).random(photos) < 0.5
    text = pack(right)
    assert np.array_equal(unpack(text, photos), right)
    assert len(text) <= photos / 6 + 4


def test_bits_that_do_not_fit_are_refused() -> None:
    text = pack(np.ones(16, dtype=np.bool_))
    for photos in (8, 15, 17):
        with pytest.raises(DamagedError, match="16 photos"):
            unpack(text, photos)
    for wrong in ("?", "abc", "ä"):
        with pytest.raises(DamagedError):
            unpack(wrong, 16)


@pytest.mark.parametrize("photos", [60, 400, pytest.param(5000, marks=pytest.mark.slow)])
def test_as_many_changed_photos_as_an_exact_test_asks_for(photos: int) -> None:
    for lost in range(3, 10):
        gained = np.zeros(photos, dtype=np.int64)
        gained[:lost] = -1
        exact = binomtest(lost, lost).pvalue < 0.05
        assert (paired_change_interval(gained, np.arange(len(gained)))[1] < 0) == exact, lost


@pytest.mark.slow
def test_a_paired_interval_covers_the_difference() -> None:
    # Between two models of equal accuracy, one comparison in twenty may err.
    generator = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        gained = generator.choice([-1, 0, 1], p=[0.05, 0.9, 0.05], size=300).astype(np.int64)
        low, high = paired_change_interval(gained, np.arange(len(gained)))
        missed += not low <= 0 <= high
    assert missed / 400 < 0.08


def test_unpaired_intervals_are_newcombes() -> None:
    # His example (a): 56 of 70 against 48 of 80 gives 0.0524 to 0.3339.
    one, other = wilson_interval(56, 70), wilson_interval(48, 80)
    assert one is not None
    assert other is not None
    assert difference_interval(48 / 80, other, 56 / 70, one) == pytest.approx(
        (0.0524, 0.3339), abs=1e-4
    )


def test_the_noise_of_a_calibration_error_falls_with_the_photos() -> None:
    def of(photos: int) -> Calibration:
        part = ReliabilityBin(low=0.8, high=0.9, photos=photos, stated=0.85, right=0.7)
        return Calibration(bins=(part,))

    # Of one range, the error's deviation is that of the share right.
    assert calibration_deviation(of(100)) == pytest.approx(100 * (0.21 / 100) ** 0.5, rel=0.05)
    assert calibration_deviation(of(10_000)) < calibration_deviation(of(100)) / 5
    assert calibration_deviation(Calibration(bins=())) == 0
