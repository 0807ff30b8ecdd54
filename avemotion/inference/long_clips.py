"""One prediction of a long clip: the mean over windows of the whole of it.

The windows are those of a timeline. Their probabilities are averaged as logarithms and renormalised
(the geometric mean), as timelines are smoothed. The mean is the same for every window: a window
that is sure of an emotion counts for more than one that is not, since its logarithms differ more.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avemotion.config import TimelineSettings
from avemotion.errors import MediaError, MissingModalityError
from avemotion.inference.prediction import Prediction, StrongWindow
from avemotion.inference.preparation import LONG_CLIP_SECONDS, PreparedClip, media_used
from avemotion.inference.request import InferenceRequest
from avemotion.inference.timeline_rows import mean_of_logarithms, most_probable
from avemotion.inference.timeline_windows import People, WindowAnswer, window_answers
from avemotion.media.sources import MediaFile
from avemotion.media.windows import known_seconds, stream_windows
from avemotion.models.recording_conditions import Departure, departures, measured
from avemotion.models.reliability import reliability_of

_WINDOWS = TimelineSettings()
_STRONGEST = 3
_OF_PAUSES = "loudness_range_db"
_SMALL_BYTES = 2**20  # a file this small is decoded sooner than its header is asked


def is_large(file: MediaFile) -> bool:
    """Return whether a file is so large that its header is worth a look before it is decoded."""
    if isinstance(file, Path):
        return file.is_file() and file.stat().st_size > _SMALL_BYTES
    return file.handle.seek(0, os.SEEK_END) > _SMALL_BYTES


def announces_length(file: MediaFile) -> bool:
    """Return whether a file announces a long clip; its length may be another."""
    try:
        return (known_seconds(file) or 0.0) > LONG_CLIP_SECONDS
    except MediaError:  # which whoever reads on will meet
        return False


def predict_long(
    file: MediaFile,
    name: str,
    request: InferenceRequest,
    answer: Callable[[PreparedClip], Prediction],
) -> Generator[float, None, list[Prediction]]:
    """Predict the emotion of a long clip from windows over the whole of it.

    Args:
        file: The clip.
        name: What the prediction calls it.
        request: Model, modality and choice of faces.
        answer: Predicts the emotion of a prepared window.

    Yields:
        The end of each window, in seconds, when it is answered.

    Returns:
        One prediction; with all faces, one for each, those in most windows first. Nothing if the
        clip turns out to last `LONG_CLIP_SECONDS` or less.

    Raises:
        MediaError: The clip cannot be read.
        MissingModalityError: No window has what the prediction needs.
    """
    pool, people, wanted = WindowPool(name, request), People(), request.wanted
    for window in stream_windows(file, _WINDOWS, wanted != "audio", wanted != "video"):
        pool.add(list(window_answers(file, window, people, request, answer)))
        yield window.end_seconds
    return pool.predictions() if pool.seconds > LONG_CLIP_SECONDS else []


@dataclass(frozen=True, slots=True)
class _Answered:
    """What is kept of a window."""

    start_seconds: float
    end_seconds: float
    prediction: Prediction
    qualities: dict[str, float]

    @property
    def probability(self) -> float:
        return self.prediction.probabilities[self.prediction.label]


class WindowPool:
    """Collects the answers of a clip's windows, of each a few numbers, and averages them."""

    def __init__(self, name: str, request: InferenceRequest) -> None:
        """Start without windows.

        Args:
            name: What the prediction calls the clip.
            request: Model, modality and choice of faces.
        """
        self._name, self._request = name, request
        self._answered: dict[int | None, list[_Answered]] = {}
        self._reasons = Counter[str]()
        self._warnings: dict[str, tuple[str, int, float]] = {}
        self._windows = 0
        self._windows_answered = 0
        self.seconds = 0.0
        """End of the last window."""
        self.surest: PreparedClip | None = None
        """What the model read of the window with the most probable emotion."""
        self._surest_probability = 0.0

    def add(self, answers: Sequence[WindowAnswer]) -> None:
        """Add the answers of the next window."""
        window = answers[0].window
        self._windows += 1
        self._windows_answered += any(answer.prediction is not None for answer in answers)
        self.seconds = window.end_seconds
        for text in dict.fromkeys(text for answer in answers for text in answer.warnings):
            # Texts that differ in their figures alone are one.
            kind = re.sub(r"[\d.,]+", "", text)
            first, number, at = self._warnings.get(kind, (text, 0, window.start_seconds))
            self._warnings[kind] = (first, number + 1, at)
        for answer in answers:
            if answer.prediction is None:
                self._reasons[answer.reason] += 1
                continue
            answered = _Answered(
                window.start_seconds, window.end_seconds, answer.prediction, _qualities(answer)
            )
            self._answered.setdefault(answer.number, []).append(answered)
            if answered.probability > self._surest_probability:
                self.surest, self._surest_probability = answer.prepared, answered.probability

    def predictions(self) -> list[Prediction]:
        """Return the mean prediction; of several faces, that of each, by number of windows.

        Raises:
            MissingModalityError: No window has a prediction.
        """
        if not self._answered:
            reason = self._reasons.most_common(1)[0][0]
            raise MissingModalityError(
                f"{self._name} cannot be classified from {self._request.wanted}: none of its "
                f"{self._windows} windows has what is needed, mostly because: {reason}."
            )
        faces: list[int | None] = [face for face in self._answered if face is not None]
        faces = faces or [None]
        faces.sort(key=lambda face: -len(self._answered[face]))
        return [self._prediction(face, self._answered[face]) for face in faces]

    def _prediction(self, face: int | None, windows: Sequence[_Answered]) -> Prediction:
        found = [window.prediction for window in windows]
        probabilities = mean_of_logarithms([one.probabilities for one in found])
        used = {one.modality for one in found}
        sure = sorted(windows, key=lambda window: -window.probability)
        parts = {part for one in found for part in one.parts}
        unlike = self._departures(windows)
        return replace(
            found[0],
            clip=self._name,
            label=most_probable(probabilities),
            probabilities=probabilities,
            modality=(modality := used.pop() if len(used) == 1 else "av"),
            reliability=reliability_of(self._request.metadata.reliability, modality, unlike),
            faces_found=sum(one.faces_found for one in found),
            frames_sampled=sum(one.frames_sampled for one in found),
            face_box=next((w.prediction.face_box for w in sure if w.prediction.face_box), None),
            face=face,
            warnings=(*self._all_warnings(face, windows), *(one.warning for one in unlike)),
            units={
                unit: float(np.mean([one.units[unit] for one in found])) for unit in found[0].units
            },
            parts={
                part: mean_of_logarithms([one.parts[part] for one in found if part in one.parts])
                for part in ("video", "audio")
                if part in parts
            },
            strongest_windows=tuple(_apart(sure)),
        )

    def _all_warnings(self, face: int | None, windows: Sequence[_Answered]) -> Iterator[str]:
        yield (
            f"the clip lasts {self.seconds:.1f} s, much longer than training clips: the prediction "
            f"is the mean of {len(windows)} windows of {_WINDOWS.window_seconds:g} s"
        )
        if face is not None:
            yield f"this face is in {len(windows)} of {self._windows} windows"
        elif self._reasons:
            reason, _ = self._reasons.most_common(1)[0]
            yield (
                f"{self._reasons.total()} of {self._windows} windows have no prediction, mostly "
                f"because: {reason}"
            )
        for text, number, at in self._warnings.values():
            if number >= self._windows_answered:
                yield text
            else:
                yield f"in {number} of {self._windows} windows, first at {at:.1f} s: {text}"

    def _departures(self, windows: Sequence[_Answered]) -> tuple[Departure, ...]:
        """Compare the recording with those of training, by the mean over its windows."""
        qualities = _means(window.qualities for window in windows)
        return tuple(departures(qualities, {}, self._request.metadata.recordings))


def _apart(sure: Iterable[_Answered]) -> Iterator[StrongWindow]:
    """Yield the first windows that do not overlap."""
    taken: list[_Answered] = []
    for window in sure:
        if len(taken) == _STRONGEST:
            return
        if all(
            window.end_seconds <= other.start_seconds or other.end_seconds <= window.start_seconds
            for other in taken
        ):
            taken.append(window)
            yield StrongWindow(
                window.start_seconds,
                window.end_seconds,
                window.prediction.label,
                window.probability,
            )


def _qualities(answer: WindowAnswer) -> dict[str, float]:
    """Measure the recording, as far as it was used, but for its pauses: a window has too few."""
    assert answer.prepared  # of a window that is answered
    media = media_used(answer.prepared, answer.face.crops, answer.window.samples)
    return {name: value for name, value in measured(media).items() if name != _OF_PAUSES}


def _means(qualities: Iterable[dict[str, float]]) -> dict[str, float]:
    given = list(qualities)
    names = dict.fromkeys(name for one in given for name in one)
    return {name: float(np.mean([one[name] for one in given if name in one])) for name in names}
