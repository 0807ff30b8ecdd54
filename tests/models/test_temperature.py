"""The temperature: closed forms, simulation, and bounds."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from network_maker import calibrated_predictions
from sklearn.metrics import log_loss

from avemotion.models.calibration import TEMPERATURES, at_temperature, fit_temperature

PROBABILITIES = st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda p: sum(p) > 0.01)


@settings(deadline=None)
@given(PROBABILITIES, st.floats(*TEMPERATURES))
def test_temperature_keeps_the_answer(given: list[float], temperature: float) -> None:
    probabilities = np.array([given]) / sum(given)
    tempered = at_temperature(probabilities, temperature)
    first, second = np.sort(probabilities[0])[[-1, -2]]
    assume(first - second > 1e-9)
    assert tempered.argmax() == probabilities.argmax()
    assert tempered.sum() == pytest.approx(1)
    order = np.argsort(probabilities[0])
    assert (np.diff(tempered[0][order]) >= -1e-12).all()


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.floats(*TEMPERATURES))
def test_temperature_divides_the_logit(p: float, temperature: float) -> None:
    tempered = at_temperature(np.array([[p, 1 - p]]), temperature)[0, 0]
    logit = math.log(p) - math.log(1 - p)
    assert tempered == pytest.approx(1 / (1 + math.exp(-logit / temperature)), abs=1e-12)


def test_a_temperature_of_one_changes_nothing_and_of_zero_is_refused() -> None:
    probabilities, _ = calibrated_predictions(50, 3.0)
    np.testing.assert_allclose(at_temperature(probabilities, 1.0), probabilities)
    with pytest.raises(ValueError, match="above 0"):
        at_temperature(probabilities, 0.0)


@settings(deadline=None)
@given(st.floats(0.2, 5), st.integers(0, 10**6))
def test_fit_recovers_the_temperature(temperature: float, seed: int) -> None:
    """Targets are drawn at temperature 1 from what is then sharpened or spread."""
    probabilities, targets = calibrated_predictions(5000, 1.5, seed)
    fitted = fit_temperature(at_temperature(probabilities, 1 / temperature), targets)
    assert fitted == pytest.approx(temperature, rel=0.15)


def test_fit_has_the_least_log_loss() -> None:
    probabilities, targets = calibrated_predictions(300, 2.0)
    sharp = at_temperature(probabilities, 0.4)
    fitted = fit_temperature(sharp, targets)
    losses = [
        log_loss(targets, at_temperature(sharp, t), labels=[0, 1, 2])
        for t in (fitted, *np.geomspace(*TEMPERATURES, 200))
    ]
    assert losses[0] == pytest.approx(min(losses), abs=1e-6)


def test_fit_stays_within_its_bounds() -> None:
    """Nothing wrong: the sharper the better, till the loss is 0. Nothing right: the flatter."""
    right = np.eye(3)[[0, 1, 2]] * 0.8 + 0.1
    low, high = TEMPERATURES
    assert fit_temperature(right / right.sum(axis=1, keepdims=True), np.arange(3)) < 1.2 * low
    assert fit_temperature(np.eye(3), np.array([1, 2, 0])) > 0.99 * high


def test_one_certain_mistake_does_not_spoil_the_fit() -> None:
    """Its probability is 0, its log loss endless: it must neither rule the fit nor warn."""
    probabilities, targets = calibrated_predictions(5000, 1.5)
    probabilities[0], targets[0] = [1, 0, 0], 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 1 < fit_temperature(probabilities, targets) < 2
