"""Take the recording level out of a log-mel, so that a network does not judge by loudness."""

from __future__ import annotations

import torch
from torch import Tensor

from avemotion.features.recording_quality import SPEECH_RANGE_DB


def level_free(log_mels: Tensor, lengths: Tensor, range_db: float) -> Tensor:
    """Count decibels from `range_db` below the level of the speech; what is quieter becomes 0.

    The level is the mean power, over bands and over the columns that hold speech. A gain in front
    of the microphone changes nothing, as long as neither clipping nor the floor of the log-mel is
    reached; pauses, hum and hiss below the range are one and the same silence.

    Args:
        log_mels: float (clip, 1, band, column): decibels above the floor, 0 or more.
        lengths: int64 (clip,): columns that hold sound.
        range_db: Decibels that are kept below the level of the speech; above 0.

    Returns:
        float (clip, 1, band, column), 0 or more; zeros where there is no sound.
    """
    columns = torch.arange(log_mels.shape[-1], device=log_mels.device)
    sounding = columns < lengths[:, None]  # (clip, column)
    power = (10 ** (log_mels[:, 0] / 10)).mean(dim=1) * sounding
    loudest = power.amax(dim=1, keepdim=True)
    speech = (power >= loudest * 10 ** (-SPEECH_RANGE_DB / 10)) & sounding
    mean = (power * speech).sum(dim=1) / speech.sum(dim=1).clamp(min=1)
    level = 10 * mean.clamp(min=1e-12).log10()
    shifted = log_mels - (level - range_db)[:, None, None, None]
    return shifted.clamp(min=0) * sounding[:, None, None]
