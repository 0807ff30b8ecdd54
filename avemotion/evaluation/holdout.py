"""The checkpoints of `fit`, tested on its held-out actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from avemotion.config import MODALITIES, ExperimentSettings, Modality, differences
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.predict import predict_calibrated, predict_corrupted
from avemotion.evaluation.predictions import CorruptedPredictions, Predictions
from avemotion.files import read_json
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata


def find_checkpoints(
    runs: Path, modalities: Sequence[Modality], store: FeatureStore
) -> dict[Modality, Path]:
    """Return the checkpoints of finished trainings on a store, by modality.

    Args:
        runs: Folder with a run of `fit` for each modality.
        modalities: Modalities that must have one; empty takes those that have.
        store: The store that they are to be tested on.

    Raises:
        UsageError: A checkpoint is missing, its training was interrupted, or it was trained on
            other data: actors may then have other names, and who was seen cannot be told.
    """
    paths = {m: runs / m / CHECKPOINT_NAME for m in modalities or MODALITIES}
    missing = [m for m, path in paths.items() if not path.is_file()]
    if missing and modalities or len(missing) == len(paths):
        raise UsageError(
            f"No checkpoint of {', '.join(missing)} in {runs}. Train it with "
            f"`avemotion fit --modality {missing[0]}`, or give another --runs."
        )
    found = {m: path for m, path in paths.items() if m not in missing}
    data = store.content_hash()
    for modality, path in found.items():
        run = read_json(path.parent / "run.json", f"Remove {path.parent} and fit again.")
        if not run.get("finished"):
            raise UsageError(
                f"The training in {path.parent} was interrupted. Finish it with the same "
                f"`avemotion fit --modality {modality}` as before: it resumes where it stopped."
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


def shared_experiment(checkpoints: Mapping[Modality, Path]) -> ExperimentSettings:
    """Return the settings that all checkpoints share but for their modality.

    Raises:
        UsageError: They differ, so that a comparison would be one of settings too.
    """
    found = {m: load_checkpoint(path)[1].experiment for m, path in checkpoints.items()}
    first, *others = (replace(e, modality="av") for e in found.values())
    for modality, other in zip(list(found)[1:], others, strict=True):
        if other != first:
            changed = differences(first.to_dict(), other.to_dict())
            raise UsageError(
                f"{checkpoints[modality]} was trained with other settings than "
                f"{next(iter(checkpoints.values()))}:\n  "
                + "\n  ".join(changed)
                + "\nFit both with the same settings, or choose one with --modalities."
            )
    return first


def score_checkpoints(
    store: FeatureStore,
    checkpoints: Mapping[Modality, Path],
    rows: Sequence[ManifestRow],
    robustness: bool,
    progress: bool,
) -> tuple[Predictions, CorruptedPredictions]:
    """Return the checkpoints' predictions for the actors that none of them saw.

    Args:
        store: Features.
        checkpoints: Modality -> checkpoint.
        rows: The clips that every modality can use.
        robustness: Test them on corrupted clips too.
        progress: Show a progress bar.

    Raises:
        UsageError: A checkpoint belongs to another kind of store, or together they saw every actor.
    """
    loaded = {modality: load_checkpoint(path) for modality, path in checkpoints.items()}
    seen: set[str] = set()
    for modality, (_, metadata) in loaded.items():
        _check_fits(store, metadata, checkpoints[modality])
        seen |= {*metadata.split.train, *metadata.split.validation}
    tested = [row for row in rows if row.actor not in seen]
    if not tested:
        raise UsageError(
            f"The checkpoints {', '.join(map(str, checkpoints.values()))} together saw every actor "
            f"of {store.directory}. Fit with --training.holdout above 0 and the same "
            "--training.seed for each modality, or use --protocol 5fold."
        )
    predictions: Predictions = {}
    corrupted: CorruptedPredictions = {}
    bar = tqdm(loaded.items(), unit="network", disable=not progress)
    for modality, (model, metadata) in bar:
        bar.set_description(f"test {modality}")
        predictions[modality] = predict_calibrated(store, tested, model, metadata, "holdout")
        if robustness:
            corrupted[modality] = predict_corrupted(store, tested, model, metadata, "holdout")
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
