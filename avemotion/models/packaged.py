"""The model that comes with the package, and what it is called; this module needs no torch."""

from __future__ import annotations

from pathlib import Path

PACKAGED = "avemotion-1"
"""Name of the model that comes with the package; ``--checkpoint avemotion-1`` chooses it."""

_FOLDER = Path(__file__).parents[1] / "packaged"


def packaged_file(suffix: str) -> Path:
    """Return the file of the model that comes with the package: a checkpoint, or an ONNX model."""
    return _FOLDER / f"{PACKAGED}{suffix}"


def model_name(checkpoint: Path) -> str:
    """Return what an answer names as its model: the file, or the name of the packaged one."""
    return PACKAGED if checkpoint.parent == _FOLDER else str(checkpoint)
