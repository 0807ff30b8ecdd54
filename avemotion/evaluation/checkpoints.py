"""The checkpoints of `fit`: found in a folder of runs, and tested on clips that none saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avemotion.config import MODALITIES, ExperimentSettings, Modality, differences
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.predict import predict, predict_corrupted
from avemotion.evaluation.predictions import CorruptedPredictions, Predictions
from avemotion.files import read_json
from avemotion.models.base import EmotionModel
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.models.registry import MODELS, model_class
from avemotion.progress import progress_bar


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished run of `fit`."""

    path: Path
    """The checkpoint."""
    run: dict[str, Any]
    """Content of ``run.json``."""
    model: EmotionModel
    """The model, in evaluation mode."""
    metadata: CheckpointMetadata
    """Metadata of the checkpoint."""


def find_trained(
    runs: Path, models: Sequence[str], modalities: Sequence[Modality]
) -> dict[str, Trained]:
    """Return the finished trainings of a folder, by system.

    Args:
        runs: Folder with a run of `fit` for each system: ``runs/ar5/av``.
        models: Models that must have one; empty takes all that have.
        modalities: Modalities that must have one; empty takes all that have.

    Raises:
        UsageError: A checkpoint is missing or damaged, or its training was interrupted.
    """
    paths = _checkpoints(runs, models, modalities)
    found: dict[str, dict[str, Any]] = {}
    for system, path in paths.items():
        found[system] = read_json(path.parent / "run.json", f"Remove {path.parent} and fit again.")
        if not found[system].get("finished"):
            raise UsageError(
                f"The training in {path.parent} was interrupted. Finish it with the same "
                f"`avemotion fit` as before ({system}): it resumes where it stopped."
            )
    return {s: Trained(path, found[s], *load_checkpoint(path)) for s, path in paths.items()}


def _checkpoints(
    runs: Path, models: Sequence[str], modalities: Sequence[Modality]
) -> dict[str, Path]:
    found = {
        f"{model}/{modality}": path
        for model in models or _folders(runs)
        for modality in modalities or MODALITIES
        if (path := runs / model / modality / CHECKPOINT_NAME).is_file()
    }
    parts = [system.split("/") for system in found]
    if models and modalities:
        able = {model: model_class(model).about.modalities for model in models}
        pairs = [f"{model}/{m}" for model in models for m in modalities if m in able[model]]
        missing = [system for system in pairs if system not in found]
    else:
        missing = [model for model in models if model not in {model for model, _ in parts}]
        missing += [m for m in modalities if m not in {modality for _, modality in parts}]
    if missing or not found:
        raise UsageError(
            f"No checkpoint{' of ' if missing else ''}{', '.join(missing)} in {runs}: its folders "
            f"are named {runs / 'MODEL' / 'MODALITY'}. Train it with `avemotion fit"
            f"{f' --model {models[0]}' if models else ''}"
            f"{f' --modality {modalities[0]}' if modalities else ''}`, or give another --runs."
        )
    return found


def _folders(runs: Path) -> list[str]:
    """Return the names of models with a run, those of avemotion first, each in order."""
    there = {path.name for path in runs.iterdir() if path.is_dir()} if runs.is_dir() else set()
    return [*(name for name in MODELS if name in there), *sorted(there - MODELS.keys())]


def experiments_of(trained: Mapping[str, Trained]) -> dict[str, ExperimentSettings]:
    """Return the experiments of checkpoints, by system.

    Raises:
        UsageError: A folder holds another system than its name says, or they were trained with
            settings that differ between a model's modalities: that would compare settings, too.
    """
    found = {system: one.metadata.experiment for system, one in trained.items()}
    for system, experiment in found.items():
        if experiment.system != system:
            raise UsageError(
                f"{trained[system].path} is a checkpoint of {experiment.system}, but its folder is "
                f"called {system}. Rename the folder, or fit again."
            )
    firsts: dict[str, str] = {}  # model -> the first of its systems
    for system, experiment in found.items():
        first = firsts.setdefault(experiment.model, system)
        same = replace(experiment, modality=found[first].modality)
        if same != found[first]:
            changed = differences(found[first].to_dict(), same.to_dict())
            raise UsageError(
                f"{trained[system].path} was trained with other settings than "
                f"{trained[first].path}:\n  "
                + "\n  ".join(changed)
                + "\nFit both with the same settings, or choose fewer with --modalities."
            )
    return found


def answers_of(
    store: FeatureStore,
    trained: Mapping[str, Trained],
    rows: Sequence[ManifestRow],
    protocol: str,
    robustness: bool,
    progress: bool,
) -> tuple[Predictions, CorruptedPredictions]:
    """Return the checkpoints' predictions for some clips.

    Args:
        store: Features.
        trained: The checkpoints, by system.
        rows: The clips, of actors that no checkpoint's split names.
        protocol: Names the one fold.
        robustness: Test them on corrupted clips too.
        progress: Show a progress bar.
    """
    predictions: Predictions = {}
    corrupted: CorruptedPredictions = {}
    bar = progress_bar(trained.items(), unit="model", disable=not progress)
    for system, one in bar:
        bar.set_description(f"test {system}")
        predictions[system] = predict(store, rows, one.model, one.metadata, protocol)
        if robustness:
            corrupted[system] = predict_corrupted(store, rows, one.model, one.metadata, protocol)
    return predictions, corrupted
