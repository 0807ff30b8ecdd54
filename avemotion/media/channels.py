"""How the channels of a sound become one: by their levels, since the voice may be in any of them.

Levels are mean squares, full scale 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SILENCE_DB = -90.0
"""Sound whose level, in dB of full scale, is lower is silent: it is below one step of 16 bits, and
so are the dither of 16-bit files (-96 dB) and silence as AC-3 decodes it (-120 to -95 dB)."""

_FAINT_CENTRE_DB = -40.0
"""A centre that much below the loudest other channel carries no speech that anybody could hear
beside it, but leakage: dialogue is mixed within some 20 dB of what surrounds it."""

_CANCELLED_DB = -10.0
"""A mean that much below that of unrelated channels has lost what they share: two channels leave
so little only where their correlation is below -0.9."""

_CENTRE, _BASS = "FC", ("LFE", "LFE2")
_SURROUND_CHANNELS = 3  # from so many on, a front centre channel is there for the speech


def _power(decibels: float) -> float:
    return float(10 ** (decibels / 10))


def is_silent(level: float) -> bool:
    """Tell whether a level, a mean square, is too low to hold anything."""
    return level < _power(SILENCE_DB)


def level_of(samples: NDArray[np.int16]) -> float:
    """Return the level of mono samples, int16 (sample,)."""
    steps = samples.astype(np.float32)
    return float(np.einsum("t,t->", steps, steps)) / 32_768**2 / max(len(samples), 1)


@dataclass(frozen=True, slots=True)
class Mix:
    """Which channels of a sound are averaged."""

    channels: tuple[int, ...]
    """Their indices."""
    count: int
    """Number of channels of the sound."""
    note: str = ""
    """What is left out, and why; empty where it is nothing."""

    def of(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean as float32 (sample,).

        Args:
            channels: float32 (channel, sample). Broadcasts may change their number; then all of
                them are averaged.
        """
        if len(channels) != self.count or len(self.channels) == self.count > 1:
            return np.asarray(channels.mean(axis=0))
        if len(self.channels) == 1:
            return np.asarray(channels[self.channels[0]])
        return np.asarray(channels[list(self.channels)].mean(axis=0))


def usual_mix(names: Sequence[str]) -> Mix:
    """Return the mix for channels of these names (``FL``, ``FC``...) that all have sound.

    Of surround sound it is the front centre channel, which carries the speech: averaged with the
    others the voice would be lost among them.
    """
    count = len(names)
    if count >= _SURROUND_CHANNELS and _CENTRE in names:
        note = f"of {count} audio channels, the front centre one is used"
        return Mix((names.index(_CENTRE),), count, note)
    return Mix(_averaged(names), count)


def _averaged(names: Sequence[str]) -> tuple[int, ...]:
    """Return the channels that are averaged where there is no centre."""
    heard = [index for index, name in enumerate(names) if name not in (_CENTRE, *_BASS)]
    return tuple(heard or range(len(names)))


class ChannelLevels:
    """The levels of a sound's channels, and of their mean."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of the channels (``FL``, ``FC``...); empty ones where unknown."""
        self._names = names
        self._averaged = _averaged(names)
        self._samples = 0
        # Sums of squares: of each channel, and last of the mean of those that are averaged.
        self._squares = np.zeros(len(names) + 1)

    def add(self, channels: NDArray[np.float32]) -> None:
        """Add the next second, float32 (channel, sample); one with other channels is ignored."""
        if len(channels) != len(self._names):
            return
        # Not by BLAS, which would share long products among threads.
        self._squares[:-1] += np.einsum("ct,ct->c", channels, channels)
        if len(channels) > 1:
            mean = channels[list(self._averaged)].mean(axis=0)
            self._squares[-1] += np.einsum("t,t->", mean, mean)
        self._samples += channels.shape[1]

    @property
    def is_finite(self) -> bool:
        """Whether no sample is NaN, infinite, or so large that its square is."""
        return bool(np.isfinite(self._squares).all())

    def loudest(self, least_samples: int = 1) -> float:
        """Return the level of the loudest channel, spread over a time at least that long."""
        return float(self._squares[:-1].max(initial=0.0)) / max(self._samples, least_samples)

    def best_mix(self) -> Mix:
        """Return the usual mix, or another one where it would lose the sound."""
        usual, count = usual_mix(self._names), len(self._names)
        *levels, mean = (self._squares / max(self._samples, 1)).tolist()
        if count < 2 or is_silent(max(levels)):
            return Mix(usual.channels, count)
        averaged = [levels[index] for index in self._averaged]
        note = ""
        if usual.channels != self._averaged:
            centre = levels[usual.channels[0]]
            if not is_silent(centre) and centre >= max(averaged) * _power(_FAINT_CENTRE_DB):
                return usual
            note = "the mean of the others is used: the front centre one is silent"
        channels = self._averaged
        unrelated = sum(averaged) / len(averaged) ** 2
        if is_silent(mean) or mean < unrelated * _power(_CANCELLED_DB):
            channels = (levels.index(max(levels)),)
            note = f"number {channels[0] + 1}, the loudest, is used: the mean would cancel it out"
        return Mix(channels, count, note and f"of {count} audio channels, {note}")


def mix_array(channels: NDArray[np.generic], rate: int) -> tuple[NDArray[np.float32], list[str]]:
    """Mix an array to mono as the sound of a file is mixed.

    Args:
        channels: (channel, sample): int16, or floating point with full scale 1.
        rate: Sample rate in Hz.

    Returns:
        float32 (sample,), and notes on what was left out.
    """
    levels = ChannelLevels([""] * len(channels))
    for second in _seconds(channels, rate):
        levels.add(second)
    mix = levels.best_mix()
    mixed = [mix.of(second) for second in _seconds(channels, rate)]
    return np.concatenate(mixed or [np.zeros(0, np.float32)]), [mix.note] if mix.note else []


def _seconds(channels: NDArray[np.generic], rate: int) -> Iterator[NDArray[np.float32]]:
    """Yield float32 (channel, sample), a second at a time: many channels take much memory."""
    scale = np.float32(32_768 if channels.dtype == np.int16 else 1)
    for start in range(0, channels.shape[1], rate):
        yield channels[:, start : start + rate].astype(np.float32) / scale
