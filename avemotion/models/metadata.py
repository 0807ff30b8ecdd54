"""Metadata of a trained model: the same in a checkpoint and in its export to ONNX.

This module needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.corpora import corpus_text
from avemotion.data.task import Task
from avemotion.data.types import PARTS, Split
from avemotion.encoders.interface import EncoderIdentity
from avemotion.errors import (
    UsageError,
    require,
    require_keys,
    require_list,
    require_type,
    settings_from,
)
from avemotion.models.inputs import Input
from avemotion.models.recording_conditions import TrainedRange, ranges_from
from avemotion.models.reliability import Reliability, reliabilities_from
from avemotion.models.training_distance import TrainingSpace, spaces_from
from avemotion.parallel.cluster_check import split_versions

CHECKPOINT_NAME = "checkpoint.safetensors"
"""File name of the network in the folder of its run."""

ONNX_NAME = "checkpoint.onnx"
"""File name of its export to ONNX in that folder."""

LATEST = Path("runs", "latest")
"""Link to the run that `fit` finished last: what `classify` uses by default."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A checkpoint whose weights a training began with."""

    name: str
    """Its run (``ar5/av``) or file, without the folders that hold it."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""
    corpus: str
    """Name of the corpus that it learned from."""
    corpus_clips: int
    """Clips of that corpus in its feature store."""
    synthetic: bool
    """Whether that corpus is synthetic."""
    split: Split
    """Who trained it, chose its epoch, and was held out."""
    made_anew: tuple[str, ...]
    """Weights that were not taken over, since labels or units differ; none where all were."""

    def __post_init__(self) -> None:
        """Refuse what no checkpoint can have.

        Raises:
            UsageError: A value is of another type; the message names it.
        """
        for key, kind in (("name", str), ("sha256", str), ("corpus", str), ("corpus_clips", int)):
            require_type(getattr(self, key), kind, f"initialised_from.{key}")
        require_type(self.synthetic, bool, "initialised_from.synthetic")

    @property
    def corpus_in_words(self) -> str:
        """The corpus that it learned from; a part of one is called partial."""
        return (
            "a synthetic corpus" if self.synthetic else corpus_text(self.corpus, self.corpus_clips)
        )


@dataclass(frozen=True, slots=True)
class CheckpointMetadata:
    """How a network was made, and what it can be used for."""

    experiment: ExperimentSettings
    """Model, modality and settings; `training.precision` is the one that was used."""
    corpus: str
    """Name of the corpus that it learned from: ``crema_d``."""
    corpus_clips: int
    """Clips of that corpus in the feature store: it may have been a part of the corpus."""
    task: Task
    """Labels and action units in the order of the model's outputs."""
    inputs: tuple[Input, ...]
    """What the model reads."""
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
    temperature: float | None = None
    """Divides the logits, so that probabilities are calibrated: fitted on validation actors. None
    where there were none: the probabilities are then uncalibrated."""
    recordings: tuple[TrainedRange, ...] = ()
    """How the training clips were recorded, and the scores on worse recordings; empty where that
    was not measured: `fit` does, `evaluate` does not."""
    spaces: tuple[TrainingSpace, ...] = ()
    """What the faces and voices of the training clips look like; empty where that was not measured:
    `fit` does of many clips, `evaluate` does not."""
    reliability: tuple[Reliability, ...] = ()
    """How often its answers were right on clips that it had not learned, by modality; empty where
    that was not measured."""
    encoders: tuple[EncoderIdentity, ...] = ()
    """What made the embeddings that it reads; empty where it reads none."""
    initialised_from: tuple[Origin, ...] = ()
    """What training began with, and what that had begun with, and so on; empty where it began with
    weights of its own."""
    split_versions: dict[str, str] = field(default_factory=split_versions)
    """Versions of the packages that decided the split: NumPy and scikit-learn."""
    version: str = field(default_factory=lambda: installed_version("avemotion"))
    """Version of avemotion that trained it."""

    def __post_init__(self) -> None:
        """Refuse metadata that no network can have.

        Raises:
            UsageError: A value is of another type or out of range; the message names both.
        """
        require(len(self.inputs) > 0, "inputs", self.inputs, "one or more")
        if self.temperature is not None:
            require_type(self.temperature, float, "temperature")
            require(self.temperature > 0, "temperature", self.temperature, "above 0")
        require_type(self.epoch, int, "epoch")
        require(self.epoch >= 1, "epoch", self.epoch, "1 or more")
        require_type(self.corpus, str, "corpus")
        require_type(self.corpus_clips, int, "corpus_clips")
        for name, kind in (("scores", float), ("split_versions", str)):
            require_type(getattr(self, name), dict, name)
            for key, value in getattr(self, name).items():
                require_type(value, kind, f"{name}.{key}")
        require_type(self.synthetic, dict | None, "synthetic")
        require_type(self.version, str, "version")

    @property
    def labels(self) -> tuple[str, ...]:
        """Emotions in the order of the model's first outputs."""
        return self.task.labels

    @property
    def corpus_in_words(self) -> str:
        """The corpus that its store was made from; a part of one is called partial."""
        if self.synthetic is not None:
            return "a synthetic corpus"
        return corpus_text(self.corpus, self.corpus_clips)

    @property
    def learned_from_in_words(self) -> str:
        """That corpus, and those that the weights it began with had learned from."""
        corpora = (self.corpus_in_words, *(o.corpus_in_words for o in self.initialised_from))
        return " and ".join(dict.fromkeys(corpora))

    @property
    def answers(self) -> tuple[str, ...]:
        """Modalities it can answer from: an av network also from one if trained with hiding."""
        return self.experiment.answers

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
        return cls(
            **given
            | {
                "experiment": ExperimentSettings.from_dict(given["experiment"]),
                "task": _task(given["task"]),
                "inputs": _inputs(given["inputs"]),
                "preprocessing": settings_from(
                    PreprocessSettings, given["preprocessing"], "preprocessing"
                ),
                "split": _split(given["split"], "split"),
                "recordings": ranges_from(given["recordings"]),
                "spaces": spaces_from(given["spaces"]),
                "reliability": reliabilities_from(given["reliability"]),
                "encoders": _encoders(given["encoders"]),
                "initialised_from": _origins(given["initialised_from"]),
            }
        )


def _split(values: object, name: str) -> Split:
    parts = require_keys(values, [f.name for f in fields(Split)], name)
    unit = parts["unit"]
    require(unit in ("actor", "part"), f"{name}.unit", unit, "actor or part")
    try:
        train, validation, test = (_texts(parts[part], f"{name}.{part}") for part in PARTS)
        without = _texts(parts["held_out_sentences"], f"{name}.held_out_sentences")
        return Split(train, validation, test, unit, without)
    except ValueError as error:
        raise UsageError(f"{name} is wrong: {error}.") from error


def _origins(values: object) -> tuple[Origin, ...]:
    name = "initialised_from"
    found = []
    for each in require_list(values, name):
        given = require_keys(each, [f.name for f in fields(Origin)], name)
        split = _split(given["split"], f"{name}.split")
        anew = _texts(given["made_anew"], f"{name}.made_anew")
        found.append(Origin(**given | {"split": split, "made_anew": anew}))
    return tuple(found)


def _task(values: object) -> Task:
    given = require_keys(values, [f.name for f in fields(Task)], "task")
    if (below := given["neutral_below"]) is not None:
        require_type(below, float, "task.neutral_below")
    labels, units = (_texts(given[name], f"task.{name}") for name in ("labels", "units"))
    return Task(labels, units, below)


def _inputs(values: object) -> tuple[Input, ...]:
    return tuple(map(Input.from_dict, require_list(values, "inputs")))


def _encoders(values: object) -> tuple[EncoderIdentity, ...]:
    return tuple(map(EncoderIdentity.from_dict, require_list(values, "encoders")))


def _texts(values: object, name: str) -> tuple[str, ...]:
    """Return a list of texts as a tuple."""
    is_list = isinstance(values, Sequence) and all(isinstance(value, str) for value in values)
    require(is_list and not isinstance(values, str), name, values, "a list of texts")
    return tuple(values)  # type: ignore[arg-type]
