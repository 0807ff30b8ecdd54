"""Any network of timm, one face at a time, pooled over the clip's frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.compat import import_torchvision, missing_package, quiet
from avemotion.encoders.face_pictures import as_pictures
from avemotion.encoders.interface import EncoderIdentity, pooled
from avemotion.encoders.weights import folder_with_weights, sha256_of_weights
from avemotion.errors import UsageError, first_line

_WEIGHTS, _SETTINGS = "model.safetensors", "config.json"


class TimmVision:
    """What the classifier of a network would read, of each face."""

    def __init__(self, name: str, repository: str) -> None:
        """Load it.

        Args:
            name: Of the encoder.
            repository: On the Hugging Face hub.

        Raises:
            UsageError: timm is not installed, or the weights are missing or damaged.
        """
        folder, revision = folder_with_weights(name, repository)
        path = folder / _WEIGHTS
        if not path.is_file():
            raise UsageError(f"{folder} has no {_WEIGHTS}. Copy all files of {repository} into it.")
        try:
            self._model, self._reading = _loaded(name, folder)
        except (UsageError, MemoryError):
            raise
        except Exception as error:  # what a damaged file makes timm raise is not known
            raise UsageError(
                f"The network in {folder} cannot be loaded ({first_line(error)}). Get the files of "
                f"{repository} anew."
            ) from error
        digest = sha256_of_weights([path, folder / _SETTINGS])
        self.identity = EncoderIdentity(name, revision, digest, "float32")
        self.shape = self.encode(np.zeros((1, 98, 80), np.uint8), "").shape

    def encode(self, signal: NDArray[np.uint8], clip: str) -> NDArray[np.float32]:
        """Return mean and deviation over the frames, float32 (1, 2, value)."""
        import torch

        _, *size = self._reading["input_size"]
        pictures = as_pictures(
            signal, (size[0], size[1]), self._reading["mean"], self._reading["std"]
        )
        with torch.inference_mode():
            found = self._model(pictures).float().numpy()
        return pooled(found[None])


def _loaded(name: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return the network without its classifier, and how it reads pictures."""
    try:
        import_torchvision()  # timm imports it
        import timm
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise missing_package(f"The encoder {name}", error) from error
    with quiet("timm"):
        model: Any = timm.create_model(f"local-dir:{folder}", pretrained=False, num_classes=0)
        found = model.load_state_dict(load_file(folder / _WEIGHTS), strict=False)
    if missing := found.missing_keys:  # they would be random numbers
        raise UsageError(
            f"{folder / _WEIGHTS} lacks {missing[0]} and {len(missing) - 1} others. Get the files "
            "anew."
        )
    return model.eval(), dict(model.pretrained_cfg)
