"""Log-linear pooling: answers of several models, or streams, become one by adding their logarithms.

Each one's log-probabilities are multiplied by a weight, added, and divided by their sum of
probabilities (Genest and Zidek, "Combining probability distributions", Statistical Science 1986).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_WEIGHT = 10.0  # of log-probabilities; answers that are always right would ask for infinity


def pooling_weights(
    answers: NDArray[np.floating],
    targets: NDArray[np.integer],
    shares: NDArray[np.float64] | None = None,
    shrinkage: float = 0.0,
) -> NDArray[np.float64]:
    """Return the weights with the least log loss; fit them on people whom nobody learned from.

    The log loss is convex in them, so that there is one best answer.

    Args:
        answers: Log-probabilities, (member, clip, label).
        targets: Index of each clip's right label, (clip,).
        shares: What each clip counts, (clip,), 1 in all; None for each the same.
        shrinkage: Pulls the weights together: times the sum of their squared distances from their
            mean, it is added to the log loss. Their mean is free.

    Returns:
        (member,), 0 to 10.
    """
    from scipy.optimize import minimize

    each = np.asarray(answers, np.float64)
    members, clips, _ = each.shape
    counts = np.full(clips, 1 / clips) if shares is None else shares
    right = each[:, np.arange(clips), targets]

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = np.tensordot(weights, each, 1)
        highest = logits.max(axis=1, keepdims=True)
        odds = np.exp(logits - highest)
        total = odds.sum(axis=1, keepdims=True)
        log_total = (np.log(total) + highest)[:, 0]
        expected = (each * (odds / total)).sum(axis=2)
        apart = weights - weights.mean()
        value = counts @ (log_total - weights @ right) + shrinkage * (apart @ apart)
        return float(value), (expected - right) @ counts + 2 * shrinkage * apart

    start = np.full(members, 1 / members)
    bounds = [(0.0, _MOST_WEIGHT)] * members
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return np.asarray(found, np.float64)
