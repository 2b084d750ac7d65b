"""Reasons for the variant to ship: readable, with few photos, and where nothing can be judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from export.bundle.recommend import recommend
from mobile_assets.bundle import Bundle, Recommendation, Variant

OBJECTS = 6
Answers = Callable[[Variant], NDArray[np.float32] | None]


def chosen(bundle: Bundle, photos: int, changed: dict[str, int]) -> Recommendation:
    """The TFLite variant to ship if each gives so many photos another, wrong answer."""
    truth = np.arange(photos) % OBJECTS
    right = np.eye(OBJECTS, dtype=np.float32)[truth]

    def answers(variant: Variant) -> NDArray[np.float32]:
        found = right.copy()
        wrong = changed.get(variant.name, 0)
        found[:wrong] = np.roll(found[:wrong], 1, axis=1)
        return found

    variants = [one for one in bundle.info.variants if one.format == "tflite"]
    (one,) = recommend(variants, answers, right, truth)
    return one


def test_one_changed_answer_of_few_photos_decides_and_it_says_so(golden_bundle: Bundle) -> None:
    one = chosen(golden_bundle, 42, {"tflite-int8": 1})
    assert (one.variant, one.met) == ("tflite-float16", True)
    assert "tflite-int8 gives 41 of 42 (97.6%) the network's answer and loses 2.4 points" in one.why
    assert "fewer than 67 validation photos a single changed answer is one too many" in one.why
    assert one.agreement_low == pytest.approx(0.916, abs=1e-3)
    assert "lower end of the 95 % interval: 91.6%" in one.why
    assert "one too many" not in chosen(golden_bundle, 42, {"tflite-int8": 5}).why


def test_one_changed_answer_of_enough_photos_does_not(golden_bundle: Bundle) -> None:
    assert chosen(golden_bundle, 66, {"tflite-int8": 1}).variant == "tflite-float16"
    enough = chosen(golden_bundle, 240, {"tflite-int8": 1})
    assert enough.variant == "tflite-int8" and "one too many" not in enough.why


def test_what_is_taken_as_it_is_is_not_called_smaller(golden_bundle: Bundle) -> None:
    truth = np.arange(OBJECTS)
    right = np.eye(OBJECTS, dtype=np.float32)
    _, coreml = recommend(golden_bundle.info.variants, lambda _: None, right, truth)
    assert coreml.variant == "coreml-float16"
    assert coreml.why == "There is no smaller. coreml-float16 itself cannot be run here."
    wrong = {one.name: 12 for one in golden_bundle.info.variants}
    one = chosen(golden_bundle, 12, wrong)
    assert (one.variant, one.met) == ("tflite-float32", False)
    assert "tflite-float32 itself gives 0 of 12 (0.0%) the network's answer" in one.why


def test_a_gain_is_not_called_a_loss(golden_bundle: Bundle) -> None:
    truth = np.zeros(100, dtype=np.int64)
    network = np.eye(OBJECTS, dtype=np.float32)[truth]
    network[:3] = network[:3, ::-1]  # wrong where the variant is right
    right: Answers = lambda _: np.eye(OBJECTS, dtype=np.float32)[truth]  # noqa: E731
    one = recommend(golden_bundle.info.variants, right, network, truth)[0]
    assert not one.met and "gains 3.0 points" in one.why


def test_without_validation_photos_it_says_so(golden_bundle: Bundle) -> None:
    one = chosen(golden_bundle, 0, {})
    assert (one.variant, one.met, one.agreement) == ("tflite-float32", False, None)
    assert one.why.endswith("there are no validation photos to judge by.")
