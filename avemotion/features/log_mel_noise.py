"""Noise for sounds of which only the log-mel is at hand; needs torch."""

from __future__ import annotations

import torch
from torch import Tensor

from avemotion.features.recording_changes import NOISE_FALL_DB, NOISE_SNR_DB
from avemotion.features.spectrogram import mel_edges, mel_values


def noisy(log_mels: Tensor, lengths: Tensor) -> Tensor:
    """Add noise of random level and colour to each sound: see `with_noise`."""
    low, high = NOISE_SNR_DB
    snr_db = low + (high - low) * torch.rand(len(lengths))
    return with_noise(log_mels, lengths, snr_db, NOISE_FALL_DB * torch.rand(len(lengths)))


def with_noise(log_mels: Tensor, lengths: Tensor, snr_db: Tensor, fall_db: Tensor) -> Tensor:
    """Add noise to sounds of which only the log-mel is at hand.

    Voice and noise are independent, so on average their powers add. A band of noise is the mean of
    m exponential values (`mel_values`); its logarithm is drawn from a normal distribution with the
    same moments, `digamma(m) - ln m` and `trigamma(m)`. Not modelled: the interference of voice and
    noise, and the correlation of noise in neighbouring bands and columns.

    Args:
        log_mels: float (clip, 1, 64, 500).
        lengths: int64 (clip,): number of columns that hold sound.
        snr_db: float (clip,): mean power of the voice over that of the noise, in dB.
        fall_db: float (clip,): fall of the noise in dB a decade of frequency: 0 is white, 10 pink.

    Returns:
        float (clip, 1, 64, 500); columns without sound stay as they are.
    """
    device = log_mels.device
    edges = torch.from_numpy(mel_edges()).float().to(device)
    widths = (edges[2:] - edges[:-2]) / 2  # Hz: bands hold power densities
    colour = (edges[1:-1] / edges[1]) ** (-fall_db.to(device) / 10)[:, None]
    sounding = torch.arange(log_mels.shape[-1], device=device) < lengths[:, None]
    power = 10 ** (log_mels[:, 0] / 10)
    voice = (power * sounding[:, None]).sum(dim=-1) / lengths.clamp(min=1)[:, None]
    level = (voice * widths).sum(dim=1) / (colour * widths).sum(dim=1)
    level = level * 10 ** (-snr_db.to(device) / 10)
    values = torch.from_numpy(mel_values()).float().to(device)
    offset, spread = torch.digamma(values) - values.log(), torch.polygamma(1, values).sqrt()
    drawn = (offset[:, None] + spread[:, None] * torch.randn_like(power)).exp()
    mixed = 10 * (power + (level[:, None] * colour)[..., None] * drawn).log10()
    return torch.where(sounding[:, None, None], mixed[:, None], log_mels)
