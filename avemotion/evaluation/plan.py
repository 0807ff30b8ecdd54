"""What an evaluation compares: the models to train, its metadata, the command that repeats it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, differences
from avemotion.data.corpora import has_all_labels
from avemotion.data.relabelled import RelabelledStore
from avemotion.data.splits import (
    MIN_ACTORS,
    PROTOCOLS,
    actors_of,
    check_trainable,
    part_of,
)
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError, counted
from avemotion.evaluation.cross_validation import FoldTask
from avemotion.evaluation.predictions import FORMAT, check_format
from avemotion.features.corruptions import CONDITIONS
from avemotion.files import read_json, write_json
from avemotion.models.inputs import names_of
from avemotion.models.registry import inputs_of, model_class
from avemotion.parallel.cluster_check import split_versions
from avemotion.training.provenance import changed_options, precision_advice, versions

WITHOUT_TRAINING = ("holdout", "other-corpus")
"""Protocols that score checkpoints of `fit`."""

_GUARDED = ("protocol", "data", "clips", "conditions", "models", "training", "encoders")
"""Metadata that all folds in one folder share."""

ASKED_NAME = "asked.json"
"""File with that metadata; it is in the folder before the first training."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What is compared, and how."""

    protocol: str
    """One of `WITHOUT_TRAINING`, or a key of `PROTOCOLS`."""
    target: str
    """``intended`` or ``crowd``."""
    experiments: dict[str, ExperimentSettings]
    """Systems that are compared; each task has its own seed, from `training.seed` on."""
    seeds: int
    """Trainings of each fold."""
    robustness: bool
    """Whether corrupted clips are tested too."""
    mapping: Mapping[str, str] | None = None
    """For ``other-corpus``: the pairs of labels that were asked for; None for the default ones."""

    def tasks(self, store: FeatureStore, rows: Sequence[ManifestRow], out: Path) -> list[FoldTask]:
        """Return a model to train for each seed, fold and system.

        Args:
            store: Features.
            rows: The clips that are tested.
            out: Folder of the evaluation.

        Raises:
            UsageError: The protocol needs more actors, or a fold leaves too few actors, or an
                emotion without a clip, to train on.
        """
        actors, least = len(actors_of(rows)), MIN_ACTORS[self.protocol]
        if actors < least:
            raise UsageError(
                f"--protocol {self.protocol} needs at least {least} actors; clips that "
                f"every system can use are of {counted(actors, 'actor')}. Choose fewer with "
                "--modalities, or another --protocol."
            )
        folds = PROTOCOLS[self.protocol](rows)
        tested = {fold: frozenset(row.clip for row in fold.tested(rows)) for fold in folds}
        for experiment in self.experiments.values():
            usable = store.usable(experiment.modality)
            for fold in folds:
                if fold.official:
                    split = fold.split(usable, experiment.training)
                    trained = part_of(usable, split, "train")
                else:
                    others = [row for row in usable if row.actor not in fold.test]
                    trained = [row for row in others if row.sentence not in fold.sentences]
                check_trainable(trained, store.labels, experiment.modality, official=fold.official)
        return [
            FoldTask(
                data=store.directory,
                out=out,
                fold=fold,
                experiment=replace(
                    experiment,
                    training=replace(experiment.training, seed=experiment.training.seed + more),
                ),
                clips=tested[fold],
                robustness=self.robustness,
            )
            for more in range(self.seeds)
            for fold in folds
            for experiment in self.experiments.values()
        ]

    def metadata(
        self, store: FeatureStore, rows: Sequence[ManifestRow], runs: Path, out: Path
    ) -> dict[str, Any]:
        """Return the content of ``evaluation.json`` without its notes."""
        systems = [(e.model, e.to_dict()) for e in self.experiments.values()]
        counted_as = {"mapping": store.partners} if isinstance(store, RelabelledStore) else {}
        return counted_as | {
            "format": FORMAT,
            "protocol": self.protocol,
            "target": self.target,
            "seeds": self.seeds,
            "labels": list(store.labels),
            "units": list(store.task.units),
            "corpus": store.info["corpus"],
            "corpus_clips": store.info["clips"],
            "synthetic": store.synthetic,
            "preprocessing": store.info["settings"],
            "models": {model: settings["settings"] for model, settings in systems},
            "training": {model: settings["training"] for model, settings in systems},
            "reported": self._reported(store),
            "data": store.content_hash(),
            "encoders": [one.key for one in store.makings(self._reads())],
            "clips": hashlib.sha256("\n".join(row.clip for row in rows).encode()).hexdigest(),
            "conditions": list(CONDITIONS),
            "command": self.command(store.directory, runs, out),
            "versions": versions(),
        }

    def _reads(self) -> list[str]:
        """Return the features that the models read, each once."""
        read = [name for e in self.experiments.values() for name in names_of(inputs_of(e))]
        return list(dict.fromkeys(read))

    def _reported(self, store: FeatureStore) -> list[dict[str, Any]]:
        """Return the published figures of the systems on this corpus: they learned from it, too."""
        if store.synthetic is not None or self.protocol == "other-corpus":
            return []
        if not has_all_labels(store.info["corpus"], store.labels):
            return []
        return [
            asdict(figure) | {"ours": experiment.system}
            for experiment in self.experiments.values()
            for figure in model_class(experiment.model).about.reported
            if figure.corpus == store.info["corpus"] and figure.modality == experiment.modality
        ]

    def command(self, data: Path, runs: Path, out: Path) -> str:
        """Return the command that repeats the evaluation, without options that are defaults."""
        words = ["avemotion", "evaluate", "--data", str(data), "--protocol", self.protocol]
        found = self.experiments.values()
        words += ["--models", ",".join(dict.fromkeys(e.model for e in found))]
        words += ["--modalities", ",".join(dict.fromkeys(e.modality for e in found))]
        words += ["--out", str(out)]
        if self.target != "intended":
            words += ["--target", self.target]
        if self.seeds > 1:
            words += ["--seeds", str(self.seeds)]
        if not self.robustness:
            words += ["--robustness", "false"]
        if self.mapping is not None:
            words += ["--mapping", ",".join(f"{a}={b}" for a, b in self.mapping.items())]
        scored = self.protocol in WITHOUT_TRAINING
        changed = dict.fromkeys(option for e in found for option in _options(e))
        words += ["--runs", str(runs)] if scored else [w for option in changed for w in option]
        return shlex.join(words)


def _options(experiment: ExperimentSettings) -> list[tuple[str, str]]:
    """Return the options of an experiment with their values."""
    words = changed_options(experiment)
    return list(zip(words[::2], words[1::2], strict=True))


def open_evaluation(out: Path, metadata: dict[str, Any]) -> None:
    """Write ``asked.json``, or check that the folder holds no other evaluation.

    Raises:
        UsageError: It holds another evaluation.
    """
    trains = metadata["protocol"] not in WITHOUT_TRAINING
    guarded = _GUARDED if trains else ("protocol",)  # else nothing is trained that is kept
    ours = {key: metadata[key] for key in ("format", *guarded)}
    if trains:
        ours["versions"] = {name: metadata["versions"][name] for name in split_versions()}
    path = out / ASKED_NAME
    if not path.exists():
        write_json(path, ours)
        return
    theirs = read_json(path, f"Remove {out}, or give another --out.")
    check_format(out, theirs)
    for key, value in ours.items():
        if theirs.get(key) != value:
            raise UsageError(
                f"{out} holds an evaluation with other {_contrast(key, theirs.get(key), value)}\n"
                "Give another --out, or remove that folder with all that was trained for it."
            )


def _contrast(key: str, theirs: Any, ours: Any) -> str:
    """Return what differs, in words where the values are hashes or lists."""
    if key == "versions":
        changed = "\n  ".join(differences(theirs, ours))
        return (
            f"versions, which may split the actors otherwise (there -> here):\n  {changed}\n"
            "Install those versions to go on."
        )
    if isinstance(ours, dict):
        lines = differences(theirs, ours)
        return "\n  ".join([f"{key} (there -> asked):", *lines]) + precision_advice(lines)
    if key == "clips":
        return (
            "clips: perhaps other --models or --modalities, since only clips that all can use are "
            "tested."
        )
    if key == "data":
        return "data: the feature store was made from other files or settings, or with other votes."
    if key == "conditions":
        return "conditions: another version of avemotion corrupts the clips in other ways."
    return f"{key}: there {theirs}, asked {ours}."
