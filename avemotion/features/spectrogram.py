"""From a waveform to the two spectrograms that the audio branch may read.

The thesis' power spectrogram and the field's usual log-mel are both made from the same samples
with the same noise, so that either can be trained from one store.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.errors import UsageError

POWER_SHAPE = (128, 128)
"""Rows (frequency) and columns (time) of the power spectrogram; the thesis states none."""

MEL_BANDS = 64
"""Mel bands of the log-mel, from 0 Hz to 8 kHz."""
MEL_FRAMES = 500
"""Columns of the log-mel: 5 s at 10 ms."""
MEL_FLOOR_DB = 100.0
"""The log-mel counts decibels from -100 dB, about where the noise of one 16-bit step lies."""

MEL_WINDOW = 400
"""Samples of a window of the log-mel: 25 ms."""
HOP = 160
"""Samples from one column of the log-mel to the next: 10 ms."""
MEL_FFT = 512
"""Length of its Fourier transform: the next power of two."""
POWER_WINDOW = 256
"""Samples of a window of the power spectrogram: scipy's default."""
POWER_STEP = 224
"""Samples from one window to the next: an eighth overlaps, scipy's default."""

_PRODUCT_ROWS = 8  # a BLAS shares larger products among threads, which then spin for 70 ms


def add_noise(
    samples: NDArray[np.int16] | NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Add Gaussian noise N(0, 1) of one int16 step (thesis, section 6).

    Args:
        samples: int16 (sample,), or float64 in int16 steps.
        rng: Source of the noise; seed it by clip.

    Returns:
        float64 (sample,), in int16 steps.
    """
    return samples + rng.standard_normal(len(samples))


def power_spectrogram(noisy: NDArray[np.float64]) -> NDArray[np.float32]:
    """Compute the thesis' spectrogram: scipy's defaults, high frequencies first, maximum one.

    That is a Tukey window of 256 samples, an eighth overlapping, each window less its mean, and
    one-sided power. It is flipped, divided by its maximum and resized by bicubic interpolation.

    Args:
        noisy: float64 (sample,), at least 256 samples.

    Returns:
        float32 (128, 128). Bicubic interpolation can overshoot slightly past 0 and 1.

    Raises:
        UsageError: scipy is not installed.
    """
    try:
        from scipy.signal import spectrogram  # takes 1.5 s, and log-mel models do without
    except ModuleNotFoundError as error:
        raise UsageError(
            "This model reads the power spectrogram, which needs scipy. Install it: "
            "pip install scipy"
        ) from error
    _, _, power = spectrogram(noisy)
    power = np.ascontiguousarray(power[::-1])
    power /= power.max()
    import cv2

    resized = cv2.resize(power, POWER_SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(resized, dtype=np.float32)


def log_mel_columns(samples: int) -> int:
    """Return how many columns of the log-mel hold sound, for a number of samples at 16 kHz."""
    return min(samples, MEL_FRAMES * HOP) // HOP


def log_mel(noisy: NDArray[np.float64]) -> tuple[NDArray[np.float16], int]:
    """Compute the log-mel spectrogram of up to 5 s: ``10 log10(mel power) + 100``, at least 0.

    The power is that of samples scaled to [-1, 1].

    Hann window of 25 ms every 10 ms, 64 Slaney-normalised mel bands. Longer sounds are cropped to
    their middle 5 s; shorter ones are padded with zeros, which is the floor: silence.

    Args:
        noisy: float64 (sample,), in int16 steps.

    Returns:
        float16 (64, 500), low frequencies first, and the number of columns that hold sound.
    """
    limit = MEL_FRAMES * HOP
    if len(noisy) > limit:
        start = (len(noisy) - limit) // 2
        noisy = noisy[start : start + limit]
    length = log_mel_columns(len(noisy))
    # Column t is centred on sample (t + 1/2) hops, so that the columns tile the sound.
    margin = (MEL_WINDOW - HOP) // 2
    padded = np.pad((noisy / 32_768.0).astype(np.float32), (margin, margin))
    windows = np.lib.stride_tricks.sliding_window_view(padded, MEL_WINDOW)[::HOP][:length]
    spectrum = np.fft.rfft(windows * hann(), MEL_FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.empty((length, MEL_BANDS), power.dtype)
    for first in range(0, length, _PRODUCT_ROWS):
        rows = slice(first, first + _PRODUCT_ROWS)
        np.matmul(power[rows], mel_filters().T, out=mel[rows])
    decibels = 10 * np.log10(np.maximum(mel, 1e-12)) + MEL_FLOOR_DB
    image = np.zeros((MEL_BANDS, MEL_FRAMES), dtype=np.float16)
    image[:, :length] = np.maximum(decibels, 0).T
    return image, length


@cache
def power_window() -> NDArray[np.float64]:
    """Return the window of `power_spectrogram`: periodic, a cosine over an eighth at each end.

    That is ``scipy.signal.get_window(("tukey", 0.25), 256)``, for code that does without scipy.
    """
    ramp = np.arange(POWER_WINDOW) / (POWER_WINDOW / 8)
    rising = 0.5 - 0.5 * np.cos(np.pi * np.minimum(ramp, 1))
    falling = np.concatenate(([1.0], rising[:0:-1]))
    return np.minimum(rising, falling)


@cache
def hann() -> NDArray[np.float32]:
    """Return the periodic Hann window: one cosine over the window and the sample after it."""
    cosine = np.cos(np.linspace(-np.pi, np.pi, MEL_WINDOW + 1))[:-1]
    return np.asarray(0.5 + 0.5 * cosine, np.float32)


@cache
def mel_values() -> NDArray[np.float64]:
    """Return how many independent values each mel band of white noise is the mean of, (64,).

    Neighbouring bins are alike, as the window is short: of squared magnitudes their correlation is
    that of the squared window's spectrum. The mean of m independent exponential values has a
    variance of 1/m of its squared mean.
    """
    spectrum = np.fft.fft(hann().astype(np.float64) ** 2, MEL_FFT)
    alike = np.abs(spectrum / spectrum[0]) ** 2
    bins = np.arange(MEL_FFT // 2 + 1)
    filters = mel_filters().astype(np.float64)
    variance = ((filters @ alike[np.abs(bins[:, None] - bins)]) * filters).sum(axis=1)
    return np.asarray(filters.sum(axis=1) ** 2 / variance)


@cache
def mel_edges(bands: int = MEL_BANDS, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float64]:
    """Return where mel bands begin, peak and end, in Hz: band i is edges i to i + 2.

    Args:
        bands: How many there are, from 0 Hz to half of the sample rate.
        sample_rate: Samples a second.

    Returns:
        float64 (bands + 2,). Slaney's scale is linear below 1 kHz (200/3 Hz a mel) and logarithmic
        above (27 steps for a factor of 6.4).
    """
    linear_hz, knee_hz, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    knee_mel = knee_hz / linear_hz
    top_mel = knee_mel + np.log(sample_rate / 2 / knee_hz) / log_step
    mels = np.linspace(0, top_mel, bands + 2)
    return np.where(
        mels < knee_mel, mels * linear_hz, knee_hz * np.exp((mels - knee_mel) * log_step)
    )


@cache
def mel_filters(
    bands: int = MEL_BANDS, fft: int = MEL_FFT, sample_rate: int = SAMPLE_RATE
) -> NDArray[np.float32]:
    """Return the filter bank of ``librosa.filters.mel(sr=sample_rate, n_fft=fft, n_mels=bands)``.

    Each triangle has unit area. Ours, since importing librosa takes seconds.

    Returns:
        float32 (band, frequency bin).
    """
    edges_hz = mel_edges(bands, sample_rate)
    bins_hz = np.arange(fft // 2 + 1) * sample_rate / fft
    rising = (bins_hz - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    falling = (edges_hz[2:, None] - bins_hz) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    areas = (edges_hz[2:] - edges_hz[:-2]) / 2
    return np.asarray(triangles / areas[:, None], np.float32)
