"""What a trained network's file says of itself; needs no torch.

A checkpoint and a model exported to ONNX carry the same facts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.types import Split

CHECKPOINT_NAME = "checkpoint.safetensors"
"""A run's network, in the run's folder."""

ONNX_NAME = "checkpoint.onnx"
"""The same network for the ONNX runtime, where it was exported into the run's folder."""

LATEST = Path("runs", "latest")
"""Link to the run that `fit` finished last: what `classify` uses when it is told of no other."""


@dataclass(frozen=True, slots=True)
class CheckpointMetadata:
    """What a checkpoint says of itself."""

    experiment: ExperimentSettings
    """Modality, network, training."""
    labels: tuple[str, ...]
    """The emotions in the order of the outputs."""
    preprocessing: PreprocessSettings
    """Settings of the store that it was trained on."""
    split: Split
    """Who trained it, who chose the epoch, and who was kept away."""
    epoch: int
    """Epoch that the weights come from, from 1."""
    scores: dict[str, float]
    """Scores on the validation actors at that epoch; empty without any."""
    synthetic: dict[str, Any] | None
    """What the corpus says of itself if it is synthetic."""
    version: str = field(default_factory=lambda: installed_version("avemotion"))
    """Version of avemotion that wrote it."""

    @property
    def answers(self) -> tuple[str, ...]:
        """What it can answer from: an av network also from one modality if trained to."""
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
