"""The settings of AR5, in a module that needs no torch: ``--help`` shows them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from avemotion.errors import require, require_types


@dataclass(frozen=True)
class AR5Settings:
    """Sizes of the network. The text of the thesis gives none: these are our choices."""

    spectrogram: Literal["log_mel", "power"] = "log_mel"
    """Input of the audio branch: the log-mel of 5 s, or the power spectrogram of the thesis."""
    spectrogram_rows: int = 128
    """Power spectrogram: rows (frequency) that it is resized to; the thesis states none."""
    spectrogram_columns: int = 128
    """Power spectrogram: columns (time) that it is resized to."""
    face_scaling: Literal["equation", "listing"] = "equation"
    """Faces f are read as (f - 127) / 128, equation 6.1 of the thesis, or as f / 255 - 0.5, its
    listing."""
    level_range_db: float | None = 50.0
    """Log-mel: decibels below the level of the speech that are heard, whatever the level of the
    recording; without a value, levels are heard as they were recorded."""
    width: float = 1.0
    """Factor on the channels of every convolution."""
    video_features: int = 128
    """Length of the video embedding; a longer one gives the face more weight."""
    audio_features: int = 128
    """Length of the audio embedding; a longer one gives the voice more weight."""
    dropout: float = 0.4
    """Share of features dropped before each fully connected layer in training."""

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        require_types(self, "--ar5.")
        if self.level_range_db is not None:
            allowed = "from 10 to 100, or null for levels as recorded"
            given = self.level_range_db
            require(10 <= given <= 100, "--ar5.level_range_db", given, allowed)
        for name in ("spectrogram_rows", "spectrogram_columns"):
            value = getattr(self, name)
            require(16 <= value <= 512, f"--ar5.{name}", value, "from 16 to 512")
        require(0.1 <= self.width <= 4, "--ar5.width", self.width, "from 0.1 to 4")
        for name in ("video_features", "audio_features"):
            value = getattr(self, name)
            require(4 <= value <= 4096, f"--ar5.{name}", value, "from 4 to 4096")
        require(0 <= self.dropout < 1, "--ar5.dropout", self.dropout, "at least 0 and below 1")

    @property
    def power_shape(self) -> tuple[int, int]:
        """Rows and columns of the power spectrogram as the network reads it."""
        return self.spectrogram_rows, self.spectrogram_columns
