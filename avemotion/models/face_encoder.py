"""The face network of a model of ours as a frozen encoder: what its last layer reads.

It stands here and not among the encoders, since these know no models: their registry names the
class, and imports it when it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avemotion.data.batch import Batch
from avemotion.encoders.interface import EncoderIdentity, pooled
from avemotion.errors import UsageError
from avemotion.features.crops import crop_faces
from avemotion.features.table import feature
from avemotion.media.types import Box
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.miene import SIDE, standardised
from avemotion.models.miene_stimme import MieneStimme
from avemotion.models.packaged import packaged_file


class FaceEncoder:
    """The `Miene` in the model that comes with the package; its voice is not used."""

    def __init__(self, name: str, model: str) -> None:
        """Load it.

        Args:
            name: Of the encoder.
            model: Name of the packaged model.

        Raises:
            UsageError: It is missing or damaged, or has no face network.
        """
        path = packaged_file(".safetensors")
        network, metadata = load_checkpoint(path)
        if not isinstance(network, MieneStimme) or network.modality == "audio":
            raise UsageError(f"{path} has no face network. Install avemotion anew.")
        self._face = network.face
        self._margin = metadata.preprocessing.crop_margin
        # Of the face network alone: another voice, or a new format of the file, changes nothing.
        digest = _sha256_of(self._face.state_dict(), self._margin)
        self.identity = EncoderIdentity(name, model, digest, "float32")
        self.shape = (1, 2, self._face.heads["label"].in_features)

    def encode(self, signal: NDArray[np.uint8], clip: str) -> NDArray[np.float32]:
        """Return mean and deviation over the frames, float32 (1, 2, value)."""
        picture = feature("image")
        seen = torch.from_numpy(squares(signal, self._margin)).float()
        pictures = standardised((seen - picture.offset) / picture.scale)[:, None]
        with torch.inference_mode():
            found = self._face.features(Batch({"image": pictures}, {})).numpy()
        return pooled(found[None])


def squares(faces: NDArray[np.uint8], margin: float) -> NDArray[np.uint8]:
    """Return the pictures that a network of square crops expects, uint8 (frame, 48, 48).

    It learned the middle squares of crops that are wider by a margin on each side. Stored crops
    have none by default: they are high enough for such a square, but too narrow by the margin, and
    at their sides the last pixels repeat, as past the border of a video.

    Args:
        faces: uint8 (frame, row, column), cut without a margin.
        margin: Added on each side, as a share of the width.
    """
    rows, columns = faces.shape[1:]
    side = round(columns * (1 + 2 * margin))
    box = Box((columns - side) // 2, (rows - side) // 2, side, side)
    return crop_faces(faces, [box] * len(faces), (SIDE, SIDE))


def _sha256_of(weights: Mapping[str, Tensor], margin: float) -> str:
    """Return the SHA-256 of all that decides what the network gives, in hexadecimal."""
    digest = hashlib.sha256(f"margin {margin!r}".encode())
    for name, values in sorted(weights.items()):
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
        digest.update(values.contiguous().numpy().tobytes())
    return digest.hexdigest()
