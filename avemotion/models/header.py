"""The header of a checkpoint: its metadata, which can be read without torch."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from avemotion.errors import UsageError
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata
from avemotion.models.packaged import PACKAGED, packaged_file

KIND = "avemotion/checkpoint/8"
"""Marks our checkpoints and the version of their header."""

_KIND_OF_0_1 = "avemotion/ar5/1"


def checkpoint_at(named: Path) -> Path:
    """Return the file of a checkpoint: itself, that of a run's folder, or of the packaged model.

    Args:
        named: The file, the folder of its run, or ``avemotion-1``. None of them need exist.
    """
    if str(named) == PACKAGED:
        return packaged_file(".safetensors")
    return named / CHECKPOINT_NAME if named.is_dir() else named


def read_header(path: Path) -> CheckpointMetadata:
    """Read a checkpoint's metadata.

    Raises:
        UsageError: There is no such file, it is no checkpoint that this version can read, or its
            metadata are none that it can have.
    """
    if not path.is_file():
        raise UsageError(
            f"No checkpoint at {path}. Give the file of one, the folder of its run, or {PACKAGED}, "
            "which comes with the package; `avemotion fit` trains one."
        )
    try:
        with safe_open(path, "np") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"{path} is not a checkpoint of avemotion: it is no safetensors file ({error}). "
            "Only files written by `avemotion fit` can be used."
        ) from error
    if header.get("kind") == _KIND_OF_0_1:
        raise UsageError(
            f"{path} was written by avemotion 0.1, whose checkpoints name neither model nor "
            "inputs: this version cannot read them. Train the model anew with `avemotion fit`."
        )
    if header.get("kind") != KIND:
        raise UsageError(
            f"{path} is a checkpoint of another kind ({header.get('kind', 'unmarked')}); "
            f"this version reads {KIND}. Train one with `avemotion fit`."
        )
    try:
        return CheckpointMetadata.from_dict(json.loads(header.get("metadata", "null")))
    except (UsageError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is damaged: {error}") from error
