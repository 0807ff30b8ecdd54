"""Measure how training clips were recorded, what worse recordings cost, and what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.config import Stream
from avemotion.data.corrupted_batches import Waveforms, clean_or_corrupted, corrupted
from avemotion.data.dataset import ClipDataset
from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.task import most_probable
from avemotion.features.corruptions import CONDITIONS, Condition
from avemotion.features.recording_quality import QUALITIES, Quality
from avemotion.features.signatures import SIGNATURES
from avemotion.features.table import PICTURES, feature, is_table
from avemotion.models.base import EmotionModel, probabilities
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.recording_conditions import ConditionScore, TrainedRange
from avemotion.models.training_distance import DIRECTIONS, TrainingSpace

MOST_CLIPS = 500
"""Clips measured at most, of training and of validation each: drawn evenly from all."""
_CLIPS_A_DIRECTION = 5
"""Training clips needed to measure what they look like, for each direction that is kept."""


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
    train, validation = _parts(store, metadata)
    found = []
    for name, quality in QUALITIES.items():
        media = _Media(store, quality.stream, names_of(metadata.inputs))
        if media.counts:
            found.append(_range(name, media, train, validation, model, metadata))
    return tuple(found)


def training_spaces(store: FeatureStore, metadata: CheckpointMetadata) -> tuple[TrainingSpace, ...]:
    """Measure what the faces and voices of the training clips look like, and of other people's.

    Args:
        store: The store that the model was trained on.
        metadata: Metadata of its checkpoint: who trained it, and who validates it.

    Returns:
        One space for each stream that the model reads; none where clips are few, or for the sound
        of a store without waveforms.
    """
    train, validation = _parts(store, metadata)
    found = []
    for stream, signature in SIGNATURES.items():
        media = _Media(store, stream, names_of(metadata.inputs))
        enough = len(train) >= _CLIPS_A_DIRECTION * DIRECTIONS[stream]
        if enough and media.counts:
            learned, others = (
                np.array([signature(media.read(row)) for row in rows])
                for rows in (train, validation)
            )
            found.append(TrainingSpace.of(stream, learned, others))
    return tuple(found)


def _parts(
    store: FeatureStore, metadata: CheckpointMetadata
) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """Return some clips of training and of validation."""
    rows = store.usable(metadata.experiment.modality)
    train, validation = (part_of(rows, metadata.split, p) for p in ("train", "validation"))
    return _some(train), _some(validation)


def _some(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    """Return evenly drawn clips, at most `MOST_CLIPS`."""
    if len(rows) <= MOST_CLIPS:
        return list(rows)
    return [rows[i] for i in np.linspace(0, len(rows) - 1, MOST_CLIPS).astype(int)]


class _Media:
    """The face crops or the waveforms of a store."""

    def __init__(self, store: FeatureStore, stream: Stream, names: Sequence[str]) -> None:
        self.store, self._stream = store, stream
        self._waveforms = Waveforms(store)
        self._read = [name for name in names if feature(name).stream == stream]
        stored = [n for n in (*PICTURES, "waveform") if n in store.settings.features]
        stored = [name for name in stored if feature(name).stream == stream]
        # Pictures as the model reads them, where it reads some.
        self._name = next((name for name in (*self._read, *stored) if name in stored), None)

    @property
    def counts(self) -> bool:
        """Whether it is stored, and what is read depends on it: tables do not."""
        return self._name is not None and bool(self._read) and not any(map(is_table, self._read))

    def read(self, row: ManifestRow, condition: Condition | None = None) -> NDArray[Any]:
        """Return the crops, uint8 (frame, row, column), or the waveform, int16 (sample,)."""
        assert self._name is not None
        if self._stream == "video":
            batch = ClipDataset(self.store, [row], [self._name])[[(0, 0)]]
            media = batch.inputs[self._name].numpy()  # one image, or the frames of one clip
            media = media[0] if media.ndim == 4 else media
        else:
            media = self._waveforms.of(row)
        if condition:
            media = corrupted(media, row, condition, self._waveforms)
            media = media if media.dtype == np.uint8 else media.clip(-32768, 32767).astype(np.int16)
        return np.asarray(media)

    def measured(
        self, quality: Quality, rows: Sequence[ManifestRow], condition: Condition | None = None
    ) -> NDArray[np.float64]:
        """Return a quality of each clip, clean or corrupted, (clip,)."""
        return np.array([quality.measure(self.read(row, condition)) for row in rows])


def _range(
    name: str,
    media: _Media,
    train: Sequence[ManifestRow],
    validation: Sequence[ManifestRow],
    model: EmotionModel,
    metadata: CheckpointMetadata,
) -> TrainedRange:
    quality = QUALITIES[name]
    low, high = np.percentile(media.measured(quality, train), (1, 99))
    conditions = [c for c in CONDITIONS.values() if c.family == quality.family]
    return TrainedRange(
        quality=name,
        low=float(low),
        high=float(high),
        uar=_uar(media.store, validation, model, metadata) if validation else None,
        conditions=tuple(
            ConditionScore(
                name=condition.name,
                typical=float(np.median(media.measured(quality, validation, condition))),
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
