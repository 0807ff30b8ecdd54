"""The live camera: what a clip of the last seconds would be answered, at every picture."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from time import perf_counter

import cv2
import numpy as np
from numpy.typing import NDArray

from avemotion.config import FACE_FRAMES
from avemotion.features.crops import crop_faces
from avemotion.features.face_detection import find_face
from avemotion.features.frame_sampling import even_grid
from avemotion.features.types import ClipFeatures
from avemotion.inference.runtimes.interface import ClipArrays, Runtime
from avemotion.media.types import Box

WINDOW_SECONDS = 2.5
"""How far back an answer looks: the length of CREMA-D's clips, of which 20 frames are read too."""

_GAP_SECONDS = 1.0  # the camera was away: what was before belongs to no clip with what comes
_LEAST_SECONDS = 1 / 60  # between pictures that are held: more would only take memory
_SIDES = range(64, 1025)  # pixels
_HEADER = struct.Struct("<HHB")  # width, height, 1 to equalise the histogram


@dataclass(frozen=True, slots=True)
class CameraImage:
    """One picture of the camera, as the page sends it."""

    grey: NDArray[np.uint8]
    """uint8 (height, width)."""
    equalise: bool
    """Spread the grey values evenly, as the thesis does before its camera mode."""

    @classmethod
    def from_bytes(cls, message: bytes) -> CameraImage:
        """Read plain pixels after a header: unlike a JPEG there is nothing that can be broken.

        Raises:
            ValueError: The length does not fit the header, or a side is too short or too long.
        """
        if len(message) < _HEADER.size:
            raise ValueError(f"a picture has a header of {_HEADER.size} bytes")
        width, height, equalise = _HEADER.unpack_from(message)
        if width not in _SIDES or height not in _SIDES:
            raise ValueError(f"sides must be from 64 to 1024 pixels, not {width} x {height}")
        if len(message) != _HEADER.size + width * height:
            raise ValueError(f"{len(message)} bytes cannot be {width} x {height} pixels")
        pixels = np.frombuffer(message, np.uint8, offset=_HEADER.size)
        return cls(pixels.reshape(height, width), bool(equalise))


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """What is said of the camera's last seconds."""

    probabilities: dict[str, float] | None
    """Of each emotion; None until the window is full, and without a face."""
    box: Box | None
    """The face of the newest picture, in its pixels; None without."""
    filled: float
    """How much of the window is there, from 0 to 1."""
    milliseconds: float
    """Time that this answer took."""


@dataclass(frozen=True, slots=True)
class _Seen:
    seconds: float
    grey: NDArray[np.uint8]
    box: Box | None


class LiveWindow:
    """The last seconds of one camera; used by one thread at a time."""

    def __init__(self, runtime: Runtime) -> None:
        """Begin with an empty window.

        Args:
            runtime: A model that can answer from the face alone.
        """
        self._runtime = runtime
        self._labels = runtime.metadata.labels
        self._window: deque[_Seen] = deque()
        self._manner: tuple[object, ...] = ()
        zeros = ClipFeatures.zeros(1)
        by_mel = runtime.metadata.experiment.network.spectrogram == "log_mel"
        silence = zeros.log_mels if by_mel else zeros.spectrograms
        self._silence = silence[:, None].astype(np.float32)

    def see(self, image: CameraImage, seconds: float) -> LiveAnswer:
        """Add a picture and answer from the window.

        Args:
            image: The newest one.
            seconds: When it came, on a clock that only goes on.
        """
        start = perf_counter()
        grey = image.grey
        if image.equalise:
            grey = np.asarray(cv2.equalizeHist(grey), np.uint8)
        # One look at each picture, when it comes: searching the window anew would cost far more.
        track = find_face([grey])
        newest = _Seen(seconds, grey, track.box if track else None)
        self._add(newest, (grey.shape, image.equalise))
        filled = min(1.0, (seconds - self._window[0].seconds) / WINDOW_SECONDS)
        probabilities = self._answer(newest.box) if newest.box and filled == 1.0 else None
        return LiveAnswer(probabilities, newest.box, filled, 1000 * (perf_counter() - start))

    def _add(self, seen: _Seen, manner: tuple[object, ...]) -> None:
        """Keep a picture, and of those before only what makes one clip with it."""
        window = self._window
        gap = bool(window) and seen.seconds - window[-1].seconds > _GAP_SECONDS
        if gap or manner != self._manner:
            window.clear()
        self._manner = manner
        if not window or seen.seconds - window[-1].seconds >= _LEAST_SECONDS:
            window.append(seen)
        while len(window) > 1 and window[1].seconds <= seen.seconds - WINDOW_SECONDS:
            window.popleft()

    def _answer(self, newest: Box) -> dict[str, float] | None:
        """Answer as `classify` answers a clip: 20 frames, one box for all of them, the network."""
        sampled = [self._window[i] for i in even_grid(len(self._window), 0, 0.0)]
        boxes = [seen.box for seen in sampled if seen.box and _same_face(seen.box, newest)]
        if len(boxes) * 2 < FACE_FRAMES:
            return None
        sides = np.median([(box.x, box.y, box.width, box.height) for box in boxes], axis=0)
        steady = Box(*(round(side) for side in sides.tolist()))
        clip = ClipArrays(
            faces=crop_faces(np.stack([seen.grey for seen in sampled]), steady)[None],
            spectrograms=self._silence,
            lengths=np.zeros(1, np.int64),
            has_face=np.array([True]),
            has_sound=np.array([False]),
        )
        scores = self._runtime.probabilities(clip)[0].tolist()
        return dict(zip(self._labels, scores, strict=True))


def _same_face(box: Box, other: Box) -> bool:
    """Tell whether the middle of a face lies in another."""
    x, y = box.x + box.width / 2 - other.x, box.y + box.height / 2 - other.y
    return 0 < x < other.width and 0 < y < other.height
