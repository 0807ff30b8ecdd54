"""The check that every answer passes, whichever runtime gave it. This module needs no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avemotion.errors import AvemotionError

_TOLERANCE = 1e-3  # of a sum of float32 values


def checked(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a network's answers, or refuse them: one that diverged must not look sure.

    Args:
        probabilities: (clip, emotion).

    Raises:
        AvemotionError: A row is not finite, has a negative value, or does not sum to 1.
    """
    with np.errstate(invalid="ignore"):  # infinity less infinity
        sums = probabilities.sum(axis=1)
        right = (probabilities >= 0).all(axis=1) & (np.abs(sums - 1) <= _TOLERANCE)
    if not right.all():
        answer = ", ".join(f"{value:.3g}" for value in probabilities[~right][0])
        raise AvemotionError(
            f"The model answers {answer}, but probabilities must be finite and sum to 1: it is "
            "damaged, or its training diverged. Use another model, or train it anew."
        )
    return probabilities
