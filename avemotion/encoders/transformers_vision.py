"""Image encoders of the package transformers, one face at a time, pooled over the clip's frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avemotion.encoders.face_pictures import as_pictures
from avemotion.encoders.interface import pooled
from avemotion.encoders.transformers_loading import load, shape_of
from avemotion.errors import UsageError


class TransformersVision:
    """CLIP's image encoder, or DINOv2: the class token of each layer."""

    def __init__(self, name: str, repository: str) -> None:
        """Load it.

        Args:
            name: Of the encoder.
            repository: On the Hugging Face hub.

        Raises:
            UsageError: transformers is not installed, or the weights are missing or damaged.
        """
        model, folder, self.identity = load(name, repository)
        self._model = getattr(model, "vision_model", model)  # CLIP has one for texts, too
        self.shape = shape_of(self._model.config)
        self._side, self._mean, self._std = _reading(folder)

    def encode(self, signal: NDArray[np.uint8], clip: str) -> NDArray[np.float32]:
        """Return mean and deviation over the frames of each layer, float32 (layer, 2, value)."""
        import torch

        pictures = as_pictures(signal, (self._side, self._side), self._mean, self._std)
        with torch.inference_mode():
            states = self._model(pixel_values=pictures, output_hidden_states=True).hidden_states
        return pooled(torch.stack([state[:, 0] for state in states]).float().numpy())


def _reading(folder: Path) -> tuple[int, list[float], list[float]]:
    """Return the side of the pictures, and mean and deviation of their three channels."""
    path = folder / "preprocessor_config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        size = found["crop_size"]
        side = int(size["height"] if isinstance(size, dict) else size)
        mean, std = ([float(v) for v in found[key]] for key in ("image_mean", "image_std"))
        if len(mean) != 3 or len(std) != 3 or not 1 <= side <= 4096:
            raise ValueError("its values are out of range")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} is missing or damaged ({type(error).__name__}: {error}). Get it anew with the "
            "weights."
        ) from error
    return side, mean, std
