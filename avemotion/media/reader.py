"""Read a media file: chosen frames in grey, and the sound as 16 kHz mono.

PyAV reads both, in one pass where they are in one file; decord is a second reader of frames behind
the same interface. Broken files often decode without an error (a truncated FLV repeats a few
frames), so what comes out is checked too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import LONGEST_SOUND_SECONDS, SAMPLE_RATE
from avemotion.errors import MediaError, NoAudioError, NoVideoError, UsageError
from avemotion.media.audio import MIN_SOUND_SECONDS, to_int16
from avemotion.media.channels import SILENCE_DB, is_silent, level_of, mix_array
from avemotion.media.decoder import (
    DecodedStreams,
    FrameChoice,
    decode,
    opened,
)
from avemotion.media.frames import kept_size, write_resized
from avemotion.media.kinds import Kind, kind_of
from avemotion.media.motion import motion_of
from avemotion.media.resampling import check_sample_rate, resample
from avemotion.media.sources import DecodedClip, MediaFile
from avemotion.media.types import ClipMedia, Sound, VideoFrames
from avemotion.media.video_tracks import is_video, ordered_videos


def read_clip(
    video: MediaFile | None,
    audio: MediaFile | None,
    choose: FrameChoice,
    reader: str = "pyav",
    *,
    still: bool = False,
) -> ClipMedia:
    """Read a clip's frames and sound, in one pass where both are in one file.

    Args:
        video: File with the frames, or None for a clip without.
        audio: File with the sound (it may be the video's), or None for a clip without.
        choose: Maps the number of frames to the indices of those wanted.
        reader: A key of `READERS`, for the frames.
        still: Take frames that do not change, as those of a picture.

    Raises:
        MediaError: A file is missing or broken. A broken part never passes for a missing one.
    """
    frames = sound = None
    no_frames, no_sound = "no video file", "no sound file"
    motion_notes: list[str] = []
    _check_reader(reader)
    together = video is not None and video == audio and reader == "pyav"
    video_streams = None
    if video is not None:
        try:
            if reader == "pyav":
                video_streams = decode(video, choose, with_sound=together)
                found = _frames_of(video, video_streams)
            else:
                found = READERS[reader](video, choose)
            motion_notes = [] if still else _check_motion(video.name, found)
            frames = found
        except NoVideoError as error:
            no_frames = str(error)
    audio_streams = video_streams if together else None
    if audio is not None:
        audio_streams = audio_streams or decode(audio, None, with_sound=True)
        try:
            sound = _sound_of(audio.name, audio_streams)
        except NoAudioError as error:
            no_sound = str(error)
    decoded = [streams for streams in (video_streams, audio_streams) if streams]
    notes = [note for streams in decoded for note in streams.notes]
    return ClipMedia(
        frames=frames,
        sound=sound,
        no_frames="" if frames else no_frames,
        no_sound="" if sound else no_sound,
        sound_seconds=audio_streams.sound_seconds if audio_streams else 0.0,
        notes=tuple(dict.fromkeys(notes + motion_notes)),
        kind=decoded[0].kind if decoded else "video",
    )


def read_arrays(clip: DecodedClip, choose: FrameChoice, *, still: bool = False) -> ClipMedia:
    """Treat arrays as if they had been decoded from a file.

    Args:
        clip: Frames, sound or both.
        choose: Maps the number of frames to the indices of those wanted.
        still: Take frames that do not change.

    Raises:
        MediaError: The frames do not move.
    """
    frames = sound = None
    no_frames, no_sound = f"{clip.name} has no frames", f"{clip.name} has no waveform"
    notes: list[str] = []
    if clip.frames is not None and clip.frame_rate is not None:
        wanted = choose(len(clip.frames)).astype(np.intp)
        height, width = clip.frames.shape[1:3]
        kept = np.empty((len(wanted), *kept_size(height, width)), np.uint8)
        for row, index in zip(kept, wanted, strict=True):
            frame = clip.frames[index]
            grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame
            write_resized(np.asarray(grey, np.uint8), row)
        video = VideoFrames(
            frames=kept,
            indices=wanted,
            requested_indices=wanted,
            decoded=len(clip.frames),
            duration_seconds=len(clip.frames) / clip.frame_rate,
            scale=(height / kept.shape[1], width / kept.shape[2]),
        )
        notes += [] if still else _check_motion(clip.name, video)
        frames = video
    seconds = 0.0
    if clip.waveform is not None and clip.sample_rate is not None:
        rate = int(clip.sample_rate)
        seconds = clip.waveform.shape[-1] / rate
        samples, sound_notes = _mono(clip.waveform, rate)
        notes += sound_notes
        streams = DecodedStreams(frames=None, samples=samples, sample_rate=rate)
        try:
            sound = _sound_of(clip.name, streams)
        except NoAudioError as error:
            no_sound = str(error)
    return ClipMedia(
        frames=frames,
        sound=sound,
        no_frames="" if frames else no_frames,
        no_sound="" if sound else no_sound,
        sound_seconds=seconds,
        notes=tuple(notes),
        kind=_kind_of_arrays(clip),
    )


def _kind_of_arrays(clip: DecodedClip) -> Kind:
    if clip.frames is None:
        return "sound"
    return "picture" if len(clip.frames) == 1 else "video"


def _mono(waveform: NDArray[Any], rate: int) -> tuple[NDArray[np.float32], list[str]]:
    """Return an array as float32 (sample,), of a long sound its middle, and notes."""
    extra = max(0, waveform.shape[-1] - round(LONGEST_SOUND_SECONDS * rate))
    kept = waveform[..., extra // 2 : waveform.shape[-1] - (extra - extra // 2)]
    return mix_array(np.atleast_2d(kept), rate)


def read_streams(path: MediaFile, head_bytes: int = 5_000_000) -> tuple[bool, bool]:
    """Tell whether a file holds video, and whether it holds sound; nothing is decoded for it.

    Args:
        path: A media file in any container that FFmpeg reads.
        head_bytes: How far to look for streams that the header does not list (FLV lists none).

    Raises:
        MediaError: The file cannot be read.
    """
    with opened(path, probesize=str(head_bytes)) as container:
        return any(map(is_video, container.streams.video)), bool(container.streams.audio)


def read_frames(path: MediaFile, choose: FrameChoice, reader: str = "pyav") -> VideoFrames:
    """Decode a video and keep the chosen frames in grey.

    Args:
        path: A file with a video stream in any container and codec that FFmpeg reads.
        choose: Maps the number of frames to the indices of those wanted.
        reader: A key of `READERS`.

    Returns:
        The frames, upright: turned and mirrored as the file says. decord turns, but mirrors
        nothing.

    Raises:
        NoVideoError: The file has no video stream.
        MediaError: The file cannot be read, holds no frame, or its frames do not move.
    """
    _check_reader(reader)
    video = READERS[reader](path, choose)
    _check_motion(path.name, video)
    return video


def _check_motion(name: str, video: VideoFrames) -> list[str]:
    """Refuse a video that does not move, and say where it moves little."""
    if video.decoded == 1:
        raise MediaError(f"{name} holds a single frame: an image, not a video")
    if len(video.frames) == 1:  # no more were asked for
        return []
    _, first = np.unique(video.indices, return_index=True)
    frames = (video.frames[row] for row in first)
    motion = motion_of(frames, len(video.frames), video.duration_seconds)
    motion.check(name)
    return motion.notes()


def _frames_of(path: MediaFile, streams: DecodedStreams) -> VideoFrames:
    if streams.frames is None:
        raise _no_video(path, streams.kind)
    return streams.frames


def _no_video(path: MediaFile, kind: Kind) -> NoVideoError:
    what = "is a sound file" if kind == "sound" else "has no video stream"
    return NoVideoError(f"{path.name} {what}")


def _read_frames_pyav(path: MediaFile, choose: FrameChoice) -> VideoFrames:
    return _frames_of(path, decode(path, choose, with_sound=False))


def _read_frames_decord(path: MediaFile, choose: FrameChoice) -> VideoFrames:
    if not isinstance(path, Path):
        raise UsageError(f"reader decord reads only paths, but was given {path.name}.")
    # Imported here: decord has no wheel for some platforms, and is only the second reader.
    import decord

    with opened(path) as container:
        if not ordered_videos(container):
            raise _no_video(path, kind_of(container, path.name))
    try:
        video = decord.VideoReader(str(path), num_threads=1)
        wanted = choose(len(video))
        colour = video.get_batch(wanted.tolist()).asnumpy()
        rate = video.get_avg_fps()
    except (decord.DECORDError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise MediaError(f"{path.name} cannot be decoded: {reason}") from error
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in colour])
    indices = wanted.astype(np.intp)
    return VideoFrames(
        frames=grey,
        indices=indices,
        requested_indices=indices,
        decoded=len(video),
        duration_seconds=len(video) / rate,
    )


READERS: dict[str, Callable[[MediaFile, FrameChoice], VideoFrames]] = {
    "pyav": _read_frames_pyav,
    "decord": _read_frames_decord,
}
"""Readers of frames by name."""


def _check_reader(reader: str) -> None:
    if reader not in READERS:
        raise UsageError(f"reader is {reader!r}, but must be one of {', '.join(READERS)}.")


def read_sound(path: MediaFile) -> Sound:
    """Decode a sound to 16 kHz mono.

    Of several tracks it is the one that the file plays by default, unless it is silent, else the
    first with sound; of surround sound the front centre channel, unless it is silent. Other
    channels are averaged (FFmpeg's own down-mix is 3 dB louder), unless they cancel out: then it is
    the loudest. Other rates are resampled by soxr; 16 kHz mono PCM comes out as it went in.

    Raises:
        NoAudioError: The file has no audio track, or only silent ones, or next to no samples.
        MediaError: The file cannot be read, or holds samples that are no numbers.
    """
    return _sound_of(path.name, decode(path, None, with_sound=True))


def _sound_of(name: str, streams: DecodedStreams) -> Sound:
    if streams.samples is None:
        raise NoAudioError(f"{name} has no audio track")
    if not len(streams.samples):
        raise NoAudioError(f"the audio track of {name} holds no samples")
    check_sample_rate(name, streams.sample_rate)
    seconds = len(streams.samples) / streams.sample_rate
    if seconds < MIN_SOUND_SECONDS:
        raise NoAudioError(
            f"the sound of {name} lasts {seconds:.3f} s, at least {MIN_SOUND_SECONDS} s are needed"
        )
    samples = resample(streams.samples, streams.sample_rate, SAMPLE_RATE)
    sound = Sound(to_int16(samples), SAMPLE_RATE)
    if is_silent(level_of(sound.samples)):
        raise NoAudioError(
            f"the audio track of {name} is silent (its level is below {SILENCE_DB:.0f} dB of full "
            "scale)"
        )
    return sound
