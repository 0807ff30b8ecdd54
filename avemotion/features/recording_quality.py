"""How a clip was recorded: level, noise, clipping, light and sharpness, each as one number.

A model knows these numbers of its training clips. A clip far from them gets a warning, with what
the model scored on clips that were corrupted so: see `avemotion.models.recording_conditions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE, Stream

FRAME_SAMPLES = SAMPLE_RATE // 50
"""Samples of the frames of 20 ms in which loudness is measured."""

SPEECH_RANGE_DB = 30.0
"""What is within this many decibels of the loudest part of a sound counts as speech."""

_FULL_SCALE = 32_768.0
_CLIPPED_AT = 0.999  # of the largest sample
_LEAST_PEAK = 100  # int16 steps


@dataclass(frozen=True, slots=True)
class Quality:
    """One number about a recording."""

    stream: Stream
    """What it is measured on: face crops, uint8 (frame, 98, 80), or waveform, int16 (sample,)."""
    measure: Callable[[NDArray[Any]], float]
    """Measures it."""
    family: str
    """The corruption that changes it: see `avemotion.features.corruptions.Condition.family`."""
    what: str
    """What a message is about: the recording, the face."""
    tolerance: float
    """How far outside of the training clips' range is still like them, in the same unit."""
    shown: str
    """How a message shows it, with one place for the number."""
    low: str | None = None
    """What a recording is whose number is lower than in training; None where that is no harm."""
    high: str | None = None
    """What one is whose number is higher."""


def speech_level_db(samples: NDArray[np.int16]) -> float:
    """Return the level of the frames within 30 dB of the loudest, in dB of full scale."""
    levels = _frame_levels_db(samples)
    speech = levels[levels >= levels.max() - SPEECH_RANGE_DB]
    return float(10 * np.log10(np.mean(10 ** (speech / 10))))


def loudness_range_db(samples: NDArray[np.int16]) -> float:
    """Return how far the 95th percentile of the frames' levels is above the 10th, in dB.

    Steady noise fills the pauses, so that a noisy recording has a small range.
    """
    low, high = np.percentile(_frame_levels_db(samples), (10, 95))
    return float(high - low)


def clipped_percent(samples: NDArray[np.int16]) -> float:
    """Return the percentage of samples at the largest value, as a limiter leaves them."""
    sizes = np.abs(samples.astype(np.int32))
    if sizes.max() < _LEAST_PEAK:  # steps of a whisper, not a limiter
        return 0.0
    return float(100 * np.mean(sizes >= _CLIPPED_AT * sizes.max()))


def brightness(faces: NDArray[np.uint8]) -> float:
    """Return the mean grey value of the face crops, 0 to 255."""
    return float(faces.mean())


def sharpness(faces: NDArray[np.uint8]) -> float:
    """Return how much of the face crops' contrast is between neighbouring pixels.

    The median over the crops of the standard deviation of the Laplacian beside that of the grey
    values: about 0.9 of sharp pictures of 48 x 48, 0.3 where they are blurred by one pixel or shown
    at half their size.
    """
    shares = []
    for face in faces:
        grey = face.astype(np.float32)
        shares.append(cv2.Laplacian(grey, cv2.CV_32F).std() / max(float(grey.std()), 1.0))
    return float(np.median(shares))


def _frame_levels_db(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the level of each whole frame in dB of full scale; silence is one int16 step."""
    whole = max(len(samples) // FRAME_SAMPLES, 1) * FRAME_SAMPLES
    frames = np.resize(samples, whole).reshape(-1, FRAME_SAMPLES).astype(np.float64)
    power = np.maximum(np.mean(np.square(frames), axis=1), 1.0)
    return np.asarray(10 * np.log10(power / _FULL_SCALE**2))


QUALITIES: dict[str, Quality] = {
    "speech_level_db": Quality(
        stream="audio",
        measure=speech_level_db,
        family="gain (dB)",
        what="recording",
        tolerance=3.0,
        shown="its speech is at {:.0f} dB of full scale",
        low="quiet",
        high="loud",
    ),
    "loudness_range_db": Quality(
        stream="audio",
        measure=loudness_range_db,
        family="white noise (dB SNR)",
        what="recording",
        tolerance=3.0,
        shown="its loud and quiet moments are {:.0f} dB apart",
        low="noisy, or without pauses",
    ),
    "clipped_percent": Quality(
        stream="audio",
        measure=clipped_percent,
        family="clipped peaks (% of samples)",
        what="recording",
        tolerance=0.3,
        shown="{:.1f} % of its samples are cut off",
        high="clipped",
    ),
    "brightness": Quality(
        stream="video",
        measure=brightness,
        family="darkening (factor)",
        what="face",
        tolerance=5.0,
        shown="its mean grey is {:.0f} of 255",
        low="darker than those of training",
    ),
    "sharpness": Quality(
        stream="video",
        measure=sharpness,
        family="blur (sigma in pixels)",
        what="face",
        tolerance=0.05,
        shown="its sharpness is {:.2f}",
        low="blurred, small or strongly compressed",
    ),
}
"""What is measured of a recording, by name."""
