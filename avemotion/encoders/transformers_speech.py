"""Speech encoders of the package transformers: every hidden layer, pooled over time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.compat import missing_package
from avemotion.config import SAMPLE_RATE
from avemotion.encoders.interface import frames_in_parts, pooled
from avemotion.encoders.transformers_loading import load, shape_of
from avemotion.errors import UsageError

_LONGEST, _SHORTEST = 30 * SAMPLE_RATE, 1_600  # samples


class TransformersSpeech:
    """wav2vec 2.0, HuBERT, WavLM, or the encoder of Whisper."""

    def __init__(self, name: str, repository: str) -> None:
        """Load it.

        Args:
            name: Of the encoder.
            repository: On the Hugging Face hub.

        Raises:
            UsageError: transformers is not installed, or the weights are missing or damaged.
        """
        self._model, folder, self.identity = load(name, repository)
        try:
            from transformers import AutoFeatureExtractor

            kind: Any = AutoFeatureExtractor
            self._extractor = kind.from_pretrained(folder, trust_remote_code=False)
        except ModuleNotFoundError as error:
            raise missing_package(f"The encoder {name}", error) from error
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{folder}/preprocessor_config.json is missing or damaged: {error}"
            ) from error
        self.shape = shape_of(self._model.config)
        if self._model.config.is_encoder_decoder:  # of Whisper, its encoder
            self._model = self._model.get_encoder()

    def encode(self, signal: NDArray[np.float32], clip: str) -> NDArray[np.float32]:
        """Return mean and deviation over time of each layer, float32 (layer, 2, value)."""
        return pooled(frames_in_parts(signal, _LONGEST, _SHORTEST, self._frames))

    def _frames(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what each layer gives, float32 (layer, frame, value)."""
        import torch

        read = self._extractor(signal, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        key = self._extractor.model_input_names[0]
        with torch.inference_mode():
            states = self._model(read[key], output_hidden_states=True).hidden_states
        found = torch.cat(list(states)).float().numpy()
        if key == "input_features":  # Whisper pads to 30 s: 50 frames a second
            found = found[:, : -(-len(signal) * 50 // SAMPLE_RATE)]
        return np.asarray(found)
