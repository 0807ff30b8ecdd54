"""Scene cuts: where from one frame to the next far more changes than a person's movement."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_SMALL = (32, 18)  # width and height in pixels at which frames are compared: movement hardly shows
_MIN_CHANGE = 10.0  # grey levels, on average; a talking head changes 1 to 3
_TIMES_USUAL = 4.0  # a cut changes so many times more than the frames around it


class SceneCuts:
    """The cuts of a video, from windows of it that may overlap."""

    def __init__(self) -> None:
        """Start without any."""
        self._gaps: list[tuple[float, float]] = []

    def add(self, frames: NDArray[np.uint8], seconds: Sequence[float]) -> None:
        """Find the cuts of a window.

        Args:
            frames: uint8 (frame, height, width).
            seconds: When each is shown; those that repeat have the same time.
        """
        for index in cuts_among(frames):
            start, end = seconds[index - 1], seconds[index]
            same = [gap for gap in self._gaps if gap[0] < end and start < gap[1]]
            for gap in same:
                self._gaps.remove(gap)
                start, end = max(start, gap[0]), min(end, gap[1])
            self._gaps.append((start, end))

    def any_between(self, first: float, second: float) -> bool:
        """Tell whether there is a cut between two times in seconds, in either order."""
        early, late = sorted((first, second))
        return any(early < (start + end) / 2 < late for start, end in self._gaps)


def cuts_among(frames: NDArray[np.uint8]) -> list[int]:
    """Return the indices of the frames that start a new scene.

    Args:
        frames: uint8 (frame, height, width), in the order of time.
    """
    if len(frames) < 2:
        return []
    small = np.stack([cv2.resize(f, _SMALL, interpolation=cv2.INTER_AREA) for f in frames])
    # Without the mean, a lamp that is switched on is no cut.
    levels = small.astype(np.float32) - small.mean(axis=(1, 2), keepdims=True)
    changes = np.abs(np.diff(levels, axis=0)).mean(axis=(1, 2))
    moving = changes[changes > 0]  # frames may repeat
    usual = float(np.median(moving)) if len(moving) else 0.0
    least = max(_MIN_CHANGE, _TIMES_USUAL * usual if len(moving) > 2 else 0.0)
    return [int(index) + 1 for index in np.flatnonzero(changes > least)]
