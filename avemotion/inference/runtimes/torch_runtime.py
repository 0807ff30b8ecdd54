"""Runs checkpoints with torch on the CPU or a GPU."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from avemotion.data.batch import ClipInputs, normalise_faces
from avemotion.errors import UsageError
from avemotion.inference.runtimes.interface import ClipArrays
from avemotion.models.ar5 import AR5
from avemotion.models.base import probabilities
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CheckpointMetadata
from avemotion.parallel.processes import cores

NETWORK_THREADS = max(1, cores() // 8)
"""OpenMP threads wait for one another by spinning: when other work takes one of two cores, a
prediction on two threads takes ten times as long as on one. Decoding on all cores keeps one thread
in eight busy."""


def folded(network: AR5) -> AR5:
    """Return a copy with batch normalisations folded into the layers before them; same outputs.

    For one clip, they and the dropout layers take a tenth of the time.
    """
    copy = deepcopy(network)
    for branch in (copy.video, copy.audio):
        if branch is not None:
            branch.convolutions = _folded(branch.convolutions)
            branch.features = _folded(branch.features)
    return copy


def _folded(layers: nn.Sequential) -> nn.Sequential:
    kept: list[Any] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            kept[-1] = fuse_conv_bn_eval(kept[-1], layer)
        elif isinstance(layer, nn.BatchNorm1d):
            kept[-1] = fuse_linear_bn_eval(kept[-1], layer)
        elif not isinstance(layer, nn.Dropout):
            kept.append(layer)
    return nn.Sequential(*kept)


class TorchRuntime:
    """A network in evaluation mode."""

    def __init__(self, network: AR5, metadata: CheckpointMetadata, device: str = "auto") -> None:
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
            self._device = torch.device(device)
            self._network = folded(network).to(self._device)
        except (RuntimeError, AssertionError, ImportError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"--device {device} cannot be used: {reason}") from error

    def probabilities(self, clips: ClipArrays) -> NDArray[np.float32]:
        """Return the probabilities of each clip: see `Runtime`."""
        with self._openmp.limit(limits=NETWORK_THREADS, user_api="openmp"):
            faces = spectrograms = None  # a branch without any clip is not run
            if clips.has_face.any():
                faces = normalise_faces(self._tensor(clips.faces))
            if clips.has_sound.any():
                spectrograms = self._tensor(clips.spectrograms)
            inputs = ClipInputs(
                faces=faces,
                spectrograms=spectrograms,
                lengths=self._tensor(clips.lengths),
                has_face=self._tensor(clips.has_face),
                has_sound=self._tensor(clips.has_sound),
            )
            return probabilities(self._network, inputs)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def load_torch(path: Path, device: str = "auto") -> TorchRuntime:
    """Load a checkpoint.

    Raises:
        UsageError: There is no such checkpoint or device.
    """
    return TorchRuntime(*load_checkpoint(path), device)
