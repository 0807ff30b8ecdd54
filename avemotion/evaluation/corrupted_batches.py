"""Batches of corrupted clips, computed from the feature store alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from avemotion.config import ExperimentSettings
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError
from avemotion.evaluation.corruptions import BABBLE_VOICES, Condition
from avemotion.features.extraction import noisy_sound, view_rng
from avemotion.features.spectrogram import log_mel, power_spectrogram

BATCH_CLIPS = 64
"""Clips in a batch."""


class Waveforms:
    """The waveforms of a store, memory-mapped: each actor's file is opened once."""

    def __init__(self, store: FeatureStore) -> None:
        """List the clips with sound; no file is opened yet."""
        self.seed = store.settings.seed
        self._store = store
        self._rows = [row for row in store.rows if row.status in ("av", "audio")]
        self._actors = np.array([row.actor for row in self._rows])
        self._mapped: dict[str, tuple[Tensor, Tensor]] = {}

    def of(self, row: ManifestRow) -> NDArray[np.int16]:
        """Return a clip's waveform, int16 (sample,), 16 kHz."""
        if row.actor not in self._mapped:
            with safe_open(self._store.shard(row.actor), "pt") as file:
                samples, offsets = map(file.get_tensor, ("waveforms", "waveform_offsets"))
            self._mapped[row.actor] = samples, offsets
        samples, offsets = self._mapped[row.actor]
        index = self._store.index_of(row.clip)
        return np.asarray(samples[offsets[index] : offsets[index + 1]].numpy())

    def others(self, row: ManifestRow, rng: np.random.Generator) -> list[NDArray[np.int16]]:
        """Draw waveforms of clips of other actors: 4, or all where there are fewer.

        Raises:
            UsageError: There is none.
        """
        others = np.flatnonzero(self._actors != row.actor)
        if not len(others):
            raise UsageError(
                f"Babble is made of other actors' voices, but {self._store.directory} has sound of "
                f"actor {row.actor} only. Use a store of more actors, or --robustness false."
            )
        picked = rng.choice(others, min(BABBLE_VOICES, len(others)), replace=False)
        return [self.of(self._rows[i]) for i in picked]


def corrupted_batches(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    experiment: ExperimentSettings,
    condition: Condition,
) -> Iterator[Batch]:
    """Yield batches of clips in view 0, corrupted; the other modality is left as it is.

    Random draws depend on the clip and on the condition's family alone: all levels share them, and
    a clip is corrupted in the same way whatever the other clips are.

    Args:
        store: Features.
        rows: The clips; those that lack the modality are left as they are.
        experiment: Names the modalities and the spectrogram that the network reads.
        condition: One that applies to the experiment's modality.

    Raises:
        ValueError: The condition does not apply.
        UsageError: The condition is babble, and the store has no other actor's voice.
    """
    if not condition.applies_to(experiment.modality):
        raise ValueError(f"{condition.name!r} does not apply to {experiment.modality} networks")
    waveforms, left = Waveforms(store), iter(rows)
    for clean in batches(ClipDataset(store, rows, experiment), BATCH_CLIPS):
        part = [next(left) for _ in clean.labels]  # without a seed the clips come in order
        if condition.corrupt is None:
            yield _without(clean, condition)
        elif condition.modality == "video":
            yield _with_faces(clean, part, condition, waveforms)
        else:
            yield _with_sound(clean, part, condition, waveforms, experiment.network.spectrogram)


def _without(clean: Batch, condition: Condition) -> Batch:
    if condition.modality == "video":
        assert clean.faces is not None
        return replace(
            clean,
            faces=torch.zeros_like(clean.faces),
            has_face=torch.zeros_like(clean.has_face),
        )
    assert clean.spectrograms is not None and clean.lengths is not None
    return replace(
        clean,
        spectrograms=torch.zeros_like(clean.spectrograms),
        lengths=torch.zeros_like(clean.lengths),
        has_sound=torch.zeros_like(clean.has_sound),
    )


def _with_faces(
    clean: Batch, rows: Sequence[ManifestRow], condition: Condition, waveforms: Waveforms
) -> Batch:
    assert clean.faces is not None
    faces = clean.faces.clone()
    for face, row, has_face in zip(faces, rows, clean.has_face, strict=True):
        if has_face:
            face.copy_(torch.from_numpy(_corrupted(face.numpy(), row, condition, waveforms)))
    return replace(clean, faces=faces)


def _with_sound(
    clean: Batch,
    rows: Sequence[ManifestRow],
    condition: Condition,
    waveforms: Waveforms,
    kind: str,
) -> Batch:
    """Compute the spectrograms anew, and the lengths of log-mels: a tempo changes them."""
    assert clean.spectrograms is not None and clean.lengths is not None
    images, lengths = clean.spectrograms.clone(), clean.lengths.clone()
    for i, row in enumerate(rows):
        if clean.has_sound[i]:
            samples = _corrupted(waveforms.of(row), row, condition, waveforms)
            noisy = noisy_sound(row.clip, 0, waveforms.seed, samples)
            if kind == "log_mel":
                log_power, lengths[i] = log_mel(noisy)
                images[i, 0] = torch.from_numpy(log_power)
            else:  # always stretched to 128 columns
                images[i, 0] = torch.from_numpy(power_spectrogram(noisy))
    return replace(clean, spectrograms=images, lengths=lengths)


def _corrupted(
    media: NDArray[Any], row: ManifestRow, condition: Condition, waveforms: Waveforms
) -> NDArray[Any]:
    assert condition.corrupt is not None
    rng = view_rng(f"{condition.family}/{row.clip}", 0, waveforms.seed)
    return condition.corrupt(media, rng, partial(waveforms.others, row))
