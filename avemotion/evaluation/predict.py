"""What a model predicts for clips of a store, clean or corrupted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from avemotion.data.corrupted_batches import clean_or_corrupted
from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.evaluation.predictions import ClipPrediction
from avemotion.features.corruptions import Condition, conditions_for
from avemotion.features.table import reads_frames
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata


def predict(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: EmotionModel,
    metadata: CheckpointMetadata,
    fold: str,
    condition: Condition | None = None,
) -> list[ClipPrediction]:
    """Return a model's predictions for some clips (view 0), with its temperature beside them.

    Args:
        store: Features.
        rows: The clips.
        model: The model, in evaluation mode.
        metadata: Metadata of its checkpoint: who trained it, the seed, and the temperature.
        fold: Name of the fold that tests it.
        condition: How the clips are corrupted; None leaves them clean.

    Raises:
        ValueError: The model was trained or validated on an actor of these clips; or, for an
            official split, on one of them.
    """
    leaked = [r for part in ("train", "validation") for r in part_of(rows, metadata.split, part)]
    if leaked:
        unit = metadata.split.unit
        names = sorted({row.actor if unit == "actor" else row.part for row in leaked})
        raise ValueError(f"{unit}s {names} of fold {fold} were trained on")
    found = _probabilities(store, rows, model, metadata, condition)
    scores, units = metadata.task.split(found)
    if metadata.task.units != store.task.units:  # another corpus
        units = units[:, :0]
    return [
        ClipPrediction(
            seed=metadata.experiment.training.seed,
            fold=fold,
            clip=row.clip,
            actor=row.actor,
            target=row.emotion,
            probabilities=tuple(values),
            temperature=1.0 if metadata.temperature is None else metadata.temperature,
            units=tuple(has),
        )
        for row, values, has in zip(rows, scores.tolist(), units.tolist(), strict=True)
    ]


def predict_corrupted(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: EmotionModel,
    metadata: CheckpointMetadata,
    fold: str,
) -> dict[str, list[ClipPrediction]]:
    """Return predictions by name of a condition, for each that applies to the model's modality.

    Arguments and errors are those of `predict`.
    """
    return {
        condition.name: predict(store, rows, model, metadata, fold, condition)
        for condition in conditions_for(metadata.experiment.modality)
        if reads_frames(names_of(model.inputs)) or not condition.of_motion
    }


def _probabilities(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: EmotionModel,
    metadata: CheckpointMetadata,
    condition: Condition | None = None,
) -> NDArray[np.float32]:
    """Return float32 (clip, output)."""
    on_gpu = torch.cuda.is_available() and model.learns_in_epochs  # scikit-learn: on the CPU
    device = "cuda" if on_gpu else "cpu"
    model = model.to(device)
    names = names_of(model.inputs)
    found = clean_or_corrupted(store, rows, names, metadata.experiment.modality, condition)
    return np.concatenate([probabilities(model, b.to(device)) for b in found])
