"""What is requested of a model: which modality, and which faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from avemotion.config import AskedModality, FaceChoice
from avemotion.errors import UsageError
from avemotion.models.metadata import CheckpointMetadata


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """Which model is to classify a clip, by which modality, and which faces."""

    metadata: CheckpointMetadata
    """Metadata of the model."""
    checkpoint: str
    """File of the model, for messages."""
    modality: AskedModality = "auto"
    """``av``, ``video`` or ``audio``; ``auto`` uses all that the clip and the model have."""
    face: FaceChoice = "main"
    """``main``, the largest and most central face, or ``all``."""

    def __post_init__(self) -> None:
        """Refuse what the model does not support.

        Raises:
            UsageError: The model lacks the modality, or there is no such choice of faces.
        """
        if self.modality not in ("auto", *self.metadata.answers):
            raise UsageError(
                f"{self.checkpoint} does not support modality {self.modality!r}, only "
                f"{', '.join(self.metadata.answers)}. Choose one of these, or another checkpoint."
            )
        if self.face not in get_args(FaceChoice):
            raise UsageError(f"face is {self.face!r}, but must be main or all.")

    @property
    def wanted(self) -> str:
        """The requested modality; for ``auto``, that of the model."""
        return self.metadata.experiment.modality if self.modality == "auto" else self.modality
