"""The rows of each window of a long video, whatever computes the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from avemotion.config import PreprocessSettings, TimelineSettings
from avemotion.errors import MissingModalityError
from avemotion.extraction import Extraction
from avemotion.streaming import MediaWindow, stream_windows
from avemotion.timeline_rows import TimelineRow, most_probable
from avemotion.window_features import FaceNumbers, WindowFace, extract_window, window_name

_WORTH_SAYING_SECONDS = 0.1  # of a window's sound that is missing


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says of a clip or a window."""

    modality: str
    """What it rests on: ``av``, ``video`` or ``audio``."""
    probabilities: dict[str, float]
    """Of each emotion by name, in the model's order."""
    warnings: tuple[str, ...]
    """What was missing or unusual."""


def window_rows(
    path: Path,
    wanted: str,
    settings: TimelineSettings,
    preprocessing: PreprocessSettings,
    answer: Callable[[Extraction], Answer],
) -> Iterator[list[TimelineRow]]:
    """Yield the rows of each window, not yet smoothed: one, or one for each face.

    Args:
        path: The video.
        wanted: ``av``, ``video`` or ``audio``: what is read of it.
        settings: Windows and faces.
        preprocessing: The model's; gives the seed of the noise.
        answer: Tells the emotion; raises MissingModalityError where that cannot be.

    Raises:
        MediaError: The file cannot be read; rows until then have been given.
        MissingModalityError: The file has none of the streams that are wanted.
    """
    numbers, every = FaceNumbers(), settings.face == "all"
    for window in stream_windows(path, settings, wanted != "audio", wanted != "video"):
        name = window_name(path.stem, window.number)
        faces = extract_window(name, window, preprocessing, every)
        boxes = [face.clip.box for face in faces if face.clip.box]
        known = numbers.of(boxes, window.start_seconds) if every else []
        said = tuple(_window_warnings(window, len(boxes), wanted))
        yield [_row(window, face, n, answer, said) for face, n in zip_longest(faces, known)]


def _row(
    window: MediaWindow,
    face: WindowFace,
    number: int | None,
    answer: Callable[[Extraction], Answer],
    warnings: tuple[str, ...],
) -> TimelineRow:
    """Answer for one face of a window, or say why not."""
    clip, given, reason = face.clip, None, ""
    try:
        given = answer(clip)
    except MissingModalityError:
        reason = "; ".join(why for why in (clip.no_face, clip.no_sound) if why)
        if clip.status != "failed":
            reason += "; the model cannot answer from the rest"
    label = most_probable(given.probabilities) if given else None
    return TimelineRow(
        window=window.number,
        start_seconds=window.start_seconds,
        end_seconds=window.end_seconds,
        face=number,
        label=label,
        smoothed_label=label,
        probabilities=given.probabilities if given else None,
        smoothed=given.probabilities if given else None,
        modality=given.modality if given else "",
        faces_found=clip.faces_found,
        face_box=clip.box,
        reason=reason,
        warnings=given.warnings + warnings if given else warnings,
        face_crop=face.crop,
    )


def _window_warnings(window: MediaWindow, faces: int, wanted: str) -> Iterator[str]:
    if window.missing_seconds > _WORTH_SAYING_SECONDS:
        yield f"{window.missing_seconds:.1f} s of the window's sound are missing"
    if faces > 1 and wanted == "av" and window.samples is not None:
        yield f"whose voice it is, of {faces} faces, is not known: each is judged with it"
