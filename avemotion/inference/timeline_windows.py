"""The rows of each window of a long video, whatever computes the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from avemotion.config import FACE_FRAMES, SAMPLE_RATE, TimelineSettings
from avemotion.errors import MissingModalityError
from avemotion.features.face_tracking import FaceTracker
from avemotion.inference.prediction import Prediction
from avemotion.inference.preparation import (
    FaceCrops,
    InferenceRequest,
    PreparedClip,
    crop_asked_faces,
    hear,
    prepared,
)
from avemotion.inference.timeline_rows import TimelineRow
from avemotion.media.types import ClipMedia, Sound, VideoFrames
from avemotion.media.windows import MediaWindow, stream_windows

_WORTH_SAYING_SECONDS = 0.1  # of a window's sound that is missing


def window_rows(
    path: Path,
    request: InferenceRequest,
    settings: TimelineSettings,
    answer: Callable[[PreparedClip], Prediction],
) -> Iterator[list[TimelineRow]]:
    """Yield the rows of each window, not yet smoothed: one, or one for each face.

    Args:
        path: The video.
        request: The model, and what it is asked of each window.
        settings: Windows.
        answer: Tells the emotion.

    Raises:
        MediaError: The file cannot be read; rows until then have been given.
        MissingModalityError: The file has none of the streams that are wanted.
    """
    numbers, wanted = FaceTracker(), request.wanted
    for window in stream_windows(path, settings, wanted != "audio", wanted != "video"):
        media = window_media(window)
        heard = hear(window_name(path.stem, window.number), media, request)
        faces = crop_asked_faces(media, np.arange(FACE_FRAMES), request)
        boxes = [face.box for face in faces if face.box]
        known = numbers.of(boxes, window.start_seconds) if request.face == "all" else []
        said = tuple(_window_warnings(window, len(boxes), wanted))
        rows = []
        for face, number in zip_longest(faces, known):
            given, reason = None, ""
            try:
                given = answer(prepared(path.name, media, face, heard, request))
            except MissingModalityError:
                reason = "; ".join(why for why in (face.missing, media.no_sound) if why)
                if face.box or media.sound:
                    reason += "; the model cannot answer from the rest"
            rows.append(_row(window, face, number, given, reason, said))
        yield rows


def _row(
    window: MediaWindow,
    face: FaceCrops,
    number: int | None,
    given: Prediction | None,
    reason: str,
    warnings: tuple[str, ...],
) -> TimelineRow:
    shown = np.flatnonzero(face.found)
    return TimelineRow(
        window=window.number,
        start_seconds=window.start_seconds,
        end_seconds=window.end_seconds,
        face=number,
        label=given.label if given else None,
        smoothed_label=given.label if given else None,
        probabilities=given.probabilities if given else None,
        smoothed=given.probabilities if given else None,
        modality=given.modality if given else "",
        faces_found=len(shown),
        face_box=face.box,
        reason=reason,
        warnings=(given.warnings if given else window.notes) + warnings,
        face_crop=face.crops[shown[len(shown) // 2]] if len(shown) else None,
    )


def _window_warnings(window: MediaWindow, faces: int, wanted: str) -> Iterator[str]:
    if window.missing_seconds > _WORTH_SAYING_SECONDS:
        yield f"{window.missing_seconds:.1f} s of the window's sound are missing"
    if faces > 1 and wanted == "av" and window.samples is not None:
        yield f"whose voice it is, of {faces} faces, is not known: each is judged with it"


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
