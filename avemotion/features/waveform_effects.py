"""What a waveform may go through before a network hears it: noise, other voices, a telephone line.

Pure functions on int16 samples at 16 kHz, for training and evaluation alike.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.media.audio import to_int16

TELEPHONE_RATE = 8_000
"""Sample rate of a telephone line in Hz."""
TELEPHONE_BAND = (300.0, 3_400.0)
"""What a telephone line lets through, in Hz; the ends are 3 dB down."""
VOCODER_WINDOW = 1024
"""Samples of the phase vocoder's window: 64 ms. librosa's default of 2048 is made for music."""

_TELEPHONE_ORDER = 8  # of each edge: 100 Hz is 78 dB down
_FULL_SCALE = 32_768


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
    return to_int16((samples + gain * noise) / _FULL_SCALE)


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
    import scipy.signal

    factor = SAMPLE_RATE // TELEPHONE_RATE
    narrow = scipy.signal.resample_poly(samples.astype(np.float64), 1, factor)
    filtered = scipy.signal.sosfilt(_telephone_filter(), narrow)
    widened = scipy.signal.resample_poly(filtered, factor, 1)[: len(samples)]
    return to_int16(widened / _FULL_SCALE)


def room(
    samples: NDArray[np.int16], seconds: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Let a voice sound in a room, at its own level.

    The impulse response is synthetic: the direct sound, and as much power again in noise that
    decays exponentially (Moorer 1979).

    Args:
        samples: int16 (sample,), 16 kHz.
        seconds: Time in which the room's sound falls by 60 dB.
        rng: Draws the response.

    Returns:
        float64 (sample,), in int16 steps; what sounds after the last sample is cut off.
    """
    import scipy.signal

    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    response /= np.sqrt(np.sum(response**2))
    response[0] += 1.0
    changed = scipy.signal.fftconvolve(samples.astype(np.float64), response)[: len(samples)]
    power = np.mean(changed**2)
    return changed * (
        np.sqrt(np.mean(np.square(samples, dtype=np.float64)) / power) if power else 1
    )


def amplify(samples: NDArray[np.int16], gain_db: float) -> NDArray[np.float64]:
    """Raise or lower the level by decibels; nothing is rounded or limited."""
    return samples * np.float64(10 ** (gain_db / 20))


def clip_peaks(samples: NDArray[np.int16], share: float) -> NDArray[np.int16]:
    """Cut the peaks off, as an overdriven microphone does.

    Args:
        samples: int16 (sample,).
        share: Share of the samples that are not zero that are cut to the limit, 0 to 1.
    """
    levels = np.abs(samples[samples != 0].astype(np.int32))  # a muted stretch has no peaks
    if not len(levels):
        return samples
    limit = np.quantile(levels, 1 - share)
    return np.clip(samples, -limit, limit).astype(np.int16)


def mp3(samples: NDArray[np.int16], bits_a_second: int) -> NDArray[np.int16]:
    """Encode a voice as MP3 and decode it again, in step with the original.

    Args:
        samples: int16 (sample,), 16 kHz.
        bits_a_second: Bit rate.

    Returns:
        int16 (sample,), as long as `samples`.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, bit_rate=bits_a_second)
        stream.codec_context.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16p", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    with av.open(file, "r") as container:  # its header says how many samples the encoder put before
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    decoded = to_int16(np.concatenate(frames).astype(np.float64))[: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded)))


@cache
def _telephone_filter() -> NDArray[np.float64]:
    import scipy.signal

    return scipy.signal.butter(
        _TELEPHONE_ORDER, TELEPHONE_BAND, "bandpass", fs=TELEPHONE_RATE, output="sos"
    )


def shift_pitch(samples: NDArray[np.int16], semitones: float) -> NDArray[np.int16]:
    """Speak higher or lower, as fast as before: all frequencies times ``2 ** (semitones / 12)``.

    A phase vocoder stretches the sound, which is then resampled to its old length; formants move
    with the pitch.

    Args:
        samples: int16 (sample,), 16 kHz.
        semitones: Above 0 for a higher voice.

    Returns:
        int16 (sample,), as long as `samples`.
    """
    from librosa.effects import pitch_shift  # takes seconds, most of them to compile

    return to_int16(
        pitch_shift(_full_scale(samples), sr=SAMPLE_RATE, n_steps=semitones, n_fft=VOCODER_WINDOW)
    )


def change_tempo(samples: NDArray[np.int16], factor: float) -> NDArray[np.int16]:
    """Speak faster or slower at the same pitch, by a phase vocoder.

    Args:
        samples: int16 (sample,), 16 kHz.
        factor: Above 1 for a faster voice.

    Returns:
        int16 (round(sample / factor),).
    """
    from librosa.effects import time_stretch

    return to_int16(time_stretch(_full_scale(samples), rate=factor, n_fft=VOCODER_WINDOW))


def _full_scale(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return samples from -1 to 1, as librosa reads them."""
    return np.asarray(samples / np.float32(_FULL_SCALE), np.float32)
