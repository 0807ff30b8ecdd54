"""Windows over a video of any length, in one pass: the frames and the sound of each.

Each stream is read through a handle of its own, so that memory does not grow where a file stores
its sound far from its video. Only what the current windows need is held: grey frames, shrunk as
those of a clip, and the sound at 16 kHz. Time counts from the earlier start of the two streams, in
ticks of a sample at 16 kHz: whole numbers, so that windows tile without rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATE, TimelineSettings
from avemotion.errors import MediaError, MissingModalityError
from avemotion.media.audio import ordered_tracks
from avemotion.media.audio_stream import SoundChoice, SoundStream, choose_sound
from avemotion.media.decoder import check_codecs, last_seconds, opened
from avemotion.media.kinds import Kind, kind_of
from avemotion.media.resampling import check_sample_rate
from avemotion.media.sources import MediaFile, views_of
from avemotion.media.timestamps import check_length, origin_of
from avemotion.media.video_stream import FrameStream
from avemotion.media.video_tracks import ordered_videos, videos_note

MAX_FRAMES = 200
"""Most frames of a window that are held; those of a faster video are thinned."""


@dataclass(frozen=True, slots=True, eq=False)
class MediaWindow:
    """The frames and the sound of a window."""

    number: int
    """Number of the window, from 0."""
    start_seconds: float
    """From the start of the file."""
    end_seconds: float
    """Half-open: what starts here belongs to the next window."""
    frames: NDArray[np.uint8] | None = field(repr=False)
    """uint8 (20, height, width): evenly spread in time from the first frame to the last; None where
    `no_frames` says why."""
    frame_seconds: tuple[float, ...]
    """When each of them is shown; empty without frames."""
    frames_decoded: int
    """Frames of the window that these were chosen from."""
    scale: tuple[float, float]
    """Pixels of the upright video to one of `frames`, down and across."""
    samples: NDArray[np.int16] | None = field(repr=False)
    """int16 (sample,), 16 kHz, from the first that there is in the window to the last; None where
    `no_sound` says why."""
    missing_seconds: float
    """Of the window's sound: what the file does not have."""
    no_frames: str
    """Why there are no frames; empty where there are some."""
    no_sound: str
    """Why there is no sound; empty where there is some."""
    notes: tuple[str, ...]
    """What was left out of the file, or is unusual, as far as it was read."""
    kind: Kind
    """What the file is."""


def spans(window: int, hop: int, reach: Callable[[int], int]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each window, so that all is covered and nothing ends too early.

    Windows start at 0, hop, 2 hop... The last one ends with the media and is as long as the
    others, so it may start less than a hop after the one before. Media shorter than a window are
    one window.

    >>> duration = 95
    >>> list(spans(50, 20, lambda end: min(end, duration)))
    [(0, 50), (20, 70), (40, 90), (45, 95)]

    Args:
        window: Length, in any unit.
        hop: From one start to the next, at most `window`.
        reach: Takes an end, and returns it, or the end of the media where that is earlier.
    """
    start = 0
    while (end := reach(start + window)) == start + window:
        yield start, end
        start += hop
    if start == 0 < end:
        yield 0, end
    elif start - hop + window < end:
        yield end - window, end


def known_seconds(path: MediaFile) -> float | None:
    """Return the duration that a file announces, or None where it announces none.

    Raises:
        MediaError: The file cannot be read.
    """
    with opened(path) as container:
        return container.duration / 1e6 if container.duration else None


def stream_windows(
    path: MediaFile, settings: TimelineSettings, with_video: bool = True, with_sound: bool = True
) -> Iterator[MediaWindow]:
    """Decode a file once and yield its windows as they are complete.

    Args:
        path: A media file of any length.
        settings: Length and distance of the windows.
        with_video: Decode the video.
        with_sound: Decode the sound.

    Raises:
        MediaError: The file cannot be read, or its video ends before half of the duration that is
            announced; windows until then have been yielded.
        MissingModalityError: It has neither of the streams asked for.
    """
    window, hop = (
        round(seconds * SAMPLE_RATE) for seconds in (settings.window_seconds, settings.hop_seconds)
    )
    with ExitStack() as handles:
        first, second = (handles.enter_context(opened(view)) for view in views_of(path, 2))
        videos = ordered_videos(first) if with_video else []
        kind = kind_of(first, path.name)
        video = next(iter(videos), None)
        audio, choice = _audio_track(path, second) if with_sound else (None, None)
        check_codecs(path, [video, audio])
        if video is None and audio is None:
            either = "no video" if with_video else "no sound"
            missing = "neither video nor sound" if with_video and with_sound else either
            name = path if isinstance(path, Path) else path.name
            raise MissingModalityError(f"{name} cannot be classified: it has {missing}.")
        if audio:
            check_sample_rate(path.name, audio.rate)
        origin = origin_of([stream for stream in (video, audio) if stream])
        spacing, notes = window / MAX_FRAMES, videos_note(videos)
        frames = FrameStream(first, video, origin, spacing, notes) if video else None
        sound = SoundStream(second, audio, origin, choice) if audio and choice else None

        def reach(end: int) -> int:
            return min(end, max(stream.read_to(end) for stream in (frames, sound) if stream))

        number = -1
        for number, (start, end) in enumerate(spans(window, hop, reach)):
            yield _window(number, (start, end), frames, sound, kind)
            # The last window may start before the next hop, but not before this one.
            for stream in (frames, sound):
                if stream:
                    stream.drop_before(start)
        if number < 0:
            raise MediaError(f"nothing in {path.name} can be decoded")
        if video and frames:
            last = float(origin) + frames.end_seconds
            check_length(path.name, first, video, last, lambda: last_seconds(*views_of(path, 1)))


def _audio_track(
    path: MediaFile, container: av.container.InputContainer
) -> tuple[av.AudioStream | None, SoundChoice | None]:
    """Return the audio track to use, if there is any, and the choice of it and its channels."""
    tracks, choice = ordered_tracks(container), choose_sound(*views_of(path, 1))
    if choice is None:
        return next(iter(tracks), None), None
    return next(track for track in tracks if track.index == choice.track), choice


def _window(
    number: int,
    span: tuple[int, int],
    frames: FrameStream | None,
    sound: SoundStream | None,
    kind: Kind,
) -> MediaWindow:
    picked = frames.pick(*span) if frames else "the file has no video"
    cut = sound.cut(*span) if sound else "the file has no sound"
    notes = [note for stream in (frames, sound) if stream for note in stream.notes()]
    video = None if isinstance(picked, str) else picked
    notes += video.notes if video else ()
    audio = None if isinstance(cut, str) else cut
    return MediaWindow(
        number=number,
        start_seconds=span[0] / SAMPLE_RATE,
        end_seconds=span[1] / SAMPLE_RATE,
        frames=video.frames if video else None,
        frame_seconds=video.seconds if video else (),
        frames_decoded=video.decoded if video else 0,
        scale=video.scale if video else (1.0, 1.0),
        samples=audio.samples if audio else None,
        missing_seconds=audio.missing_samples / SAMPLE_RATE if audio else 0.0,
        no_frames=picked if isinstance(picked, str) else "",
        no_sound=cut if isinstance(cut, str) else "",
        notes=tuple(notes),
        kind=kind,
    )
