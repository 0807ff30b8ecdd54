"""The live camera: at every frame, the prediction for a clip of the last seconds."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES
from avemotion.features.crops import face_crops
from avemotion.features.face_detection import find_face
from avemotion.features.face_tracking import is_same_face
from avemotion.features.frame_sampling import even_grid
from avemotion.features.table import ClipSignals, shows_motion
from avemotion.features.types import ClipFeatures
from avemotion.inference.preparation import as_batch
from avemotion.inference.runtimes.interface import Runtime
from avemotion.media.types import Box
from avemotion.models.inputs import names_of

WINDOW_SECONDS = 2.5
"""Length of the sliding window: about that of a CREMA-D clip; 20 of its frames are used too."""

_GAP_SECONDS = 1.0  # without frames for longer, a new window starts
_LEAST_SECONDS = 1 / 60  # between frames that are kept: more would only take memory
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
class LiveAnswer:
    """The prediction for the last seconds of the camera."""

    probabilities: dict[str, float] | None
    """Probability of each emotion; None until the window is full, and without a face."""
    box: Box | None
    """The face in the newest frame, in its pixels; None without one."""
    filled: float
    """Filled share of the window, 0 to 1."""
    milliseconds: float
    """Time that this answer took to compute."""


@dataclass(frozen=True, slots=True)
class _Seen:
    seconds: float
    grey: NDArray[np.uint8]
    box: Box | None


class LiveWindow:
    """The last seconds of one camera; used by one thread at a time."""

    def __init__(self, runtime: Runtime) -> None:
        """Start with an empty window.

        Args:
            runtime: A model that supports video alone.
        """
        self._runtime = runtime
        self._labels = runtime.metadata.labels
        self._window: deque[_Seen] = deque()
        self._format: tuple[int, ...] = ()

    def see(self, image: CameraImage, seconds: float) -> LiveAnswer:
        """Add a frame and classify the window.

        Args:
            image: The newest frame.
            seconds: Time of its arrival on a monotonic clock.
        """
        start = perf_counter()
        grey = image.grey
        # Each frame is searched once, when it comes: searching the whole window costs far more.
        track = find_face([grey])
        newest = _Seen(seconds, grey, track.box if track else None)
        self._add(newest, grey.shape)
        filled = min(1.0, (seconds - self._window[0].seconds) / WINDOW_SECONDS)
        probabilities = self._answer(newest.box) if newest.box and filled == 1.0 else None
        return LiveAnswer(probabilities, newest.box, filled, 1000 * (perf_counter() - start))

    def _add(self, seen: _Seen, image_format: tuple[int, ...]) -> None:
        """Keep a frame, and of those before only the ones that form a clip with it."""
        window = self._window
        gap = bool(window) and seen.seconds - window[-1].seconds > _GAP_SECONDS
        if gap or image_format != self._format:
            window.clear()
        self._format = image_format
        if not window or seen.seconds - window[-1].seconds >= _LEAST_SECONDS:
            window.append(seen)
        while len(window) > 1 and window[1].seconds <= seen.seconds - WINDOW_SECONDS:
            window.popleft()

    def _answer(self, newest: Box) -> dict[str, float] | None:
        """Classify the window as `classify` does a clip: 20 frames, one box for all of them."""
        names = names_of(self._runtime.metadata.inputs)
        # A model for pictures reads the newest image.
        grid = even_grid(len(self._window), 0, 0.0) if shows_motion(names) else [-1] * FACE_FRAMES
        sampled = [self._window[i] for i in grid]
        boxes = [
            seen.box for seen in sampled if seen.box and is_same_face(seen.box.edges, newest.edges)
        ]
        if len(boxes) * 2 < FACE_FRAMES:
            return None
        sides = np.median([box.edges for box in boxes], axis=0)
        steady = Box(*(round(side) for side in sides.tolist()))
        metadata = self._runtime.metadata
        frames = np.stack([seen.grey for seen in sampled])
        crops, _ = face_crops(frames, steady, metadata.preprocessing)
        signals = ClipSignals("", 0, crops[None], None, metadata.preprocessing.crop_size)
        features = ClipFeatures.of(signals, names, views=1)
        clip = as_batch(features, "video")
        scores = self._runtime.probabilities(clip)[0].tolist()
        return dict(zip(self._labels, scores, strict=True))
