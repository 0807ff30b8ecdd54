"""Metadata of a trained network: the same in a checkpoint and in its export to ONNX.

This module needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.types import Split, check_labels
from avemotion.errors import UsageError, require, require_keys, require_type, settings_from
from avemotion.parallel.cluster_check import split_versions

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
    """Modality, network and training settings; `training.precision` is the one that was used."""
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
    split_versions: dict[str, str] = field(default_factory=split_versions)
    """Versions of the packages that decided the split: NumPy and scikit-learn."""
    version: str = field(default_factory=lambda: installed_version("avemotion"))
    """Version of avemotion that trained it."""

    def __post_init__(self) -> None:
        """Refuse metadata that no network can have.

        Raises:
            UsageError: A value is of another type or out of range; the message names both.
        """
        try:
            check_labels(self.labels)
        except ValueError as error:
            raise UsageError(f"labels are wrong: {error}.") from error
        require(len(self.labels) > 1, "labels", self.labels, "two or more")
        require_type(self.epoch, int, "epoch")
        require(self.epoch >= 1, "epoch", self.epoch, "1 or more")
        for name, kind in (("scores", float), ("split_versions", str)):
            require_type(getattr(self, name), dict, name)
            for key, value in getattr(self, name).items():
                require_type(value, kind, f"{name}.{key}")
        require_type(self.synthetic, dict | None, "synthetic")
        require_type(self.version, str, "version")

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
    def from_dict(cls, values: object) -> CheckpointMetadata:
        """Rebuild from `to_dict`'s form, or from what JSON made of it.

        Raises:
            UsageError: A key is missing or unknown, or a value of another type or out of range.
        """
        given = dict(require_keys(values, [f.name for f in fields(cls)], "metadata"))
        parts = require_keys(given["split"], [f.name for f in fields(Split)], "split")
        try:
            split = Split(
                **{name: _texts(actors, f"split.{name}") for name, actors in parts.items()}
            )
        except ValueError as error:
            raise UsageError(f"split is wrong: {error}.") from error
        return cls(
            **given
            | {
                "experiment": ExperimentSettings.from_dict(given["experiment"]),
                "labels": _texts(given["labels"], "labels"),
                "preprocessing": settings_from(
                    PreprocessSettings, given["preprocessing"], "preprocessing"
                ),
                "split": split,
            }
        )


def _texts(values: object, name: str) -> tuple[str, ...]:
    """Return a list of texts as a tuple."""
    is_list = isinstance(values, Sequence) and all(isinstance(value, str) for value in values)
    require(is_list and not isinstance(values, str), name, values, "a list of texts")
    return tuple(values)  # type: ignore[arg-type]
