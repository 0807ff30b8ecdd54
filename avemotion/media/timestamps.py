"""When the frames of a video are shown, which to take of them, and which packets that needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE
from avemotion.errors import MediaError

FrameChoice = Callable[[int], NDArray[np.intp]]
"""From the number of frames in a video to the sorted indices of those wanted."""

STEADY_WITHIN = 0.1
"""A video is taken to have a constant rate if no frame is shown further, as a share of its length,
from where such a rate would show it: containers round times, and lost frames are no other rate."""

LONG_FRAMES = 3_000
"""Of a longer video (100 s at 30 frames/s) only the stretches around the wanted frames are decoded;
what is broken elsewhere in it is not seen."""

_LEAD_IN_SECONDS = 1.0  # decoded ahead of the sound that is kept: codecs build on what came before
MIN_COVERED_SHARE = 0.5
"""Frames, or sound, that cover less of a window than this share are not used."""

MIN_LENGTH_SHARE = 0.5
"""A video that ends earlier, as a share of the duration that is announced, has lost its rest."""

_MAX_JUMP_SECONDS = 3600.0  # a longer gap is a damaged time stamp
_MAX_STEP_BACK_SECONDS = 1.0  # more is another clock: files joined without new time stamps


@dataclass(slots=True)
class PacketIndex:
    """Times and keyframes of the packets of one stream, in the order of decoding."""

    times: list[int | None] = field(default_factory=list)
    """When each is presented, in units of the stream; None where it does not say."""
    is_keyframe: list[bool] = field(default_factory=list)
    """Whether decoding can begin with it."""
    end: int = 0
    """When the last one ends."""

    def __len__(self) -> int:
        """Return the number of packets."""
        return len(self.times)

    def add(self, packet: av.Packet[av.stream.Stream]) -> None:
        """Add the next packet."""
        time = packet.pts
        self.times.append(time)
        self.is_keyframe.append(packet.is_keyframe)
        if time is not None:
            self.end = max(self.end, time + (packet.duration or 0))

    def shown(self) -> NDArray[np.int64] | None:
        """Return the times in order, int64 (packet,); None where they are missing or repeat."""
        return in_order(self.times)

    def length(self) -> int:
        """Return how long the stream is, in its units; 0 where no packet has a time."""
        known = [time for time in self.times if time is not None]
        return self.end - min(known) if known else 0

    def middle(self, length: float) -> tuple[float, float] | None:
        """Return the middle of a stream that is longer than `length`, in its units; else None."""
        whole = self.length()
        if whole <= length:
            return None
        centre = self.end - whole / 2
        return centre - length / 2, centre + length / 2


def in_order(times: Sequence[int | None]) -> NDArray[np.int64] | None:
    """Return the times of frames in order, int64 (frame,); None where some are missing or equal."""
    known = [time for time in times if time is not None]
    if not known or len(known) < len(times):
        return None
    ordered = np.sort(np.array(known, np.int64))
    return None if (np.diff(ordered) == 0).any() else ordered


def at_steady_rate(
    requested: NDArray[np.intp], times: NDArray[np.int64] | None, frames: int
) -> NDArray[np.intp]:
    """Return the frames that are shown when those of a constant rate would be.

    Args:
        requested: Indices of the frames wanted of a video at a constant rate.
        times: When each frame is shown, in order; None where that is unknown.
        frames: Number of frames in the video.

    Returns:
        The same indices where the rate is constant; else those of the frames shown at these times,
        of which some may repeat.
    """
    if times is None or len(times) != frames or frames < 3:
        return requested
    steady = np.linspace(times[0], times[-1], frames)
    if np.abs(times - steady).max() <= STEADY_WITHIN * (times[-1] - times[0]):
        return requested
    return np.asarray(np.searchsorted(times, steady[requested], side="right") - 1, np.intp)


def needed_for_frames(packets: PacketIndex, wanted: Sequence[int]) -> NDArray[np.bool_] | None:
    """Tell which packets must be decoded to see some frames; None where that is all of them.

    A stretch begins at a packet that decoding can begin with, and ends before the next one after
    the frame. Where a frame comes after such a packet but is shown before it, it may also build on
    the stretch before.

    Args:
        packets: Index of the packets of the video stream.
        wanted: Times of the frames, in units of the stream.
    """
    starts = np.flatnonzero(packets.is_keyframe)
    if len(packets) <= LONG_FRAMES or len(starts) < 2 or starts[0] != 0:
        return None
    position = {time: index for index, time in enumerate(packets.times)}
    needed = np.zeros(len(packets), np.bool_)
    bounds = np.append(starts, len(packets))
    for time in wanted:
        stretch = int(np.searchsorted(starts, position[time], side="right")) - 1
        key_time = packets.times[starts[stretch]]
        leads = stretch > 0 and key_time is not None and time < key_time
        needed[bounds[stretch - leads] : bounds[stretch + 1]] = True
    return needed


def needed_for_sound(
    packets: PacketIndex, window: tuple[float, float], second: float
) -> NDArray[np.bool_]:
    """Tell which packets hold a stretch of sound, or lead into it.

    Args:
        packets: Index of the packets of the audio stream.
        window: Start and end, in units of the stream.
        second: Units of the stream in a second.
    """
    start, end = window[0] - _LEAD_IN_SECONDS * second, window[1]
    return np.array([time is None or start <= time <= end for time in packets.times])


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Which frames of a video are kept."""

    requested: NDArray[np.intp]
    """int (frame,): indices of those wanted at a constant rate."""
    indices: NDArray[np.intp]
    """int (frame,): indices of those that are taken for them."""
    frames: int
    """Number of frames of the whole video."""
    needed: NDArray[np.bool_] | None = None
    """Packets to decode; None for all."""
    times: NDArray[np.int64] | None = None
    """When each frame of the video is shown, where only some packets are decoded."""


def plan_frames(choose: FrameChoice, packets: PacketIndex, whole: bool = False) -> FramePlan:
    """Choose frames by the packets' times.

    Args:
        choose: Which frames to keep.
        packets: Index of the packets of the video stream.
        whole: Decode all of them, however long the video is.
    """
    count = max(1, len(packets))
    requested, times = choose(count), packets.shown()
    indices = at_steady_rate(requested, times, count)
    needed = None
    if times is not None and not whole:
        needed = needed_for_frames(packets, times[np.unique(indices)].tolist())
    return FramePlan(
        requested=requested,
        indices=indices,
        frames=count,
        needed=needed,
        times=None if needed is None else times,
    )


def plan_among(choose: FrameChoice, times: Sequence[int | None]) -> FramePlan:
    """Choose among the frames that there really are, by when each is shown."""
    count = len(times)
    requested = choose(count)
    indices = at_steady_rate(requested, in_order(times), count)
    return FramePlan(requested=requested, indices=indices, frames=count)


def duration_seconds(times: Sequence[int | None], unit: float, rate: float) -> float:
    """Return how long a video is, in seconds.

    Args:
        times: When each frame is shown, in units of the stream.
        unit: Length of that unit in seconds.
        rate: Frames a second as the file announces them; used where times are missing.
    """
    ordered = in_order(times)
    if ordered is not None and len(ordered) > 1:
        mean = (ordered[-1] - ordered[0]) / (len(ordered) - 1)
        return float(mean * len(ordered) * unit)
    return len(times) / rate if rate else 0.0


def unit_seconds(timed: av.stream.Stream | av.frame.Frame) -> Fraction:
    """Return the unit of a stream's or a frame's time stamps, in seconds."""
    return timed.time_base or Fraction(1)


def origin_of(streams: Sequence[av.stream.Stream]) -> Fraction:
    """Return the time stamp, in seconds, that counts as 0; what lies before 0 is never played."""
    starts = [s.start_time * unit_seconds(s) for s in streams if s.start_time is not None]
    return max(Fraction(0), min(starts, default=Fraction(0)))


def ticks(frame: av.frame.Frame, origin: Fraction) -> Fraction | None:
    """Return when a decoded frame or block starts, in ticks; None where it has no time stamp."""
    if frame.pts is None:
        return None
    return Fraction((frame.pts * unit_seconds(frame) - origin) * SAMPLE_RATE)


def check_length(
    name: str,
    container: av.container.InputContainer,
    video: av.VideoStream,
    end_seconds: float,
    last_seconds: Callable[[], float],
) -> None:
    """Refuse a video that ends before half of the duration that its file announces.

    What is missing may have been overwritten: no decoder complains of that. Where the stream itself
    announces no duration (Matroska, WebM, FLV), the container announces that of its longest stream,
    so that something is missing only where no other stream lasts longer.

    Args:
        name: What messages call the file.
        container: The file.
        video: Its video stream.
        end_seconds: Time stamp at which the last decoded frame ends.
        last_seconds: Reads the time stamp of the file's last packet.

    Raises:
        MediaError: The video ends too early.
    """
    own = float((video.duration or 0) * unit_seconds(video))
    if own:
        end_seconds -= float((video.start_time or 0) * unit_seconds(video))
    announced = own or (container.duration or 0) / av.time_base
    least = MIN_LENGTH_SHARE * announced
    if 0 < end_seconds < least and (own or last_seconds() < least):
        raise MediaError(
            f"only the first {end_seconds:.1f} of the {announced:,.1f} s that {name} announces can "
            "be decoded: the video is truncated or damaged"
        )


def check_step(step_seconds: float, at_seconds: float) -> None:
    """Refuse time stamps that cannot be those of one recording.

    Args:
        step_seconds: From the end of one frame or block to the start of the next.
        at_seconds: When the next one starts.

    Raises:
        MediaError: The step is too far back or ahead.
    """
    if not -_MAX_STEP_BACK_SECONDS <= step_seconds <= _MAX_JUMP_SECONDS:
        raise MediaError(
            f"the time stamps jump by {step_seconds:+.1f} s at {at_seconds:.1f} s: the file is "
            "damaged, or joined from several. Re-encode it (`ffmpeg -i IN OUT`) and try again"
        )
