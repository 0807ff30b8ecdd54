"""What every model is: a module that reads named features and answers a task."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from avemotion.config import MODALITIES, Modality, Stream
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.features.table import feature
from avemotion.models.inputs import Input

if TYPE_CHECKING:
    from avemotion.data.dataset import ClipDataset


@dataclass(frozen=True, slots=True)
class Reported:
    """A figure from the literature, shown beside ours."""

    system: str
    """Name of the system."""
    modality: Modality
    """Modality that it uses."""
    value: float
    """Accuracy (WAR), 0 to 1."""
    source: str
    """Publication, corpus and protocol."""
    corpus: str
    """Name of the corpus; the figure is shown beside results on it alone."""


@dataclass(frozen=True, slots=True)
class About:
    """What ``avemotion models`` lists of a model."""

    title: str
    """Its name in texts: ``AR5``."""
    source: str
    """Publication that describes it, or who wrote it."""
    bibtex: str = ""
    """That publication as BibTeX, for ``avemotion cite``; empty where there is none."""
    modalities: tuple[Modality, ...] = MODALITIES
    """What it may be asked to read."""
    units: Literal["none", "optional", "needed"] = "none"
    """Whether it learns action units beside the label, where the corpus has them."""
    reported: tuple[Reported, ...] = ()
    """Published figures."""
    extra: str = ""
    """Extra of avemotion, or another package, that must be installed; empty for none."""
    parameters: int | None = None
    """Trained parameters for six emotions, where building the model to count them takes long."""


class EmotionModel(nn.Module):
    """Base of all models; one file of `avemotion.models` holds one, and `registry.MODELS` names it.

    A model declares its settings (a frozen dataclass whose defaults are the best known values) and
    what it reads, and maps a batch to logits. All else (training, evaluation, checkpoints,
    classification, export) needs no further code.
    """

    Settings: ClassVar[type[Any]]
    """A frozen dataclass; a docstring under each field is the command line's help for it."""
    about: ClassVar[About]
    """What ``avemotion models`` lists."""
    recipe: ClassVar[Mapping[str, Any]] = {}
    """The settings of training, by name, in which its own recipe differs from the defaults of
    `TrainingSettings`; none of who trains and who is tested, or of the seed."""
    takes_missing: bool = False
    """Whether `forward` does without the features of a face or voice that no clip of a batch has,
    so that answering from the other is faster; else they are zeros."""
    learns_in_epochs: ClassVar[bool] = True
    """False for a learner that is fitted once, to whole clips: see `avemotion.models.learner`."""
    composed: ClassVar[bool] = False
    """Whether it is made of other models, its members: see `avemotion.models.late`."""
    exportable: ClassVar[bool] = True
    """Whether it can be exported to ONNX."""
    votes_share: float = 0.0
    """Share of the loss that a second head has, which learns the crowd's votes; 0 without one."""
    embedding_sizes: Mapping[Stream, int] = {}
    """Lengths of the embeddings; empty where face and voice have none of their own."""

    def __init__(self, task: Task, modality: Modality, settings: Any) -> None:
        """Keep what a model is built from.

        Args:
            task: Its labels, and whether a clip has one or several of them.
            modality: ``av``, ``video`` or ``audio``, one that it `can_read`.
            settings: An instance of its `Settings`.
        """
        super().__init__()
        self.task, self.modality, self.settings = task, modality, settings
        self.inputs = self.reads(modality, settings)

    @classmethod
    def can_read(cls, settings: Any) -> tuple[Modality, ...]:
        """Return the modalities that it may be asked to read, with these settings."""
        return cls.about.modalities

    @classmethod
    def answers_alone(cls, settings: Any) -> bool:
        """Return whether one with face and voice answers from one of them by itself.

        Asked where it does not learn in epochs, in which either could be hidden from it.
        """
        return False

    @classmethod
    def reads(cls, modality: Modality, settings: Any) -> tuple[Input, ...]:
        """Return what it reads, given its modality and settings."""
        raise NotImplementedError

    def read(self, batch: Batch[Tensor]) -> Batch[Tensor]:
        """Return a batch as `forward` takes it: float (clip, channel, row, column).

        Features are normalised as `Feature` says, and resized and repeated as `Input` says; the
        frames of a clip, and a spectrogram, are its channels. A waveform is float (clip, sample).
        """
        return replace(
            batch,
            inputs={
                part.name: _as_floats(batch.inputs[part.name], part)
                for part in self.inputs
                if part.name in batch.inputs
            },
        )

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch from `read` to logits, float (clip, output)."""
        return self.classify(self.embeddings(batch))

    def embeddings(self, batch: Batch[Tensor]) -> dict[Stream, Tensor]:
        """Return an embedding of each stream, float (clip, feature), zeros where it is hidden.

        Only where `embedding_sizes` says so: auxiliary losses are computed from them.
        """
        raise NotImplementedError

    def classify(self, embeddings: Mapping[Stream, Tensor]) -> Tensor:
        """Map the embeddings of all streams to logits, float (clip, output)."""
        raise NotImplementedError

    def both_logits(self, batch: Batch[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits of labels and of the crowd's votes, each float (clip, label).

        Only where `votes_share` is above 0: in training both heads learn.
        """
        raise NotImplementedError

    def prepare(self, dataset: ClipDataset) -> None:
        """Take over statistics of the training clips, before the first step."""

    def make_room(self, weights: Mapping[str, Tensor]) -> None:
        """Build what only the weights tell the size of, before they are taken over.

        Args:
            weights: Name -> values, as the state of such a model holds them.

        Raises:
            ValueError: Their sizes do not fit together.
        """

    def typical(self, name: str) -> tuple[Tensor, Tensor] | None:
        """Return mean and deviation of each value of a feature, of one that it standardises.

        Over the clips that it learned from: float, of any shape, the values in their order.
        """
        return None

    def masked_value(self, name: str) -> Tensor | float:
        """Return what stands for nothing in a spectrogram: float (row, 1), or a number."""
        return 0.0

    def folded(self) -> EmotionModel:
        """Return a copy that gives the same answers faster; it is never trained."""
        return deepcopy(self)


def _as_floats(values: Tensor, part: Input) -> Tensor:
    about = feature(part.name)
    # In place: a batch of faces is 20 MB, and new memory costs as much as the arithmetic.
    floats = values.to(torch.float32, copy=True)
    if about.offset:
        floats = floats.sub_(about.offset)
    if about.scale != 1:
        floats = floats.div_(about.scale)
    if about.kind in ("image", "spectrogram"):
        floats = floats.unsqueeze(1)
    if part.size is not None:
        floats = functional.interpolate(
            floats, part.size, mode="bilinear", align_corners=False, antialias=True
        )
    return floats.expand(-1, part.channels, -1, -1) if part.channels else floats


def to_channels_last(network: nn.Module) -> None:
    """Keep the weights of 2-D convolutions with the channels last: faster on the CPU.

    `Module.to` refuses a network that has 3-D convolutions, too.
    """
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def probabilities(
    model: EmotionModel, batch: Batch[Tensor], temperature: float = 1.0
) -> NDArray[np.float32]:
    """Return the probabilities of a model in evaluation mode, float32 (clip, output).

    Args:
        model: The model.
        batch: Clips as the store holds them.
        temperature: Divides the logits: see `avemotion.models.calibration`.

    Raises:
        AvemotionError: The model gives none: see `Task.checked`.
    """
    logits = model(model.read(batch)).float()
    return model.task.checked(model.task.probabilities(logits, temperature).cpu().numpy())
