"""The predicted emotion of one clip, with the evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from avemotion.media.types import Box


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
    """Sampled frames in which the face was found."""
    frames_sampled: int
    """Frames searched for a face: 20, 1 of a picture, or 0 without a video."""
    face_box: Box | None
    """The crop in pixels of the upright video; None without a face."""
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)
