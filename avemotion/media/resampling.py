"""Another sample rate by a polyphase filter: `scipy.signal.resample_poly` with its defaults.

The tests compare the two. Ours, since importing scipy.signal takes longer than classifying a clip.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE, SAMPLE_RATES
from avemotion.errors import MediaError

_ZERO_CROSSINGS = 10  # of the low-pass on either side of its centre
_KAISER_BETA = 5.0
_MOST_WEIGHTS = 2**20  # 44,101 Hz to 16 kHz needs 912,000, the usual 44,100 Hz 9,120


def check_sample_rate(name: str, rate: int) -> None:
    """Refuse what no device records at, before time and memory go into resampling it.

    Args:
        name: Of the file.
        rate: What its sound claims, in Hz.

    Raises:
        MediaError: The rate is out of range, or shares so few factors with 16 kHz that the table of
            weights would be huge.
    """
    claim = f"the sound of {name} claims {rate:,} samples a second"
    if rate not in SAMPLE_RATES:
        raise MediaError(
            f"{claim}, but {SAMPLE_RATES[0]:,} to {SAMPLE_RATES[-1]:,} are possible: the file is "
            "damaged"
        )
    up, down = _ratio(rate, SAMPLE_RATE)
    if up * _taps(up, down) > _MOST_WEIGHTS:
        raise MediaError(
            f"{claim}, which no device records and only a huge table could bring to "
            f"{SAMPLE_RATE:,}: the file is damaged"
        )


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
    up, down = _ratio(rate, new_rate)
    weights = _phases(up, down)
    reach = _reach(up, down)
    neighbours = np.lib.stride_tricks.sliding_window_view(
        np.pad(samples, reach), _taps(up, down)
    )  # row m: the inputs around m
    resampled = np.empty(-(-len(samples) * up // down), np.float32)
    for phase in range(min(up, len(resampled))):
        outputs = resampled[phase::up]
        around = neighbours[phase * down // up :: down]
        outputs[:] = around[: len(outputs)] @ weights[phase]
    return resampled


class BlockResampler:
    """Changes the sample rate of a sound that comes in blocks: as `resample` of the whole.

    Each block is resampled with the inputs around it, and what these would spoil is cut off, so
    that nothing is heard of the borders.
    """

    def __init__(self, rate: int, new_rate: int) -> None:
        """Take the rates of the blocks and of what is wanted, in Hz."""
        self._rates = rate, new_rate
        self._up, self._down = _ratio(rate, new_rate)
        # Output 0 of a piece is one of the whole where the piece starts at a multiple of `down`.
        self._context = -(-_reach(self._up, self._down) // self._down) * self._down
        self._piece = -(-rate // self._down) * self._down  # a second: long beside its context
        self._inputs = np.zeros(0, np.float32)
        self._before = 0  # inputs held that are context alone

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next float32 (sample,); return the outputs that it makes possible."""
        if self._up == self._down:
            return block
        self._inputs = np.concatenate([self._inputs, block])
        ready = len(self._inputs) - self._before - self._context
        return self._resampled(ready // self._down * self._down) if ready >= self._piece else _NONE

    def finish(self) -> NDArray[np.float32]:
        """Return the outputs that were still waiting for inputs, now that there are no more."""
        return self._resampled(len(self._inputs) - self._before)

    def _resampled(self, inputs: int) -> NDArray[np.float32]:
        """Resample so many inputs after the context before them, and forget what is done."""
        if not inputs:
            return _NONE
        end = self._before + inputs
        around = resample(self._inputs[: end + self._context], *self._rates)
        first = self._before // self._down * self._up
        outputs = around[first : first + -(-inputs * self._up // self._down)]
        kept = max(0, end - self._context)
        self._inputs, self._before = self._inputs[kept:], end - kept
        return outputs


_NONE = np.zeros(0, np.float32)


def _ratio(rate: int, new_rate: int) -> tuple[int, int]:
    """Return `up` and `down` in lowest terms."""
    common = gcd(rate, new_rate)
    return new_rate // common, rate // common


def _reach(up: int, down: int) -> int:
    """Return how many inputs on either side an output depends on."""
    return _ZERO_CROSSINGS * max(up, down) // up + 1


def _taps(up: int, down: int) -> int:
    """Return how many inputs an output depends on."""
    return 2 * _reach(up, down) + 1


@lru_cache(maxsize=4)
def _phases(up: int, down: int) -> NDArray[np.float32]:
    """Return the weights of an output's neighbours, float32 (phase, neighbour)."""
    widest = max(up, down)
    half = _ZERO_CROSSINGS * widest
    # A sinc that cuts off at the lower of both Nyquist frequencies, on the grid of both rates.
    low_pass = np.sinc(np.arange(-half, half + 1) / widest) * np.kaiser(2 * half + 1, _KAISER_BETA)
    low_pass *= up / low_pass.sum()
    reach = _reach(up, down)
    between = np.arange(up)[:, None] * down % up  # from the input before an output to the output
    place = half + between - up * np.arange(-reach, reach + 1)
    inside = (place >= 0) & (place < len(low_pass))
    weights = np.where(inside, low_pass[np.clip(place, 0, len(low_pass) - 1)], 0.0)
    return np.asarray(weights, np.float32)
