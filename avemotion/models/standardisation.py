"""Mean and deviation of values over clips, by which they are brought to one scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CONSTANT = 1e-7  # of the mean: what deviates less is the rounding of one number


def mean_and_scale(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean of each value, and its standard deviation, 1 where it never changes.

    Args:
        values: (clip, ...).

    Returns:
        float32 (...), of either.
    """
    mean, scale = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    scale[scale <= _CONSTANT * np.abs(mean)] = 1.0
    return mean.astype(np.float32), scale.astype(np.float32)
