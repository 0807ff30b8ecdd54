"""A batch of clips: named arrays of NumPy or torch, from the store to the network.

This module needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from avemotion.config import Stream

Array = TypeVar("Array")
"""A NumPy array or a tensor of torch."""

STREAMS: tuple[Stream, ...] = ("video", "audio")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Array]):
    """Some clips, with the features that a model reads.

    Raises:
        ValueError: Arrays of NumPy have not the same number of clips: a runtime would broadcast.
    """

    inputs: dict[str, Array]
    """Feature -> (clip, *shape), as the store holds it or, after `EmotionModel.read`, as the
    network computes with it. A feature that no clip has may be left out."""
    present: dict[Stream, Array]
    """``video`` and ``audio`` -> bool (clip,): False hides face or voice from the network."""
    lengths: dict[str, Array] = field(default_factory=dict)
    """Feature of the sound -> int64 (clip,): how many of its last axis hold sound."""
    targets: Array | None = None
    """int64 (clip,): index of the label."""
    units: Array | None = None
    """float (clip, unit): 1 for the action units that a clip has; None where there are none."""
    votes: Array | None = None
    """float (clip, label): what share of the audio-visual raters chose each label; the intended one
    has all where nobody rated the clip. None where the votes are not learned."""

    def __post_init__(self) -> None:
        """Refuse arrays of unequal length."""
        # Of tensors the lengths are not looked at: in an exported graph they are symbols.
        found = {n: len(a) for n, a in self._arrays().items() if isinstance(a, np.ndarray)}
        if len(set(found.values())) > 1:
            raise ValueError(f"arrays of unequal length: {found}")

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(next(iter(self.present.values())))  # type: ignore[arg-type]

    def _arrays(self) -> dict[str, Array]:
        """Return all arrays by the names of `flat`."""
        given = {"targets": self.targets, "units": self.units, "votes": self.votes}
        return self.flat() | {name: a for name, a in given.items() if a is not None}

    def flat(self) -> dict[str, Array]:
        """Return the arrays that a network reads, by the names that exported graphs give them.

        ``log_mel``, ``log_mel_lengths``, ``has_video``, ``has_audio`` and the like.
        """
        return {
            **self.inputs,
            **{f"{name}_lengths": array for name, array in self.lengths.items()},
            **{f"has_{stream}": array for stream, array in self.present.items()},
        }

    def map(self, change: Callable[[Array], Any]) -> Batch[Any]:
        """Return a batch of changed arrays: on another device, or of another library."""

        def changed(arrays: Mapping[Any, Array]) -> dict[Any, Any]:
            return {name: change(array) for name, array in arrays.items()}

        return Batch(
            inputs=changed(self.inputs),
            present=changed(self.present),
            lengths=changed(self.lengths),
            targets=None if self.targets is None else change(self.targets),
            units=None if self.units is None else change(self.units),
            votes=None if self.votes is None else change(self.votes),
        )

    def to(self, device: Any) -> Batch[Any]:
        """Return the batch on a device of torch; Lightning moves batches by this method."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))  # type: ignore[attr-defined]

    def with_inputs(self, **changed: Array) -> Batch[Array]:
        """Return the batch with some features replaced."""
        return replace(self, inputs=self.inputs | changed)


Arrays = Batch[NDArray[Any]]
"""Clips as a runtime reads them: features as they are computed, floating ones as float32."""


def only(clips: Arrays, stream: Stream) -> Arrays:
    """Hide all but the face (``video``) or all but the voice (``audio``) of clips."""
    hidden = {s: a if s == stream else np.zeros_like(a) for s, a in clips.present.items()}
    return replace(clips, present=hidden)


def concatenate(batches: Sequence[Arrays]) -> Arrays:
    """Join batches of clips of the same features into one, in their order; sounds are padded."""

    def joined(parts: Sequence[Mapping[Any, NDArray[Any]]]) -> dict[Any, NDArray[Any]]:
        return {name: _stacked([part[name] for part in parts]) for name in parts[0]}

    return Batch(
        inputs=joined([batch.inputs for batch in batches]),
        present=joined([batch.present for batch in batches]),
        lengths=joined([batch.lengths for batch in batches]),
    )


def _stacked(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    longest = max(array.shape[-1] for array in arrays)
    if arrays[0].ndim < 2 or all(array.shape[-1] == longest for array in arrays):
        return np.concatenate(arrays)
    pads = [[(0, 0)] * (a.ndim - 1) + [(0, longest - a.shape[-1])] for a in arrays]
    return np.concatenate([np.pad(a, pad) for a, pad in zip(arrays, pads, strict=True)])


def as_read(array: NDArray[Any]) -> NDArray[Any]:
    """Return a feature as runtimes read it: floating ones as float32."""
    return array.astype(np.float32) if array.dtype.kind == "f" else array
