"""Finds the model, and loads it with its runtime."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

from avemotion.errors import UsageError
from avemotion.inference.runtimes.interface import Runtime, RuntimeName
from avemotion.models.metadata import CHECKPOINT_NAME, LATEST, ONNX_NAME
from avemotion.models.packaged import PACKAGED, packaged_file

ONNX_SUFFIX = ".onnx"
"""Suffix of exported models; any other file counts as a checkpoint."""

CHECKPOINT_VARIABLE = "AVEMOTION_CHECKPOINT"
"""Environment variable that names the model to use."""


def find_checkpoint(checkpoint: Path | str | None = None, runtime: RuntimeName = "auto") -> Path:
    """Return the model's file: the argument, ``AVEMOTION_CHECKPOINT``, or ``runs/latest``.

    Where none of them is given or there, it is the model that comes with the package.

    Args:
        checkpoint: A checkpoint, an exported model (``.onnx``), the folder of a run with one, or
            ``avemotion-1``, the model that comes with the package.
        runtime: In the folder of a run, ``onnx`` uses the exported model, the others the
            checkpoint. Of the packaged model, ``auto`` uses the checkpoint where torch is
            installed.

    Raises:
        UsageError: The model does not fit the runtime, the variable is empty, or ``runs/latest``
            points to nothing.
    """
    if runtime not in get_args(RuntimeName):
        allowed = ", ".join(get_args(RuntimeName))
        raise UsageError(f"runtime is {runtime!r}, but must be one of {allowed}.")
    named = os.environ.get(CHECKPOINT_VARIABLE) if checkpoint is None else checkpoint
    if named == "":
        raise UsageError(
            f"The name of the model is empty. Name one with --checkpoint or the environment "
            f"variable {CHECKPOINT_VARIABLE}, or unset that variable to use {LATEST}."
        )
    if named is None and LATEST.is_symlink() and not LATEST.exists():
        raise UsageError(
            f"{LATEST} points to {LATEST.readlink()}, which is not there. Remove that link, train "
            "a model with `avemotion fit`, or name one with --checkpoint "
            f"({PACKAGED} comes with the package)."
        )
    if named is None and not LATEST.exists():
        named = PACKAGED
    if str(named) == PACKAGED:
        with_torch = runtime == "torch" or (runtime == "auto" and find_spec("torch") is not None)
        return packaged_file(".safetensors" if with_torch else ONNX_SUFFIX)
    path = Path(LATEST if named is None else named)
    if path.is_symlink():  # `runs/latest`: the run that it points to is the one to name
        path = path.parent / path.readlink()
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
    """Load a model with the runtime of its file; the other runtime is not imported.

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
                f"--device is {device!r}, but exported models run on the cpu only. Leave --device "
                "out, or name the checkpoint that it was exported from."
            )
        return load_onnx(path)
    try:
        from avemotion.inference.runtimes.torch_runtime import load_torch
    except ImportError as error:
        raise UsageError(
            f"{path} is a checkpoint, which needs torch, but torch cannot be imported ({error}). "
            "Install it (pip install torch), or export the checkpoint on a machine with torch "
            f"(`avemotion export {path} FILE.onnx`) and name that file."
        ) from error
    return load_torch(path, device)
