"""Fusion: a small network on embeddings of frozen encoders, with a gate between face and voice.

Each stream's embedding (mean and deviation over time of each layer) is standardised and mapped to a
short vector. A gate decides, value by value and clip by clip, how much of the joint vector is the
face's and how much the voice's (gated multimodal unit: J. Arevalo et al., "Gated multimodal units
for information fusion", 2017). A clip that lacks one of them is answered from the other. In
training one of them is hidden now and then (`modality_dropout`), and each has a classifier of its
own beside the joint one (`auxiliary_loss_weight`), so that neither is neglected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from avemotion.config import Modality, Stream
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.task import Task
from avemotion.errors import require, require_types
from avemotion.features.table import feature
from avemotion.models.base import About, EmotionModel
from avemotion.models.inputs import Input, embedding_inputs

_BATCH_CLIPS = 256
_SHUT = -1e4  # what the gate says of a stream that is hidden; an infinite one would give NaN
_CONSTANT = 1e-6  # a value that deviates less never changes


@dataclass(frozen=True)
class FusionSettings:
    """The embeddings, and the network's size."""

    voice: str = "moonshine-tiny"
    """Encoder of the voice, of which the store has embeddings (`avemotion embed`)."""
    face: str = "avemotion-1-face"
    """Encoder of the face, of which the store has embeddings, too."""
    layers: Literal["beside", "weighted"] = "beside"
    """How an encoder's layers are read: all `beside` one another, or one `weighted` mean of them,
    whose weights are learned: many fewer parameters for encoders with many layers."""
    features: int = 128
    """Values of each stream's vector, and of the joint one."""
    dropout: float = 0.5
    """Share of the embeddings' values, and of the joint vector's, that is dropped."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "--fusion.")
        layers = ("beside", "weighted")
        require(self.layers in layers, "--fusion.layers", self.layers, " or ".join(layers))
        require(8 <= self.features <= 4096, "--fusion.features", self.features, "from 8 to 4096")
        require(0 <= self.dropout < 1, "--fusion.dropout", self.dropout, "at least 0 and below 1")


class Fusion(EmotionModel):
    """Under half a million parameters with the default encoders."""

    Settings = FusionSettings
    settings: FusionSettings
    about = About(
        title="Fusion",
        source="avemotion; gate of Arevalo et al. 2017, on embeddings",
        extra="speech",
    )
    recipe: ClassVar[Mapping[str, Any]] = {
        "epochs": 20,
        "learning_rate": 3e-3,
        "weight_decay": 0.01,
        "mixup": 0.3,
        "auxiliary_loss_weight": 0.5,
    }
    takes_missing = True

    def __init__(self, task: Task, modality: Modality, settings: FusionSettings) -> None:
        """Build the network; the branch of a table is built when its width is known."""
        super().__init__(task, modality, settings)
        self.branches = nn.ModuleDict()
        sizes: dict[Stream, int] = {}
        for part in self.inputs:
            about = feature(part.name)
            sizes[about.stream] = settings.features
            if about.shape:
                self._build(about.stream, [size or 0 for size in about.shape])
        self.embedding_sizes = sizes
        streams, n = len(sizes), settings.features
        self.gate = nn.Linear(streams * n, streams * n) if streams > 1 else None
        self.answer = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(n, len(task.outputs)))

    @classmethod
    def reads(cls, modality: Modality, settings: FusionSettings) -> tuple[Input, ...]:
        """Return the embeddings of what it is to read; see `embedding_inputs`."""
        return embedding_inputs("fusion", modality, face=settings.face, voice=settings.voice)

    def prepare(self, dataset: ClipDataset) -> None:
        """Standardise each value by the training clips that have it; build what is not yet."""
        for part in self.inputs:
            stream = feature(part.name).stream
            mean, std = _statistics(dataset, part.name, stream)
            branch = self._build(stream, mean.shape)
            branch.mean.copy_(mean)
            branch.std.copy_(std)

    def _build(self, stream: Stream, shape: Sequence[int]) -> _Branch:
        """Return the branch of a stream; build it if it is not there."""
        if stream not in self.branches:
            self.branches[stream] = _Branch(shape, self.settings)
        branch = self.branches[stream]
        assert isinstance(branch, _Branch)
        return branch

    def embeddings(self, batch: Batch[Tensor]) -> dict[Stream, Tensor]:
        """Return the vector of each stream, float (clip, feature), zeros where it is hidden."""
        found: dict[Stream, Tensor] = {}
        for part in self.inputs:
            stream = feature(part.name).stream
            there, values = batch.present[stream][:, None], batch.inputs.get(part.name)
            if values is None:
                shape = len(there), self.settings.features
                found[stream] = torch.zeros(shape, device=there.device)
            else:
                found[stream] = self.branches[stream](values) * there
        return found

    def classify(self, embeddings: Mapping[Stream, Tensor]) -> Tensor:
        """Join the vectors by the gate; map the joint one to logits, float (clip, output)."""
        vectors = torch.stack(list(embeddings.values()), dim=1)  # clip, stream, feature
        if self.gate is None:
            joint = vectors[:, 0]
        else:
            openness = self.gate(vectors.flatten(1)).view_as(vectors)
            hidden = (vectors == 0).all(dim=2, keepdim=True)
            shares = openness.masked_fill(hidden, _SHUT).softmax(dim=1)
            joint = (shares * vectors).sum(dim=1)
        logits: Tensor = self.answer(joint)
        return logits

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Build the branches of tables, whose width the weights tell, before they are loaded."""
        for stream in self.embedding_sizes:
            mean = state_dict.get(f"{prefix}branches.{stream}.mean")
            if mean is not None:
                self._build(stream, mean.shape)
        super()._load_from_state_dict(state_dict, prefix, *others)


class _Branch(nn.Module):
    """From an embedding to a vector of a stream."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], settings: FusionSettings) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*shape))
        self.register_buffer("std", torch.ones(*shape))
        weighted = settings.layers == "weighted" and len(shape) > 2
        self.layers = nn.Parameter(torch.zeros(shape[0])) if weighted else None
        self.vector = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(math.prod(shape[1:] if weighted else shape), settings.features),
            nn.ReLU(),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Map float (clip, *shape) to float (clip, feature)."""
        values = (embedding - self.mean) / self.std
        if self.layers is not None:
            values = torch.tensordot(values, self.layers.softmax(dim=0), ([1], [0]))
        vector: Tensor = self.vector(values.flatten(1))
        return vector


def _statistics(dataset: ClipDataset, name: str, stream: Stream) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each value over the clips that have it, view 0."""
    found = []
    for batch in batches(dataset, _BATCH_CLIPS):
        found.append(batch.inputs[name][batch.present[stream]].cpu().float())
    values = torch.cat(found)
    std = values.std(dim=0, correction=0)
    return values.mean(dim=0), torch.where(std < _CONSTANT, 1.0, std)
