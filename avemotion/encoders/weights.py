"""Folders with an encoder's published weights: found, downloaded, and never executed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from avemotion.compat import missing_package
from avemotion.errors import UsageError, first_line

ENCODERS_VARIABLE = "AVEMOTION_ENCODERS"
"""Environment variable: a folder with one folder for each encoder, called by its name."""

_ANSWER_SECONDS = 10  # that the hub may take


def folder_with_weights(name: str, repository: str) -> tuple[Path, str]:
    """Return the folder with an encoder's files, and their revision; downloaded if need be.

    Args:
        name: Of the encoder.
        repository: On the Hugging Face hub.

    Raises:
        UsageError: There is no such folder and no download, or it has no safetensors: pickled
            weights would execute code.
    """
    named = os.environ.get(ENCODERS_VARIABLE, "")
    folder, revision = Path(named) / name, "local"
    if not (named and folder.is_dir()):
        folder = _downloaded(name, repository)
        revision = folder.name
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} has no config.json. Copy all files of {repository} into it.")
    if not list(folder.glob("*.safetensors")):
        raise UsageError(
            f"{folder} has no .safetensors file. Weights in other formats are pickled, and loading "
            f"them may execute code, so they are refused. If {repository} has no model.safetensors,"
            " convert them where you trust them: transformers.AutoModel.from_pretrained(...)"
            ".save_pretrained(FOLDER)."
        )
    return folder, revision


def _downloaded(name: str, repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError as error:
        raise missing_package(f"The encoder {name}", error) from error
    try:
        return Path(
            snapshot_download(
                repository,
                allow_patterns=["*.json", "*.safetensors"],
                etag_timeout=_ANSWER_SECONDS,
            )
        )
    except Exception as error:  # of the hub, the network or the disk
        raise UsageError(
            f"The weights of {name} could not be downloaded from {repository} "
            f"({first_line(error)}). Try "
            f"again, or copy its files into a folder {name} and name the folder above it with "
            f"{ENCODERS_VARIABLE}."
        ) from error


def sha256_of_weights(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of the files, one after the other, in hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
