"""What every encoder is: a frozen network that maps a clip's sound, or its faces, to an embedding.

Encoders stand below the features: an embedding is a feature like any other, which a model names
and the store keeps. Nothing here loads a model, torch or a network's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from avemotion.errors import require_keys, require_type

PREFIX = "embedding:"
"""How the features that are embeddings are called: ``embedding:moonshine-tiny``."""


EMBEDDING_VERSION = 1
"""Of our own arithmetic: level, views, layers, pooling. It is raised when embeddings change."""


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """What decides the values of an embedding: others cannot be compared, or read by one model."""

    name: str
    """Of the encoder; its embedding is a feature of this name after `PREFIX`."""
    revision: str = field(compare=False)
    """Of its published weights, for people: the same files may come from several places."""
    weights_sha256: str
    """SHA-256 of the files with weights and settings, in hexadecimal."""
    precision: str
    """Arithmetic that it computes in: ``float32``, ``int8``."""
    version: int = EMBEDDING_VERSION
    """`EMBEDDING_VERSION` of the avemotion that made it."""

    @property
    def feature(self) -> str:
        """Name of the feature that it makes."""
        return f"{PREFIX}{self.name}"

    @classmethod
    def from_dict(cls, values: object) -> EncoderIdentity:
        """Rebuild from what JSON made of `dataclasses.asdict`.

        Raises:
            UsageError: A key is missing or unknown, or a value has another type.
        """
        given = require_keys(values, [f.name for f in fields(cls)], "an encoder")
        for name, value in given.items():
            require_type(value, int if name == "version" else str, f"encoder.{name}")
        return cls(**given)


class Encoder(Protocol):
    """A frozen network, ready to compute."""

    @property
    def identity(self) -> EncoderIdentity:
        """What decides the values of its embeddings."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an embedding."""

    def encode(self, signal: NDArray[Any], clip: str) -> NDArray[np.float32]:
        """Return the embedding of one clip, float32 of its shape.

        Args:
            signal: The sound, float32 (sample,), 16 kHz, at one level for all clips, not silent;
                or the faces, uint8 (frame, row, column).
            clip: Name of the clip, without folder and suffix: tables are asked by it.
        """


def frames_in_parts(
    signal: NDArray[np.float32],
    most: int,
    least: int,
    frames: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Read a sound in equal parts, and return the frames of all: (layer, frame, value).

    Args:
        signal: float32 (sample,).
        most: Samples of a part, at most: attention takes memory with the square of it.
        least: Samples of a part, at least: a shorter sound ends with zeros.
        frames: Maps a part to its frames.
    """
    whole = np.pad(signal, (0, max(0, least - len(signal))))
    parts = np.array_split(whole, -(-len(whole) // most))
    return np.concatenate([frames(part) for part in parts], axis=1)


def pooled(frames: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return mean and standard deviation over time, float32 (layer, 2, value).

    Args:
        frames: float (layer, time, value), one point in time or more.
    """
    wide = frames.astype(np.float64)
    return np.stack([wide.mean(axis=1), wide.std(axis=1)], axis=1).astype(np.float32)
