"""Keeps the wanted frames of a video while it is decoded."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.errors import MediaError
from avemotion.media.pictures import (
    hdr_note,
    hdr_of,
    kept_size,
    pixel_aspect,
    upright_size,
    write_grey,
)
from avemotion.media.timestamps import (
    FrameChoice,
    FramePlan,
    PacketTimes,
    plan_among,
    plan_frames,
    seconds,
)
from avemotion.types import VideoFrames

MIN_LENGTH_SHARE = 0.5
"""A video that ends earlier, as a share of the time that it announces, has lost its rest."""


class KeptFrames:
    """The wanted frames of a video, once all of its packets are decoded."""

    def __init__(self, name: str, stream: Any, packets: PacketTimes, plan: FramePlan) -> None:
        """Begin with nothing.

        Args:
            name: What messages call the file.
            stream: The video.
            packets: What they say of themselves.
            plan: Which frames are wanted.
        """
        self._name, self._stream, self._packets, self._plan = name, stream, packets, plan
        # The stream is gone with its container.
        self._unit = float(stream.time_base)
        self._rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.needed = plan.needed
        """Packets to decode; None for all."""
        self._rows: defaultdict[int, list[int]] = defaultdict(list)
        for row, number in enumerate(plan.numbers.tolist()):
            self._rows[number].append(row)
        # Where packets are left out, a frame is told by its time, not by counting.
        self._number_at = (
            None if plan.times is None else {int(plan.times[n]): n for n in self._rows}
        )
        self._left = set(self._rows)
        self._kept: NDArray[np.uint8] | None = None
        self._size = (0, 0)
        self._times: list[int | None] = []
        self._hdr = ""

    def take(self, frame: Any) -> None:
        """Keep the next frame if it is wanted."""
        time = frame.pts
        number = len(self._times) if self._number_at is None else self._number_at.get(time, -1)
        self._times.append(time)
        if number not in self._left:
            return
        self._left.remove(number)
        size = upright_size(frame)
        if self._kept is None:
            self._size, self._hdr = size, hdr_of(frame)
            kept = kept_size(*size, pixel_aspect(self._stream, frame))
            self._kept = np.empty((len(self._plan.numbers), *kept), np.uint8)
        if size != self._size:
            sizes = sorted({size, self._size})
            raise MediaError(f"the frames of {self._name} change their size: {sizes}")
        first, *others = self._rows[number]
        write_grey(frame, self._kept[first])
        for row in others:
            self._kept[row] = self._kept[first]

    def check_length(self, container_duration: int | None) -> None:
        """Refuse a video that ends before half of the time that it announces.

        What is missing may have been overwritten: no decoder complains of that. The share is low,
        since a sound may outlast its video.

        Args:
            container_duration: In microseconds, for lack of the stream's own.

        Raises:
            MediaError: It does.
        """
        announced = (self._stream.duration or 0) * self._unit
        if not announced:
            announced = (container_duration or 0) / av.time_base
        last = max((time or 0 for time in self._times), default=0) * self._unit
        if len(self._times) > 1 and 0 < last < MIN_LENGTH_SHARE * announced:
            raise MediaError(
                f"only the first {last:.1f} of the {announced:,.1f} s that {self._name} "
                "announces can be decoded: the video is truncated or damaged"
            )

    def better_plan(self, choose: FrameChoice) -> FramePlan | None:
        """Plan anew where the packets promised other frames than they gave; None where not.

        Raises:
            MediaError: They gave none.
        """
        if self._number_at is not None:
            return plan_frames(choose, self._packets, whole=True) if self._left else None
        if not self._times:
            raise MediaError(f"no frame of {self._name} can be decoded")
        if len(self._times) == self._plan.frames:
            return None
        plan = plan_among(choose, self._times)
        return None if not self._left and np.array_equal(plan.numbers, self._plan.numbers) else plan

    def finish(self) -> VideoFrames:
        """Return the frames."""
        assert self._kept is not None
        height, width = self._kept.shape[1:]
        partly = self._number_at is not None
        times = self._packets.times if partly else self._times
        return VideoFrames(
            self._kept,
            self._plan.numbers.astype(np.intp),
            self._plan.places.astype(np.intp),
            len(times),
            seconds(times, self._unit, self._rate),
            (self._size[0] / height, self._size[1] / width),
        )

    def notes(self) -> list[str]:
        """Say what is unusual about the video."""
        return hdr_note(self._hdr)
