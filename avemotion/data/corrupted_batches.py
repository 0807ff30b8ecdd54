"""Batches of corrupted clips, computed from the feature store alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from avemotion.config import Modality
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, batches, stacked
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.types import UNKNOWN_ACTOR
from avemotion.errors import UsageError
from avemotion.features.corruptions import BABBLE_VOICES, Condition
from avemotion.features.table import ClipSignals, feature, is_table
from avemotion.features.views import view_rng

BATCH_CLIPS = 64
"""Clips in a batch."""


class Waveforms:
    """The waveforms of a store, memory-mapped, each actor's file opened once; and its faces."""

    def __init__(self, store: FeatureStore) -> None:
        """List the clips with sound; no file is opened yet."""
        self.seed = store.settings.seed
        self._store = store
        self._rows = [row for row in store.rows if row.status in ("av", "audio")]
        # Of an unknown actor, every other clip may be another's.
        self._actors = np.array([_voice_of(row) for row in self._rows])
        self._mapped: dict[str, tuple[Tensor, Tensor]] = {}

    def of(self, row: ManifestRow) -> NDArray[np.int16]:
        """Return a clip's waveform, int16 (sample,), 16 kHz."""
        if row.shard not in self._mapped:
            with safe_open(self._store.shard(row.shard), "pt") as file:
                samples, offsets = map(file.get_tensor, ("waveform", "waveform_offsets"))
            self._mapped[row.shard] = samples, offsets
        samples, offsets = self._mapped[row.shard]
        index = self._store.index_of(row.clip)
        return np.asarray(samples[offsets[index] : offsets[index + 1]].numpy())

    def faces_of(self, row: ManifestRow) -> NDArray[np.uint8]:
        """Return the face crops of a clip in view 0, uint8 (20, row, column)."""
        return np.asarray(self._store.read(row, "faces")[0])

    def others(self, row: ManifestRow, rng: np.random.Generator) -> list[NDArray[np.int16]]:
        """Draw waveforms of clips of other actors: 4, or all where there are fewer.

        Raises:
            UsageError: There is none.
        """
        others = np.flatnonzero(self._actors != _voice_of(row))
        if not len(others):
            raise _lonely(self._store, row.actor)
        picked = rng.choice(others, min(BABBLE_VOICES, len(others)), replace=False)
        return [self.of(self._rows[i]) for i in picked]


def _voice_of(row: ManifestRow) -> str:
    return row.clip if row.actor == UNKNOWN_ACTOR else row.actor


def _lonely(store: FeatureStore, actor: str) -> UsageError:
    return UsageError(
        f"Babble is made of other actors' voices, but {store.directory} has sound of actor {actor} "
        "only. Use a store of more actors, or --robustness false."
    )


def check_corruptible(store: FeatureStore, names: Sequence[str]) -> None:
    """Refuse a store in which what is read cannot be corrupted in every way.

    Args:
        store: Features.
        names: Those that are read.

    Raises:
        UsageError: Sound is read, and it has no waveforms or those of one actor alone; or a table
            is read, which nobody can compute anew.
    """
    if tables := [name for name in names if is_table(name)]:
        raise UsageError(
            f"{' and '.join(tables)} cannot be computed anew from a corrupted clip. Add "
            "--robustness false."
        )
    if not any(feature(name).stream == "audio" for name in names):
        return
    _check_has_waveforms(store)
    voices = {_voice_of(row) for row in store.usable("audio")}
    if len(voices) == 1:
        raise _lonely(store, *voices)


def _check_has_waveforms(store: FeatureStore) -> None:
    store.check_has(["waveform"], "--robustness (false does without)")


def corrupted_batches(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    names: Sequence[str],
    modality: Modality,
    condition: Condition,
) -> Iterator[Batch[Tensor]]:
    """Yield batches of clips in view 0, corrupted; the other modality is left as it is.

    Random draws depend on the clip and on the condition's family alone: all levels share them, and
    a clip is corrupted in the same way whatever the other clips are.

    Args:
        store: Features.
        rows: The clips; those that lack the modality are left as they are.
        names: The features that the model reads.
        modality: What the model reads.
        condition: One that applies to that modality.

    Raises:
        ValueError: The condition does not apply.
        UsageError: The condition is babble, and the store has no other actor's voice; or it changes
            the sound, and the store has no waveforms.
    """
    if not condition.applies_to(modality):
        raise ValueError(f"{condition.name!r} does not apply to {modality} models")
    if condition.modality == "audio" and condition.corrupt is not None:
        _check_has_waveforms(store)
    waveforms, left = Waveforms(store), iter(rows)
    for clean in batches(ClipDataset(store, rows, names), BATCH_CLIPS):
        part = [next(left) for _ in range(len(clean))]  # without a seed the clips come in order
        if condition.corrupt is None:
            yield _without(clean, condition)
        elif condition.modality == "video":
            yield _with_faces(clean, part, condition, waveforms)
        else:
            yield _with_sound(clean, part, condition, waveforms)


def clean_or_corrupted(
    store: FeatureStore,
    rows: Sequence[ManifestRow],
    names: Sequence[str],
    modality: Modality,
    condition: Condition | None,
) -> Iterable[Batch[Tensor]]:
    """Return batches of clips in view 0: corrupted, or without a condition as they are.

    Arguments and errors are those of `corrupted_batches`.
    """
    if condition is None:
        return batches(ClipDataset(store, rows, names), BATCH_CLIPS)
    return corrupted_batches(store, rows, names, modality, condition)


def _without(clean: Batch[Tensor], condition: Condition) -> Batch[Tensor]:
    hidden = {n: torch.zeros_like(x) for n, x in _corruptible(clean, condition).items()}
    silent = {n: torch.zeros_like(x) for n, x in clean.lengths.items() if n in hidden}
    stream = condition.modality
    return replace(
        clean,
        inputs=clean.inputs | hidden,
        lengths=clean.lengths | silent,
        present=clean.present | {stream: torch.zeros_like(clean.present[stream])},
    )


def _corruptible(clean: Batch[Tensor], condition: Condition) -> dict[str, Tensor]:
    """Return copies of the features of the stream that is corrupted."""
    found = clean.inputs.items()
    return {n: x.clone() for n, x in found if feature(n).stream == condition.modality}


def _with_faces(
    clean: Batch[Tensor], rows: Sequence[ManifestRow], condition: Condition, waveforms: Waveforms
) -> Batch[Tensor]:
    changed = _corruptible(clean, condition)
    for name, faces in changed.items():
        for face, row, there in zip(faces, rows, clean.present["video"], strict=True):
            if there:
                face.copy_(_of_corrupted(name, face, row, condition, waveforms))
    return clean.with_inputs(**changed)


def _of_corrupted(
    name: str, face: Tensor, row: ManifestRow, condition: Condition, waveforms: Waveforms
) -> Tensor:
    """Return a feature of a clip's corrupted face crops."""
    kind = feature(name).kind
    if kind == "embedding":
        frames = corrupted(waveforms.faces_of(row), row, condition, waveforms)
        clip = ClipSignals(row.clip, waveforms.seed, frames[None], None)
        return torch.from_numpy(feature(name).compute(clip, 0))
    frames = face.numpy() if kind == "frames" else face[None].numpy()
    found = torch.from_numpy(corrupted(frames, row, condition, waveforms))
    return found if kind == "frames" else found[0]


def _with_sound(
    clean: Batch[Tensor], rows: Sequence[ManifestRow], condition: Condition, waveforms: Waveforms
) -> Batch[Tensor]:
    """Compute the features of the sound anew, and their lengths: a tempo changes them."""
    signals: list[ClipSignals | None] = []
    for row, there in zip(rows, clean.present["audio"], strict=True):
        samples = corrupted(waveforms.of(row), row, condition, waveforms) if there else None
        signals.append(
            None if samples is None else ClipSignals(row.clip, waveforms.seed, None, samples)
        )
    changed = _corruptible(clean, condition)
    lengths = {name: x.clone() for name, x in clean.lengths.items() if name in changed}
    for name, images in changed.items():
        about = feature(name)
        arrays = [
            image if clip is None else torch.from_numpy(about.compute(clip, 0))
            for image, clip in zip(images, signals, strict=True)
        ]
        changed[name] = stacked([array.to(images.dtype) for array in arrays])
        for i, clip in enumerate(signals):
            if clip is not None and name in lengths:
                lengths[name][i] = about.length_of(clip)
    return replace(clean, inputs=clean.inputs | changed, lengths=clean.lengths | lengths)


def corrupted(
    media: NDArray[Any], row: ManifestRow, condition: Condition, waveforms: Waveforms
) -> NDArray[Any]:
    """Corrupt a clip's face crops, uint8 (frame, 98, 80), or its waveform, int16 (sample,).

    Args:
        media: The one that the condition corrupts.
        row: The clip: it seeds the random draws.
        condition: One that leaves something of the media.
        waveforms: Of the store, for the voices of others.
    """
    assert condition.corrupt is not None
    rng = view_rng(f"{condition.family}/{row.clip}", 0, waveforms.seed)
    return condition.corrupt(media, rng, partial(waveforms.others, row))
