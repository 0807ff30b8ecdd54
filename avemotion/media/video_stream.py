"""The frames of a video of any length: those that current windows need, and 20 of each window."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.codec.context import ThreadType
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, SAMPLE_RATE
from avemotion.media.frames import hdr_note, hdr_of, kept_size_of, upright_size, write_grey
from avemotion.media.motion import motion_of
from avemotion.media.timestamps import MIN_COVERED_SHARE, check_step, ticks, unit_seconds


@dataclass(frozen=True, slots=True)
class _BufferedFrame:
    """A decoded frame that current windows need."""

    time: Fraction
    """When it is shown, in ticks."""
    end: Fraction
    """When the next one is due, as far as the file says; in ticks."""
    grey: NDArray[np.uint8]
    """uint8 (height, width)."""
    scale: tuple[float, float]
    """Pixels of the video to one of these, down and across."""


@dataclass(frozen=True, slots=True)
class WindowFrames:
    """Frames chosen from a window."""

    frames: NDArray[np.uint8]
    """uint8 (20, height, width)."""
    seconds: tuple[float, ...]
    """When each is shown, in seconds."""
    decoded: int
    """Number of frames that they were chosen from."""
    scale: tuple[float, float]
    """Pixels of the video to one of these, down and across."""
    notes: tuple[str, ...]
    """What is unusual about this window."""


class FrameStream:
    """The frames of a video, as far as it was read."""

    def __init__(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        origin: Fraction,
        spacing: float,
        notes: Sequence[str] = (),
    ) -> None:
        """Start at the beginning.

        Args:
            container: The file, opened for this stream alone.
            stream: The video stream.
            origin: Time stamp that counts as 0, in seconds.
            spacing: Frames closer than this to the last one are skipped; in ticks.
            notes: Why it is this stream.
        """
        stream.thread_type = ThreadType.AUTO  # one long video, and no processes beside this one
        self._decoded = (f for packet in container.demux(stream) for f in packet.decode())
        self._stream, self._origin, self._spacing = stream, origin, spacing
        rate = stream.average_rate or stream.guessed_rate
        self._usual_length = Fraction(SAMPLE_RATE) / rate if rate else Fraction(0)
        self._buffer: deque[_BufferedFrame] = deque()
        self._last: Fraction | None = None
        self._end = Fraction(0)
        self._finished = False
        self._choice_notes, self._hdr = notes, ""

    def read_to(self, tick: int) -> int:
        """Read until a frame starts at this tick or later; return how far the video reaches."""
        while not self._finished and (self._last is None or self._last < tick):
            frame = next(self._decoded, None)
            if frame is None:
                self._finished = True
            else:
                self._take(frame)
        return int(self._end) if self._finished else tick

    def _take(self, frame: av.VideoFrame) -> None:
        stamp = ticks(frame, self._origin)
        time = self._end if stamp is None else stamp
        before = self._last if self._last is not None else Fraction(0)
        check_step(float(time - before) / SAMPLE_RATE, float(before) / SAMPLE_RATE)
        if time < 0 or (self._last is not None and time <= self._last):
            return
        length = (frame.duration or 0) * unit_seconds(frame) * SAMPLE_RATE or self._usual_length
        self._last, self._end = time, time + length
        if self._buffer and time - self._buffer[-1].time < self._spacing:
            return
        self._hdr = self._hdr or hdr_of(frame)
        height, width = upright_size(frame)
        grey = np.empty(kept_size_of(self._stream, frame), np.uint8)
        write_grey(frame, grey)
        scale = (height / grey.shape[0], width / grey.shape[1])
        self._buffer.append(_BufferedFrame(time, self._end, grey, scale))

    def drop_before(self, tick: int) -> None:
        """Drop the frames before this tick."""
        while self._buffer and self._buffer[0].time < tick:
            self._buffer.popleft()

    def pick(self, start: int, end: int) -> WindowFrames | str:
        """Choose 20 frames of the ticks [start, end), or say why there are none."""
        inside = [buffered for buffered in self._buffer if start <= buffered.time < end]
        if not inside:
            return "no new frame in this window"
        seconds = float(min(inside[-1].end, Fraction(end)) - inside[0].time) / SAMPLE_RATE
        if len(inside) == 1:
            return "frozen video: only one new frame in this window"
        if seconds * SAMPLE_RATE < MIN_COVERED_SHARE * (end - start):
            return f"frames in only {seconds:.1f} s of this window"
        if len({buffered.grey.shape for buffered in inside}) > 1:
            return "the frames change their size in this window"
        chosen = evenly_in_time(np.array([float(buffered.time) for buffered in inside]))
        frames = np.stack([inside[i].grey for i in chosen])
        motion = motion_of(frames, min(FACE_FRAMES, len(inside)), seconds)
        if motion.is_too_little():
            return f"frozen video: {motion.distinct} of {motion.sampled} sampled frames differ"
        return WindowFrames(
            frames=frames,
            seconds=tuple(float(inside[i].time) / SAMPLE_RATE for i in chosen),
            decoded=len(inside),
            scale=inside[0].scale,
            notes=tuple(motion.notes()),
        )

    def notes(self) -> list[str]:
        """Say which stream this is, and what is unusual about it so far."""
        return [*self._choice_notes, *hdr_note(self._hdr)]

    @property
    def end_seconds(self) -> float:
        """When the last frame read so far ends."""
        return float(self._end) / SAMPLE_RATE


def evenly_in_time(times: NDArray[np.float64]) -> list[int]:
    """Choose 20 frames evenly from the first to the last: the nearest to each moment.

    At a constant rate these are the frames that a clip's plain grid takes.

    Args:
        times: float64 (frame,), ascending; at least one.

    Returns:
        20 indices of frames, ascending; some repeat where there are few frames.
    """
    moments = np.linspace(times[0], times[-1], FACE_FRAMES)
    borders = (times[1:] + times[:-1]) / 2
    return [int(i) for i in np.searchsorted(borders, moments)]
