"""The features of a clip: what the store keeps of it, in all views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from avemotion.features.table import ClipSignals, feature


@dataclass(frozen=True, slots=True, repr=False)
class ClipFeatures:
    """The features of one clip in all views; a missing face or voice is all zeros."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Feature -> (view, *shape), or its shape alone where views do not differ."""
    lengths: dict[str, int] = field(default_factory=dict)
    """Feature of the sound -> how many of its last axis hold sound."""

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    @classmethod
    def of(cls, clip: ClipSignals, names: Sequence[str], views: int) -> ClipFeatures:
        """Compute the features of a clip.

        Args:
            clip: Its faces and sound.
            names: The features: see `avemotion.features.table`.
            views: Number of views.
        """
        return cls(
            arrays={name: feature(name).of(clip, views) for name in names},
            lengths={name: feature(name).length_of(clip) for name in names_with_length(names)},
        )


def names_with_length(names: Sequence[str]) -> list[str]:
    """Return those features of which the last axis may be padding."""
    return [name for name in names if feature(name).columns]
