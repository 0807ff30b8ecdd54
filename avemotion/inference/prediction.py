"""The predicted emotion of one clip, with the evidence; or why there is none."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from avemotion.media.types import Box
from avemotion.models.reliability import Reliability


@dataclass(frozen=True, slots=True)
class StrongWindow:
    """A window of a long clip whose prediction is among the surest."""

    start_seconds: float
    """Start of the window, in seconds from the start of the file."""
    end_seconds: float
    """End of the window, exclusive."""
    label: str
    """The most probable emotion in it."""
    probability: float
    """Its probability, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted emotion of one clip, with the evidence.

    Examples:
        >>> from avemotion import classify_clip
        >>> prediction = classify_clip("clip.mp4", modality="video")
        >>> prediction.modality, prediction.frames_sampled
        ('video', 20)
    """

    clip: str
    """The clip: its path as it was given, or ``clip given as bytes`` and the like."""
    label: str
    """The most probable emotion."""
    probabilities: dict[str, float]
    """Probability of each emotion by name, 0 to 1, in the model's order; they sum to 1."""
    modality: str
    """Modality used: ``av``, ``video`` or ``audio``."""
    faces_found: int
    """Sampled frames in which the face was found; of a long clip, of all windows together."""
    frames_sampled: int
    """Frames searched for a face: 20 (of a long clip, 20 of each window), 1 of a picture, or 0
    without a video."""
    face_box: Box | None
    """The crop in pixels of the upright video, of a face that moves that on the middle one of the
    20 frames, of a long clip that in the surest window; None without a face."""
    face: int | None
    """Number of the face, from 1, where all faces were requested and there is one."""
    checkpoint: str
    """The model that was used."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the clip."""
    units: dict[str, float] = field(default_factory=dict)
    """Probability of each action unit, 0 to 1; empty where the model has none."""
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    """Probabilities by emotion from ``video`` and from ``audio`` alone, if requested."""
    reliability: Reliability | None = None
    """How often the model's answers from this modality were right, and on which clips; None where
    nothing is known. It is of those clips, not of this one."""
    strongest_windows: tuple[StrongWindow, ...] = ()
    """Of a clip longer than 10 s, whose prediction is the mean of those of its windows: up to three
    windows that do not overlap, those with the most probable emotions, the surest first."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON: the keys of `ClipFailure.to_dict`."""
        return asdict(self) | {"reason": ""}


@dataclass(frozen=True, slots=True)
class ClipFailure:
    """A clip that could not be classified.

    Examples:
        >>> from avemotion import classify_clips
        >>> [failure] = classify_clips(["missing.mp4"])
        >>> failure.reason
        'no such file: missing.mp4'
    """

    clip: str
    """The clip, named as in `Prediction.clip`."""
    reason: str
    """Why there is no prediction."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON: the keys of `Prediction.to_dict`, most of them None.

        `reason` tells the two apart: it is empty in a prediction.
        """
        return {f.name: None for f in fields(Prediction)} | asdict(self)
