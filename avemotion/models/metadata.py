"""Metadata of a trained network: the same in a checkpoint and in its export to ONNX.

This module needs no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.types import Split

CHECKPOINT_NAME = "checkpoint.safetensors"
"""File name of the network in the folder of its run."""

ONNX_NAME = "checkpoint.onnx"
"""File name of its export to ONNX in that folder."""

LATEST = Path("runs", "latest")
"""Link to the run that `fit` finished last: what `classify` uses by default."""


@dataclass(frozen=True, slots=True)
class CheckpointMetadata:
    """How a network was made, and what it can be used for."""

    experiment: ExperimentSettings
    """Modality, network and training settings."""
    labels: tuple[str, ...]
    """Emotions in the order of the network's outputs."""
    preprocessing: PreprocessSettings
    """Settings of the feature store that it was trained on."""
    split: Split
    """Actors that trained it, that chose the epoch, and that were held out."""
    epoch: int
    """Epoch of the weights, counted from 1."""
    scores: dict[str, float]
    """Scores on the validation actors at that epoch; empty without such actors."""
    synthetic: dict[str, Any] | None
    """Description of the corpus if it is synthetic, else None."""
    version: str = field(default_factory=lambda: installed_version("avemotion"))
    """Version of avemotion that trained it."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Modalities it can answer from: an av network also from one if trained with hiding."""
        modality = self.experiment.modality
        if modality == "av" and self.experiment.training.modality_dropout > 0:
            return ("av", "video", "audio")
        return (modality,)

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values, as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CheckpointMetadata:
        """Rebuild from `to_dict`'s form; missing and unknown names raise KeyError or TypeError."""
        split = {part: tuple(actors) for part, actors in values["split"].items()}
        return cls(
            experiment=ExperimentSettings.from_dict(values["experiment"]),
            labels=tuple(values["labels"]),
            preprocessing=PreprocessSettings(**values["preprocessing"]),
            split=Split(**split),
            epoch=values["epoch"],
            scores=values["scores"],
            synthetic=values["synthetic"],
            version=values["version"],
        )
