"""Read a media file: chosen frames in grey, and the sound as 16 kHz mono.

PyAV reads both, in one pass where they are in one file; decord is a second reader of frames behind
the same interface. Broken files often decode without an error (a truncated FLV repeats a few
frames), so what comes out is checked too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, SAMPLE_RATE
from avemotion.containers import check_file as check_file
from avemotion.containers import is_lfs_pointer as is_lfs_pointer
from avemotion.decoding import FrameChoice, Streams, decode, is_video, opened, video_stream
from avemotion.errors import MediaError, NoAudioError, NoVideoError, UsageError
from avemotion.resampling import resample
from avemotion.types import Sound, VideoFrames

MIN_SOUND_SECONDS = 0.1
"""Shorter sounds hold no speech; 0.1 s is six windows of the power spectrogram."""

SAMPLE_RATES = range(1_000, 768_001)
"""In Hz; a file that claims another is damaged, and resampling it could take hours."""

MIN_DISTINCT_SHARE = 0.5
"""A video with fewer distinct frames, as a share of those a view holds, is broken or frozen."""


@dataclass(frozen=True, slots=True)
class ClipMedia:
    """A clip's frames and sound."""

    frames: VideoFrames | None
    """The chosen frames; None where there is no video."""
    sound: Sound | None
    """The sound; None where there is none."""
    no_frames: str = ""
    """Why there are no frames; empty where there are some."""
    no_sound: str = ""
    """Why there is no sound; empty where there is some."""


def read_clip(
    video: Path | None, audio: Path | None, choose: FrameChoice, reader: str = "pyav"
) -> ClipMedia:
    """Read a clip's frames and sound, in one pass where both are in one file.

    Args:
        video: File with the frames, or None for a clip without.
        audio: File with the sound (it may be the video's), or None for a clip without.
        choose: Maps the number of frames to those wanted; it is only told the true number.
        reader: A key of `READERS`, for the frames.

    Raises:
        MediaError: A file is missing or broken. A broken part never passes for a missing one.
    """
    frames = sound = None
    no_frames, no_sound = "no video file", "no sound file"
    together = video is not None and video == audio and reader == "pyav"
    streams = decode(video, choose, hear=True) if video and together else None
    if video is not None:
        try:
            frames = (
                _checked(video, _seen(video, streams))
                if streams
                else read_frames(video, choose, reader)
            )
        except NoVideoError as error:
            no_frames = str(error)
    if audio is not None:
        try:
            sound = _heard(audio, streams) if streams else read_sound(audio)
        except NoAudioError as error:
            no_sound = str(error)
    return ClipMedia(frames, sound, "" if frames else no_frames, "" if sound else no_sound)


def read_streams(path: Path, head_bytes: int = 5_000_000) -> tuple[bool, bool]:
    """Tell whether a file holds video, and whether it holds sound; nothing is decoded for it.

    Args:
        path: A media file in any container that FFmpeg reads.
        head_bytes: How far to look for streams that the header does not list (FLV lists none).

    Raises:
        MediaError: The file cannot be read.
    """
    with opened(path, probesize=str(head_bytes)) as container:
        return any(map(is_video, container.streams.video)), bool(container.streams.audio)


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
    return _checked(path, READERS[reader](path, choose))


def _checked(path: Path, video: VideoFrames) -> VideoFrames:
    """Refuse a video that repeats itself: what a truncated file decodes to."""
    if video.decoded == 1:
        raise MediaError(f"{path.name} holds a single frame: a picture, not a video")
    _, first = np.unique(video.indices, return_index=True)
    check_distinct(path, [video.frames[place] for place in first])
    return video


def check_distinct(path: Path, frames: Sequence[NDArray[np.uint8]]) -> None:
    """Refuse frames of which fewer than half differ.

    Args:
        path: Names the video.
        frames: uint8 (height, width) each; those of a view, or of all views.

    Raises:
        MediaError: They repeat.
    """
    distinct = count_distinct(frames)
    # Of more frames than a view holds, some may repeat: 10 frames a second stored as 30.
    if distinct < MIN_DISTINCT_SHARE * min(len(frames), FACE_FRAMES):
        raise MediaError(
            f"only {distinct} of {len(frames)} sampled frames of {path.name} differ: "
            "the video is truncated or frozen"
        )


def count_distinct(frames: Iterable[NDArray[np.uint8]]) -> int:
    """Return how many frames, each uint8 (height, width), differ from one another."""
    # A quarter of the rows tells frames apart: what moves is higher than three.
    return len({frame[::4].tobytes() for frame in frames})


def _seen(path: Path, streams: Streams) -> VideoFrames:
    if streams.frames is None:
        raise NoVideoError(f"{path.name} has no video stream")
    return streams.frames


def _read_frames_pyav(path: Path, choose: FrameChoice) -> VideoFrames:
    return _seen(path, decode(path, choose, hear=False))


def _read_frames_decord(path: Path, choose: FrameChoice) -> VideoFrames:
    # Imported here: decord has no wheel for some platforms, and is only the second reader.
    import decord

    with opened(path) as container:
        video_stream(container, path)
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
    return _heard(path, decode(path, None, hear=True))


def _heard(path: Path, streams: Streams) -> Sound:
    if streams.samples is None:
        raise NoAudioError(f"{path.name} has no audio track")
    if not len(streams.samples):
        raise NoAudioError(f"the audio track of {path.name} holds no samples")
    if streams.sample_rate not in SAMPLE_RATES:
        raise MediaError(
            f"the sound of {path.name} claims {streams.sample_rate:,} samples a second, but "
            f"{SAMPLE_RATES[0]:,} to {SAMPLE_RATES[-1]:,} are possible: the file is damaged"
        )
    samples = resample(streams.samples, streams.sample_rate, SAMPLE_RATE)
    sound = Sound(to_int16(samples), SAMPLE_RATE)
    if sound.duration_seconds < MIN_SOUND_SECONDS:
        raise NoAudioError(
            f"the sound of {path.name} lasts {sound.duration_seconds:.3f} s, "
            f"at least {MIN_SOUND_SECONDS} s are needed"
        )
    if not sound.samples.any():
        raise NoAudioError(f"the audio track of {path.name} is silent (every sample is zero)")
    return sound


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Scale full scale (1.0) to 32,768 and round."""
    return np.asarray(np.clip(np.rint(samples * 32_768.0), -32_768, 32_767), np.int16)
