"""What a face or a voice looks like as a whole, as a few numbers: is it like those of training?

A signature leaves out what recordings differ in anyway, brightness and contrast, or the level. Too
coarse to tell emotions, it tells a face from a cat and speech from music.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import Stream
from avemotion.features.recording_quality import SPEECH_RANGE_DB
from avemotion.features.spectrogram import log_mel

THUMBNAIL = 12
"""Rows and columns of the small picture that stands for a face."""
BANDS = 16
"""Bands of the voice's spectrum, up to 8 kHz."""
HEARD_BANDS = 13
"""Those that count: above some 4.4 kHz old codecs leave little or nothing."""


def face_signature(faces: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the middle face crop as a small picture, at one brightness and contrast.

    Args:
        faces: uint8 (frame, row, column).

    Returns:
        float64 (144,).
    """
    size = (THUMBNAIL, THUMBNAIL)
    small = cv2.resize(faces[len(faces) // 2], size, interpolation=cv2.INTER_AREA)
    grey = np.asarray(small, np.float64).ravel()
    return np.asarray((grey - grey.mean()) / (grey.std() + 1))


def voice_signature(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return spectrum, spread and pace of the loud parts of a sound, in decibels.

    Args:
        samples: int16 (sample,), 16 kHz.

    Returns:
        float64 (40,): for each of 13 bands its level beside the others, its standard deviation
        over time and its mean change from one column to the next, in dB; last how much of the
        time is loud, in tenths.
    """
    found, columns = log_mel(samples.astype(np.float64))
    bands = found[:, :columns].astype(np.float64).reshape(BANDS, -1, columns).mean(axis=1)
    bands = bands[:HEARD_BANDS]
    loudest = bands.max(axis=0)
    loud = loudest >= loudest.max() - SPEECH_RANGE_DB
    heard = bands[:, loud]
    level = heard.mean(axis=1)
    steps = np.abs(np.diff(heard, axis=1)).sum(axis=1) / max(1, heard.shape[1] - 1)
    return np.concatenate(
        [level - level.mean(), heard.std(axis=1), steps, [10 * float(loud.mean())]]
    )


SIGNATURES: dict[Stream, Callable[[NDArray[Any]], NDArray[np.float64]]] = {
    "video": face_signature,
    "audio": voice_signature,
}
"""What a stream is -> its signature."""
