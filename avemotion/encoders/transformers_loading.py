"""Loads a network of the package transformers from a folder, by safetensors alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avemotion.compat import import_torchaudio, mend_torchvision, missing_package, quiet
from avemotion.encoders.interface import EncoderIdentity
from avemotion.encoders.weights import folder_with_weights, sha256_of_weights
from avemotion.errors import UsageError, first_line

_UNUSED = {"masked_spec_embed"}  # in training alone


def load(name: str, repository: str) -> tuple[Any, Path, EncoderIdentity]:
    """Load a network in evaluation mode, in float32 on the CPU.

    Args:
        name: Of the encoder.
        repository: On the Hugging Face hub.

    Returns:
        The network, the folder with its files, its identity.

    Raises:
        UsageError: transformers is not installed, or the weights are missing or damaged.
    """
    folder, revision = folder_with_weights(name, repository)
    mend_torchvision()  # transformers imports both
    import_torchaudio()
    try:
        from transformers import AutoModel
    except ModuleNotFoundError as error:
        raise missing_package(f"The encoder {name}", error) from error
    try:
        with quiet("transformers"):
            model, found = AutoModel.from_pretrained(
                folder,
                use_safetensors=True,
                dtype="float32",
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:  # what a damaged file makes it raise is not known
        raise UsageError(
            f"The weights in {folder} cannot be loaded ({first_line(error)}). Get the "
            f"files of {repository} anew."
        ) from error
    if missing := set(found["missing_keys"]) - _UNUSED:  # they would be random numbers
        raise UsageError(
            f"The weights in {folder} lack {min(missing)} and {len(missing) - 1} others. Get the "
            f"files of {repository} anew."
        )
    files = [*sorted(folder.glob("*.safetensors")), *sorted(folder.glob("*config.json"))]
    identity = EncoderIdentity(name, revision, sha256_of_weights(files), "float32")
    return model.eval(), folder, identity


def shape_of(config: Any) -> tuple[int, int, int]:
    """Return the shape of an embedding: what the network begins with, and what each layer gives."""
    layers = getattr(config, "encoder_layers", None) or config.num_hidden_layers
    return layers + 1, 2, config.hidden_size
