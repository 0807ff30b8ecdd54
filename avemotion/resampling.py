"""Another sample rate by a polyphase filter: `scipy.signal.resample_poly` with its defaults.

The tests compare the two. Ours, since importing scipy.signal takes longer than classifying a clip.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

_ZERO_CROSSINGS = 10  # of the low-pass on either side of its centre
_KAISER_BETA = 5.0


def resample(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """Change the sample rate; past the ends the sound is zero.

    With rates in the ratio down : up, output n lies at input n down / up. Its neighbours there are
    weighted with a low-pass whose place relative to them, the phase, repeats every `up` outputs.

    Args:
        samples: float32 (sample,), at least one.
        rate: Of these, in Hz.
        new_rate: Wanted, in Hz.

    Returns:
        float32 (ceil(sample up / down),).
    """
    if rate == new_rate:
        return samples
    common = gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    weights = _phases(up, down)
    reach = weights.shape[1] // 2
    neighbours = np.lib.stride_tricks.sliding_window_view(
        np.pad(samples, reach), 2 * reach + 1
    )  # row m: the inputs around m
    resampled = np.empty(-(-len(samples) * up // down), np.float32)
    for phase in range(min(up, len(resampled))):
        outputs = resampled[phase::up]
        around = neighbours[phase * down // up :: down]
        outputs[:] = around[: len(outputs)] @ weights[phase]
    return resampled


@lru_cache(maxsize=4)
def _phases(up: int, down: int) -> NDArray[np.float32]:
    """Return the weights of an output's neighbours, float32 (phase, neighbour)."""
    widest = max(up, down)
    half = _ZERO_CROSSINGS * widest
    # A sinc that cuts off at the lower of both Nyquist frequencies, on the grid of both rates.
    low_pass = np.sinc(np.arange(-half, half + 1) / widest) * np.kaiser(2 * half + 1, _KAISER_BETA)
    low_pass *= up / low_pass.sum()
    reach = half // up + 1
    between = np.arange(up)[:, None] * down % up  # from the input before an output to the output
    place = half + between - up * np.arange(-reach, reach + 1)
    inside = (place >= 0) & (place < len(low_pass))
    weights = np.where(inside, low_pass[np.clip(place, 0, len(low_pass) - 1)], 0.0)
    return np.asarray(weights, np.float32)
