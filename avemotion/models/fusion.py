"""Fusion: a small network on embeddings of frozen encoders, with a gate between face and voice.

Each stream's embedding (mean and deviation over time of each layer) is standardised and mapped to a
short vector. A gate decides, value by value and clip by clip, how much of the joint vector is the
face's and how much the voice's, after the gated multimodal unit of J. Arevalo et al. ("Gated
multimodal units for information fusion", 2017; theirs has tanh for ReLU, and sees the embeddings).
A clip that lacks one of them is answered from the other. In training one of them is hidden now and
then (`modality_dropout`), and each may have a classifier of its own beside the joint one
(`auxiliary_loss_weight`), so that neither is neglected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avemotion.config import Modality, Stream
from avemotion.data.batch import Batch
from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.task import Task
from avemotion.errors import require, require_types
from avemotion.features.table import feature
from avemotion.models.base import About, EmotionModel
from avemotion.models.inputs import Input, embedding_inputs
from avemotion.models.publications import GATE
from avemotion.models.standardisation import mean_and_scale

_BATCH_CLIPS = 256


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
    """Values of each stream's vector, and of the joint one. A clip of which all are 0 counts as
    one without the stream."""
    dropout: float = 0.5
    """Share of the embeddings' values, and of the joint vector's, that is dropped."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "--fusion.")
        layers = ("beside", "weighted")
        require(self.layers in layers, "--fusion.layers", self.layers, " or ".join(layers))
        require(32 <= self.features <= 4096, "--fusion.features", self.features, "from 32 to 4096")
        require(0 <= self.dropout < 1, "--fusion.dropout", self.dropout, "at least 0 and below 1")


class Fusion(EmotionModel):
    """Under half a million parameters with the default encoders."""

    Settings = FusionSettings
    settings: FusionSettings
    about = About(
        title="Fusion",
        source="avemotion; gate after Arevalo et al. 2017, on embeddings",
        bibtex=GATE,
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
        """Build the network; a branch whose embeddings' size is not known yet, when it is."""
        super().__init__(task, modality, settings)
        self.branches = nn.ModuleDict()
        sizes: dict[Stream, int] = {}
        for part in self.inputs:
            about = feature(part.name)
            sizes[about.stream] = settings.features
            if about.shape:
                self._build(about.stream, [size or 0 for size in about.shape])
        self.embedding_sizes = sizes
        n = settings.features
        self.gate = nn.Linear(2 * n, n) if len(sizes) > 1 else None
        self.answer = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(n, len(task.outputs)))

    @classmethod
    def reads(cls, modality: Modality, settings: FusionSettings) -> tuple[Input, ...]:
        """Return the embeddings of what it is to read; see `embedding_inputs`."""
        return embedding_inputs("fusion", modality, face=settings.face, voice=settings.voice)

    def prepare(self, dataset: ClipDataset) -> None:
        """Standardise each value by the training clips that have it; build what is not yet."""
        for part in self.inputs:
            stream = feature(part.name).stream
            mean, std = mean_and_scale(_values(dataset, part.name, stream))
            branch = self._build(stream, mean.shape)
            branch.mean.copy_(torch.from_numpy(mean))
            branch.std.copy_(torch.from_numpy(std))

    def typical(self, name: str) -> tuple[Tensor, Tensor] | None:
        """Return mean and deviation of an embedding over the training clips."""
        branch = self._branch(feature(name).stream)
        return branch.mean, branch.std

    def make_room(self, weights: Mapping[str, Tensor]) -> None:
        """Build the branches whose size the weights alone tell.

        Raises:
            ValueError: The sizes of a branch's weights do not fit together.
        """
        for stream in self.embedding_sizes:
            start = f"branches.{stream}."
            found = {n.removeprefix(start): w for n, w in weights.items() if n.startswith(start)}
            if found and stream not in self.branches:
                _check_sizes({name: tuple(w.shape) for name, w in found.items()}, self.settings)
                self._build(stream, found["mean"].shape)

    def _build(self, stream: Stream, shape: Sequence[int]) -> _Branch:
        """Return the branch of a stream; build it if it is not there."""
        if stream not in self.branches:
            self.branches[stream] = _Branch(shape, self.settings)
        return self._branch(stream)

    def _branch(self, stream: Stream) -> _Branch:
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
        joint, *others = embeddings.values()
        if self.gate is not None:
            (other,) = others
            share = torch.sigmoid(self.gate(torch.cat([joint, other], dim=1)))
            share = share.masked_fill(_is_hidden(joint), 0.0).masked_fill(_is_hidden(other), 1.0)
            joint = share * joint + (1 - share) * other
        logits: Tensor = self.answer(joint)
        return logits

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Make room for weights before they are loaded.

        Raises:
            ValueError: There are none for a branch, or their sizes do not fit together.
        """
        own = {n.removeprefix(prefix): w for n, w in state_dict.items() if n.startswith(prefix)}
        self.make_room(own)
        if lacking := [stream for stream in self.embedding_sizes if stream not in self.branches]:
            raise ValueError(f"it has no weights for {' and '.join(lacking)}")
        super()._load_from_state_dict(state_dict, prefix, *others)


class _Branch(nn.Module):
    """From an embedding to a vector of a stream."""

    mean: Tensor
    std: Tensor

    def __init__(self, shape: Sequence[int], settings: FusionSettings) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*shape))
        self.register_buffer("std", torch.ones(*shape))
        sizes = _sizes(shape, settings)
        self.layers = nn.Parameter(torch.zeros(sizes["layers"])) if "layers" in sizes else None
        outputs, inputs = sizes["vector.1.weight"]
        self.vector = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(inputs, outputs), nn.ReLU()
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Map float (clip, *shape) to float (clip, feature)."""
        values = (embedding - self.mean) / self.std
        if self.layers is not None:
            values = torch.tensordot(values, self.layers.softmax(dim=0), ([1], [0]))
        vector: Tensor = self.vector(values.flatten(1))
        return vector


def _sizes(shape: Sequence[int], settings: FusionSettings) -> dict[str, tuple[int, ...]]:
    """Return the sizes of a branch's weights for embeddings of a shape."""
    weighted = settings.layers == "weighted" and len(shape) > 2
    inputs = math.prod(shape[1:] if weighted else shape)
    sizes: dict[str, tuple[int, ...]] = {
        "mean": tuple(shape),
        "std": tuple(shape),
        "vector.1.weight": (settings.features, inputs),
        "vector.1.bias": (settings.features,),
    }
    return sizes | ({"layers": (shape[0],)} if weighted else {})


def _check_sizes(found: Mapping[str, tuple[int, ...]], settings: FusionSettings) -> None:
    """Refuse weights before anything is made of their size: it may be any in a stranger's file."""
    shape = found.get("mean", ())
    if not 1 <= len(shape) <= 3 or not all(shape) or found != _sizes(shape, settings):
        raise ValueError(f"the sizes of a branch do not fit together: {found}")


def _is_hidden(vector: Tensor) -> Tensor:
    """Return which clips lack a stream, bool (clip, 1): nothing but zeros is left of it."""
    return (vector == 0).all(dim=1, keepdim=True)


def _values(dataset: ClipDataset, name: str, stream: Stream) -> NDArray[np.float32]:
    """Return the embeddings of the clips that have them, in all views, float32 (clip, ...)."""
    found = []
    for batch in batches(dataset, _BATCH_CLIPS, all_views=True):
        found.append(batch.inputs[name][batch.present[stream]].cpu().float())
    return torch.cat(found).numpy()
