"""What an evaluation is asked: its networks to train, its facts, the command that repeats it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from avemotion.config import ExperimentSettings, Modality, differences
from avemotion.errors import UsageError
from avemotion.files import read_json, write_json
from avemotion.folds import FoldTask
from avemotion.records import FACTS_NAME
from avemotion.splits import PROTOCOLS, of_actors
from avemotion.store import FeatureStore, ManifestRow

_GUARDED = ("protocol", "data", "clips", "network", "training")
"""Facts that all folds in one folder share."""

_PACKAGES = ("avemotion", "torch", "pytorch-lightning", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What is compared, and how."""

    protocol: str
    """``holdout``, or a key of `PROTOCOLS`."""
    target: str
    """``intended`` or ``crowd``."""
    modalities: tuple[Modality, ...]
    """What is compared."""
    seeds: int
    """Trainings of each fold."""
    robustness: bool
    """Spoiled clips too."""
    experiment: ExperimentSettings
    """Network and training; its modality is replaced, and its seed the first of `seeds`."""

    def tasks(self, store: FeatureStore, rows: Sequence[ManifestRow], out: Path) -> list[FoldTask]:
        """Return a network to train for each seed, fold and modality.

        Args:
            store: Features.
            rows: The clips that are tested.
            out: Folder of the evaluation.
        """
        settings = self.experiment.training
        return [
            FoldTask(
                store.directory,
                out,
                fold,
                replace(self.experiment, modality=modality, training=replace(settings, seed=seed)),
                frozenset(row.clip for row in of_actors(rows, fold.test)),
                self.robustness,
            )
            for seed in range(settings.seed, settings.seed + self.seeds)
            for fold in PROTOCOLS[self.protocol](rows)
            for modality in self.modalities
        ]

    def facts(self, store: FeatureStore, rows: Sequence[ManifestRow]) -> dict[str, Any]:
        """Return the content of ``evaluation.json``: what is asked, of what, with what."""
        settings = self.experiment.to_dict()
        return {
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
            "command": self.command(store.directory),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in _PACKAGES},
                "platform": platform.platform(),
            },
        }

    def command(self, data: Path) -> str:
        """Return what repeats the evaluation: the options that are not defaults."""
        words = [f"avemotion evaluate --data {data} --protocol {self.protocol}"]
        words.append(f"--modalities {','.join(self.modalities)}")
        if self.target != "intended":
            words.append(f"--target {self.target}")
        if self.seeds > 1:
            words.append(f"--seeds {self.seeds}")
        if not self.robustness:
            words.append("--robustness false")
        if self.protocol != "holdout":
            words += _changed(self.experiment)
        return " ".join(words)


def _changed(experiment: ExperimentSettings) -> list[str]:
    """Return the options of network and training that are not defaults."""
    default, asked = ExperimentSettings().to_dict(), experiment.to_dict()
    options = []
    for part in ("network", "training"):
        for name, value in asked[part].items():
            if value != default[part][name]:
                word = str(value).lower() if isinstance(value, bool) else value
                options.append(f"--{part}.{name} {'null' if value is None else word}")
    return options


def open_evaluation(out: Path, ours: dict[str, Any]) -> None:
    """Say in a folder what is evaluated in it.

    Raises:
        UsageError: It holds the folds of another evaluation.
    """
    path = out / FACTS_NAME
    if path.exists():
        theirs = read_json(path, f"Remove {out}, or give another --out.")
        for key in _GUARDED:
            if theirs.get(key) != ours[key]:
                raise UsageError(
                    f"{out} holds an evaluation with other {key}:\n  "
                    + "\n  ".join(_contrast(theirs.get(key), ours[key]))
                    + "\nGive another --out, or remove that folder."
                )
    write_json(path, ours)


def _contrast(theirs: Any, ours: Any) -> list[str]:
    """Show two values of a fact; of settings only what differs."""
    if isinstance(ours, dict):
        return ["there -> asked:", *differences(theirs, ours)]
    return [f"there: {theirs}", f"asked: {ours}"]
