"""Answers from a checkpoint, computed by torch on the CPU or a GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avemotion.errors import UsageError
from avemotion.models.ar5 import AR5, ClipInputs, normalise_faces, probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.facts import CheckpointFacts
from avemotion.runtimes.interface import ClipArrays


class TorchRuntime:
    """A network in evaluation mode."""

    def __init__(self, network: AR5, facts: CheckpointFacts, device: str = "auto") -> None:
        """Put a network on a device.

        Args:
            network: In evaluation mode.
            facts: What its checkpoint says.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``...

        Raises:
            UsageError: There is no such device.
        """
        self.facts = facts
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._device = torch.device(device)
            self._network = network.to(self._device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"--device {device} cannot be used: {reason}") from error

    def probabilities(self, clips: ClipArrays) -> NDArray[np.float32]:
        """Return the probability of each emotion, float32 (clip, emotion)."""
        faces, *others = (
            torch.from_numpy(part).to(self._device)
            for part in (
                clips.faces,
                clips.spectrograms,
                clips.lengths,
                clips.has_face,
                clips.has_sound,
            )
        )
        inputs = ClipInputs(normalise_faces(faces), *others)
        answers: NDArray[np.float32] = probabilities(self._network, inputs).cpu().numpy()
        return answers


def load_torch(path: Path, device: str = "auto") -> TorchRuntime:
    """Load a checkpoint.

    Raises:
        UsageError: There is no such checkpoint or device.
    """
    return TorchRuntime(*load_checkpoint(path), device)
