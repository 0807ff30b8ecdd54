"""What all networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avemotion.data.batch import ClipInputs


@torch.inference_mode()
def probabilities(network: nn.Module, inputs: ClipInputs) -> Tensor:
    """Return the softmax, float32 (clip, classes), of a network in evaluation mode."""
    return torch.softmax(network(inputs).float(), dim=1)
