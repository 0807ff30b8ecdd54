"""What every runtime takes and returns: numpy arrays in, probabilities out."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avemotion.data.batch import Arrays
from avemotion.models.metadata import CheckpointMetadata

RuntimeName = Literal["auto", "torch", "onnx"]
"""What runs the network; ``auto`` follows from the suffix of the model's file."""


class Runtime(Protocol):
    """A loaded model; several threads may use it at once."""

    @property
    def metadata(self) -> CheckpointMetadata:
        """Metadata stored with the model."""

    def probabilities(self, clips: Arrays) -> NDArray[np.float32]:
        """Return the probabilities of each clip, float32 (clip, output), at its temperature.

        Args:
            clips: The features that the model reads; others are ignored.

        Raises:
            AvemotionError: The model gives none: see `avemotion.data.task.Task.checked`.
        """
