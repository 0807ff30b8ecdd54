"""The frames of a video of any length: those held that current windows need, 20 of each chosen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, SAMPLE_RATE
from avemotion.media.frames import (
    MIN_DISTINCT_SHARE,
    count_distinct,
    hdr_note,
    hdr_of,
    kept_size,
    pixel_aspect,
    upright_size,
    write_grey,
)
from avemotion.media.timestamps import MIN_COVERED_SHARE, checked_step, ticks


@dataclass(frozen=True, slots=True)
class _Held:
    """A frame that is held."""

    time: Fraction
    """In ticks."""
    end: Fraction
    """When it has been shown, as far as the file says."""
    grey: NDArray[np.uint8]
    """uint8 (height, width)."""
    scale: tuple[float, float]
    """Pixels of the video to one of these, down and across."""


@dataclass(frozen=True, slots=True)
class PickedFrames:
    """Frames chosen from a window."""

    frames: NDArray[np.uint8]
    """uint8 (20, height, width)."""
    seconds: tuple[float, ...]
    """When each is shown."""
    decoded: int
    """Frames that they were chosen from."""
    scale: tuple[float, float]
    """Pixels of the video to one of these, down and across."""


class FrameStream:
    """The frames of a video, as far as it was read."""

    def __init__(self, container: Any, stream: Any, origin: Fraction, spacing: float) -> None:
        """Take what to read, the time stamp that counts as 0, and the least spacing in ticks."""
        stream.thread_type = "AUTO"  # one long video, and no processes beside this one
        self._decoded = (f for packet in container.demux(stream) for f in packet.decode())
        self._stream, self._origin, self._spacing = stream, origin, spacing
        rate = stream.average_rate or stream.guessed_rate
        self._usual = Fraction(SAMPLE_RATE) / rate if rate else Fraction(0)
        self._held: deque[_Held] = deque()
        self._last: Fraction | None = None
        self._end = Fraction(0)
        self._finished = False
        self._hdr = ""

    def read_to(self, tick: int) -> int:
        """Read until a frame starts at this tick or later; return how far the video reaches."""
        while not self._finished and (self._last is None or self._last < tick):
            frame = next(self._decoded, None)
            if frame is None:
                self._finished = True
            else:
                self._take(frame)
        return int(self._end) if self._finished else tick

    def _take(self, frame: Any) -> None:
        stamp = ticks(frame, self._origin)
        time = self._end if stamp is None else stamp
        before = self._last if self._last is not None else Fraction(0)
        checked_step(float(time - before) / SAMPLE_RATE, float(before) / SAMPLE_RATE)
        if time < 0 or (self._last is not None and time <= self._last):
            return
        length = frame.duration * frame.time_base * SAMPLE_RATE if frame.duration else self._usual
        self._last, self._end = time, time + length
        if self._held and time - self._held[-1].time < self._spacing:
            return
        self._hdr = self._hdr or hdr_of(frame)
        height, width = upright_size(frame)
        grey = np.empty(kept_size(height, width, pixel_aspect(self._stream, frame)), np.uint8)
        write_grey(frame, grey)
        scale = (height / grey.shape[0], width / grey.shape[1])
        self._held.append(_Held(time, self._end, grey, scale))

    def forget(self, tick: int) -> None:
        """Drop the frames before this tick."""
        while self._held and self._held[0].time < tick:
            self._held.popleft()

    def pick(self, start: int, end: int) -> PickedFrames | str:
        """Choose 20 frames of [start, end), or say why that cannot be."""
        inside = [held for held in self._held if start <= held.time < end]
        if not inside:
            return "no new frame in this window"
        shown = float(min(inside[-1].end, Fraction(end)) - inside[0].time) / (end - start)
        if len(inside) == 1:
            return "the picture stands still: a single new frame in this window"
        if shown < MIN_COVERED_SHARE:
            return f"frames in only {shown * (end - start) / SAMPLE_RATE:.1f} s of this window"
        if len({held.grey.shape for held in inside}) > 1:
            return "the frames change their size in this window"
        chosen = evenly_in_time(np.array([float(held.time) for held in inside]))
        frames = np.stack([inside[i].grey for i in chosen])
        expected, distinct = len(set(chosen)), count_distinct(frames)
        if distinct < MIN_DISTINCT_SHARE * expected:
            return f"the picture stands still: only {distinct} of {expected} sampled frames differ"
        seconds = tuple(float(inside[i].time) / SAMPLE_RATE for i in chosen)
        return PickedFrames(frames, seconds, len(inside), inside[0].scale)

    def notes(self) -> list[str]:
        """Say what is unusual about the video so far."""
        return hdr_note(self._hdr)


def evenly_in_time(times: NDArray[np.float64]) -> list[int]:
    """Choose 20 frames evenly from the first to the last: the nearest to each place in time.

    At a constant rate these are the frames that a clip's plain grid takes.

    Args:
        times: float64 (frame,), ascending; at least one.

    Returns:
        20 numbers of frames, ascending; some repeat where there are few frames.
    """
    places = np.linspace(times[0], times[-1], FACE_FRAMES)
    borders = (times[1:] + times[:-1]) / 2
    return [int(i) for i in np.searchsorted(borders, places)]
