"""Answers from an exported model, computed by onnxruntime: no torch is needed.

A model from a stranger is data: no operators but onnxruntime's own, and no file beside it is read.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.errors import UsageError
from avemotion.inference.runtimes.interface import ClipArrays
from avemotion.models.metadata import CheckpointMetadata

KIND = "avemotion/onnx/2"
"""Marks our exported models and the form of their metadata (key ``kind``)."""

OUTPUT = "probabilities"
"""The graph's only output, float32 (clip, emotion). Its inputs bear `ClipArrays`' names."""

_REMEDY = "Only files written by `avemotion export` can be used."


class OnnxRuntime:
    """An exported model, on the CPU."""

    def __init__(self, model: bytes, name: str) -> None:
        """Load a model.

        Args:
            model: Content of the file.
            name: What messages call it.

        Raises:
            UsageError: onnxruntime is missing, or this is not a model of ours.
        """
        self._session = _session(model, name)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if metadata.get("kind") != KIND:
            raise UsageError(
                f"{name} is an ONNX model of another kind ({metadata.get('kind', 'unmarked')}); "
                f"this version reads {KIND}. {_REMEDY}"
            )
        try:
            self.metadata = CheckpointMetadata.from_dict(
                {f.name: json.loads(metadata[f.name]) for f in fields(CheckpointMetadata)}
            )
            self._check_graph()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{name} is damaged: {error!r}. {_REMEDY}") from error

    def probabilities(self, clips: ClipArrays) -> NDArray[np.float32]:
        """Return the probability of each emotion, float32 (clip, emotion)."""
        wanted = {part.name: getattr(clips, part.name) for part in self._session.get_inputs()}
        answers: NDArray[np.float32] = self._session.run([OUTPUT], wanted)[0]
        return answers

    def _check_graph(self) -> None:
        """Refuse a graph that does not fit what the metadata say."""
        strange = {part.name for part in self._session.get_inputs()} - {
            f.name for f in fields(ClipArrays)
        }
        if strange:
            raise ValueError(f"unknown inputs {sorted(strange)}")
        shapes = {part.name: part.shape for part in self._session.get_outputs()}
        if shapes[OUTPUT][1:] != [len(self.metadata.labels)]:
            raise ValueError(f"{len(self.metadata.labels)} labels, but outputs {shapes}")


def _session(model: bytes, name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"{name} needs onnxruntime, which cannot be imported ({error}): pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is fatal comes as an exception
    # One thread, and none that waits by spinning: a clip takes it milliseconds.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Weights kept in other files would be looked for in the working directory: in none, then.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.devnull
    )
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base of their own
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{name} cannot be loaded as an ONNX model: {reason}. {_REMEDY}"
        ) from error


def load_onnx(path: Path) -> OnnxRuntime:
    """Load an exported model.

    Raises:
        UsageError: There is no such file, onnxruntime is missing, or this is not a model of ours.
    """
    if not path.is_file():
        raise UsageError(
            f"No ONNX model at {path}. Write it with `avemotion export CHECKPOINT {path}`."
        )
    return OnnxRuntime(path.read_bytes(), str(path))
