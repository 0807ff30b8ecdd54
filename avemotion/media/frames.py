"""Keeps the wanted frames of a video while it is decoded."""

from __future__ import annotations

from collections import defaultdict

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.errors import MediaError
from avemotion.media.orientation import UPRIGHT, orientation_of
from avemotion.media.timestamps import (
    FrameChoice,
    FramePlan,
    PacketIndex,
    duration_seconds,
    plan_among,
    plan_frames,
    unit_seconds,
)
from avemotion.media.types import VideoFrames

LARGEST_SIDE = 720
"""Frames whose smaller side is longer are shrunk to it: faces are searched from a seventh of it up,
and so none loses detail that a crop of 80 x 98 could show."""

# Planar or semi-planar 8-bit YUV: plane 0 is the luma of every pixel.
_LUMA_FORMATS = {"yuv420p", "yuv422p", "yuv444p", "nv12", "nv21"}
_JPEG_RANGE = 2  # AVCOL_RANGE_JPEG: luma already spans 0 to 255
_FULL_RANGE = np.clip(np.rint((np.arange(256.0) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Limited-range luma (16 black to 235 white) to grey (0 to 255)."""

_PIXEL_ASPECTS = (0.25, 4.0)  # beyond these a file is wrong about its pixels
_HDR = {16: "PQ", 18: "HLG"}  # AVCOL_TRC_SMPTE2084, AVCOL_TRC_ARIB_STD_B67


class FrameCollector:
    """The wanted frames of a video, once all of its packets are decoded."""

    def __init__(
        self, name: str, stream: av.VideoStream, packets: PacketIndex, plan: FramePlan
    ) -> None:
        """Start empty.

        Args:
            name: What messages call the file.
            stream: The video stream.
            packets: Index of its packets.
            plan: Which frames are wanted.
        """
        self._name, self._stream, self._packets, self._plan = name, stream, packets, plan
        # The stream is gone with its container.
        self._unit = float(unit_seconds(stream))
        self._rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.needed = plan.needed
        """Packets to decode; None for all."""
        self._rows: defaultdict[int, list[int]] = defaultdict(list)
        for row, index in enumerate(plan.indices.tolist()):
            self._rows[index].append(row)
        # Where packets are left out, a frame is known by its time, not by counting.
        self._index_at: dict[int | None, int] | None = None
        if plan.times is not None:
            self._index_at = {int(plan.times[i]): i for i in self._rows}
        self._left = set(self._rows)
        self._kept: NDArray[np.uint8] | None = None
        self._size = (0, 0)
        self._times: list[int | None] = []
        self._end = 0
        self._hdr = ""

    def take(self, frame: av.VideoFrame) -> None:
        """Keep the next frame if it is wanted."""
        time = frame.pts
        index = len(self._times) if self._index_at is None else self._index_at.get(time, -1)
        self._times.append(time)
        self._end = max(self._end, (time or 0) + (frame.duration or 0))
        if index not in self._left:
            return
        self._left.remove(index)
        size = upright_size(frame)
        if self._kept is None:
            self._size, self._hdr = size, hdr_of(frame)
            kept = kept_size_of(self._stream, frame)
            self._kept = np.empty((len(self._plan.indices), *kept), np.uint8)
        if size != self._size:
            sizes = sorted({size, self._size})
            raise MediaError(f"the frames of {self._name} change their size: {sizes}")
        first, *others = self._rows[index]
        write_grey(frame, self._kept[first])
        for row in others:
            self._kept[row] = self._kept[first]

    @property
    def end_seconds(self) -> float:
        """Time stamp at which the last decoded frame ends."""
        return self._end * self._unit

    def better_plan(self, choose: FrameChoice) -> FramePlan | None:
        """Plan anew where the packets promised other frames than they gave; None where not.

        Raises:
            MediaError: No frame was decoded.
        """
        if self._index_at is not None:
            return plan_frames(choose, self._packets, whole=True) if self._left else None
        if not self._times:
            raise MediaError(f"no frame of {self._name} can be decoded")
        if len(self._times) == self._plan.frames:
            return None
        plan = plan_among(choose, self._times)
        return None if not self._left and np.array_equal(plan.indices, self._plan.indices) else plan

    def finish(self) -> VideoFrames:
        """Return the frames."""
        assert self._kept is not None
        height, width = self._kept.shape[1:]
        partly = self._index_at is not None
        times = self._packets.times if partly else self._times
        return VideoFrames(
            frames=self._kept,
            indices=self._plan.indices.astype(np.intp),
            requested_indices=self._plan.requested.astype(np.intp),
            decoded=len(times),
            duration_seconds=duration_seconds(times, self._unit, self._rate),
            scale=(self._size[0] / height, self._size[1] / width),
        )

    def notes(self) -> list[str]:
        """Say what is unusual about the video."""
        return hdr_note(self._hdr)


def hdr_of(frame: av.VideoFrame) -> str:
    """Return the name of a frame's high dynamic range; empty where it has none."""
    return _HDR.get(int(frame.color_trc or 0), "")


def hdr_note(hdr: str) -> list[str]:
    """Say that a video has a high dynamic range."""
    return (
        [f"the video is HDR ({hdr}): its grey levels differ from those in training"] if hdr else []
    )


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Return the height and width of an upright frame, in pixels of the video."""
    stored = (frame.height, frame.width)
    return stored[::-1] if orientation_of(frame).transposed else stored


def kept_size(height: int, width: int, pixel_aspect: float = 1.0) -> tuple[int, int]:
    """Return the height and width at which an upright frame is kept.

    Args:
        height: Rows of the frame.
        width: Columns of the frame.
        pixel_aspect: Width of a pixel over its height; implausible ones count as 1.
    """
    if not _PIXEL_ASPECTS[0] <= pixel_aspect <= _PIXEL_ASPECTS[1]:
        pixel_aspect = 1.0
    shown = width * pixel_aspect
    scale = min(1.0, LARGEST_SIDE / min(height, shown))
    return max(1, round(height * scale)), max(1, round(shown * scale))


def kept_size_of(stream: av.VideoStream, frame: av.VideoFrame) -> tuple[int, int]:
    """Return the height and width at which a decoded frame is kept, upright."""
    return kept_size(*upright_size(frame), _pixel_aspect(stream, frame))


def _pixel_aspect(stream: av.VideoStream, frame: av.VideoFrame) -> float:
    """Return the width of an upright frame's pixels over their height; 1 where unknown."""
    aspect = float(stream.sample_aspect_ratio or 0)
    if aspect <= 0:
        return 1.0
    return 1 / aspect if orientation_of(frame).transposed else aspect


def write_grey(frame: av.VideoFrame, upright: NDArray[np.uint8]) -> None:
    """Write a decoded frame, upright, into an array uint8 (height, width), 0 to 255."""
    orientation, shape = orientation_of(frame), (frame.height, frame.width)
    if orientation == UPRIGHT and upright.shape == shape and _is_luma(frame):
        cv2.LUT(_luma(frame), _FULL_RANGE, dst=upright)
        return
    grey = (
        cv2.LUT(_luma(frame), _FULL_RANGE) if _is_luma(frame) else frame.to_ndarray(format="gray")
    )
    write_resized(np.asarray(grey, np.uint8), orientation.as_stored(upright))


def write_resized(grey: NDArray[np.uint8], kept: NDArray[np.uint8]) -> None:
    """Write a grey frame into an array of the size at which it is kept."""
    if grey.shape != kept.shape:
        grey = np.asarray(cv2.resize(grey, kept.shape[::-1], interpolation=cv2.INTER_AREA))
    kept[:] = grey


def _is_luma(frame: av.VideoFrame) -> bool:
    return frame.format.name in _LUMA_FORMATS and frame.color_range != _JPEG_RANGE


def _luma(frame: av.VideoFrame) -> NDArray[np.uint8]:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return np.asarray(rows[: frame.height, : frame.width])
