"""How sure a comparison is: right answers kept in bits, and intervals against published ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks.results.calibration import calibration_deviation
from benchmarks.results.classification import difference_interval, wilson_interval
from benchmarks.results.cluster_bootstrap import paired_change_interval
from benchmarks.results.correctness_mask import pack, unpack
from benchmarks.results.row_fields import (
    Calibration,
    ReliabilityBin,
)
from mobile_assets.errors import DamagedError


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
