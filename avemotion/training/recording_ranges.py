"""Measure how the training clips were recorded, and what a model scores on worse recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from avemotion.data.corrupted_batches import Waveforms, clean_or_corrupted, corrupted
from avemotion.data.dataset import ClipDataset
from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.task import most_probable
from avemotion.features.corruptions import CONDITIONS, Condition
from avemotion.features.recording_quality import QUALITIES, Quality
from avemotion.features.table import feature, is_table
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.recording_conditions import ConditionScore, TrainedRange

MOST_CLIPS = 500
"""Clips measured at most, of training and of validation each: drawn evenly from all."""


def recording_ranges(
    store: FeatureStore, model: EmotionModel, metadata: CheckpointMetadata
) -> tuple[TrainedRange, ...]:
    """Measure each quality of the training clips, and what the model scores on worse ones.

    Args:
        store: The store that the model was trained on.
        model: The trained model, in evaluation mode, on the CPU.
        metadata: Metadata of its checkpoint: who trained it, and who validates it.

    Returns:
        One range for each quality of what the model reads; none for the sound of a store without
        waveforms.
    """
    rows = store.usable(metadata.experiment.modality)
    train, validation = (_some(part_of(rows, metadata.split, p)) for p in ("train", "validation"))
    found = []
    for name, quality in QUALITIES.items():
        media = _Media(store, quality)
        if media.is_stored and media.reaches(names_of(metadata.inputs)):
            found.append(_range(name, media, train, validation, model, metadata))
    return tuple(found)


def _some(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return evenly drawn clips, at most `MOST_CLIPS`."""
    if len(rows) <= MOST_CLIPS:
        return list(rows)
    return [rows[i] for i in np.linspace(0, len(rows) - 1, MOST_CLIPS).astype(int)]


class _Media:
    """The face crops or the waveforms of a store, and one quality of them."""

    def __init__(self, store: FeatureStore, quality: Quality) -> None:
        self.store, self.quality = store, quality
        self._waveforms = Waveforms(store)
        names = ("faces", "image", "stills") if quality.stream == "video" else ("waveform",)
        stored = store.settings.features
        self._name = next((name for name in names if name in stored), None)
        self.is_stored = self._name is not None

    def reaches(self, names: Sequence[str]) -> bool:
        """Return whether the quality changes what is read: tables are not computed anew."""
        read = [name for name in names if feature(name).stream == self.quality.stream]
        return bool(read) and not any(map(is_table, read))

    def measure(
        self, rows: Sequence[ManifestRow], condition: Condition | None = None
    ) -> NDArray[np.float64]:
        """Return the quality of each clip, clean or corrupted, (clip,)."""
        return np.array([self._measured(row, condition) for row in rows])

    def _measured(self, row: ManifestRow, condition: Condition | None) -> float:
        assert self._name is not None
        if self.quality.stream == "video":
            batch = ClipDataset(self.store, [row], [self._name])[[(0, 0)]]
            media = batch.inputs[self._name].numpy()  # one image, or the frames of one clip
            media = media[0] if media.ndim == 4 else media
        else:
            media = self._waveforms.of(row)
        if condition:
            media = corrupted(media, row, condition, self._waveforms)
            media = media if media.dtype == np.uint8 else media.clip(-32768, 32767).astype(np.int16)
        return self.quality.measure(media)


def _range(
    name: str,
    media: _Media,
    train: Sequence[ManifestRow],
    validation: Sequence[ManifestRow],
    model: EmotionModel,
    metadata: CheckpointMetadata,
) -> TrainedRange:
    low, high = np.percentile(media.measure(train), (1, 99))
    conditions = [c for c in CONDITIONS.values() if c.family == media.quality.family]
    return TrainedRange(
        quality=name,
        low=float(low),
        high=float(high),
        uar=_uar(media.store, validation, model, metadata) if validation else None,
        conditions=tuple(
            ConditionScore(
                name=condition.name,
                typical=float(np.median(media.measure(validation, condition))),
                uar=_uar(media.store, validation, model, metadata, condition),
            )
            for condition in conditions
            if validation
        ),
    )


def _uar(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    model: EmotionModel,
    metadata: CheckpointMetadata,
    condition: Condition | None = None,
) -> float:
    """Return the mean recall over the emotions that these clips have."""
    names = names_of(model.inputs)
    found = clean_or_corrupted(store, rows, names, metadata.experiment.modality, condition)
    shares = (model.task.split(probabilities(model, b))[0] for b in found)
    predicted = np.concatenate([most_probable(share) for share in shares])
    targets = np.array([store.labels.index(row.emotion) for row in rows])
    recalls = [np.mean(predicted[targets == label] == label) for label in np.unique(targets)]
    return float(np.mean(recalls))
