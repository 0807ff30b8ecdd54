"""Another sample rate, by soxr.

Its quality HQ keeps 0 to 91 % of the lower Nyquist frequency within 0.01 dB, and damps what the new
rate cannot hold by 120 dB, below the rounding of 16-bit sound. VHQ is meant for 24 bits.
"""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATES
from avemotion.errors import MediaError

_QUALITY = "HQ"


def check_sample_rate(name: str, rate: int) -> None:
    """Refuse what no device records at.

    Args:
        name: What messages call the file.
        rate: The sample rate that its sound claims, in Hz.

    Raises:
        MediaError: The rate is out of range.
    """
    if rate not in SAMPLE_RATES:
        raise MediaError(
            f"the sound of {name} claims {rate:,} samples a second, but {SAMPLE_RATES[0]:,} to "
            f"{SAMPLE_RATES[-1]:,} are possible: the file is damaged"
        )


def resample(samples: NDArray[np.float32], rate: int, new_rate: int) -> NDArray[np.float32]:
    """Change the sample rate; past the ends the sound is zero.

    Args:
        samples: float32 (sample,).
        rate: Sample rate of `samples`, in Hz.
        new_rate: Sample rate wanted, in Hz.

    Returns:
        float32 (sample,), as many as `sample new_rate / rate` rounded, halves up. The same array
        where the rates are equal.
    """
    if rate == new_rate:
        return samples
    return np.asarray(soxr.resample(samples, rate, new_rate, _QUALITY))


class BlockResampler:
    """Changes the sample rate of a sound in blocks; together they equal `resample` of the whole."""

    def __init__(self, rate: int, new_rate: int) -> None:
        """Take the sample rates of the blocks and of what is wanted, in Hz."""
        same = rate == new_rate
        self._stream = None if same else soxr.ResampleStream(rate, new_rate, 1, quality=_QUALITY)

    def push(self, block: NDArray[np.float32], last: bool = False) -> NDArray[np.float32]:
        """Take the next block and return the samples that it makes possible; float32 (sample,).

        Args:
            block: float32 (sample,); may be empty.
            last: No more blocks follow.
        """
        return np.asarray(self._stream.resample_chunk(block, last)) if self._stream else block
