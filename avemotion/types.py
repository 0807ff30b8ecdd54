"""The objects that travel along the road: clip, frames, sound, features, prediction.

Each is checked when built, so that a wrong shape is named where it arises.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _check(name: str, array: NDArray[Any], dtype: type, shape: tuple[int | None, ...]) -> None:
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


class _ShapeRepr:
    """Shows arrays by dtype and shape, not by content."""

    def __repr__(self) -> str:
        parts = []
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                parts.append(f"{f.name}={value.dtype}{list(value.shape)}")
            else:
                parts.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of a corpus: what its name says, and where its media are."""

    name: str
    """Unique in the corpus; CREMA-D: ``1001_IEO_ANG_HI``."""
    actor: str
    """Who is seen and heard; no actor is ever in both training and test."""
    sentence: str
    """Code of what is said."""
    emotion: str
    """The intended emotion, one of the corpus' labels."""
    level: str
    """Intended intensity; CREMA-D: LO, MD, HI, or XX where unspecified."""
    video: Path | None
    """The file with the face (and perhaps the voice), if any."""
    audio: Path | None
    """The file with the voice alone, if any; preferred to the video's own track."""

    def absolute(self) -> Clip:
        """Return the clip with absolute paths, as other machines need them."""
        video, audio = (path and path.absolute() for path in (self.video, self.audio))
        return replace(self, video=video, audio=audio)


@dataclass(frozen=True, slots=True)
class Rating:
    """How the crowd answered one clip on one channel."""

    clip: str
    """Name of the clip."""
    channel: str
    """What the raters were given: ``voice``, ``face`` or ``both``."""
    votes: tuple[int, ...]
    """Answers for each emotion, in the order of the corpus' labels."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a corpus' folder holds, read from names alone: no media is opened."""

    name: str
    """Key of the corpus module: ``crema_d``."""
    directory: Path
    """The folder that was read."""
    labels: tuple[str, ...]
    """The emotions in the order of a network's outputs."""
    clips: tuple[Clip, ...]
    """All clips, sorted by name; those in `excluded` too."""
    excluded: dict[str, str]
    """Clips known to be bad, and why."""
    strangers: tuple[Path, ...]
    """Media files whose names the corpus' scheme does not explain."""
    ratings: tuple[Rating, ...]
    """The crowd's votes on these clips; empty where the corpus has none."""
    demographics: dict[str, dict[str, str]]
    """By actor, facts such as ``Age``, ``Sex``, ``Race``, ``Ethnicity``; empty where unknown."""
    synthetic: dict[str, Any] | None
    """What a synthetic corpus says of itself (tables, ceilings); None for a recorded one."""


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint sets of actors."""

    train: tuple[str, ...]
    """Those the weights are fitted on."""
    validation: tuple[str, ...]
    """Those that choose the epoch; empty where nothing is chosen."""
    test: tuple[str, ...]
    """Those kept away from training altogether; may be empty."""

    def __post_init__(self) -> None:
        """Refuse an actor in two parts."""
        everyone = [*self.train, *self.validation, *self.test]
        twice = sorted({actor for actor in everyone if everyone.count(actor) > 1})
        if twice:
            raise ValueError(f"actors in two parts of a split: {', '.join(twice)}")


@dataclass(frozen=True, slots=True, repr=False)
class VideoFrames(_ShapeRepr):
    """Chosen frames of a video, in grey."""

    frames: NDArray[np.uint8]
    """uint8 (frame, height, width), 0 black to 255 white."""
    indices: NDArray[np.intp]
    """int (frame,): the number of each frame in the video, from 0."""
    decoded: int
    """Frames that the whole video decodes to."""
    duration_seconds: float
    """Time that the decoded frames cover."""

    def __post_init__(self) -> None:
        """Check dtypes and shapes."""
        _check("frames", self.frames, np.uint8, (None, None, None))
        _check("indices", self.indices, np.intp, (len(self.frames),))


@dataclass(frozen=True, slots=True, repr=False)
class Sound(_ShapeRepr):
    """A mono waveform."""

    samples: NDArray[np.int16]
    """int16 (sample,)."""
    sample_rate: int
    """In Hz."""

    def __post_init__(self) -> None:
        """Check dtype and shape."""
        _check("samples", self.samples, np.int16, (None,))

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


@dataclass(frozen=True, slots=True)
class Prediction:
    """The emotion of one clip, and on what evidence."""

    clip: str
    """The file that was classified, as it was given."""
    label: str
    """The most probable emotion."""
    probabilities: dict[str, float]
    """Probability of each emotion by name, in the model's order; they sum to 1."""
    modality: str
    """What the answer rests on: ``av``, ``video`` or ``audio``."""
    faces_found: int
    """Sampled frames on which a face was found."""
    frames_sampled: int
    """Frames that were searched: 20, or 0 where the clip has no video."""
    face_box: Box | None
    """The crop in pixels of the video, or None without a face."""
    checkpoint: str
    """The model that answered."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the clip."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)
