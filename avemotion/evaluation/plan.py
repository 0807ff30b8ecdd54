"""What an evaluation compares: the networks to train, its metadata, the command that repeats it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, Modality, differences
from avemotion.data.splits import (
    MIN_ACTORS,
    PROTOCOLS,
    actors_of,
    check_trainable,
    of_actors,
)
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.corruptions import CONDITIONS
from avemotion.evaluation.cross_validation import FoldTask
from avemotion.evaluation.predictions import FORMAT, check_format
from avemotion.files import read_json, write_json
from avemotion.parallel.cluster_check import split_versions
from avemotion.training.provenance import changed_options, precision_advice, versions

_GUARDED = ("protocol", "data", "clips", "conditions", "network", "training")
"""Metadata that all folds in one folder share."""

ASKED_NAME = "asked.json"
"""File with that metadata; it is in the folder before the first training."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What is compared, and how."""

    protocol: str
    """``holdout``, or a key of `PROTOCOLS`."""
    target: str
    """``intended`` or ``crowd``."""
    modalities: tuple[Modality, ...]
    """Modalities that are compared."""
    seeds: int
    """Trainings of each fold."""
    robustness: bool
    """Whether corrupted clips are tested too."""
    experiment: ExperimentSettings
    """Network and training; each task has its own modality and seed, from `training.seed` on."""

    def tasks(self, store: FeatureStore, rows: Sequence[ManifestRow], out: Path) -> list[FoldTask]:
        """Return a network to train for each seed, fold and modality.

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
                f"--protocol {self.protocol} needs at least {least} actors; {actors} have clips "
                "that every modality can use. Choose fewer with --modalities, or another "
                "--protocol."
            )
        settings = self.experiment.training
        folds = PROTOCOLS[self.protocol](rows)
        tested = {fold: frozenset(row.clip for row in of_actors(rows, fold.test)) for fold in folds}
        for modality in self.modalities:
            usable = store.usable(modality)
            for fold in folds:
                rest = [row for row in usable if row.actor not in fold.test]
                check_trainable(rest, store.labels, modality)
        return [
            FoldTask(
                data=store.directory,
                out=out,
                fold=fold,
                experiment=replace(
                    self.experiment, modality=modality, training=replace(settings, seed=seed)
                ),
                clips=tested[fold],
                robustness=self.robustness,
            )
            for seed in range(settings.seed, settings.seed + self.seeds)
            for fold in folds
            for modality in self.modalities
        ]

    def metadata(
        self, store: FeatureStore, rows: Sequence[ManifestRow], runs: Path, out: Path
    ) -> dict[str, Any]:
        """Return the content of ``evaluation.json`` without its notes."""
        settings = self.experiment.to_dict()
        return {
            "format": FORMAT,
            "protocol": self.protocol,
            "target": self.target,
            "seeds": self.seeds,
            "labels": list(store.labels),
            "corpus": store.info["corpus"],
            "synthetic": store.synthetic,
            "preprocessing": store.info["settings"],
            "network": settings["network"],
            "training": settings["training"],
            "data": store.content_hash(),
            "clips": hashlib.sha256("\n".join(row.clip for row in rows).encode()).hexdigest(),
            "conditions": list(CONDITIONS),
            "command": self.command(store.directory, runs, out),
            "versions": versions(),
        }

    def command(self, data: Path, runs: Path, out: Path) -> str:
        """Return the command that repeats the evaluation, without options that are defaults."""
        words = ["avemotion", "evaluate", "--data", str(data), "--protocol", self.protocol]
        words += ["--modalities", ",".join(self.modalities), "--out", str(out)]
        if self.target != "intended":
            words += ["--target", self.target]
        if self.seeds > 1:
            words += ["--seeds", str(self.seeds)]
        if not self.robustness:
            words += ["--robustness", "false"]
        holdout = self.protocol == "holdout"
        words += ["--runs", str(runs)] if holdout else changed_options(self.experiment)
        return shlex.join(words)


def open_evaluation(out: Path, metadata: dict[str, Any]) -> None:
    """Write ``asked.json``, or check that the folder holds no other evaluation.

    Raises:
        UsageError: It holds another evaluation.
    """
    holdout = metadata["protocol"] == "holdout"
    guarded = ("protocol",) if holdout else _GUARDED  # holdout trains nothing that is kept
    ours = {key: metadata[key] for key in ("format", *guarded)}
    if not holdout:
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
        return "clips: perhaps other --modalities, since only clips that all can use are tested."
    if key == "data":
        return "data: the feature store was made from other files or settings, or with other votes."
    if key == "conditions":
        return "conditions: another version of avemotion corrupts the clips in other ways."
    return f"{key}: there {theirs}, asked {ours}."
