"""The live camera: at every frame, the prediction for a clip of the last seconds."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES
from avemotion.data.batch import Arrays, concatenate
from avemotion.features.crops import face_crops
from avemotion.features.face_detection import find_face, find_faces
from avemotion.features.face_path import may_move, moves, smooth_path
from avemotion.features.face_tracking import Face, FaceTracker, is_same_face
from avemotion.features.frame_sampling import even_grid
from avemotion.features.table import ClipSignals, reads_frames
from avemotion.features.types import ClipFeatures
from avemotion.inference.preparation import as_batch
from avemotion.inference.runtimes.interface import Runtime
from avemotion.media.types import Box
from avemotion.models.inputs import names_of

WINDOW_SECONDS = 2.5
"""Length of the sliding window: about that of a CREMA-D clip; 20 of its frames are used too."""
SMOOTH_SECONDS = 1.0
"""A face's answers are pooled over this time."""
FACES = 6
"""Faces answered at once, at most."""

_SEARCH_SECONDS = 0.3  # between searches for further faces, which stay where they were meanwhile
_GAP_SECONDS = 1.0  # without frames for longer, a new window starts
_LEAST_SECONDS = 1 / 60  # between frames that are kept: more would only take memory
_LEAST_SHARE = 1e-6  # a probability of 0 would decide for as long as it is pooled
_SIDES = range(64, 1025)  # pixels
_HEADER = struct.Struct("<HH")  # width, height


@dataclass(frozen=True, slots=True)
class CameraImage:
    """One frame of the camera, as the page sends it."""

    grey: NDArray[np.uint8]
    """uint8 (height, width)."""

    @classmethod
    def from_bytes(cls, message: bytes) -> CameraImage:
        """Read raw pixels after a header: unlike a JPEG, they need no decoder to be attacked.

        Raises:
            ValueError: The length does not fit the header, or a side is too short or too long.
        """
        if len(message) < _HEADER.size:
            raise ValueError(f"an image starts with a header of {_HEADER.size} bytes")
        width, height = _HEADER.unpack_from(message)
        if width not in _SIDES or height not in _SIDES:
            raise ValueError(f"sides must be from 64 to 1024 pixels, not {width} x {height}")
        if len(message) != _HEADER.size + width * height:
            raise ValueError(f"{len(message)} bytes cannot be {width} x {height} pixels")
        pixels = np.frombuffer(message, np.uint8, offset=_HEADER.size)
        return cls(pixels.reshape(height, width))


@dataclass(frozen=True, slots=True)
class LiveFace:
    """A face in the newest image, and the prediction for it."""

    number: int
    """From 1; a face keeps its number as long as it stays in view."""
    box: Box
    """Where it is, in pixels of the image."""
    probabilities: dict[str, float] | None
    """Probability of each emotion, smoothed over the last second; None until the window is full,
    and for a face that was found in less than half of it."""
    units: dict[str, float]
    """Mean probability of each action unit in the last second; empty where there are none."""


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """The predictions for the last seconds of the camera."""

    faces: tuple[LiveFace, ...]
    """The faces in the newest image, the largest and most central one first."""
    filled: float
    """Filled share of the window, 0 to 1; 1 for a model that reads one image."""
    milliseconds: float
    """Time that this answer took to compute."""


@dataclass(frozen=True, slots=True)
class _Seen:
    seconds: float
    grey: NDArray[np.uint8]
    boxes: dict[int, Box]
    """Number of a face -> its box."""


class LiveWindow:
    """The last seconds of one camera; used by one thread at a time."""

    def __init__(self, runtime: Runtime) -> None:
        """Start with an empty window.

        Args:
            runtime: A model that supports video alone.
        """
        self._runtime = runtime
        self._reads_window = reads_frames(names_of(runtime.metadata.inputs))
        self._window: deque[_Seen] = deque()
        self._answered: deque[tuple[float, int, NDArray[np.floating]]] = deque()
        self._tracker = FaceTracker(_GAP_SECONDS)
        self._searched = -math.inf
        self._last_found: list[Box] = []
        self._format: tuple[int, ...] = ()

    def see(self, image: CameraImage, seconds: float) -> LiveAnswer:
        """Add a frame and classify the window.

        Args:
            image: The newest frame.
            seconds: Time of its arrival on a monotonic clock.
        """
        start = perf_counter()
        self._forget(seconds, image.grey.shape)
        boxes = self._found(image, seconds)
        numbers = self._tracker.of(boxes, seconds)
        newest = _Seen(seconds, image.grey, dict(zip(numbers, boxes, strict=True)))
        self._add(newest)
        filled = min(1.0, (seconds - self._window[0].seconds) / WINDOW_SECONDS)
        if not self._reads_window:
            filled = 1.0
        found = self._answers(newest) if filled == 1.0 else {}
        faces = tuple(self._face(n, box, found, seconds) for n, box in newest.boxes.items())
        return LiveAnswer(faces, filled, 1000 * (perf_counter() - start))

    def _found(self, image: CameraImage, seconds: float) -> list[Box]:
        """Search a frame once, when it comes; for further faces now and then: it takes 30 ms."""
        if seconds - self._searched >= _SEARCH_SECONDS:
            self._searched = seconds
            self._last_found = [
                track.box for track in find_faces([image.grey], again=False).tracks[:FACES]
            ]
            return self._last_found
        main = find_face([image.grey], again=False)
        if main is None:
            return []
        others = (b for b in self._last_found if not is_same_face(b.edges, main.box.edges))
        return [main.box, *others]

    def _forget(self, seconds: float, image_format: tuple[int, ...]) -> None:
        """Start anew after a gap, or with images of another size."""
        gap = bool(self._window) and seconds - self._window[-1].seconds > _GAP_SECONDS
        if gap or image_format != self._format:
            self._window.clear()
            self._answered.clear()
            self._tracker.forget()
            self._searched = -math.inf
        self._format = image_format

    def _add(self, seen: _Seen) -> None:
        """Keep a frame, and of those before only the ones that form a clip with it."""
        window = self._window
        if not window or seen.seconds - window[-1].seconds >= _LEAST_SECONDS:
            window.append(seen)
        while len(window) > 1 and window[1].seconds <= seen.seconds - WINDOW_SECONDS:
            window.popleft()

    def _answers(self, newest: _Seen) -> dict[int, NDArray[np.floating]]:
        """Classify the window as `classify` does a clip: 20 frames, one box or a path of boxes.

        Returns:
            Number of a face -> float (output,), of those found in half of the frames.
        """
        sampled = [newest] * FACE_FRAMES  # what a model for pictures reads
        if self._reads_window:
            sampled = [self._window[i] for i in even_grid(len(self._window), 0, 0.0)]
        frames = np.stack([seen.grey for seen in sampled])
        metadata = self._runtime.metadata
        clips: dict[int, Arrays] = {}
        for number in newest.boxes:
            boxes = {
                frame: seen.boxes[number].edges
                for frame, seen in enumerate(sampled)
                if number in seen.boxes
            }
            if len(boxes) * 2 < FACE_FRAMES:
                continue
            crops, _ = face_crops(frames, _path(boxes), metadata.preprocessing)
            signals = ClipSignals("", 0, crops[None], None, metadata.preprocessing.crop_size)
            features = ClipFeatures.of(signals, names_of(metadata.inputs), views=1)
            clips[number] = as_batch(features, "video")
        if not clips:
            return {}
        answers = self._runtime.probabilities(concatenate(list(clips.values())))
        return dict(zip(clips, answers, strict=True))

    def _face(
        self, number: int, box: Box, found: Mapping[int, NDArray[np.floating]], seconds: float
    ) -> LiveFace:
        """Return a face with its answers of the last second pooled: the mean log-probabilities."""
        if number not in found:
            return LiveFace(number, box, None, {})
        self._answered.append((seconds, number, found[number]))
        while self._answered[0][0] < seconds - SMOOTH_SECONDS:
            self._answered.popleft()
        task = self._runtime.metadata.task
        shares, units = task.split(np.array([a for _, n, a in self._answered if n == number]))
        pooled = np.exp(np.log(np.maximum(shares, _LEAST_SHARE)).mean(axis=0))
        return LiveFace(
            number=number,
            box=box,
            probabilities=dict(zip(task.labels, (pooled / pooled.sum()).tolist(), strict=True)),
            units=dict(zip(task.units, units.mean(axis=0).tolist(), strict=True)),
        )


def _path(seen: Face) -> list[Box]:
    """Return the crops of a face on all sampled frames, from its boxes on those that show it."""
    found = np.array(list(seen.values()))
    steady = np.median(found, axis=0)
    path = np.tile(steady, (FACE_FRAMES, 1))
    if may_move(found, steady) and moves(smoothed := smooth_path(seen, FACE_FRAMES), steady):
        path = smoothed
    return [Box(*map(round, box)) for box in path.tolist()]
