"""What dataclasses that hold arrays share: their check, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.media.kinds import Kind


def check_array(name: str, array: NDArray[Any], dtype: type, shape: tuple[int | None, ...]) -> None:
    """Refuse an array of another dtype or shape (None stands for any length)."""
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        wanted = ", ".join("*" if n is None else str(n) for n in shape)
        raise ValueError(
            f"{name} must be {np.dtype(dtype)} of shape ({wanted}), "
            f"got {array.dtype} of shape {array.shape}"
        )


class ShapeRepr:
    """Shows arrays by dtype and shape, not by content."""

    def __repr__(self) -> str:
        """Return the fields."""
        parts = []
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                parts.append(f"{f.name}={value.dtype}{list(value.shape)}")
            else:
                parts.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


@dataclass(frozen=True, slots=True, repr=False)
class VideoFrames(ShapeRepr):
    """Chosen frames of a video, in grey."""

    frames: NDArray[np.uint8]
    """uint8 (frame, height, width), 0 black to 255 white."""
    indices: NDArray[np.intp]
    """int (frame,): the index of each frame in the video, from 0; some may repeat."""
    requested_indices: NDArray[np.intp]
    """int (frame,): the indices asked for; `indices` differ from them at a variable frame rate."""
    decoded: int
    """Frames that the whole video decodes to."""
    duration_seconds: float
    """Time that the decoded frames cover."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Pixels of the upright video to one of `frames`, down and across."""

    def __post_init__(self) -> None:
        """Check dtypes and shapes."""
        check_array("frames", self.frames, np.uint8, (None, None, None))
        check_array("indices", self.indices, np.intp, (len(self.frames),))
        check_array("requested_indices", self.requested_indices, np.intp, (len(self.frames),))


@dataclass(frozen=True, slots=True, repr=False)
class Sound(ShapeRepr):
    """A mono waveform."""

    samples: NDArray[np.int16]
    """int16 (sample,)."""
    sample_rate: int
    """Sample rate in Hz."""

    def __post_init__(self) -> None:
        """Check dtype and shape."""
        check_array("samples", self.samples, np.int16, (None,))

    @property
    def duration_seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the frame; may reach past its border."""

    x: int
    """Left edge."""
    y: int
    """Upper edge."""
    width: int
    """Columns."""
    height: int
    """Rows."""

    @property
    def edges(self) -> NDArray[np.float64]:
        """The same as float64 (4,): x, y, width, height."""
        return np.array([self.x, self.y, self.width, self.height], np.float64)


@dataclass(frozen=True, slots=True)
class ClipMedia:
    """A clip's frames and sound."""

    frames: VideoFrames | None
    """The chosen frames; None where there is no video."""
    sound: Sound | None
    """The sound; None where there is none."""
    no_frames: str = ""
    """Why there are no frames; empty where there are some."""
    no_sound: str = ""
    """Why there is no sound; empty where there is some."""
    sound_seconds: float = 0.0
    """Length of the whole sound, of which `sound` holds the middle if it is very long."""
    notes: tuple[str, ...] = ()
    """What was left out, or is unusual."""
    kind: Kind = "video"
    """What the file with the frames is, or without such the one with the sound; of arrays, what
    they hold."""
