"""How far a face or a voice is from those that a model learned from; this module needs no torch.

Distances are in the space of the signatures (`avemotion.features.signatures`): along the directions
in which the training clips differ most in units of their spread there, and beside these in units of
the rest, as "distance from face space" is measured (Moghaddam and Pentland, IEEE Transactions on
Pattern Analysis and Machine Intelligence 19(7), 1997).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.config import Stream
from avemotion.errors import UsageError, require, require_keys, require_list, require_type
from avemotion.features.signatures import SIGNATURES

DIRECTIONS: dict[Stream, int] = {"video": 20, "audio": 8}
"""Directions that are kept. Of held-out people's signatures 1 % are then beyond `limit`; of pieces
of photographs without a face a third to a half, of tones, chords and clicks all."""
_LEAST_SCALE = 0.01  # of the typical one, for values that never differ in training


@dataclass(frozen=True, slots=True)
class TrainingSpace:
    """The signatures of the training clips: their mean, and how they differ."""

    stream: Stream
    """What they are of."""
    mean: tuple[float, ...]
    """Mean of each value, (value,)."""
    scale: tuple[float, ...]
    """Standard deviation of each, (value,)."""
    directions: tuple[tuple[float, ...], ...]
    """Principal directions of the standardised values, (direction, value)."""
    spreads: tuple[float, ...]
    """Standard deviation along each, (direction,)."""
    rest: float
    """Standard deviation along all others, on average."""
    limit: float
    """Distance that 99 % of the validation clips' signatures are within; of the training clips
    where there are no others."""

    def __post_init__(self) -> None:
        """Refuse what nobody can have measured.

        Raises:
            UsageError: Lengths do not fit, or a number is of another type or out of range.
        """
        require(self.stream in SIGNATURES, "stream", self.stream, " or ".join(SIGNATURES))
        rows = [self.mean, self.scale, *self.directions]
        fits = len({len(row) for row in rows}) == 1 and len(self.spreads) == len(self.directions)
        require(fits, f"{self.stream}.directions", len(self.directions), "of one length with mean")
        for value in (*(v for row in rows for v in row), *self.spreads, self.rest, self.limit):
            require_type(value, float, f"space of {self.stream}")
        for value in (*self.scale, *self.spreads, self.rest, self.limit):
            require(value > 0, f"space of {self.stream}", value, "above 0")

    @classmethod
    def of(
        cls,
        stream: Stream,
        learned: NDArray[np.float64],
        held_out: NDArray[np.float64],
    ) -> TrainingSpace:
        """Measure signatures.

        Args:
            stream: What they are of.
            learned: Of the training clips, float64 (clip, value), many more than `DIRECTIONS`.
            held_out: Of clips of other people, float64 (clip, value); none to take `learned`.
        """
        scale = learned.std(axis=0)
        scale = np.maximum(scale, _LEAST_SCALE * max(float(np.median(scale)), 1e-3))
        standardised = (learned - learned.mean(axis=0)) / scale
        _, sizes, directions = np.linalg.svd(standardised, full_matrices=False)
        kept = DIRECTIONS[stream]
        spreads = sizes / np.sqrt(len(learned))
        beside = np.sqrt(np.square(spreads[kept:]).sum() / (learned.shape[1] - kept))
        found = cls(
            stream,
            _plain(learned.mean(axis=0)),
            _plain(scale),
            tuple(map(_plain, directions[:kept])),
            _plain(np.maximum(spreads[:kept], 1e-6)),
            _rounded(max(beside, 1e-6)),
            limit=1.0,
        )
        distances = [found.distance(one) for one in (held_out if len(held_out) else learned)]
        return replace(found, limit=_rounded(max(float(np.percentile(distances, 99)), 1e-6)))

    def distance(self, signature: NDArray[np.float64]) -> float:
        """Return the distance of a signature, float64 (value,), from those of training."""
        standardised = (signature - np.array(self.mean)) / np.array(self.scale)
        along = np.array(self.directions) @ standardised
        beside = max(0.0, float(standardised @ standardised - along @ along))
        within = float(np.square(along / np.array(self.spreads)).sum())
        return float(np.sqrt(within + beside / self.rest**2))

    @classmethod
    def from_dict(cls, values: object) -> TrainingSpace:
        """Rebuild from what JSON made of `dataclasses.asdict`.

        Raises:
            UsageError: A key is missing or unknown, or a value of another type or out of range.
        """
        given = require_keys(values, [f.name for f in fields(cls)], "spaces")
        for name in ("mean", "scale", "spreads", "directions"):
            require_list(given[name], f"spaces.{name}")
        try:
            directions = tuple(map(tuple, given["directions"]))
        except TypeError as error:
            raise UsageError(f"spaces.directions: {error}.") from error
        rows = {name: tuple(given[name]) for name in ("mean", "scale", "spreads")}
        return cls(**given | rows | {"directions": directions})


def strangeness(media: Mapping[str, Any], spaces: Sequence[TrainingSpace]) -> dict[str, float]:
    """Return by stream how far a clip is from those of training, 1 being the limit.

    Args:
        media: Stream -> its face crops, uint8 (frame, row, column), or waveform, int16 (sample,); a
            missing stream has no entry.
        spaces: What the model knows of its training clips.
    """
    return {
        space.stream: space.distance(SIGNATURES[space.stream](media[space.stream])) / space.limit
        for space in spaces
        if space.stream in media
    }


def spaces_from(values: object) -> tuple[TrainingSpace, ...]:
    """Rebuild all spaces of a model from what JSON made of them.

    Raises:
        UsageError: A key is missing or unknown, or a value of another type or out of range.
    """
    return tuple(map(TrainingSpace.from_dict, require_list(values, "spaces")))


def _plain(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(map(_rounded, values))


def _rounded(value: float | np.floating) -> float:
    """Return four digits of it: a face's space then takes 30 kB in a model."""
    return float(f"{value:.4g}")
