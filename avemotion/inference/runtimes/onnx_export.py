"""`export`: a checkpoint as an ONNX model, for programs without torch.

The graph reads what `ClipArrays` holds, of as many clips as it is given (an input that the network
has no branch for is left out), normalises the faces itself, and gives probabilities. Its metadata
are the checkpoint's facts, each as JSON, and ``answers``: the modalities that it can answer from.

torch's exporter through `torch.export` is used: the older one, through TorchScript, is quicker (1 s
instead of some) and gives the same numbers, but is deprecated and no longer developed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from avemotion.compat import quiet
from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH
from avemotion.data.batch import ClipInputs, normalise_faces
from avemotion.errors import AvemotionError, UsageError
from avemotion.features.spectrogram import MEL_BANDS, MEL_FRAMES, POWER_SHAPE
from avemotion.files import write_atomically
from avemotion.inference.runtimes.interface import ClipArrays
from avemotion.inference.runtimes.loading import ONNX_SUFFIX, find_checkpoint
from avemotion.inference.runtimes.onnx_runtime import KIND, OUTPUT, OnnxRuntime
from avemotion.inference.runtimes.torch_runtime import TorchRuntime
from avemotion.models.ar5 import AR5
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.metadata import CheckpointMetadata

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE = 1e-4
"""Largest difference of a probability between torch and onnxruntime that is let pass."""

_OPSET = 20  # of 2023: onnxruntime 1.17 and later
_INSTALL = "pip install 'avemotion[onnx]'"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    file: Path
    """The exported model."""
    metadata: CheckpointMetadata
    """What it says of itself."""
    largest_difference: float | None
    """Of a probability from torch's, on random clips; None where onnxruntime is not installed."""


def export(checkpoint: Path, file: Path) -> ExportReport:
    """Write a checkpoint as an ONNX model, and check that it gives torch's probabilities.

    Args:
        checkpoint: The checkpoint, or the folder of its run.
        file: What to write, `*.onnx`; in a run's folder checkpoint.onnx is what `classify --runtime
            onnx` looks for. A file of that name is replaced.

    Returns:
        What was written.

    Raises:
        UsageError: There is no such checkpoint, the file has another suffix, or onnx or onnxscript
            is missing.
        AvemotionError: The exported model answers otherwise than the checkpoint: nothing is
            written.
    """
    checkpoint, file = Path(checkpoint), Path(file)
    if file.suffix != ONNX_SUFFIX or file.is_dir():
        raise UsageError(f"FILE is {file}, but must be the name of a file that ends in .onnx.")
    if checkpoint.suffix == ONNX_SUFFIX:
        raise UsageError(f"CHECKPOINT is {checkpoint}, which is exported already.")
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise UsageError(f"Exporting needs {' and '.join(missing)}: {_INSTALL}")
    network, metadata = load_checkpoint(find_checkpoint(checkpoint, "torch"))
    model = _graph(network, metadata)
    _describe(model, metadata)
    content = model.SerializeToString()
    difference = _check(network, metadata, content, file.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda p: p.write_bytes(content))
    return ExportReport(file, metadata, difference)


class _Answering(nn.Module):
    """From what `ClipArrays` holds to probabilities; a single branch leaves the rest unread."""

    def __init__(self, network: AR5) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        faces: Tensor | None = None,
        spectrograms: Tensor | None = None,
        lengths: Tensor | None = None,
        has_face: Tensor | None = None,
        has_sound: Tensor | None = None,
    ) -> Tensor:
        inputs = ClipInputs(
            None if faces is None else normalise_faces(faces),
            spectrograms,
            lengths,
            cast(Tensor, has_face),
            cast(Tensor, has_sound),
        )
        return torch.softmax(self.network(inputs), dim=1)


def _graph(network: AR5, metadata: CheckpointMetadata) -> ModelProto:
    """Trace the network on two clips; their number stays open."""
    sample = random_clips(metadata, 2)
    names = []
    if network.video is not None:
        names += ["faces", "has_face"]
    if network.audio is not None:
        names += ["spectrograms", "lengths", "has_sound"]
    clips = torch.export.Dim("clip")
    with quiet("torch.onnx"):
        program = torch.onnx.export(
            _Answering(network).eval(),
            kwargs={name: torch.from_numpy(getattr(sample, name)) for name in names},
            dynamic_shapes={name: {0: clips} for name in names},
            input_names=names,
            output_names=[OUTPUT],
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _describe(model: ModelProto, metadata: CheckpointMetadata) -> None:
    """Take out the exporter's traces, which hold paths of this machine, and put in the facts."""
    from onnx.helper import set_model_props

    graph = model.graph
    del graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
    values = metadata.to_dict() | {"answers": metadata.answers}
    set_model_props(model, {"kind": KIND} | {key: json.dumps(values[key]) for key in values})


def random_clips(metadata: CheckpointMetadata, clips: int) -> ClipArrays:
    """Draw clips, always the same; of an av network's, from the second on one lacks a modality."""
    rng = np.random.default_rng(0)
    log_mel = metadata.experiment.network.spectrogram == "log_mel"
    rows, columns = (MEL_BANDS, MEL_FRAMES) if log_mel else POWER_SHAPE
    loudest = 80.0 if log_mel else 1.0
    place = np.arange(clips)
    one_branch = metadata.experiment.modality != "av"
    return ClipArrays(
        faces=rng.integers(0, 256, (clips, FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH), np.uint8),
        spectrograms=loudest * rng.random((clips, 1, rows, columns), np.float32),
        lengths=rng.integers(1, columns + 1, clips),
        has_face=(place % 3 != 1) | one_branch,
        has_sound=(place % 3 != 2) | one_branch,
    )


def _check(network: AR5, metadata: CheckpointMetadata, content: bytes, name: str) -> float | None:
    """Return the largest difference from torch's probabilities, on one clip and on three."""
    if find_spec("onnxruntime") is None:
        return None
    exported, ours = OnnxRuntime(content, name), TorchRuntime(network, metadata, "cpu")
    batches = [random_clips(metadata, clips) for clips in (1, 3)]
    differences = [np.abs(exported.probabilities(b) - ours.probabilities(b)).max() for b in batches]
    largest = float(np.max(differences))
    if not largest <= TOLERANCE:
        raise AvemotionError(
            f"The exported model's probabilities differ from torch's by up to {largest:.2g}, more "
            f"than {TOLERANCE}: nothing was written. Try other versions of torch, onnxscript or "
            "onnxruntime."
        )
    return largest
