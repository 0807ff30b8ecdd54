"""What can go wrong with a clip's face or voice: pure functions, and the table of conditions.

Each disturbance works on features as the store holds them, the 20 sampled face crops and the
noise-free waveform, so that trained networks can be tested on it without the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
import scipy.signal
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE, Modality

BABBLE_VOICES = 4
"""Clips that speak at once in the babble."""
TELEPHONE_RATE = 8_000
"""Sample rate of a telephone line in Hz."""
TELEPHONE_BAND = (300.0, 3_400.0)
"""What a telephone line lets through, in Hz; the ends are 3 dB down."""
EYE_ROWS = (18, 46)
"""Rows of the crop that hold brows and eyes, half-open; fixed, since crops are aligned."""
MOUTH_ROWS = (58, 86)
"""Rows of the crop that hold the mouth, half-open; as many as those of the eyes."""

_GREY = 127  # what the network reads as 0
_TELEPHONE_ORDER = 8  # of each edge: 100 Hz is 78 dB down
_INT16 = np.iinfo(np.int16)


def add_at_snr(
    samples: NDArray[np.int16], noise: NDArray[np.float64], snr_db: float
) -> NDArray[np.int16]:
    """Add noise, scaled so that the clip is `snr_db` above it; the clip itself keeps its level.

    The ratio is that of the mean squares over the whole clip, pauses included:
    ``10 log10(mean(samples^2) / mean(noise^2))``. The sum is rounded and limited to int16, as a
    recorder does.

    Args:
        samples: int16 (sample,). A silent clip stays as it is: no noise has that ratio to it.
        noise: float64 (sample,), of any level.
        snr_db: Signal-to-noise ratio in dB.

    Returns:
        int16 (sample,).
    """
    signal_power = np.mean(np.square(samples, dtype=np.float64))
    noise_power = np.mean(np.square(noise))
    if not signal_power or not noise_power:
        return samples
    gain = np.sqrt(signal_power / noise_power / 10 ** (snr_db / 10))
    return _as_int16(samples + gain * noise)


def babble(voices: Sequence[NDArray[np.int16]], length: int) -> NDArray[np.float64]:
    """Let several people speak at once, each with the same power.

    Args:
        voices: int16 (sample,) each; shorter ones are repeated, longer ones cut.
        length: Samples to make.

    Returns:
        float64 (length,).
    """
    total = np.zeros(length)
    for voice in voices:
        fitted = np.resize(voice, length).astype(np.float64)
        total += fitted / (np.sqrt(np.mean(np.square(fitted))) or 1.0)
    return total


def telephone(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Send a voice over a telephone line: 8 kHz, 300 to 3400 Hz.

    Args:
        samples: int16 (sample,), 16 kHz.

    Returns:
        int16 (sample,), 16 kHz.
    """
    factor = SAMPLE_RATE // TELEPHONE_RATE
    narrow = scipy.signal.resample_poly(samples.astype(np.float64), 1, factor)
    heard = scipy.signal.sosfilt(_telephone_filter(), narrow)
    return _as_int16(scipy.signal.resample_poly(heard, factor, 1)[: len(samples)])


@cache
def _telephone_filter() -> NDArray[np.float64]:
    return scipy.signal.butter(
        _TELEPHONE_ORDER, TELEPHONE_BAND, "bandpass", fs=TELEPHONE_RATE, output="sos"
    )


def _as_int16(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.clip(np.rint(samples), _INT16.min, _INT16.max).astype(np.int16)


def drop_frames(
    faces: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Lose some of the sampled frames; each shows the last one that arrived, as in a player.

    Args:
        faces: uint8 (frame, 98, 80); the first frame always arrives.
        share: Of the frames, how many are lost, 0 to 1. From the same `rng` a larger share loses
            the same frames and further ones.
        rng: Chooses them.

    Returns:
        uint8 (frame, 98, 80).
    """
    shown = np.arange(len(faces))
    shown[rng.permutation(shown[1:])[: round(share * len(faces))]] = 0
    return faces[np.maximum.accumulate(shown)]


def blur(faces: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """Blur each face by a Gaussian, as a lens out of focus does.

    Args:
        faces: uint8 (frame, 98, 80).
        sigma: Standard deviation in pixels of the crop.

    Returns:
        uint8 (frame, 98, 80); past the border the last pixels repeat.
    """
    channels = np.ascontiguousarray(np.moveaxis(faces, 0, -1))  # all frames at once: 5 times faster
    blurred = cv2.GaussianBlur(channels, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.moveaxis(np.asarray(blurred, np.uint8).reshape(channels.shape), -1, 0)


def darken(faces: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Multiply the grey values, uint8 (frame, 98, 80), by a factor from 0 to 1."""
    darkened = np.rint(np.arange(256) * factor).astype(np.uint8)
    return np.asarray(darkened[faces])


def cover(faces: NDArray[np.uint8], rows: tuple[int, int]) -> NDArray[np.uint8]:
    """Lay a grey block over rows (half-open) of the faces, uint8 (frame, 98, 80), edge to edge."""
    covered = faces.copy()
    covered[:, slice(*rows)] = _GREY
    return covered


Voices = Callable[[np.random.Generator], list[NDArray[np.int16]]]
"""Draws the waveforms of some clips of other actors than the clip's own."""

Spoil = Callable[[NDArray[Any], np.random.Generator, Voices], NDArray[Any]]
"""Spoils a clip's faces, uint8 (20, 98, 80), or its waveform, int16 (sample,)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One way of spoiling a clip, at one strength."""

    name: str
    """Unique: ``white noise 20 dB``."""
    family: str
    """What it shares with the same disturbance at other strengths, with the level's unit."""
    level: float | None
    """Its strength; None where there is only one."""
    modality: Literal["video", "audio"]
    """What is spoiled: the face or the voice."""
    corrupt: Spoil | None
    """How; None where nothing is left of that modality."""

    def applies_to(self, modality: Modality) -> bool:
        """Tell whether a network reads what is spoiled, and has something left to answer from."""
        return modality == "av" or (modality == self.modality and self.corrupt is not None)


def conditions_for(modality: Modality) -> list[Condition]:
    """Return the conditions that a network of some modality is tested on.

    >>> [c.name for c in conditions_for("audio")][-2:]
    ['babble 0 dB', 'telephone band']
    """
    return [condition for condition in CONDITIONS.values() if condition.applies_to(modality)]


def _white_noise(level: float) -> Spoil:
    return lambda samples, rng, _: add_at_snr(samples, rng.standard_normal(len(samples)), level)


def _babble(level: float) -> Spoil:
    return lambda samples, rng, voices: add_at_snr(
        samples, babble(voices(rng), len(samples)), level
    )


def _drop_frames(level: float) -> Spoil:
    return lambda faces, rng, _: drop_frames(faces, level / 100, rng)


def _blur(level: float) -> Spoil:
    return lambda faces, *_: blur(faces, level)


def _darken(level: float) -> Spoil:
    return lambda faces, *_: darken(faces, level)


def _cover(rows: tuple[int, int]) -> Spoil:
    return lambda faces, *_: cover(faces, rows)


def _series(
    name: str,
    family: str,
    modality: Literal["video", "audio"],
    make: Callable[[float], Spoil],
    *levels: float,
) -> list[Condition]:
    """Return a disturbance at several strengths, from mild to harsh."""
    return [Condition(name.format(x), family, float(x), modality, make(x)) for x in levels]


CONDITIONS: dict[str, Condition] = {
    condition.name: condition
    for condition in [
        *_series("white noise {:g} dB", "white noise (dB SNR)", "audio", _white_noise, 20, 10, 0),
        *_series("babble {:g} dB", "babble (dB SNR)", "audio", _babble, 20, 10, 0),
        Condition("telephone band", "telephone", None, "audio", lambda x, *_: telephone(x)),
        *_series("{:g} % of frames lost", "frames lost (%)", "video", _drop_frames, 25, 50),
        *_series("blur of {:g} px", "blur (sigma in pixels)", "video", _blur, 1, 2, 4),
        *_series("darkened to {:g}", "darkening (factor)", "video", _darken, 0.5, 0.25),
        Condition("eyes covered", "face covered", None, "video", _cover(EYE_ROWS)),
        Condition("mouth covered", "face covered", None, "video", _cover(MOUTH_ROWS)),
        Condition("audio missing", "modality missing", None, "audio", None),
        Condition("video missing", "modality missing", None, "video", None),
    ]
}
"""Conditions by name; the levels are those that networks are commonly tested at."""
