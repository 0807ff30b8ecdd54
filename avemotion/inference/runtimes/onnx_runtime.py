"""Runs exported models with onnxruntime, without torch.

Models from untrusted sources are safe to load: only onnxruntime's own operators are allowed, and no
other file is read.
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avemotion.data.batch import Arrays
from avemotion.errors import UsageError
from avemotion.models.inputs import graph_shapes
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.packaged import PACKAGED

KIND = "avemotion/onnx/8"
"""Value of the metadata key ``kind``: marks exported models and the version of their metadata."""

OUTPUT = "probabilities"
"""The graph's only output, float32 (clip, output). Its inputs are named as in `Batch.flat`."""

_REMEDY = "Write it again with `avemotion export CHECKPOINT FILE.onnx`."


class OnnxRuntime:
    """An exported model, on the CPU."""

    def __init__(self, model: bytes, name: str) -> None:
        """Load a model.

        Args:
            model: Content of the file.
            name: Name of the file in messages.

        Raises:
            UsageError: onnxruntime is missing, or `avemotion export` did not write the model.
        """
        self._session = _session(model, name)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if metadata.get("kind") != KIND:
            raise UsageError(
                f"{name} is an ONNX model of another kind ({metadata.get('kind', 'unmarked')}); "
                f"this version reads {KIND}. {_REMEDY}"
            )
        names = [f.name for f in fields(CheckpointMetadata) if f.name in metadata]
        try:
            self.metadata = CheckpointMetadata.from_dict(
                {name: json.loads(metadata[name]) for name in names}
            )
            self._check_graph()
        except (UsageError, ValueError, RecursionError) as error:
            raise UsageError(f"{name} is damaged: {error} {_REMEDY}") from error

    def probabilities(self, clips: Arrays) -> NDArray[np.float32]:
        """Return the probabilities of each clip: see `Runtime`."""
        arrays = clips.flat()
        inputs = {part.name: arrays[part.name] for part in self._session.get_inputs()}
        return self.metadata.task.checked(self._session.run([OUTPUT], inputs)[0])

    def _check_graph(self) -> None:
        """Refuse a graph whose inputs and output are not those of its metadata."""
        found = {part.name: part.shape[1:] for part in self._session.get_inputs()}
        wanted = graph_shapes(self.metadata.inputs, self.metadata.preprocessing.crop_size)
        if found != wanted:
            raise ValueError(f"its inputs are {found}, but must be {wanted}.")
        outputs = {part.name: (part.type, part.shape[1:]) for part in self._session.get_outputs()}
        wanted_output = {OUTPUT: ("tensor(float)", [len(self.metadata.task.outputs)])}
        if outputs != wanted_output:
            raise ValueError(f"its outputs are {outputs}, but must be {wanted_output}.")


def _session(model: bytes, name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(
            f"{name} needs onnxruntime, which cannot be imported ({error}): pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal errors raise an exception
    # One thread, which never spins: a clip takes milliseconds.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # onnxruntime looks for external weights in the working directory: point it to no folder.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.devnull
    )
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{name} cannot be loaded as an ONNX model: {reason}. {_REMEDY}"
        ) from error


def load_onnx(path: Path) -> OnnxRuntime:
    """Load an exported model.

    Raises:
        UsageError: There is no such file, onnxruntime is missing, or `avemotion export` did not
            write the file.
    """
    if not path.is_file():
        raise UsageError(
            f"No ONNX model at {path}. Write it with `avemotion export CHECKPOINT {path}`, or name "
            f"{PACKAGED}, which comes with the package."
        )
    return OnnxRuntime(path.read_bytes(), str(path))
