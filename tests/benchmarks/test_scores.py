"""Scores and outlooks of objects against hand-worked cases and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

from benchmarks.evaluation.acquisition import ObjectEvidence, fit_curve, outlooks
from benchmarks.results.classification import wilson_interval
from benchmarks.results.scores import GradedAnswers, macro_scores, measure, object_intervals
from mobile_assets.labels import LabelMap


def graded(top: list[int], truth: list[int], seen: list[bool] | None = None) -> GradedAnswers:
    first, right = np.array(top, dtype=np.int64), np.array(truth, dtype=np.int64)
    rank = np.where(first == right, 0, 20)
    return GradedAnswers(rank, first, right, np.array(seen or [True] * len(truth), dtype=np.bool_))


def test_the_papers_quantities_by_hand() -> None:
    # Confusion matrix (rows true): object 0: 3 photos, answered 0, 0, 1. Object 1: 1 photo,
    # answered 1. Object 2: 2 photos, answered 0, 0; it is never named.
    scores = measure(graded([0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 2, 2]))
    assert scores["paper_precision"] == pytest.approx((3 * 2 / 3 + 1 * 1 + 2 * 0) / 6)
    assert scores["paper_recall"] == pytest.approx((3 * 2 / 4 + 1 * 1 / 2) / 4)
    f1 = [2 * 2 / (3 + 4), 2 * 1 / (1 + 2), 0.0]
    assert scores["paper_f1"] == pytest.approx((3 * f1[0] + 1 * f1[1] + 2 * f1[2]) / 6)
    # The standard ones are the other way round.
    assert scores["weighted_precision"] == pytest.approx((3 * 2 / 4 + 1 * 1 / 2 + 0) / 6)
    assert scores["weighted_recall"] == pytest.approx(3 / 6)


def test_unseen_objects_are_one_null_class_and_counted_apart() -> None:
    scores = measure(graded([0, 1, 0, 0], [0, 1, 2, 3], [True, True, False, False]))
    assert scores["top1"] == 1.0
    assert scores["precision"] == scores["recall"] == scores["f1"] == 1.0
    assert scores["top1_with_unseen"] == scores["paper_precision"] == 0.5
    # Object 0 is named three times, once rightly; the null class is never named.
    assert scores["paper_recall"] == pytest.approx((1 / 3 + 1) / 2)
    assert scores["paper_f1"] == pytest.approx((1 * 2 / 4 + 1 * 1 + 2 * 0) / 4)


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 9, 60)
    probabilities = generator.random((60, 9))
    probabilities[np.arange(60), truth] += 0.4
    top = probabilities.argmax(axis=1)
    rank = (probabilities > probabilities[np.arange(60), truth][:, None]).sum(axis=1)
    graded_answers = GradedAnswers(rank, top, truth, np.ones(60, dtype=np.bool_))
    scores = measure(graded_answers)
    present = np.unique(truth)
    for average, prefix in (("macro", ""), ("weighted", "weighted_")):
        wanted = precision_recall_fscore_support(
            truth, top, labels=present, average=average, zero_division=0
        )
        ranked = [scores[f"{prefix}{name}"] for name in ("precision", "recall", "f1")]
        assert ranked == pytest.approx(wanted[:3])
    for k in (1, 3, 5):
        share = top_k_accuracy_score(truth, probabilities, k=k, labels=np.arange(9))
        assert scores[f"top{k}"] == pytest.approx(share)
    ours = macro_scores(top, truth)
    assert (ours.precision, ours.recall, ours.f1) == pytest.approx(
        [scores[name] for name in ("precision", "recall", "f1")]
    )


def test_an_object_counted_twice_is_the_object_there_twice() -> None:
    graded_answers = graded([0, 1, 1, 2, 0], [0, 0, 1, 2, 2])
    doubled = measure(graded_answers, np.array([2.0, 2.0, 1.0, 1.0, 1.0]))
    # In `weighted_recall` (the accuracy) the doubled object's photos count twice: 2+1+1 of 7.
    assert doubled["weighted_recall"] == pytest.approx((2 * 1 + 1 + 1) / 7)
    assert doubled["recall"] == pytest.approx((2 * 0.5 + 1 + 0.5) / 4)
    assert doubled["precision"] == pytest.approx((2 * (2 / 3) + 1 / 3 + 1) / 4)


def test_intervals_over_objects_are_wider_where_photos_of_an_object_are_alike() -> None:
    truth = np.repeat(np.arange(40), 10)
    right = np.repeat(np.arange(40) % 2 == 0, 10)
    alike = GradedAnswers(
        np.where(right, 0, 9), np.where(right, truth, 0), truth, np.ones(400, bool)
    )
    low, high = object_intervals(alike, resamples=400, seed=0)["top1"] or (0, 0)
    photos = wilson_interval(200, 400) or (0, 0)
    # Forty independent objects: 1.96 · sqrt(0.25 / 40) = 0.155 either way.
    assert (0.5 - low, high - 0.5) == pytest.approx((0.155, 0.155), abs=0.03)
    assert high - low > 2.5 * (photos[1] - photos[0])
    again = object_intervals(alike, resamples=400, seed=0)["top1"]
    assert again == (low, high)


def evidence(held: list[int], right: list[int]) -> ObjectEvidence:
    return ObjectEvidence(np.array(held), np.array(right), np.full(len(held), np.nan))


def labels_of(photos: list[int]) -> LabelMap:
    return LabelMap.of([(f"OBJ-{i:03}", "", "", n) for i, n in enumerate(photos)])


def growing_register() -> tuple[list[int], ObjectEvidence]:
    """600 objects of 3, 5 or 8 photos; accuracy grows with them as on a logistic curve."""
    generator = np.random.default_rng(0)
    photos = generator.choice([3, 5, 8], 600)
    share = 1 / (1 + np.exp(-(-2.0 + 1.5 * np.log(photos))))
    held = generator.integers(0, 4, 600)
    return photos.tolist(), evidence(held.tolist(), generator.binomial(held, share).tolist())


def test_the_curve_is_found_again() -> None:
    photos, seen = growing_register()
    curve = fit_curve(np.array(photos), seen, resamples=200, seed=0)
    assert curve.slope_ci95 is not None
    low, high = curve.slope_ci95
    assert low < 1.5 < high
    assert 0 < low < curve.slope < high
    assert curve.intercept == pytest.approx(-2.0, abs=0.6)


def test_an_object_is_not_judged_by_one_photo() -> None:
    photos, seen = growing_register()
    photos[:4], seen.held_out[:4], seen.right[:4] = [3] * 4, [1, 1, 0, 3], [1, 0, 0, 0]
    curve = fit_curve(np.array(photos), seen, resamples=50, seed=0)
    labels = labels_of(photos)
    ranked = {o.object_id: o for o in outlooks(labels, np.array(photos), seen, curve, {})}
    right, wrong, unknown, worst = (ranked[f"OBJ-{i:03}"] for i in range(4))
    assert 0.05 < worst.expected < wrong.expected < unknown.expected < right.expected < 0.95
    for outlook in ranked.values():
        assert outlook.expected_ci95[0] < outlook.expected < outlook.expected_ci95[1]
    usual = 1 / (1 + np.exp(-(curve.intercept + (curve.slope or 0) * np.log(3))))
    assert unknown.expected == pytest.approx(usual)
    narrow = unknown.expected_ci95[1] - unknown.expected_ci95[0]
    assert worst.expected_ci95[1] - worst.expected_ci95[0] < narrow


def test_gain_goes_to_eight_photos_and_sorts() -> None:
    photos, seen = growing_register()
    curve = fit_curve(np.array(photos), seen, resamples=50, seed=0)
    ranked = outlooks(labels_of(photos), np.array(photos), seen, curve, {})
    gains = [outlook.gain or 0.0 for outlook in ranked]
    assert gains == sorted(gains, reverse=True)
    assert {outlook.gain for outlook in ranked if outlook.photos == 8} == {0.0}
    assert all(outlook.photos_to_take == max(0, 8 - outlook.photos) for outlook in ranked)
    for outlook in ranked:
        if outlook.photos < 8:
            assert (
                0
                < outlook.gain_ci95[0]
                < outlook.gain
                < outlook.gain_ci95[1]
                < 1 - outlook.expected
            )


def test_equal_photo_counts_tell_nothing_about_more() -> None:
    curve = fit_curve(np.array([4, 4, 4]), evidence([2, 2, 2], [2, 1, 0]), resamples=20, seed=0)
    ranked = outlooks(
        labels_of([4, 4, 4]), np.array([3, 3, 3]), evidence([2, 2, 2], [2, 1, 0]), curve, {}
    )
    assert curve.slope is None
    assert [outlook.gain for outlook in ranked] == [None] * 3
    assert [outlook.object_id for outlook in ranked] == ["OBJ-002", "OBJ-001", "OBJ-000"]


@pytest.mark.parametrize("right", [[2, 2], [0, 0]])
def test_all_right_or_all_wrong_gives_finite_numbers(right: list[int]) -> None:
    seen = evidence([2, 2], right)
    curve = fit_curve(np.array([3, 9]), seen, resamples=20, seed=0)
    for outlook in outlooks(labels_of([3, 9]), np.array([2, 7]), seen, curve, {}):
        assert 0 < outlook.expected < 1
        assert abs(curve.slope or 0.0) < 5
