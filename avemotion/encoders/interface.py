"""What every encoder is: a frozen network that maps a feature to an embedding of each clip.

Encoders stand above the models, so that making embeddings loads no model, and preprocessing loads
neither. Nothing makes embeddings yet: this fixes what those who write encoders can rely on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avemotion.data.batch import Arrays

PREFIX = "embedding:"
"""How the names of embeddings begin: ``embedding:moonshine-tiny``."""


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """What decides the values of an embedding: others cannot be compared, or read by one model."""

    name: str
    """Of the encoder; its embedding is a feature of this name after `PREFIX`."""
    revision: str
    """Of its published weights."""
    weights_sha256: str
    """SHA-256 of the file with the weights, in hexadecimal."""
    precision: str
    """Arithmetic that it computes in: ``float32``."""

    @property
    def feature(self) -> str:
        """Name of the feature that it makes."""
        return f"{PREFIX}{self.name}"


class Encoder(Protocol):
    """A frozen network; it is given to worker processes, so it can be pickled."""

    @property
    def identity(self) -> EncoderIdentity:
        """What decides the values of its embeddings."""

    @property
    def reads(self) -> str:
        """The feature that it reads: ``waveform``, ``faces``..."""

    @property
    def length(self) -> int:
        """Values of an embedding."""

    def encode(self, clips: Arrays) -> NDArray[np.float32]:
        """Return the embedding of each clip, float32 (clip, length); zeros where it has nothing.

        Args:
            clips: With the feature that it reads.
        """
