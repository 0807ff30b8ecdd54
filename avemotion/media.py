"""Read a media file: chosen frames in grey, and the sound as 16 kHz mono.

PyAV reads both; decord is a second reader of frames behind the same interface. Broken files often
decode without an error (a truncated FLV repeats a few frames), so what comes out is checked too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, SAMPLE_RATE
from avemotion.containers import check_file as check_file
from avemotion.containers import is_lfs_pointer as is_lfs_pointer
from avemotion.errors import MediaError, NoAudioError, NoVideoError, UsageError
from avemotion.resampling import resample
from avemotion.types import Sound, VideoFrames

FrameChoice = Callable[[int], NDArray[np.intp]]
"""From the number of frames in a video to the sorted numbers of those wanted."""

MIN_SOUND_SECONDS = 0.1
"""Shorter sounds hold no speech; 0.1 s is six windows of the power spectrogram."""

MIN_DISTINCT_SHARE = 0.5
"""A video with fewer distinct frames, as a share of those a view holds, is broken or frozen."""

# Planar or semi-planar 8-bit YUV: plane 0 is the luma of every pixel.
_LUMA_FORMATS = {"yuv420p", "yuv422p", "yuv444p", "nv12", "nv21"}
_JPEG_RANGE = 2  # AVCOL_RANGE_JPEG: luma already spans 0 to 255

_FULL_RANGE = np.clip(np.rint((np.arange(256.0) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Limited-range luma (16 black to 235 white) to grey (0 to 255)."""


@contextmanager
def _opened(path: Path, **options: str) -> Iterator[Any]:
    """Open a container, turning the decoder's errors into reasons."""
    check_file(path)
    try:
        # A media file has no business opening others (playlists, network): local file only.
        with av.open(str(path), options={"protocol_whitelist": "file"} | options) as container:
            yield container
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise MediaError(f"{path.name} cannot be decoded: {_plain(error)}") from error


def _plain(error: Exception) -> str:
    """Return the decoder's complaint without its error number and path."""
    return str(getattr(error, "strerror", "") or error).strip()


def read_streams(path: Path, head_bytes: int = 5_000_000) -> tuple[bool, bool]:
    """Tell whether a file holds video, and whether it holds sound; nothing is decoded for it.

    Args:
        path: A media file in any container that FFmpeg reads.
        head_bytes: How far to look for streams that the header does not list (FLV lists none).

    Raises:
        MediaError: The file cannot be read.
    """
    with _opened(path, probesize=str(head_bytes)) as container:
        return any(map(_is_video, container.streams.video)), bool(container.streams.audio)


def read_frames(path: Path, choose: FrameChoice, reader: str = "pyav") -> VideoFrames:
    """Decode a video and keep the chosen frames in grey.

    Args:
        path: A file with a video stream in any container and codec that FFmpeg reads.
        choose: Maps the number of frames to those wanted; it is only told the true number.
        reader: A key of `READERS`.

    Returns:
        The frames, upright (a rotation stored in the file is applied).

    Raises:
        NoVideoError: The file has no video stream.
        MediaError: The file cannot be read, holds no frame, or its frames do not change.
    """
    if reader not in READERS:
        raise UsageError(f"reader is {reader!r}, but must be one of {', '.join(READERS)}.")
    video = READERS[reader](path, choose)
    _check_distinct(path, video)
    return video


def _check_distinct(path: Path, video: VideoFrames) -> None:
    """Refuse a video that repeats itself: what a truncated file decodes to."""
    if video.decoded == 1:
        raise MediaError(f"{path.name} holds a single frame: a picture, not a video")
    chosen = len(np.unique(video.indices))
    distinct = len({frame.tobytes() for frame in video.frames})
    # Of more frames than a view holds, some may repeat: 10 frames a second stored as 30.
    if distinct < MIN_DISTINCT_SHARE * min(chosen, FACE_FRAMES):
        raise MediaError(
            f"only {distinct} of {chosen} sampled frames of {path.name} differ: "
            "the video is truncated or frozen"
        )


def _read_frames_pyav(path: Path, choose: FrameChoice) -> VideoFrames:
    with _opened(path) as container:
        stream = _video_stream(container, path)
        # Containers lie about their length (FLV has none), but packets are quick to count.
        expected = sum(packet.size > 0 for packet in container.demux(stream))
    kept, decoded, seconds = _decode(path, set(choose(expected).tolist()) if expected else set())
    if decoded == 0:
        raise MediaError(f"no frame of {path.name} can be decoded")
    wanted = choose(decoded)
    if not kept.keys() >= set(wanted.tolist()):  # some packets gave no frame: choose again
        kept, _, _ = _decode(path, set(wanted.tolist()))
    shapes = {frame.shape for frame in kept.values()}
    if len(shapes) > 1:
        raise MediaError(f"the frames of {path.name} change their size: {sorted(shapes)}")
    frames = np.stack([kept[i] for i in wanted.tolist()])
    return VideoFrames(frames, wanted.astype(np.intp), decoded, seconds)


def _video_stream(container: Any, path: Path) -> Any:
    for stream in filter(_is_video, container.streams.video):
        return stream
    raise NoVideoError(f"{path.name} has no video stream")


def _is_video(stream: Any) -> bool:
    """Tell a video from the picture on a song's cover."""
    return not stream.disposition & av.stream.Disposition.attached_pic


def _decode(path: Path, wanted: set[int]) -> tuple[dict[int, NDArray[np.uint8]], int, float]:
    """Decode all frames and keep the wanted ones.

    Returns:
        Grey frames by number, the number of frames, and the time they cover in seconds.
    """
    kept: dict[int, NDArray[np.uint8]] = {}
    decoded = 0
    with _opened(path) as container:
        stream = _video_stream(container, path)
        # The clips are small, and the work is spread over processes: one thread each.
        stream.thread_type = "NONE"
        for frame in container.decode(stream):
            if decoded in wanted:
                kept[decoded] = _grey(frame)
            decoded += 1
        rate = float(stream.average_rate or stream.guessed_rate or 0)
    return kept, decoded, decoded / rate if rate else 0.0


def _grey(frame: Any) -> NDArray[np.uint8]:
    """Return a decoded frame as upright uint8 (height, width), 0 to 255."""
    if frame.format.name in _LUMA_FORMATS and frame.color_range != _JPEG_RANGE:
        plane = frame.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        grey = cv2.LUT(rows[: frame.height, : frame.width], _FULL_RANGE)
    else:
        grey = frame.to_ndarray(format="gray")
    quarter_turns = round(frame.rotation / 90) % 4  # counter-clockwise, as np.rot90 turns
    return np.ascontiguousarray(np.rot90(grey, quarter_turns))


def _read_frames_decord(path: Path, choose: FrameChoice) -> VideoFrames:
    # Imported here: decord has no wheel for some platforms, and is only the second reader.
    import decord

    with _opened(path) as container:
        _video_stream(container, path)
    try:
        video = decord.VideoReader(str(path), num_threads=1)
        wanted = choose(len(video))
        colour = video.get_batch(wanted.tolist()).asnumpy()
        rate = video.get_avg_fps()
    except (decord.DECORDError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise MediaError(f"{path.name} cannot be decoded: {reason}") from error
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in colour])
    return VideoFrames(grey, wanted.astype(np.intp), len(video), len(video) / rate)


READERS: dict[str, Callable[[Path, FrameChoice], VideoFrames]] = {
    "pyav": _read_frames_pyav,
    "decord": _read_frames_decord,
}
"""Readers of frames by name."""


def read_sound(path: Path) -> Sound:
    """Decode the first audio track to 16 kHz mono.

    The channels are averaged (FFmpeg's own down-mix is 3 dB louder) and resampled by a polyphase
    filter; 16 kHz mono PCM comes out as it went in.

    Raises:
        NoAudioError: The file has no audio track, or one of zeros alone, or next to no samples.
        MediaError: The file cannot be read.
    """
    blocks: list[NDArray[np.float32]] = []
    with _opened(path) as container:
        if not container.streams.audio:
            raise NoAudioError(f"{path.name} has no audio track")
        stream = container.streams.audio[0]
        rate = stream.rate
        to_float = av.AudioResampler(format="fltp", rate=rate)
        for frame in container.decode(stream):
            blocks += [block.to_ndarray().mean(axis=0) for block in to_float.resample(frame)]
    if not blocks:
        raise NoAudioError(f"the audio track of {path.name} holds no samples")
    samples = resample(np.concatenate(blocks), rate, SAMPLE_RATE)
    sound = Sound(_to_int16(samples), SAMPLE_RATE)
    if sound.duration_seconds < MIN_SOUND_SECONDS:
        raise NoAudioError(
            f"the sound of {path.name} lasts {sound.duration_seconds:.3f} s, "
            f"at least {MIN_SOUND_SECONDS} s are needed"
        )
    if not sound.samples.any():
        raise NoAudioError(f"the audio track of {path.name} is silent (every sample is zero)")
    return sound


def _to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Scale full scale (1.0) to 32,768 and round."""
    return np.asarray(np.clip(np.rint(samples * 32_768.0), -32_768, 32_767), np.int16)
