"""From the windows of a long video to the rows of its timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES, SAMPLE_RATE, TimelineSettings
from avemotion.errors import MissingModalityError
from avemotion.features.crops import crop_faces, scaled_box
from avemotion.features.face_tracking import FaceTracker
from avemotion.features.scene_cuts import SceneCuts
from avemotion.inference.prediction import Prediction
from avemotion.inference.preparation import (
    FaceCrops,
    PreparedClip,
    combine,
    crop_faces_of,
    sound_features,
)
from avemotion.inference.request import InferenceRequest
from avemotion.inference.timeline_rows import TimelineRow
from avemotion.media.sources import MediaFile
from avemotion.media.types import ClipMedia, Sound, VideoFrames
from avemotion.media.windows import MediaWindow, stream_windows

_WARNED_GAP_SECONDS = 0.1  # of missing sound in a window


def window_rows(
    path: Path,
    request: InferenceRequest,
    settings: TimelineSettings,
    answer: Callable[[PreparedClip], Prediction],
    known: Mapping[int, Sequence[TimelineRow]] | None = None,
    watch: Callable[[Sequence[WindowAnswer]], None] | None = None,
) -> Iterator[list[TimelineRow]]:
    """Yield the rows of each window, not yet smoothed: one, or one per face.

    Args:
        path: The video.
        request: Model, modality and choice of faces.
        settings: Length and spacing of the windows.
        answer: Predicts the emotion of a prepared window.
        known: Rows of the first windows by their number, from an earlier run: they are decoded,
            but not answered again.
        watch: Called with the answers of each window.

    Raises:
        MediaError: The file cannot be read; the rows before the error were yielded.
        MissingModalityError: The file has none of the streams that the prediction needs.
    """
    people, wanted = People(), request.wanted
    for window in stream_windows(path, settings, wanted != "audio", wanted != "video"):
        if rows := (known or {}).get(window.number):
            if request.face == "all":  # the numbers of later faces depend on these
                people.again(window, rows)
            yield [replace(row, face_crop=_crop_again(row, window, request)) for row in rows]
        else:
            found = list(window_answers(path, window, people, request, answer))
            if watch:
                watch(found)
            yield [_row(one) for one in found]


class People:
    """Numbers the faces of a video, window by window; a scene cut starts new people."""

    def __init__(self) -> None:
        """Start without any."""
        self._tracker, self._cuts = FaceTracker(), SceneCuts()

    def numbers(self, window: MediaWindow, faces: Sequence[FaceCrops]) -> list[int]:
        """Return the numbers of the faces of a window, in their order."""
        self._add_cuts(window)
        boxes = [face.box for face in faces if face.box]
        seen = [_middle_seconds(window, face) for face in faces if face.box]
        return self._tracker.of(boxes, window.start_seconds, seen, self._cuts)

    def again(self, window: MediaWindow, rows: Sequence[TimelineRow]) -> None:
        """Take over the faces of a window that an earlier run answered, and their numbers."""
        self._add_cuts(window)
        faces = [(row.face_box, row.face) for row in rows if row.face_box and row.face]
        if faces:
            boxes, numbers = map(list, zip(*faces, strict=True))
            # When each was seen is not in the rows; a face on all frames, in the middle.
            middle = window.frame_seconds[len(window.frame_seconds) // 2]
            self._tracker.take_over(boxes, numbers, window.start_seconds, middle)

    def _add_cuts(self, window: MediaWindow) -> None:
        if window.frames is not None:
            self._cuts.add(window.frames, window.frame_seconds)


def _middle_seconds(window: MediaWindow, face: FaceCrops) -> float:
    """Return when the middle one of the frames is shown on which a face was found."""
    found = np.flatnonzero(face.found)
    return window.frame_seconds[int(found[len(found) // 2])]


@dataclass(frozen=True, slots=True, eq=False)
class WindowAnswer:
    """The answer for a window, or for one face in it."""

    window: MediaWindow = field(repr=False)
    """The window."""
    face: FaceCrops = field(repr=False)
    """The face, or why there is none."""
    number: int | None
    """Number of the face, from 1, where all are requested; None without a face."""
    prepared: PreparedClip | None = field(repr=False)
    """What the model read; None without a prediction."""
    prediction: Prediction | None
    """None where `reason` says why."""
    reason: str
    """Why there is no prediction; empty where there is one."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the window."""


def window_answers(
    path: MediaFile,
    window: MediaWindow,
    people: People,
    request: InferenceRequest,
    answer: Callable[[PreparedClip], Prediction],
) -> Iterator[WindowAnswer]:
    """Yield the answer of a window, or one per face; the arguments are those of `window_rows`.

    Args:
        path: The video.
        window: A window of it, in the order of time.
        people: Numbers the faces of all windows.
        request: Model, modality and choice of faces.
        answer: Predicts the emotion of a prepared window.
    """
    media = window_media(window)
    sound = sound_features(window_name(path.stem, window.number), media, request)
    faces = crop_faces_of(media, np.arange(FACE_FRAMES), request)
    numbers = people.numbers(window, faces) if request.face == "all" else []
    there = sum(face.box is not None for face in faces)
    warnings = tuple(_window_warnings(window, there, request.wanted))
    for face, number in zip_longest(faces, numbers):
        prepared, prediction, reason = None, None, ""
        try:
            prepared = combine(path.name, media, face, sound, request)
            prediction = answer(prepared)
        except MissingModalityError:
            reasons = (
                face.missing if request.wanted != "audio" else "",
                media.no_sound if request.wanted != "video" else "",
            )
            reason = "; ".join(filter(None, reasons))
            if face.box or media.sound:
                reason += "; the model needs both face and voice"
        of_clip = prediction.warnings if prediction else window.notes
        yield WindowAnswer(window, face, number, prepared, prediction, reason, of_clip + warnings)


def _crop_again(
    row: TimelineRow, window: MediaWindow, request: InferenceRequest
) -> NDArray[np.uint8] | None:
    """Cut the face of a row out of the middle frame of its window."""
    if row.face_box is None or window.frames is None:
        return None
    down, across = window.scale
    box = scaled_box(row.face_box, (1 / down, 1 / across))
    middle = window.frames[len(window.frames) // 2][None]
    (crop,) = crop_faces(middle, [box], request.metadata.preprocessing.crop_size)
    return np.asarray(crop)


def _row(answer: WindowAnswer) -> TimelineRow:
    window, face, prediction = answer.window, answer.face, answer.prediction
    found = np.flatnonzero(face.found)
    return TimelineRow(
        window=window.number,
        start_seconds=window.start_seconds,
        end_seconds=window.end_seconds,
        face=answer.number,
        label=prediction.label if prediction else None,
        smoothed_label=prediction.label if prediction else None,
        probabilities=prediction.probabilities if prediction else None,
        smoothed=prediction.probabilities if prediction else None,
        modality=prediction.modality if prediction else "",
        faces_found=len(found),
        face_box=face.box,
        reason=answer.reason,
        warnings=answer.warnings,
        face_crop=None if face.crops is None else face.crops[found[len(found) // 2]],
    )


def _window_warnings(window: MediaWindow, faces: int, wanted: str) -> Iterator[str]:
    if window.missing_seconds > _WARNED_GAP_SECONDS:
        yield f"{window.missing_seconds:.1f} s of the window's audio missing"
    if faces > 1 and wanted == "av" and window.samples is not None:
        yield f"unknown which of the {faces} faces is speaking: the same audio is used for each"


def window_name(clip: str, number: int) -> str:
    """Return the name that seeds a window's noise: the clip's name and the window's number."""
    return f"{clip}@{number}"


def window_media(window: MediaWindow) -> ClipMedia:
    """Return a window as a clip of its own."""
    frames = sound = None
    if window.frames is not None:
        _, numbers = np.unique(window.frame_seconds, return_inverse=True)
        frames = VideoFrames(
            window.frames,
            indices=numbers.astype(np.intp),
            requested_indices=np.arange(len(window.frames), dtype=np.intp),
            decoded=window.frames_decoded,
            duration_seconds=window.end_seconds - window.start_seconds,
            scale=window.scale,
        )
    if window.samples is not None:
        sound = Sound(window.samples, SAMPLE_RATE)
    seconds = sound.duration_seconds if sound else 0.0
    return ClipMedia(
        frames, sound, window.no_frames, window.no_sound, seconds, window.notes, window.kind
    )
