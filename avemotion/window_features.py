"""From a window to features, by the road that clips take; and which face is whose."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, SAMPLE_RATE, PreprocessSettings
from avemotion.extraction import Extraction, clip_features
from avemotion.faces import FaceTrack, crop_faces, find_face, find_faces, overlaps
from avemotion.streaming import MediaWindow
from avemotion.types import Box

_SAME_PERSON_IOU = 0.3  # boxes of one face overlap more than this from one window to the next
_REMEMBERED_SECONDS = 5.0  # a face that is away for longer comes back under a new number


@dataclass(frozen=True, slots=True, eq=False)
class WindowFace:
    """One face of a window, or a window without any."""

    clip: Extraction
    """Its features, and why it lacks what it lacks."""
    crop: NDArray[np.uint8] | None = field(default=None, repr=False)
    """uint8 (98, 80): of the crops that show a face, the middle one; None without a face."""


def window_name(clip: str, number: int) -> str:
    """Return the name that seeds a window's noise: the clip's, with the window's number."""
    return f"{clip}@{number}"


def extract_window(
    name: str, window: MediaWindow, settings: PreprocessSettings, every_face: bool
) -> list[WindowFace]:
    """Turn a window into features.

    Args:
        name: Seeds the noise; see `window_name`.
        window: What it holds.
        settings: Their seed; one view is made.
        every_face: Look for all faces rather than for the one that is seen most.

    Returns:
        One for each face; where there is none, one without.
    """
    settings = replace(settings, views=1)
    sound = clip_features(name, settings, None, window.samples)
    found = Extraction(
        sound,
        no_face=window.no_frames or f"no face found in the {FACE_FRAMES} frames sampled",
        no_sound=window.no_sound,
        frames_decoded=window.frames_decoded,
        video_seconds=window.end_seconds - window.start_seconds if window.frames_decoded else 0.0,
        sound_seconds=0.0 if window.samples is None else len(window.samples) / SAMPLE_RATE,
    )
    if window.frames is None:
        return [WindowFace(found)]
    one = None if every_face else find_face(list(window.frames))
    tracks = find_faces(list(window.frames)) if every_face else [one] if one else []
    faces = [_with_face(found, window.frames, t, window.pixel_size) for t in tracks]
    return faces or [WindowFace(found)]


def _with_face(
    found: Extraction, frames: NDArray[np.uint8], track: FaceTrack, pixel_size: float
) -> WindowFace:
    box = track.box
    edges = (round(edge * pixel_size) for edge in (box.x, box.y, box.width, box.height))
    crops = crop_faces(frames, box)
    shown = np.flatnonzero(track.found)
    clip = replace(
        found,
        features=replace(found.features, faces=crops[None]),
        no_face="",
        faces_found=sum(track.found),
        key_frames=track.key_frames,
        key_frames_found=track.key_frames_found,
        box=Box(*edges),
    )
    return WindowFace(clip, crops[shown[len(shown) // 2]])


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
        known = np.array([_edges(box) for _, box in self._places.values()]).reshape(-1, 4)
        pairs = sorted(
            (-share, now, number)
            for now, box in enumerate(boxes)
            for number, share in zip(self._places, overlaps(_edges(box), known), strict=True)
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


def _edges(box: Box) -> NDArray[np.float64]:
    return np.array([box.x, box.y, box.width, box.height], np.float64)
