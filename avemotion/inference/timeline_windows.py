"""From the windows of a long video to the rows of its timeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from avemotion.config import FACE_FRAMES, SAMPLE_RATE, TimelineSettings
from avemotion.errors import MissingModalityError
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
from avemotion.media.types import ClipMedia, Sound, VideoFrames
from avemotion.media.windows import MediaWindow, stream_windows

_WARNED_GAP_SECONDS = 0.1  # of missing sound in a window


def window_rows(
    path: Path,
    request: InferenceRequest,
    settings: TimelineSettings,
    answer: Callable[[PreparedClip], Prediction],
) -> Iterator[list[TimelineRow]]:
    """Yield the rows of each window, not yet smoothed: one, or one per face.

    Args:
        path: The video.
        request: Model, modality and choice of faces.
        settings: Length and spacing of the windows.
        answer: Predicts the emotion of a prepared window.

    Raises:
        MediaError: The file cannot be read; the rows before the error were yielded.
        MissingModalityError: The file has none of the streams that the prediction needs.
    """
    tracker, cuts, wanted = FaceTracker(), SceneCuts(), request.wanted
    for window in stream_windows(path, settings, wanted != "audio", wanted != "video"):
        media = window_media(window)
        sound = sound_features(window_name(path.stem, window.number), media, request)
        faces = crop_faces_of(media, np.arange(FACE_FRAMES), request)
        boxes = [face.box for face in faces if face.box]
        numbers: list[int] = []
        if request.face == "all":
            if window.frames is not None:
                cuts.add(window.frames, window.frame_seconds)
            seen = [_middle_seconds(window, face) for face in faces if face.box]
            numbers = tracker.of(boxes, window.start_seconds, seen, cuts)
        warnings = tuple(_window_warnings(window, len(boxes), wanted))
        rows = []
        for face, number in zip_longest(faces, numbers):
            prediction, reason = None, ""
            try:
                prediction = answer(combine(path.name, media, face, sound, request))
            except MissingModalityError:
                reason = "; ".join(why for why in (face.missing, media.no_sound) if why)
                if face.box or media.sound:
                    reason += "; the model needs both face and voice"
            rows.append(_row(window, face, number, prediction, reason, warnings))
        yield rows


def _middle_seconds(window: MediaWindow, face: FaceCrops) -> float:
    """Return when the middle one of the frames is shown on which a face was found."""
    found = np.flatnonzero(face.found)
    return window.frame_seconds[int(found[len(found) // 2])]


def _row(
    window: MediaWindow,
    face: FaceCrops,
    number: int | None,
    prediction: Prediction | None,
    reason: str,
    warnings: tuple[str, ...],
) -> TimelineRow:
    found = np.flatnonzero(face.found)
    return TimelineRow(
        window=window.number,
        start_seconds=window.start_seconds,
        end_seconds=window.end_seconds,
        face=number,
        label=prediction.label if prediction else None,
        smoothed_label=prediction.label if prediction else None,
        probabilities=prediction.probabilities if prediction else None,
        smoothed=prediction.probabilities if prediction else None,
        modality=prediction.modality if prediction else "",
        faces_found=len(found),
        face_box=face.box,
        reason=reason,
        warnings=(prediction.warnings if prediction else window.notes) + warnings,
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
    return ClipMedia(frames, sound, window.no_frames, window.no_sound, seconds, window.notes)
