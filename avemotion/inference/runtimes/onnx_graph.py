"""The graph of an exported model: traced from torch, described, and compared with torch.

The export uses `torch.export`: the older way, through TorchScript, is faster (1 s instead of
several) and gives the same numbers, but is deprecated.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avemotion.compat import quiet
from avemotion.data.batch import Arrays, Batch, as_read
from avemotion.errors import AvemotionError
from avemotion.features.table import feature
from avemotion.inference.runtimes.onnx_runtime import KIND, OUTPUT, OnnxRuntime
from avemotion.inference.runtimes.torch_runtime import TorchRuntime
from avemotion.models.base import EmotionModel
from avemotion.models.inputs import graph_shapes, names_of, streams_of
from avemotion.models.metadata import CheckpointMetadata

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCE = 1e-4
"""Largest accepted difference between the probabilities of torch and of onnxruntime."""

_OPSET = 20  # needs onnxruntime 1.17 (2024) or later


class _ExportedGraph(nn.Module):
    """From the arrays of `Batch.flat` to probabilities."""

    def __init__(self, network: EmotionModel, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, arrays: dict[str, Tensor]) -> Tensor:
        names = names_of(self.network.inputs)
        batch = Batch(
            inputs={name: arrays[name] for name in names},
            present={s: arrays[f"has_{s}"] for s in streams_of(self.network.inputs)},
            lengths={n: arrays[f"{n}_lengths"] for n in names if feature(n).columns},
        )
        logits = self.network(self.network.read(batch))
        return self.network.task.probabilities(logits, self.temperature)


def graph_of(network: EmotionModel, metadata: CheckpointMetadata) -> ModelProto:
    """Trace the network on two clips; the number of clips stays dynamic."""
    sample = random_clips(metadata, 2)
    crop_size = metadata.preprocessing.crop_size
    arrays, names = sample.flat(), list(graph_shapes(metadata.inputs, crop_size))
    clips = torch.export.Dim("clip")
    with quiet("torch.onnx"):
        program = torch.onnx.export(
            _ExportedGraph(network, metadata.temperature or 1.0).eval(),
            kwargs={"arrays": {name: torch.from_numpy(arrays[name]) for name in names}},
            dynamic_shapes={"arrays": {name: {0: clips} for name in names}},
            input_names=names,
            output_names=[OUTPUT],
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def describe(model: ModelProto, metadata: CheckpointMetadata) -> None:
    """Remove the exporter's traces, which hold paths of this machine, and add the metadata."""
    from onnx.helper import set_model_props

    graph = model.graph
    del graph.value_info[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
    values = metadata.to_dict() | {"answers": metadata.answers}
    set_model_props(
        model, {"kind": KIND} | {key: json.dumps(values[key], allow_nan=False) for key in values}
    )


def random_clips(
    metadata: CheckpointMetadata, clips: int, network: EmotionModel | None = None
) -> Arrays:
    """Return random clips, always the same; of those with face and voice, 2 and 3 lack one each.

    Args:
        metadata: Of the model.
        clips: How many.
        network: The model. What it standardises is drawn as it learned it: far from that its
            answers would be certain, and so the same whatever the graph does.
    """
    rng, index = np.random.default_rng(0), np.arange(clips)
    both = len(streams_of(metadata.inputs)) > 1
    inputs: dict[str, NDArray[Any]] = {}
    lengths: dict[str, NDArray[np.int64]] = {}
    for name in names_of(metadata.inputs):
        about = feature(name)
        shape = (clips, *(size or 1 for size in about.shape_at(metadata.preprocessing.crop_size)))
        values = about.highest * rng.random(shape, np.float32)
        if typical := network.typical(name) if network else None:
            mean, deviation = (of.cpu().numpy().reshape(shape[1:]) for of in typical)
            values = mean + deviation * rng.standard_normal(shape, np.float32)
        inputs[name] = as_read(values.astype(about.dtype))
        if about.columns:
            lengths[name] = rng.integers(1, shape[-1] + 1, clips)
    return Batch(
        inputs=inputs,
        present={"video": (index % 3 != 1) | (not both), "audio": (index % 3 != 2) | (not both)},
        lengths=lengths,
    )


def check(
    network: EmotionModel, metadata: CheckpointMetadata, content: bytes, name: str
) -> float | None:
    """Return the largest difference from torch's probabilities, on one clip and on three."""
    if find_spec("onnxruntime") is None:
        return None
    exported, ours = OnnxRuntime(content, name), TorchRuntime(network, metadata, "cpu")
    batches = [random_clips(metadata, clips, network) for clips in (1, 3)]
    differences = [np.abs(exported.probabilities(b) - ours.probabilities(b)).max() for b in batches]
    largest = float(np.max(differences))
    if not largest <= TOLERANCE:
        raise AvemotionError(
            f"The exported model's probabilities differ from torch's by up to {largest:.2g}, more "
            f"than {TOLERANCE}: nothing was written. Try other versions of torch, onnxscript or "
            "onnxruntime."
        )
    return largest
