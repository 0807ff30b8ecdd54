"""Which model answers, and with which runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

from avemotion.errors import UsageError
from avemotion.inference.runtimes.interface import Runtime, RuntimeName
from avemotion.models.metadata import CHECKPOINT_NAME, LATEST, ONNX_NAME

ONNX_SUFFIX = ".onnx"
"""Suffix of exported models; any other file is taken for a checkpoint."""

CHECKPOINT_VARIABLE = "AVEMOTION_CHECKPOINT"
"""Environment variable that names the model to use."""


def find_checkpoint(checkpoint: Path | str | None = None, runtime: RuntimeName = "auto") -> Path:
    """Return the model that answers: the argument, ``AVEMOTION_CHECKPOINT``, or ``runs/latest``.

    Args:
        checkpoint: A checkpoint, an exported model (``.onnx``), or the folder of a run that holds
            one.
        runtime: Of a run's folder, ``onnx`` takes the exported model, the others the checkpoint.

    Raises:
        UsageError: There is none, or it is not for this runtime.
    """
    if runtime not in get_args(RuntimeName):
        known = ", ".join(get_args(RuntimeName))
        raise UsageError(f"runtime is {runtime!r}, but must be one of {known}.")
    named = checkpoint or os.environ.get(CHECKPOINT_VARIABLE)
    if named is None and not LATEST.exists():
        raise UsageError(
            "No model to answer with: avemotion comes without trained weights. Train one with "
            "`avemotion fit` (it is then found in runs/latest), or name one with --checkpoint or "
            f"the environment variable {CHECKPOINT_VARIABLE}."
        )
    path = Path(named or LATEST)
    if path.is_dir():
        return path / (ONNX_NAME if runtime == "onnx" else CHECKPOINT_NAME)
    exported = path.suffix == ONNX_SUFFIX
    if exported and runtime == "torch":
        raise UsageError(
            f"--runtime torch cannot read {path}, an exported model. Name the checkpoint that it "
            "was exported from, or leave --runtime out."
        )
    if runtime == "onnx" and not exported:
        raise UsageError(
            f"--runtime onnx cannot read {path}, a checkpoint. Export it first: `avemotion export "
            f"{path} {path.with_suffix(ONNX_SUFFIX)}`, then name that file."
        )
    return path


def load_runtime(path: Path, device: str = "auto") -> Runtime:
    """Load a model with the runtime that its file is for; only that one is imported.

    Args:
        path: A checkpoint, or an exported model (``.onnx``).
        device: ``auto``, ``cpu``, ``cuda``...

    Raises:
        UsageError: There is no such model or device, or its runtime is not installed.
    """
    if path.suffix == ONNX_SUFFIX:
        from avemotion.inference.runtimes.onnx_runtime import load_onnx

        if device not in ("auto", "cpu"):
            raise UsageError(
                f"--device is {device!r}, but an exported model answers on the cpu alone. Leave "
                "--device out, or name the checkpoint that it was exported from."
            )
        return load_onnx(path)
    try:
        from avemotion.inference.runtimes.torch_runtime import load_torch
    except ImportError as error:
        raise UsageError(
            f"{path} is a checkpoint, and answering from it needs torch, which cannot be imported "
            f"({error}). Install it (pip install torch), or export the checkpoint "
            f"where torch is (`avemotion export {path} FILE.onnx`) and name that file."
        ) from error
    return load_torch(path, device)
