"""A batch of clips: as the store holds them, and as a network reads them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips as the store holds them; a modality that is not asked for is None."""

    faces: Tensor | None
    """uint8 (clip, 20, 98, 80)."""
    spectrograms: Tensor | None
    """float32 (clip, 1, row, column)."""
    lengths: Tensor | None
    """int64 (clip,): columns that hold sound."""
    has_face: Tensor
    """bool (clip,)."""
    has_sound: Tensor
    """bool (clip,)."""
    labels: Tensor
    """int64 (clip,): index into the store's labels."""
    votes: Tensor | None = None
    """float (clip, classes): what share of the audio-visual raters chose each emotion; the intended
    one has all where nobody rated the clip. None where the votes are not learned."""

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device."""
        moved: dict[str, Any] = {
            field.name: None if tensor is None else tensor.to(device, non_blocking=True)
            for field in fields(self)
            for tensor in [getattr(self, field.name)]
        }
        return Batch(**moved)

    def inputs(self) -> ClipInputs:
        """Return what the network reads: the same, with normalised faces."""
        return ClipInputs(
            faces=None if self.faces is None else normalise_faces(self.faces),
            spectrograms=self.spectrograms,
            lengths=self.lengths,
            has_face=self.has_face,
            has_sound=self.has_sound,
        )


@dataclass(frozen=True, slots=True)
class ClipInputs:
    """A batch of clips as the network reads them.

    A modality that it has no branch for is None; one that none of the clips has may be.
    """

    faces: Tensor | None
    """float (clip, 20, 98, 80), normalised by `normalise_faces`."""
    spectrograms: Tensor | None
    """float (clip, 1, row, column): the log-mel or the power spectrogram of the store."""
    lengths: Tensor | None
    """int64 (clip,): columns of the spectrogram that hold sound."""
    has_face: Tensor
    """bool (clip,)."""
    has_sound: Tensor
    """bool (clip,)."""


def normalise_faces(faces: Tensor) -> Tensor:
    """Map uint8 grey values to about [-1, 1]: ``(f - 127) / 128`` (thesis eq. 6.1)."""
    # In place: a batch is 20 MB, and new memory costs as much as the arithmetic.
    return faces.to(torch.float32, copy=True).sub_(127.0).div_(128.0)
