"""Change the waveforms of a training batch, so that a network hears each clip anew in each step.

In the order of a recording: a room, noise in it, the microphone, a narrow channel, and the noise of
the recorder.
All functions work on whole batches on the device that holds them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avemotion.config import SAMPLE_RATE, TrainingSettings
from avemotion.features.random_channels import channel_power, drawn
from avemotion.features.recording_changes import (
    EQUALISER_DB,
    EQUALISER_KNOTS,
    LOWEST_NOISE_HZ,
    NOISE_FALL_DB,
    NOISE_SNR_DB,
    REVERBERATION_SECONDS,
)

BABBLE_SHARE = 0.5
"""Share of the noise that is babble: other clips of the batch, speaking at once."""
BABBLE_VOICES = 4
"""Clips that speak at once."""
DIRECT_DB = (-3.0, 12.0)
"""Direct sound over reverberation in dB: from across the room to close to the microphone."""

_BLOCK = 4096  # transforms of an odd length take many times as long


def augment_waveforms(waveforms: Tensor, lengths: Tensor, settings: TrainingSettings) -> Tensor:
    """Return the waveforms as another recording would have them.

    Args:
        waveforms: int16 or float (clip, sample) in int16 steps; zeros after the sound of a clip.
        lengths: int64 (clip,): samples of each clip; 0 without sound.
        settings: Chances of each, and the range of the gain.

    Returns:
        float32 (clip, sample) in int16 steps, neither rounded nor limited; zeros after the sound.
    """
    s, sound = settings, waveforms.float()
    sounding = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
    for chance, change in (
        (s.sound_room, reverberate),
        (s.sound_noise, add_noise),
        (s.sound_equaliser, equalise),
        (s.sound_channel, limit_band),
    ):
        chosen = (torch.rand(len(sound)) < chance).to(sound.device) & (lengths > 0)
        which = chosen.nonzero()[:, 0]
        if len(which):
            changed = change(sound, lengths, which) * sounding[which]
            sound = sound.index_copy(0, which, changed)
    if s.sound_gain_db:
        gain_db = s.sound_gain_db * (2 * torch.rand(len(sound)) - 1)
        sound = sound * (10 ** (gain_db / 20)).to(sound.device)[:, None]
    # The recorder's noise, N(0, 1) int16 steps: drawn anew at each reading (thesis, annex 2).
    return (sound + torch.randn_like(sound)) * sounding


def add_noise(sound: Tensor, lengths: Tensor, which: Tensor) -> Tensor:
    """Add noise, white to pink or babble, to some clips; they keep their own level.

    Args:
        sound: float (clip, sample): all clips, of which the babble is made.
        lengths: int64 (clip,): samples of each.
        which: int64 (chosen,): indices of those that get noise.

    Returns:
        float (chosen, sample).
    """
    samples, size = sound.shape[1], _transform_size(sound.shape[1])
    fall_db = drawn(0.0, NOISE_FALL_DB, which)
    frequencies = _frequencies(size, sound).clamp(min=LOWEST_NOISE_HZ) / LOWEST_NOISE_HZ
    colour = frequencies ** (-fall_db / 20)[:, None]
    white = torch.randn(len(which), size, device=sound.device)
    noise = torch.fft.irfft(torch.fft.rfft(white) * colour, size)[:, :samples]
    voices = (torch.rand(len(which)) < BABBLE_SHARE).to(sound.device) & (len(sound) > 1)
    noise = torch.where(voices[:, None], _babble(sound, lengths, which), noise)
    sounding = torch.arange(samples, device=sound.device) < lengths[which, None]
    power = _mean_square(sound[which], lengths[which])
    level = power / _mean_square(noise * sounding, lengths[which]).clamp(min=1e-9)
    level = level * 10 ** (-drawn(*NOISE_SNR_DB, which) / 10)
    return sound[which] + level.sqrt()[:, None] * noise


def _babble(sound: Tensor, lengths: Tensor, which: Tensor) -> Tensor:
    """Let other clips of the batch speak at once, each repeated and at the same power."""
    samples = torch.arange(sound.shape[1], device=sound.device)
    total = torch.zeros(len(which), sound.shape[1], device=sound.device)
    for _ in range(min(BABBLE_VOICES, len(sound) - 1)):
        other = torch.randint(1, len(sound), (len(which),)).to(sound.device)
        other = (which + other) % len(sound)
        long = lengths[other].clamp(min=1)
        start = (torch.rand(len(which)).to(sound.device) * long).long()
        voice = sound[other].gather(1, (start[:, None] + samples) % long[:, None])
        total += voice / voice.square().mean(dim=1, keepdim=True).clamp(min=1.0).sqrt()
    return total


def reverberate(sound: Tensor, lengths: Tensor, which: Tensor) -> Tensor:
    """Let some clips sound in a room: direct sound and noise that decays exponentially.

    Args:
        sound: float (clip, sample).
        lengths: int64 (clip,): samples of each.
        which: int64 (chosen,): indices of the clips.

    Returns:
        float (chosen, sample), each at its own level.
    """
    seconds = drawn(*REVERBERATION_SECONDS, which)
    tail = torch.arange(int(REVERBERATION_SECONDS[1] * SAMPLE_RATE), device=sound.device)
    decay = torch.exp(-math.log(1000) * tail / SAMPLE_RATE / seconds[:, None])
    response = decay * torch.randn(len(which), len(tail), device=sound.device)
    direct = 10 ** (drawn(*DIRECT_DB, which) / 10)
    response = response / response.square().sum(dim=1, keepdim=True).sqrt()
    response[:, 0] += direct.sqrt()
    size = _transform_size(sound.shape[1] + len(tail))
    spectrum = torch.fft.rfft(sound[which], size) * torch.fft.rfft(response, size)
    found: Tensor = torch.fft.irfft(spectrum, size)[:, : sound.shape[1]]
    return _at_level_of(sound[which], found, lengths[which])


def equalise(sound: Tensor, lengths: Tensor, which: Tensor) -> Tensor:
    """Let another microphone colour some clips: a smooth response, drawn from a normal law.

    Arguments and result are those of `reverberate`.
    """
    size = _transform_size(sound.shape[1])
    knots = EQUALISER_DB * torch.randn(len(which), EQUALISER_KNOTS, device=sound.device)
    mel = 2595 * torch.log10(1 + _frequencies(size, sound) / 700)
    place = mel / mel[-1] * (EQUALISER_KNOTS - 1)
    left = place.long().clamp(max=EQUALISER_KNOTS - 2)
    decibels = torch.lerp(knots[:, left], knots[:, left + 1], place - left)
    spectrum = torch.fft.rfft(sound[which], size) * 10 ** (decibels / 20)
    found: Tensor = torch.fft.irfft(spectrum, size)[:, : sound.shape[1]]
    return _at_level_of(sound[which], found, lengths[which])


def limit_band(sound: Tensor, lengths: Tensor, which: Tensor) -> Tensor:
    """Send some clips through a channel of random band width, as telephones and codecs have.

    Arguments and result are those of `reverberate`; the level falls with what is cut off.
    """
    size = _transform_size(sound.shape[1])
    response = channel_power(_frequencies(size, sound).clamp(min=1.0), which).sqrt()
    found: Tensor = torch.fft.irfft(torch.fft.rfft(sound[which], size) * response, size)
    return found[:, : sound.shape[1]]


def _transform_size(samples: int) -> int:
    """Return a length, at least that of the sounds, of which the Fourier transform is fast."""
    return -(-samples // _BLOCK) * _BLOCK


def _frequencies(samples: int, sound: Tensor) -> Tensor:
    """Return the frequencies of the bins of a real Fourier transform in Hz."""
    frequencies: Tensor = torch.fft.rfftfreq(samples, 1 / SAMPLE_RATE, device=sound.device)
    return frequencies


def _mean_square(sound: Tensor, lengths: Tensor) -> Tensor:
    """Return the power of each clip over its own samples, (clip,)."""
    return sound.square().sum(dim=1) / lengths.clamp(min=1)


def _at_level_of(sound: Tensor, changed: Tensor, lengths: Tensor) -> Tensor:
    sounding = torch.arange(sound.shape[1], device=sound.device) < lengths[:, None]
    gain = _mean_square(sound, lengths) / _mean_square(changed * sounding, lengths).clamp(min=1e-9)
    return changed * gain.sqrt()[:, None]
