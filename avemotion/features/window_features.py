"""A window as a clip: its name and its media; and which face is whose from window to window."""

from __future__ import annotations

import numpy as np

from avemotion.config import SAMPLE_RATE
from avemotion.features.face_tracking import overlaps
from avemotion.media.reader import ClipMedia
from avemotion.media.windows import MediaWindow
from avemotion.types import Box, Sound, VideoFrames

_SAME_PERSON_IOU = 0.3  # boxes of one face overlap more than this from one window to the next
_REMEMBERED_SECONDS = 5.0  # a face that is away for longer comes back under a new number


def window_name(clip: str, number: int) -> str:
    """Return the name that seeds a window's noise: the clip's, with the window's number."""
    return f"{clip}@{number}"


def window_media(window: MediaWindow) -> ClipMedia:
    """Return a window as if it were a clip of its own."""
    frames = sound = None
    if window.frames is not None:
        _, numbers = np.unique(window.frame_seconds, return_inverse=True)
        frames = VideoFrames(
            window.frames,
            indices=numbers.astype(np.intp),
            places=np.arange(len(window.frames), dtype=np.intp),
            decoded=window.frames_decoded,
            duration_seconds=window.end_seconds - window.start_seconds,
            scale=window.scale,
        )
    if window.samples is not None:
        sound = Sound(window.samples, SAMPLE_RATE)
    seconds = sound.duration_seconds if sound else 0.0
    return ClipMedia(frames, sound, window.no_frames, window.no_sound, seconds, window.notes)


class FaceNumbers:
    """Numbers faces 1, 2... in the order of their coming, and knows them again by their place.

    Of all pairs of a face seen before and one seen now, those whose boxes overlap most are taken to
    be one person, first the closest pair. Nobody is known by his looks: where a cut shows another
    person in the same place, the number stays.
    """

    def __init__(self) -> None:
        """Start without any face."""
        self._places: dict[int, tuple[float, Box]] = {}
        self._count = 0

    def of(self, boxes: list[Box], start_seconds: float) -> list[int]:
        """Return the numbers of a window's faces.

        Args:
            boxes: Where they are.
            start_seconds: Start of the window; later than that of the windows before.
        """
        self._places = {
            number: place
            for number, place in self._places.items()
            if start_seconds - place[0] <= _REMEMBERED_SECONDS
        }
        known = np.array([box.edges for _, box in self._places.values()]).reshape(-1, 4)
        pairs = sorted(
            (-share, now, number)
            for now, box in enumerate(boxes)
            for number, share in zip(self._places, overlaps(box.edges, known), strict=True)
            if share > _SAME_PERSON_IOU
        )
        numbers: dict[int, int] = {}
        for _, now, number in pairs:
            if now not in numbers and number not in numbers.values():
                numbers[now] = number
        for now in range(len(boxes)):
            if now not in numbers:
                self._count += 1
                numbers[now] = self._count
            self._places[numbers[now]] = (start_seconds, boxes[now])
        return [numbers[now] for now in range(len(boxes))]
