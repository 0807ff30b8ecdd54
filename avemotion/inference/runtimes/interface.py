"""What every runtime takes and returns: numpy arrays in, probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avemotion.models.metadata import CheckpointMetadata

RuntimeName = Literal["auto", "torch", "onnx"]
"""What runs the network; ``auto`` follows from the suffix of the model's file."""


@dataclass(frozen=True, slots=True)
class ClipArrays:
    """A batch of clips as a runtime reads them; a modality that the model lacks is ignored."""

    faces: NDArray[np.uint8]
    """uint8 (clip, 20, 98, 80): grey face crops, 0 to 255; the runtime normalises them."""
    spectrograms: NDArray[np.float32]
    """float32 (clip, 1, frequency, time): log-mel (64, 500) or power spectrogram (128, 128)."""
    lengths: NDArray[np.int64]
    """int64 (clip,): number of spectrogram columns that hold sound; the rest is padding."""
    has_face: NDArray[np.bool_]
    """bool (clip,): False hides the faces of a clip from the network."""
    has_sound: NDArray[np.bool_]
    """bool (clip,): False hides the sound of a clip from the network."""

    def __post_init__(self) -> None:
        """Refuse arrays of unequal length: a runtime would broadcast the array of one clip."""
        shapes = [getattr(self, f.name).shape for f in fields(self)]
        if len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"arrays of unequal length: {shapes}")

    @classmethod
    def concatenate(cls, batches: Sequence[ClipArrays]) -> ClipArrays:
        """Join batches into one, in their order."""
        names = [f.name for f in fields(cls)]
        return cls(**{n: np.concatenate([getattr(batch, n) for batch in batches]) for n in names})

    def only(self, modality: str) -> ClipArrays:
        """Hide all but one modality, ``video`` or ``audio``."""
        hidden = np.zeros_like(self.has_face)
        if modality == "video":
            return replace(self, has_sound=hidden)
        return replace(self, has_face=hidden)


class Runtime(Protocol):
    """A loaded model; several threads may use it at once."""

    @property
    def metadata(self) -> CheckpointMetadata:
        """Metadata stored with the model."""

    def probabilities(self, clips: ClipArrays) -> NDArray[np.float32]:
        """Return the probabilities of each clip, float32 (clip, emotion); each row sums to 1.

        Raises:
            AvemotionError: The model gives none: see `avemotion.models.probabilities.checked`.
        """
