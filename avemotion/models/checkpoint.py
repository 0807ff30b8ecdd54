"""A trained model as one file: weights in safetensors, everything needed to use it in its header.

Nothing in it is executed when it is loaded, so a checkpoint from an unknown source is safe to open.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from avemotion.errors import UsageError
from avemotion.files import write_atomically
from avemotion.models.base import EmotionModel, to_channels_last
from avemotion.models.header import KIND, read_header
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.registry import create, model_class


def save_checkpoint(path: Path, network: EmotionModel, metadata: CheckpointMetadata) -> None:
    """Write a model and its metadata, atomically."""
    weights = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    header = {"kind": KIND, "metadata": json.dumps(metadata.to_dict(), allow_nan=False)}
    write_atomically(path, lambda p: p.write_bytes(save(weights, header)))


def load_checkpoint(path: Path) -> tuple[EmotionModel, CheckpointMetadata]:
    """Read a model and its metadata, on the CPU and in evaluation mode.

    Raises:
        UsageError: There is no such file, it is no checkpoint that this version can read, its model
            is not installed, or a weight or a value of its metadata is none that it can have.
    """
    metadata = read_header(path)
    try:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    try:
        model_class(metadata.experiment.model)
    except UsageError as error:
        raise UsageError(f"{path} cannot be loaded: {error}") from error
    try:
        network = create(metadata.task, metadata.experiment)
        if network.inputs != metadata.inputs:
            raise ValueError(f"it reads {network.inputs}, but lists {metadata.inputs}.")
        network.load_state_dict(weights)
    # What a model of another package does with wrong settings or weights is not known.
    except (UsageError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    if names := not_finite(network):
        raise UsageError(
            f"{path} is damaged, or its training diverged: numbers of {', '.join(names)} are not "
            "finite. Use another checkpoint, or train the network anew."
        )
    return _ready(network), metadata


def not_finite(network: nn.Module) -> list[str]:
    """Return the names of the weights and statistics that hold infinity or no number."""
    return [name for name, t in network.state_dict().items() if not torch.isfinite(t).all()]


def _ready(network: EmotionModel) -> EmotionModel:
    to_channels_last(network.eval())
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network
