"""The emotion of one clip, and on what evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from avemotion.media.types import Box


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
    """Frames that were searched: 20, or 0 where none was looked at."""
    face_box: Box | None
    """The crop in pixels of the video, or None without a face."""
    face: int | None
    """Number of the face, from 1, where all were asked for and there is one."""
    checkpoint: str
    """The model that answered."""
    warnings: tuple[str, ...]
    """What was missing or unusual in the clip."""
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    """What ``video`` and ``audio`` alone would have said, if asked: probabilities by emotion."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)
