"""The checkpoints of `fit`, tested on its held-out actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from avemotion.config import MODALITIES, ExperimentSettings, Modality, differences
from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.predict import predict, predict_corrupted
from avemotion.evaluation.predictions import CorruptedPredictions, Predictions
from avemotion.files import read_json
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.models.registry import MODELS, model_class


def find_checkpoints(
    runs: Path, models: Sequence[str], modalities: Sequence[Modality], store: FeatureStore
) -> dict[str, Path]:
    """Return the checkpoints of finished trainings on a store, by system.

    Args:
        runs: Folder with a run of `fit` for each system: ``runs/ar5/av``.
        models: Models that must have one; empty takes all that have.
        modalities: Modalities that must have one; empty takes all that have.
        store: The store that they are to be tested on.

    Raises:
        UsageError: A checkpoint is missing, its training was interrupted, or it was trained on
            other data: actors may then have other names, and who was seen cannot be told.
    """
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
    data = store.content_hash()
    for system, path in found.items():
        run = read_json(path.parent / "run.json", f"Remove {path.parent} and fit again.")
        if not run.get("finished"):
            raise UsageError(
                f"The training in {path.parent} was interrupted. Finish it with the same "
                f"`avemotion fit` as before ({system}): it resumes where it stopped."
            )
        if run.get("data") != data:
            raise UsageError(
                f"{path} was trained on other data than {store.directory} holds, so which of these "
                f"actors it saw is unknown:\n  SHA-256 in run.json: {run.get('data')}\n"
                f"  of the store:        {data}\n"
                "Give the store that it was trained on with --data, or remove "
                f"{path.parent} and fit again on this one."
            )
    return found


def _folders(runs: Path) -> list[str]:
    """Return the names of models with a run, those of avemotion first, each in order."""
    there = {path.name for path in runs.iterdir() if path.is_dir()} if runs.is_dir() else set()
    return [*(name for name in MODELS if name in there), *sorted(there - MODELS.keys())]


def experiments_of(checkpoints: Mapping[str, Path]) -> dict[str, ExperimentSettings]:
    """Return the experiments of checkpoints, by system.

    Raises:
        UsageError: A folder holds another system than its name says, or they were trained with
            settings that differ between a model's modalities: that would compare settings, too.
    """
    found = {s: load_checkpoint(path)[1].experiment for s, path in checkpoints.items()}
    for system, experiment in found.items():
        if experiment.system != system:
            raise UsageError(
                f"{checkpoints[system]} is a checkpoint of {experiment.system}, but its folder is "
                f"called {system}. Rename the folder, or fit again."
            )
    firsts: dict[str, str] = {}  # model -> the first of its systems
    for system, experiment in found.items():
        first = firsts.setdefault(experiment.model, system)
        same = replace(experiment, modality=found[first].modality)
        if same != found[first]:
            changed = differences(found[first].to_dict(), same.to_dict())
            raise UsageError(
                f"{checkpoints[system]} was trained with other settings than "
                f"{checkpoints[first]}:\n  "
                + "\n  ".join(changed)
                + "\nFit both with the same settings, or choose fewer with --modalities."
            )
    return found


def score_checkpoints(
    store: FeatureStore,
    checkpoints: Mapping[str, Path],
    rows: Sequence[ManifestRow],
    robustness: bool,
    progress: bool,
) -> tuple[Predictions, CorruptedPredictions]:
    """Return the checkpoints' predictions for the actors that none of them saw.

    Args:
        store: Features.
        checkpoints: System -> checkpoint.
        rows: The clips that every system can use.
        robustness: Test them on corrupted clips too.
        progress: Show a progress bar.

    Raises:
        UsageError: A checkpoint belongs to another kind of store, or together they saw every actor.
    """
    loaded = {system: load_checkpoint(path) for system, path in checkpoints.items()}
    seen: set[str] = set()
    for system, (_, metadata) in loaded.items():
        _check_fits(store, metadata, checkpoints[system])
        for part in ("train", "validation"):
            seen |= {row.clip for row in part_of(store.rows, metadata.split, part)}
        if metadata.split.unit == "part":  # what is in no part, or in an unused one, is no test
            rows = part_of(rows, metadata.split, "test")
    tested = [row for row in rows if row.clip not in seen]
    if not tested:
        raise UsageError(
            f"The checkpoints {', '.join(map(str, checkpoints.values()))} together saw every actor "
            f"of {store.directory}. Fit with --training.holdout above 0 and the same "
            "--training.seed for each system, or use --protocol 5fold."
        )
    predictions: Predictions = {}
    corrupted: CorruptedPredictions = {}
    bar = tqdm(loaded.items(), unit="model", disable=not progress)
    for system, (model, metadata) in bar:
        bar.set_description(f"test {system}")
        predictions[system] = predict(store, tested, model, metadata, "holdout")
        if robustness:
            corrupted[system] = predict_corrupted(store, tested, model, metadata, "holdout")
    return predictions, corrupted


def _check_fits(store: FeatureStore, metadata: CheckpointMetadata, path: Path) -> None:
    for name, theirs, ours in (
        ("labels", metadata.labels, store.labels),
        ("preprocessing settings", metadata.preprocessing, store.settings),
        ("origin (recorded or synthetic)", metadata.synthetic, store.synthetic),
    ):
        if theirs != ours:
            raise UsageError(
                f"{path} was trained on a store with other {name} than {store.directory}:\n"
                f"  checkpoint: {theirs}\n  store:      {ours}\nGive the store that it belongs to."
            )
