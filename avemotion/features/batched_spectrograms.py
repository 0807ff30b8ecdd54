"""The spectrograms of a whole batch of waveforms at once, in torch: training hears each clip anew.

They agree with the functions of one clip in `avemotion.features.spectrogram`, which the store and
classification use.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from avemotion.features.spectrogram import (
    HOP,
    MEL_FFT,
    MEL_FLOOR_DB,
    MEL_FRAMES,
    MEL_WINDOW,
    POWER_SHAPE,
    POWER_STEP,
    POWER_WINDOW,
    hann,
    mel_filters,
    power_window,
)

_FULL_SCALE = 32_768.0


def log_mels(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Compute log-mel spectrograms; see `avemotion.features.spectrogram.log_mel`.

    Args:
        waveforms: float (clip, sample) in int16 steps; zeros after the sound of a clip.
        lengths: int64 (clip,): samples of each clip.

    Returns:
        float32 (clip, 64, 500).
    """
    limit = MEL_FRAMES * HOP
    waveforms, lengths = middle(waveforms.float(), lengths, limit)
    columns = lengths // HOP
    margin = (MEL_WINDOW - HOP) // 2
    # After the last sample come zeros, as much as the last window needs.
    missing = MEL_FRAMES * HOP - waveforms.shape[1]
    padded = functional.pad(waveforms / _FULL_SCALE, (margin, max(0, missing) + margin))
    count = int(columns.max()) if len(columns) else 0
    windows = padded.unfold(1, MEL_WINDOW, HOP)[:, :count]
    spectrum = torch.fft.rfft(windows * _hann(str(waveforms.device)), MEL_FFT)
    power = spectrum.real.square() + spectrum.imag.square()
    mel = power @ _filters(str(waveforms.device)).T
    decibels = (10 * mel.clamp(min=1e-12).log10() + MEL_FLOOR_DB).clamp(min=0)
    sounding = torch.arange(count, device=decibels.device) < columns[:, None]
    images = (decibels * sounding[..., None]).transpose(1, 2)
    return functional.pad(images, (0, MEL_FRAMES - count))


def middle(waveforms: Tensor, lengths: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Keep the middle `limit` samples of longer sounds.

    Args:
        waveforms: (clip, sample); zeros after the sound of a clip.
        lengths: int64 (clip,): samples of each clip.
        limit: Samples that are kept at most.

    Returns:
        Waveforms and lengths.
    """
    if waveforms.shape[1] <= limit:
        return waveforms, lengths
    starts = (lengths - limit).clamp(min=0) // 2
    picked = starts[:, None] + torch.arange(limit, device=waveforms.device)
    return waveforms.gather(1, picked), lengths.clamp(max=limit)


def power_spectrograms(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Compute the thesis' spectrograms; see `avemotion.features.spectrogram.power_spectrogram`.

    Args:
        waveforms: float (clip, sample) in int16 steps.
        lengths: int64 (clip,): samples of each clip, at least 256, or 0 for a clip without sound.

    Returns:
        float32 (clip, 128, 128); zeros where there is no sound.
    """
    images = waveforms.new_zeros((len(waveforms), *POWER_SHAPE), dtype=torch.float32)
    window = _tukey(str(waveforms.device))
    for image, waveform, length in zip(images, waveforms.float(), lengths.tolist(), strict=True):
        if not length:
            continue
        segments = waveform[:length].unfold(0, POWER_WINDOW, POWER_STEP)
        spectrum = torch.fft.rfft((segments - segments.mean(dim=1, keepdim=True)) * window)
        power = spectrum.real.square() + spectrum.imag.square()
        power[:, 1:-1] *= 2  # one-sided
        picture = power.T.flip(0)
        scaled = (picture / picture.max())[None, None]
        image.copy_(functional.interpolate(scaled, POWER_SHAPE, mode="bicubic")[0, 0])
    return images


@cache
def _hann(device: str) -> Tensor:
    return torch.from_numpy(hann()).to(device)


@cache
def _filters(device: str) -> Tensor:
    return torch.from_numpy(mel_filters()).to(device)


@cache
def _tukey(device: str) -> Tensor:
    return torch.from_numpy(power_window()).float().to(device)
