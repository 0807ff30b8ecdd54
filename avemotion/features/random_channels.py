"""What random changes of waveforms and of mel spectrograms share; needs torch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avemotion.features.recording_changes import EDGE_ORDER, HIGH_EDGE_HZ, LOW_EDGE_HZ


def drawn(low: float, high: float, clips: Tensor) -> Tensor:
    """Draw float (clip,) evenly between two ends, on the device of the clips."""
    return (low + (high - low) * torch.rand(len(clips))).to(clips.device)


def channel_power(hertz: Tensor, clips: Tensor) -> Tensor:
    """Draw a channel of random band width for each clip, as telephones and codecs have.

    Args:
        hertz: float (frequency,), above 0.
        clips: Tells their number and device.

    Returns:
        float (clip, frequency): the share of the power that comes through.
    """
    low, high = (
        torch.exp(drawn(math.log(ends[0]), math.log(ends[1]), clips))[:, None]
        for ends in (LOW_EDGE_HZ, HIGH_EDGE_HZ)
    )
    below = (low / hertz) ** (2 * EDGE_ORDER)
    above = (hertz / high) ** (2 * EDGE_ORDER)
    return ((1 + below) * (1 + above)).reciprocal()
