"""When things happen in a file: in ticks, the samples of a sound at 16 kHz, from its start."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from avemotion.config import SAMPLE_RATE
from avemotion.errors import MediaError

MIN_COVERED_SHARE = 0.5
"""A window is not judged by frames, or by sound, that cover less of it than this."""

_MAX_JUMP_SECONDS = 3600.0  # a longer gap is a damaged time stamp
_MAX_STEP_BACK_SECONDS = 1.0  # more is another clock: files joined without new time stamps


def origin_of(streams: list[Any]) -> Fraction:
    """Return the time stamp, in seconds, that counts as 0; what lies before 0 is never played."""
    starts = [s.start_time * s.time_base for s in streams if s.start_time is not None]
    return max(Fraction(0), min(starts, default=Fraction(0)))


def ticks(frame: Any, origin: Fraction) -> Fraction | None:
    """Return when a decoded frame or block starts; None where it has no time stamp."""
    if frame.pts is None:
        return None
    return Fraction((frame.pts * frame.time_base - origin) * SAMPLE_RATE)


def checked_step(seconds: float, at: float) -> None:
    """Refuse time stamps that cannot be those of one recording."""
    if not -_MAX_STEP_BACK_SECONDS <= seconds <= _MAX_JUMP_SECONDS:
        raise MediaError(
            f"the time stamps jump by {seconds:+.1f} s at {at:.1f} s: the file is damaged, or was "
            "joined from several without new time stamps. Write it anew (`ffmpeg -i`) and try again"
        )
