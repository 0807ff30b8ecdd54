"""One pass over a media file with PyAV: chosen frames in grey, and the sound's samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.containers import check_file
from avemotion.errors import MediaError, NoVideoError
from avemotion.types import VideoFrames

FrameChoice = Callable[[int], NDArray[np.intp]]
"""From the number of frames in a video to the sorted numbers of those wanted."""

MIN_LENGTH_SHARE = 0.5
"""A video that ends earlier, as a share of the time that it announces, has lost its rest."""

_HELD_BYTES = 64 * 2**20  # compressed packets kept from counting to decoding; a clip has 0.5 MB

# Planar or semi-planar 8-bit YUV: plane 0 is the luma of every pixel.
_LUMA_FORMATS = {"yuv420p", "yuv422p", "yuv444p", "nv12", "nv21"}
_JPEG_RANGE = 2  # AVCOL_RANGE_JPEG: luma already spans 0 to 255

_FULL_RANGE = np.clip(np.rint((np.arange(256.0) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Limited-range luma (16 black to 235 white) to grey (0 to 255)."""


@dataclass(frozen=True, slots=True)
class Streams:
    """What one pass over a file gave; None for a stream that it lacks, or that was not asked."""

    frames: VideoFrames | None
    """The chosen frames."""
    samples: NDArray[np.float32] | None
    """float32 (sample,): the first audio track, its channels averaged; full scale is 1."""
    sample_rate: int
    """Of `samples`, in Hz; 0 without."""


@contextmanager
def opened(path: Path, **options: str) -> Iterator[Any]:
    """Open a container, turning the decoder's errors into reasons.

    Raises:
        MediaError: The file cannot be read.
    """
    check_file(path)
    try:
        # A media file has no business opening others (playlists, network): local file only.
        with av.open(str(path), options={"protocol_whitelist": "file"} | options) as container:
            yield container
    except av.error.FFmpegError as error:
        raise MediaError(f"{path.name} cannot be decoded: {_plain(error)}") from error
    except (IndexError, ValueError) as error:  # streams that begin in the middle, planes too short
        raise MediaError(f"{path.name} cannot be decoded: it contradicts itself") from error


def _plain(error: Exception) -> str:
    """Return the decoder's complaint without its error number and path."""
    return str(getattr(error, "strerror", "") or error).strip()


def is_video(stream: Any) -> bool:
    """Tell a video from the picture on a song's cover."""
    return not stream.disposition & av.stream.Disposition.attached_pic


def video_stream(container: Any, path: Path) -> Any:
    """Return the first video stream.

    Raises:
        NoVideoError: There is none.
    """
    for stream in filter(is_video, container.streams.video):
        return stream
    raise NoVideoError(f"{path.name} has no video stream")


def decode(path: Path, choose: FrameChoice | None, hear: bool) -> Streams:
    """Decode a file once, on one thread, and keep what is asked for.

    Args:
        path: A file in any container and codec that FFmpeg reads.
        choose: Which frames to keep; None for none.
        hear: Keep the sound.

    Raises:
        MediaError: The file cannot be read, or its video holds no frame.
    """
    with opened(path) as container, ExitStack() as more:
        video = next(filter(is_video, container.streams.video), None) if choose else None
        audio = next(iter(container.streams.audio), None) if hear else None
        used = [stream.index for stream in (video, audio) if stream is not None]
        for stream in (video, audio):
            if stream is not None and stream.codec_context is None:
                raise MediaError(
                    f"{path.name} cannot be decoded: its {stream.type} is of a kind that FFmpeg "
                    "does not know"
                )
        if not used:
            return Streams(None, None, 0)
        # Containers lie about their number of frames (FLV has none); packets are quick to count.
        counts, held = _gather(_demux(container, used))
        # Packets too large to hold are read again.
        packets = held or _demux(more.enter_context(opened(path)), used)
        frames = _Frames(path, choose, counts[video.index]) if choose and video else None
        sound = _Samples(audio.rate) if audio else None
        for packet in packets:
            keeper: Any = frames if packet.stream.type == "video" else sound
            for frame in packet.decode():
                keeper.take(frame)
        rate = float(video.average_rate or video.guessed_rate or 0) if video else 0.0
        if frames:
            frames.check_length(video, container.duration)
        return Streams(
            frames.finish(rate) if frames else None,
            sound.joined() if sound else None,
            sound.rate if sound else 0,
        )


def _demux(container: Any, used: list[int]) -> Iterable[Any]:
    """Yield the packets of some streams, each to be decoded on one thread."""
    streams = [container.streams[index] for index in used]
    for stream in streams:
        stream.thread_type = "NONE"  # work is spread over processes
    packets: Iterable[Any] = container.demux(streams)
    return packets


def _gather(packets: Iterable[Any]) -> tuple[Counter[int], list[Any] | None]:
    """Count the packets of each stream, and keep them unless they are too large."""
    counts: Counter[int] = Counter()
    held: list[Any] | None = []
    size = 0
    for packet in packets:
        length = packet.size
        size += length
        counts[packet.stream.index] += length > 0  # empty ones only flush the decoder
        if size > _HELD_BYTES:
            held = None
        if held is not None:
            held.append(packet)
    return counts, held


class _Frames:
    """Keeps the wanted frames of a video as they are decoded."""

    def __init__(self, path: Path, choose: FrameChoice, expected: int) -> None:
        self._path, self._choose = path, choose
        self._wanted = choose(max(1, expected))
        self._rows = {number: row for row, number in enumerate(self._wanted.tolist())}
        self._kept: NDArray[np.uint8] | None = None
        self._decoded = 0
        self._last_time = 0  # in units of the stream

    def take(self, frame: Any) -> None:
        """Keep the next frame if it is wanted."""
        row = self._rows.get(self._decoded)
        self._decoded += 1
        self._last_time = max(self._last_time, frame.pts or 0)
        if row is None:
            return
        shape = _upright_shape(frame)
        if self._kept is None:
            self._kept = np.empty((len(self._rows), *shape), np.uint8)
        if shape != self._kept.shape[1:]:
            sizes = sorted({shape, self._kept.shape[1:]})
            raise MediaError(f"the frames of {self._path.name} change their size: {sizes}")
        _write_grey(frame, self._kept[row])

    def check_length(self, stream: Any, container_duration: int | None) -> None:
        """Refuse a video that ends before half of the time that it announces.

        What is missing may have been overwritten: no decoder complains of that. The share is low,
        since a sound may outlast its video.
        """
        announced = (
            float(stream.duration * stream.time_base)
            if stream.duration
            else (container_duration or 0) / av.time_base
        )
        last = float(self._last_time * stream.time_base)
        if self._decoded > 1 and 0 < last < MIN_LENGTH_SHARE * announced:
            raise MediaError(
                f"only the first {last:.1f} of the {announced:,.1f} s that {self._path.name} "
                "announces can be decoded: the video is truncated or damaged"
            )

    def finish(self, rate: float) -> VideoFrames:
        """Return the frames; those wanted of the number that there really are."""
        if not self._decoded:
            raise MediaError(f"no frame of {self._path.name} can be decoded")
        wanted = self._choose(self._decoded)
        if self._kept is None or not np.array_equal(wanted, self._wanted):
            # Some packets gave no frame, or several: choose again, now that the number is known.
            again = decode(self._path, lambda _: wanted, hear=False).frames
            assert again is not None
            return again
        seconds = self._decoded / rate if rate else 0.0
        return VideoFrames(self._kept, wanted.astype(np.intp), self._decoded, seconds)


def _quarter_turns(frame: Any) -> int:
    """Return how often a stored frame must be turned counter-clockwise to be upright."""
    turns: int = round(frame.rotation / 90) % 4
    return turns


def grey_frame(frame: Any) -> NDArray[np.uint8]:
    """Return a decoded frame upright, uint8 (height, width), 0 black to 255 white."""
    upright = np.empty(_upright_shape(frame), np.uint8)
    _write_grey(frame, upright)
    return upright


def _upright_shape(frame: Any) -> tuple[int, int]:
    stored = (frame.height, frame.width)
    return stored[::-1] if _quarter_turns(frame) % 2 else stored


def _write_grey(frame: Any, upright: NDArray[np.uint8]) -> None:
    """Write a decoded frame as upright uint8 (height, width), 0 to 255, into an array."""
    turns = _quarter_turns(frame)
    stored = np.rot90(upright, -turns)  # a view that fills `upright` in the stored order
    if frame.format.name not in _LUMA_FORMATS or frame.color_range == _JPEG_RANGE:
        stored[:] = frame.to_ndarray(format="gray")
        return
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    luma = rows[: frame.height, : frame.width]
    if turns:
        stored[:] = cv2.LUT(luma, _FULL_RANGE)
    else:
        cv2.LUT(luma, _FULL_RANGE, dst=upright)


class MonoBlocks:
    """Turns decoded blocks of a sound into plain ones, the channels averaged."""

    def __init__(self, rate: int) -> None:
        """Take the rate of the blocks in Hz; a block of another rate is brought to it."""
        self.rate = rate
        self._to_float = av.AudioResampler(format="fltp", rate=rate)

    def of(self, frame: Any) -> Iterator[NDArray[np.float32]]:
        """Yield float32 (sample,), full scale 1; FFmpeg's own down-mix would be 3 dB louder."""
        plain = frame.format.name == "fltp" and frame.sample_rate == self.rate
        for block in [frame] if plain else self._to_float.resample(frame):
            channels = [np.frombuffer(bytes(p), np.float32, block.samples) for p in block.planes]
            yield channels[0] if len(channels) == 1 else np.mean(channels, axis=0)


class _Samples:
    """Joins the blocks of a sound."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._mono = MonoBlocks(rate)
        self._blocks: list[NDArray[np.float32]] = []

    def take(self, frame: Any) -> None:
        """Add a block."""
        self._blocks.extend(self._mono.of(frame))

    def joined(self) -> NDArray[np.float32]:
        """Return all blocks as one; float32 (sample,)."""
        return np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.float32)
