"""What a network predicts for clips of a store, clean or corrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.splits import of_actors
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.evaluation.corrupted_batches import BATCH_CLIPS, corrupted_batches
from avemotion.evaluation.corruptions import Condition, conditions_for
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.models.ar5 import AR5
from avemotion.models.base import probabilities
from avemotion.models.calibration import fit_temperature
from avemotion.models.metadata import CheckpointMetadata


def predict(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: AR5,
    metadata: CheckpointMetadata,
    fold: str,
    condition: Condition | None = None,
) -> list[ClipPrediction]:
    """Return a network's predictions for some clips (view 0), at temperature 1.

    Args:
        store: Features.
        rows: The clips.
        model: The network, in evaluation mode.
        metadata: Metadata of its checkpoint: who trained it, and the seed.
        fold: Name of the fold that tests it.
        condition: How the clips are corrupted; None leaves them clean.

    Raises:
        ValueError: The network was trained or validated on an actor of these clips.
    """
    leaked = {row.actor for row in rows} & {*metadata.split.train, *metadata.split.validation}
    if leaked:
        raise ValueError(f"actors {sorted(leaked)} of fold {fold} were trained on")
    scores = _probabilities(store, rows, model, metadata, condition)
    return [
        ClipPrediction(
            seed=metadata.experiment.training.seed,
            fold=fold,
            clip=row.clip,
            actor=row.actor,
            target=row.emotion,
            probabilities=tuple(values),
        )
        for row, values in zip(rows, scores.tolist(), strict=True)
    ]


def predict_calibrated(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: AR5,
    metadata: CheckpointMetadata,
    fold: str,
) -> list[ClipPrediction]:
    """Return predictions for clean clips with a temperature fitted on the validation actors.

    Arguments and errors are those of `predict`.
    """
    temperature = _validated_temperature(store, model, metadata)
    predictions = predict(store, rows, model, metadata, fold)
    return [replace(p, temperature=temperature) for p in predictions]


def predict_corrupted(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: AR5,
    metadata: CheckpointMetadata,
    fold: str,
) -> dict[str, list[ClipPrediction]]:
    """Return predictions by name of a condition, for each that applies to the network's modality.

    Arguments and errors are those of `predict`.
    """
    return {
        condition.name: predict(store, rows, model, metadata, fold, condition)
        for condition in conditions_for(metadata.experiment.modality)
    }


def _validated_temperature(store: FeatureStore, model: AR5, metadata: CheckpointMetadata) -> float:
    """Fit the temperature on the validation actors; 1, which changes nothing, without any."""
    rows = of_actors(store.usable(metadata.experiment.modality), metadata.split.validation)
    if not rows:
        return 1.0
    scores = _probabilities(store, rows, model, metadata)
    return fit_temperature(scores, np.array([store.labels.index(row.emotion) for row in rows]))


def _probabilities(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: AR5,
    metadata: CheckpointMetadata,
    condition: Condition | None = None,
) -> NDArray[np.float32]:
    """Return float32 (clip, classes)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device)
    experiment = metadata.experiment
    found = (
        corrupted_batches(store, rows, experiment, condition)
        if condition
        else batches(ClipDataset(store, rows, experiment), BATCH_CLIPS)
    )
    return np.concatenate([probabilities(model, b.to(device).inputs()) for b in found])
