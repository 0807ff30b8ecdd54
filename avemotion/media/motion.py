"""How long a video moves: too little motion is refused, little of it is said.

Truncated files decode to a few frames that repeat, without an error; so do still images, and calls
that froze.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avemotion.errors import MediaError

MIN_MOVING_SECONDS = 0.1
"""Shorter motion shows no expression: the video is an image, or frozen. Sound needs as much."""

EXPRESSION_SECONDS = 0.5
"""Expressions on a face last from half a second to four (Ekman, "Darwin, deception, and facial
expression", 2003): a shorter video shows a part of one, a longer halt may hide one."""

_FEW_FRAMES = 10  # different ones; 20 are sampled
_MIN_TRAINING_SHARE = 0.5  # of a video that moves, where training reads it


@dataclass(frozen=True, slots=True)
class Motion:
    """How much of a video moves, by frames sampled evenly over its duration."""

    seconds: float
    """Duration of the video; 0 where it is unknown."""
    sampled: int
    """Number of frames sampled."""
    distinct: int
    """Of these, the number that differ from one another."""

    @property
    def moving_seconds(self) -> float:
        """Duration without the stretches in which sampled frames repeat."""
        return self.seconds * (self.distinct - 1) / max(1, self.sampled - 1)

    @property
    def still_seconds(self) -> float:
        """Duration of the stretches in which sampled frames repeat."""
        return self.seconds - self.moving_seconds

    def is_too_little(self) -> bool:
        """Tell whether this is no more than an image."""
        moving = round(self.moving_seconds, 2)  # containers round time stamps
        return self.distinct < 2 or (self.seconds > 0 and moving < MIN_MOVING_SECONDS)

    def notes(self) -> list[str]:
        """Say that there is little motion."""
        if self.still_seconds >= EXPRESSION_SECONDS:
            return [
                f"the video stands still or repeats for {self.still_seconds:.1f} of "
                f"{self.seconds:.1f} s: {self._differ()}"
            ]
        if self.distinct < _FEW_FRAMES or 0 < round(self.seconds, 2) < EXPRESSION_SECONDS:
            return [
                f"the video has little motion: {self.distinct} different frames in "
                f"{self.seconds:.2f} s"
            ]
        return []

    def check(self, name: str) -> None:
        """Refuse what is no more than an image.

        Args:
            name: What messages call the video.

        Raises:
            MediaError: The video moves for less than `MIN_MOVING_SECONDS`.
        """
        if self.is_too_little():
            raise MediaError(
                f"{name} moves for only {self.moving_seconds:.2f} of {self.seconds:.2f} s "
                f"({self._differ()}), but at least {MIN_MOVING_SECONDS} s are needed: it is an "
                "image, or a frozen or truncated video"
            )

    def check_for_training(self, name: str) -> None:
        """Refuse what stands still for more than half of its duration.

        Raises:
            MediaError: Fewer than half of the frames differ.
        """
        if self.distinct < _MIN_TRAINING_SHARE * self.sampled:
            raise MediaError(
                f"{name} stands still or repeats for {self.still_seconds:.1f} of "
                f"{self.seconds:.1f} s ({self._differ()}), more than half of it: the video is "
                "frozen or truncated"
            )

    def _differ(self) -> str:
        return f"{self.distinct} of {self.sampled} sampled frames differ"


def motion_of(frames: Iterable[NDArray[np.uint8]], sampled: int, seconds: float) -> Motion:
    """Measure the motion of a video.

    Args:
        frames: uint8 (height, width) each; some may be left out that repeat others.
        sampled: Number of frames sampled evenly over the duration.
        seconds: Duration of the video; 0 where it is unknown.
    """
    # A quarter of the rows tells frames apart: what moves is higher than three.
    return Motion(seconds, sampled, len({frame[::4].tobytes() for frame in frames}))
