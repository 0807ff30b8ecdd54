"""What every runtime takes and gives: numpy arrays in, probabilities out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from avemotion.models.metadata import CheckpointMetadata

RuntimeName = Literal["auto", "torch", "onnx"]
"""What computes the answer; ``auto`` is told by the model's file."""


@dataclass(frozen=True, slots=True)
class ClipArrays:
    """A batch of clips as a runtime reads them; what the model has no branch for is not read."""

    faces: NDArray[np.uint8]
    """uint8 (clip, 20, 98, 80), as they were cut: the runtime normalises them."""
    spectrograms: NDArray[np.float32]
    """float32 (clip, 1, row, column): the log-mel or the power spectrogram."""
    lengths: NDArray[np.int64]
    """int64 (clip,): columns of the spectrogram that hold sound."""
    has_face: NDArray[np.bool_]
    """bool (clip,)."""
    has_sound: NDArray[np.bool_]
    """bool (clip,)."""

    def __post_init__(self) -> None:
        """Refuse parts of unequal length: a runtime would repeat a part of one clip."""
        parts: tuple[NDArray[Any], ...] = (
            self.faces,
            self.spectrograms,
            self.lengths,
            self.has_face,
            self.has_sound,
        )
        if len({len(part) for part in parts}) > 1:
            raise ValueError(f"parts of unequal length: {[part.shape for part in parts]}")


class Runtime(Protocol):
    """A loaded model; it may be asked from several threads at once."""

    @property
    def metadata(self) -> CheckpointMetadata:
        """What the model says of itself."""

    def probabilities(self, clips: ClipArrays) -> NDArray[np.float32]:
        """Return the probability of each emotion, float32 (clip, emotion)."""
