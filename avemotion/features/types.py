"""The features of a clip: what the store keeps of it, in all views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH
from avemotion.features.spectrogram import MEL_BANDS, MEL_FRAMES, POWER_SHAPE


@dataclass(frozen=True, slots=True, repr=False)
class ClipFeatures:
    """The features of one clip in all views; a missing modality is all zeros."""

    faces: NDArray[np.uint8]
    """uint8 (view, 20, 98, 80)."""
    spectrograms: NDArray[np.float32]
    """float32 (view, 128, 128): the thesis' power spectrogram, high frequencies first."""
    log_mels: NDArray[np.float16]
    """float16 (view, 64, 500): decibels above the floor, low frequencies first."""
    log_mel_length: int
    """Columns of the log-mel that hold sound."""
    waveform: NDArray[np.int16]
    """int16 (sample,), 16 kHz, without noise."""

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.faces, self.spectrograms, self.log_mels, self.waveform)
        return sum(array.nbytes for array in arrays)

    @classmethod
    def zeros(cls, views: int) -> ClipFeatures:
        """Return the features of a clip that offers nothing."""
        return cls(
            faces=np.zeros((views, FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH), np.uint8),
            spectrograms=np.zeros((views, *POWER_SHAPE), np.float32),
            log_mels=np.zeros((views, MEL_BANDS, MEL_FRAMES), np.float16),
            log_mel_length=0,
            waveform=np.zeros(0, np.int16),
        )
