"""What all networks share."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from avemotion.data.batch import ClipInputs
from avemotion.models.probabilities import checked


@torch.inference_mode()
def probabilities(network: nn.Module, inputs: ClipInputs) -> NDArray[np.float32]:
    """Return the softmax, float32 (clip, classes), of a network in evaluation mode.

    Raises:
        AvemotionError: The network gives none: see `checked`.
    """
    return checked(torch.softmax(network(inputs).float(), dim=1).cpu().numpy())
