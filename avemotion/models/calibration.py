"""The temperature of a trained network: one number that makes its probabilities honest.

A network is calibrated where, of its answers given with 70 %, 70 % are right. Dividing its logits
by a temperature repairs much of what is wrong and changes no answer (Guo et al., "On calibration of
modern neural networks", 2017). How well a network is calibrated is measured in
`avemotion.evaluation.metrics.calibration`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature tried: far beyond what a trained network needs."""


def at_temperature(
    probabilities: NDArray[np.floating], temperature: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Divide the logits behind probabilities by a temperature: above 1 it spreads them.

    Args:
        probabilities: (clip, emotion).
        temperature: Above 0; a number, or one for each clip, (clip, 1).

    Returns:
        float64 (clip, emotion), the most probable emotion unchanged.

    >>> at_temperature(np.array([[0.8, 0.2]]), 2).round(3).tolist()
    [[0.667, 0.333]]
    """
    if not np.all((np.asarray(temperature) > 0) & np.isfinite(temperature)):
        raise ValueError(f"a temperature is a finite number above 0, got {temperature}")
    tempered: NDArray[np.float64] = np.exp(_log_shares(_logits(probabilities) / temperature))
    return tempered


def _logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return logits (clip, emotion); the smallest number stands for a probability of 0."""
    shares = np.asarray(probabilities, np.float64)
    logits: NDArray[np.float64] = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    return logits


def _log_shares(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of shares that sum to 1 in each row."""
    from scipy.special import logsumexp

    shares: NDArray[np.float64] = logits - logsumexp(logits, axis=1, keepdims=True)
    return shares


def fit_temperature(probabilities: NDArray[np.floating], targets: NDArray[np.integer]) -> float:
    """Return the temperature with the least log loss; fit it on actors that are not tested.

    The log loss has one minimum in the temperature, so a bounded search finds it.

    Args:
        probabilities: (clip, emotion).
        targets: Index of each clip's right emotion, (clip,).

    Returns:
        Within `TEMPERATURES`; near an end where all is right, or nothing is known.
    """
    from scipy.optimize import minimize_scalar

    logits, clips = _logits(probabilities), np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        tempered = _log_shares(logits / math.exp(log_temperature))
        return -float(tempered[clips, targets].mean())

    low, high = TEMPERATURES
    found = minimize_scalar(loss, bounds=(math.log(low), math.log(high)), method="bounded")
    return math.exp(found.x)
