"""A voice as another recording would have it: what the views of a voice's embedding are made of."""

from __future__ import annotations

import math

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.features.recording_changes import (
    EDGE_ORDER,
    HIGH_EDGE_HZ,
    LOW_EDGE_HZ,
    LOWEST_NOISE_HZ,
    NOISE_FALL_DB,
    NOISE_SNR_DB,
    REVERBERATION_SECONDS,
)
from avemotion.features.waveform_effects import add_at_snr, room
from avemotion.media.audio import to_int16

ROOM_CHANCE, NOISE_CHANCE, CHANNEL_CHANCE = 0.25, 0.5, 0.5
"""Chances of a room, of noise in it, and of a narrow channel: those of training by default."""

_FULL_SCALE = 32_768


def other_recording(samples: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """Change a voice in one to three ways: a room, noise in it, a narrow channel.

    Args:
        samples: int16 (sample,), 16 kHz, not silent.
        rng: Draws the changes.

    Returns:
        int16 (sample,), 16 kHz.
    """
    chances = (ROOM_CHANCE, NOISE_CHANCE, CHANNEL_CHANCE)
    drawn = rng.random(3) < chances
    while not drawn.any():  # an unchanged voice is view 0
        drawn = rng.random(3) < chances
    if drawn[0]:
        changed = room(samples, rng.uniform(*REVERBERATION_SECONDS), rng)
        samples = to_int16(changed / _FULL_SCALE)
    if drawn[1]:
        samples = add_at_snr(samples, _noise(len(samples), rng), rng.uniform(*NOISE_SNR_DB))
    if drawn[2]:
        samples = _through_channel(samples, rng)
    return samples


def _noise(length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    size = int(2 ** math.ceil(math.log2(max(length, 2))))
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    decades = np.log10(np.maximum(frequencies, LOWEST_NOISE_HZ) / LOWEST_NOISE_HZ)
    colour = 10 ** (-rng.uniform(0, NOISE_FALL_DB) * decades / 20)
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * colour, size)[:length]


def _through_channel(samples: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    edges = [math.exp(rng.uniform(*np.log(ends))) for ends in (LOW_EDGE_HZ, HIGH_EDGE_HZ)]
    band = scipy.signal.butter(EDGE_ORDER, edges, "bandpass", fs=SAMPLE_RATE, output="sos")
    return to_int16(scipy.signal.sosfilt(band, samples.astype(np.float64)) / _FULL_SCALE)
