"""Runs checkpoints with torch on the CPU or a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor

from avemotion.data.batch import Arrays
from avemotion.errors import UsageError
from avemotion.features.table import feature
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata
from avemotion.parallel.processes import cores

NETWORK_THREADS = max(1, cores() // 8)
"""OpenMP threads wait for one another by spinning: when other work takes one of two cores, a
prediction on two threads takes ten times as long as on one. Decoding on all cores keeps one thread
in eight busy."""


class TorchRuntime:
    """A network in evaluation mode."""

    def __init__(
        self, network: EmotionModel, metadata: CheckpointMetadata, device: str = "auto"
    ) -> None:
        """Put a network on a device.

        Args:
            network: In evaluation mode.
            metadata: Metadata of its checkpoint.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``...

        Raises:
            UsageError: There is no such device.
        """
        self.metadata = metadata
        self._openmp = ThreadpoolController()
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._device = torch.empty(0, device=device).device
            self._network = network.folded().to(self._device)
        except (RuntimeError, AssertionError, ImportError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"--device {device} cannot be used: {reason}") from error
        if not network.learns_in_epochs:  # scikit-learn computes on the CPU
            self._device = torch.device("cpu")

    def probabilities(self, clips: Arrays) -> NDArray[np.float32]:
        """Return the probabilities of each clip: see `Runtime`."""
        with self._openmp.limit(limits=NETWORK_THREADS, user_api="openmp"):
            names = names_of(self.metadata.inputs)
            if self._network.takes_missing:  # what no clip has is left out: its part does not run
                seen = {s for s, there in clips.present.items() if there.any()}
                names = tuple(name for name in names if feature(name).stream in seen)
            batch = replace(clips, inputs={name: clips.inputs[name] for name in names})
            temperature = self.metadata.temperature or 1.0
            return probabilities(self._network, batch.map(self._tensor), temperature)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def load_torch(path: Path, device: str = "auto") -> TorchRuntime:
    """Load a checkpoint.

    Raises:
        UsageError: There is no such checkpoint or device.
    """
    return TorchRuntime(*load_checkpoint(path), device)
