"""The level-free mel spectrogram: librosa's defaults on the first 3 s of a voice, without librosa.

    y = librosa.load(path, sr=22050, duration=3.0)[0], zero-padded to 3 s
    librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=22050), ref=np.max, top_db=80)

Its loudest place is 0 dB, so that no level is left to learn from; a table of such spectrograms of
all of CREMA-D exists (`data_prep/crema_d_mel.py`). Sounds have 16 kHz here, so that bands above
8 kHz are empty, as they are in that table.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.features.spectrogram import mel_filters
from avemotion.media.resampling import resample

MEL_RATE = 22_050
"""Samples a second that the spectrogram is computed from."""
MEL_SECONDS = 3.0
"""Of longer sounds, only the beginning is read."""
MEL_SHAPE = (128, 130)
"""Bands, from 0 Hz to 11,025 Hz, and columns: one each 512 samples."""
MEL_RANGE_DB = 80.0
"""Decibels below the loudest place that are kept."""

MEL_STEP = 512
"""Samples from one column to the next."""

_FFT = 2048
_LEAST_POWER = 1e-10  # librosa's `amin`
_SAMPLES = round(MEL_SECONDS * MEL_RATE)


def mel_columns(samples: int) -> int:
    """Return how many columns hold sound, for a number of samples at 16 kHz."""
    heard = min(samples, round(MEL_SECONDS * SAMPLE_RATE)) * MEL_RATE // SAMPLE_RATE
    return min(1 + heard // MEL_STEP, MEL_SHAPE[1]) if samples else 0


def mel(samples: NDArray[np.int16] | NDArray[np.float64]) -> NDArray[np.float16]:
    """Compute the spectrogram in decibels above its floor: 80 at the loudest place, at least 0.

    Args:
        samples: int16 (sample,), 16 kHz, or float64 in int16 steps.

    Returns:
        float16 (128, 130), low frequencies first; zeros for a sound without power.
    """
    first = samples[: round(MEL_SECONDS * SAMPLE_RATE)].astype(np.float32)
    heard = resample(first / np.float32(32_768), SAMPLE_RATE, MEL_RATE)[:_SAMPLES]
    padded = np.pad(heard, (_FFT // 2, _FFT // 2 + _SAMPLES - len(heard)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::MEL_STEP]
    spectrum = np.fft.rfft(windows * _hann(), axis=1)
    filters = mel_filters(MEL_SHAPE[0], _FFT, MEL_RATE)
    power = filters @ (spectrum.real**2 + spectrum.imag**2).T.astype(np.float32)
    loudest = float(power.max())
    if loudest <= _LEAST_POWER:
        return np.zeros(MEL_SHAPE, np.float16)
    decibels = 10 * np.log10(np.maximum(power, _LEAST_POWER) / loudest) + MEL_RANGE_DB
    return np.maximum(decibels, 0).astype(np.float16)


@cache
def _hann() -> NDArray[np.float32]:
    """Return the periodic Hann window."""
    cosine = np.cos(np.linspace(-np.pi, np.pi, _FFT + 1))[:-1]
    return np.asarray(0.5 + 0.5 * cosine, np.float32)
