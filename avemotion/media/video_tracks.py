"""Which of a file's video streams is used."""

from __future__ import annotations

from collections.abc import Sequence

import av
from av.stream import Disposition


def is_video(stream: av.VideoStream) -> bool:
    """Tell a video from the cover image of a song."""
    return not stream.disposition & Disposition.attached_pic


def ordered_videos(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the video streams: those played by default first, unknown codecs last."""
    videos = sorted(filter(is_video, container.streams.video), key=lambda v: not _is_default(v))
    return [video for video in videos if video.codec_context is not None] or videos


def videos_note(videos: Sequence[av.VideoStream]) -> list[str]:
    """Say which of several video streams is used: the first of `ordered_videos`."""
    if len(videos) < 2:
        return []
    number = sorted(video.index for video in videos).index(videos[0].index) + 1
    why = "the default one" if _is_default(videos[0]) else "the first one"
    return [f"of {len(videos)} video streams, number {number}, {why}, is used"]


def _is_default(video: av.VideoStream) -> bool:
    return bool(video.disposition & Disposition.default)
