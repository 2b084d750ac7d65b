"""Calibration: the diagram, and a temperature found on other photos than it is judged on."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.results.calibration import calibration_of, reliability, tempered_confidence
from benchmarks.results.classification import expected_calibration_error
from train.temperature import Temperature, TemperatureFit, fitted

PHOTOS, OBJECTS = 4000, 12


def answers(sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose true objects are drawn from them, then made surer by `sharpness`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (PHOTOS, OBJECTS))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([generator.choice(OBJECTS, p=row) for row in honest])
    sharp = np.exp(sharpness * logits)
    return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32), truth


def fitted_to(*parts: tuple[np.ndarray, np.ndarray]) -> Temperature:
    fit = TemperatureFit()
    for probabilities, truth in parts:
        fit.add(probabilities, truth)
    temperature = fit.result()
    assert temperature is not None
    return temperature


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_what_was_done(sharpness: float) -> None:
    temperature = fitted_to(answers(sharpness, seed=0), answers(sharpness, seed=1))
    assert temperature.photos == 2 * PHOTOS
    assert temperature.value == pytest.approx(sharpness, rel=0.05)


def test_a_temperature_found_elsewhere_mends_the_error() -> None:
    temperature = fitted_to(answers(2.0, seed=0))
    probabilities, truth = answers(2.0, seed=1)
    right = probabilities.argmax(axis=1) == truth
    calibration = calibration_of(
        probabilities.max(axis=1),
        right,
        temperature=temperature,
        tempered=tempered_confidence(probabilities, temperature.value),
    )
    error = expected_calibration_error(probabilities.max(axis=1), right)
    assert error > 0.1
    assert calibration.error_with_temperature < error / 4


def test_the_parabola_is_the_minimum_of_the_likelihood() -> None:
    from scipy.optimize import minimize_scalar

    probabilities, truth = answers(1.37, seed=3)
    logs = np.log(probabilities.astype(np.float64))

    def loss(temperature: float) -> float:
        scaled = logs / temperature
        norm = np.log(np.exp(scaled).sum(axis=1))
        return float((norm - scaled[np.arange(PHOTOS), truth]).mean())

    best = minimize_scalar(loss, bounds=(0.25, 4), method="bounded").x
    assert fitted_to((probabilities, truth)).value == pytest.approx(best, rel=0.003)


def test_a_few_right_answers_do_not_make_a_network_certain() -> None:
    logits = np.zeros((10, OBJECTS), np.float32)
    truth = np.arange(10)
    logits[truth, truth] = 3
    few, many = fitted(logits, truth), fitted(np.tile(logits, (400, 1)), np.tile(truth, 400))
    assert few is not None and many is not None
    assert 0.4 < few.value < 1
    assert many.value < 0.3
    assert many.photos == 4000


def test_logits_of_any_height_have_one_temperature() -> None:
    probabilities, truth = answers(2.0, seed=5)
    logits = np.log(np.maximum(probabilities, 1e-30))
    low, high = fitted(logits, truth), fitted(logits + 500, truth)
    assert low is not None and high is not None
    assert low.value == pytest.approx(2.0, rel=0.05)
    assert high.value == pytest.approx(low.value, rel=1e-3)


def test_values_that_are_no_numbers_are_left_out_and_zero_is_allowed() -> None:
    probabilities, truth = answers(1.0, seed=0)
    broken = np.vstack([probabilities, np.full((1, OBJECTS), np.nan, np.float32)])
    assert fitted_to((broken, np.append(truth, 0))) == fitted_to((probabilities, truth))
    certain = np.eye(OBJECTS, dtype=np.float32)
    np.testing.assert_allclose(tempered_confidence(certain, 1.0), 1.0)
    assert tempered_confidence(broken[-1:], 2.0).tolist() == [0.0]


def test_tempered_answers_sum_to_one_and_one_changes_nothing() -> None:
    probabilities, _ = answers(1.0, seed=0)
    np.testing.assert_allclose(
        tempered_confidence(probabilities, 1.0), probabilities.max(axis=1), rtol=1e-5
    )
    powered = probabilities**0.5
    expected = (powered / powered.sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(tempered_confidence(probabilities, 2.0), expected, rtol=1e-5)


def test_the_diagram_counts_every_photo_once() -> None:
    confidence = np.array([0.0, 0.04, 0.5, 0.5, 0.999, 1.0], np.float32)
    right = np.array([False, True, True, False, True, True])
    bins = reliability(confidence, right, bins=10)
    assert [(b.low, b.photos, b.right) for b in bins] == [(0.0, 2, 0.5), (0.5, 2, 0.5), (0.9, 2, 1)]
    assert bins[0].stated == pytest.approx(0.02)


def test_nothing_measured_is_nothing_said() -> None:
    assert TemperatureFit().result() is None
    none = np.zeros(0, np.float32)
    assert calibration_of(none, np.zeros(0, np.bool_), temperature=Temperature(1.0, 3)) is None
