"""Noise, narrow channels and microphones for sounds of which only the mel spectrogram is at hand.

All functions take spectrograms as the feature `mel` has them, float (clip, 1, 128, 130) in decibels
above the floor, and int64 (clip,), how many columns of each hold sound; they draw anew for each
clip, and return the same shape with the loudest place at `MEL_RANGE_DB` again. Columns without
sound stay empty. Needs torch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avemotion.config import SAMPLE_RATE
from avemotion.features.mel import MEL_RANGE_DB, MEL_RATE, MEL_SHAPE
from avemotion.features.random_channels import channel_power, drawn
from avemotion.features.recording_changes import (
    EQUALISER_DB,
    EQUALISER_KNOTS,
    LOWEST_NOISE_HZ,
    NOISE_FALL_DB,
    NOISE_SNR_DB,
)
from avemotion.features.spectrogram import mel_edges


def noisy(mels: Tensor, lengths: Tensor) -> Tensor:
    """Add noise, white to pink; the powers of voice and noise add.

    A band of the noise is drawn as the mean of few independent values, of which the lowest bands
    have some 2 in a column: a gamma distribution. Not modelled: the interference of voice and
    noise, and the correlation of noise in neighbouring bands and columns.
    """
    snr_db = drawn(*NOISE_SNR_DB, mels)
    hertz, heard = _band_hertz(mels), _heard_bands(mels)
    fall_db = drawn(0.0, NOISE_FALL_DB, mels)
    colour = (hertz.clamp(min=LOWEST_NOISE_HZ) / LOWEST_NOISE_HZ) ** (-fall_db / 10)[:, None]
    colour = colour * heard  # Slaney's bands hold power densities: white noise is level
    sounding = _sounding(lengths, mels)
    power = 10 ** (mels[:, 0] / 10) * sounding[:, None]
    widths = _band_widths(mels)
    voice = (power.sum(dim=-1) / lengths.clamp(min=1)[:, None] * widths).sum(dim=1)
    level = voice / (colour * widths).sum(dim=1) * 10 ** (-snr_db / 10)
    values = _independent_values(mels)[:, None].expand_as(power)
    bands = torch.distributions.Gamma(values, values).sample()
    return _levelled(power + (level[:, None] * colour)[..., None] * bands, sounding)


def through_channel(mels: Tensor, lengths: Tensor) -> Tensor:
    """Send sounds through a channel of random band width, as telephones and codecs have."""
    power = channel_power(_band_hertz(mels).clamp(min=1.0), mels)
    return _with_response(mels, lengths, 10 * power.log10())


def equalised(mels: Tensor, lengths: Tensor) -> Tensor:
    """Let another microphone colour sounds: a smooth response, drawn from a normal distribution."""
    knots = EQUALISER_DB * torch.randn(len(mels), 1, EQUALISER_KNOTS, device=mels.device)
    response = functional.interpolate(knots, MEL_SHAPE[0], mode="linear", align_corners=True)
    return _with_response(mels, lengths, response[:, 0])


def _with_response(mels: Tensor, lengths: Tensor, decibels: Tensor) -> Tensor:
    """Apply the response of a channel, float (clip, band) in decibels."""
    sounding = _sounding(lengths, mels)
    power = 10 ** ((mels[:, 0] + decibels[..., None]) / 10)
    # What is on the floor is at most so loud: it stays there, whatever is amplified.
    return _levelled(torch.where(mels[:, 0] > 0, power, 0.0), sounding)


def _levelled(power: Tensor, sounding: Tensor) -> Tensor:
    """Return decibels above the floor, the loudest place at the top; float (clip, 1, 128, 130)."""
    power = power * sounding[:, None]
    loudest = power.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)
    decibels = 10 * (power / loudest).clamp(min=1e-12).log10() + MEL_RANGE_DB
    return decibels.clamp(min=0)[:, None] * sounding[:, None, None]


def _sounding(lengths: Tensor, mels: Tensor) -> Tensor:
    return torch.arange(mels.shape[-1], device=mels.device) < lengths[:, None]


def _band_hertz(mels: Tensor) -> Tensor:
    """Return where each band peaks, (128,)."""
    return torch.from_numpy(mel_edges(MEL_SHAPE[0], MEL_RATE)[1:-1]).float().to(mels.device)


def _band_widths(mels: Tensor) -> Tensor:
    edges = torch.from_numpy(mel_edges(MEL_SHAPE[0], MEL_RATE)).float().to(mels.device)
    return (edges[2:] - edges[:-2]) / 2


def _heard_bands(mels: Tensor) -> Tensor:
    """Return which bands sounds of 16 kHz have, float (128,)."""
    return (_band_hertz(mels) < SAMPLE_RATE / 2).float()


def _independent_values(mels: Tensor) -> Tensor:
    """Return how many independent values a band of noise is the mean of, float (128,).

    A window of 2,048 samples at 22,050 Hz resolves 16 Hz (Hann's equivalent noise bandwidth); a
    triangle averages as much as a rectangle of 1.5 times the width at half its height.
    """
    return (1.5 * _band_widths(mels) / 16.2).clamp(min=1.0)
