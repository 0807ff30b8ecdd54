"""Action units by one network, then the emotion from the units alone, by a perceptron.

Source: N.-C. Ristea, "Emotion recognition using deep neural networks", 2019, section 6.1.4
(experiment 4). There the two are trained one after the other. Here they are trained in one run, and
the gradient of the emotions stops at the units: the network learns units alone, and the perceptron
from what it finds. The size of the hidden layer is not given: **32 is ours**.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from avemotion.config import Modality
from avemotion.data.task import Task
from avemotion.errors import require
from avemotion.models import publications
from avemotion.models.base import About, Reported
from avemotion.models.pictures import FN1, THESIS, THESIS_SIZE
from avemotion.models.timm_networks import TimmModel, TimmSettings

HIDDEN = 32
"""Units of the perceptron's hidden layer."""


@dataclass(frozen=True)
class UnitsPerceptronSettings(TimmSettings):
    """The network that finds the units, and the perceptron behind it."""

    network: Literal["resnet18", "inception_v4", "inception_resnet_v2"] = "resnet18"
    """timm's name of the network that finds the units."""
    hidden: int = HIDDEN
    """Units of the perceptron's hidden layer."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        super().__post_init__()
        require(1 <= self.hidden <= 1024, "hidden", self.hidden, "from 1 to 1024")


class UnitsPerceptron(TimmModel):
    """A network that finds action units at 98 x 80 x 1, and a perceptron that reads these alone."""

    Settings = UnitsPerceptronSettings
    about = About(
        title="Units, then a perceptron",
        source=THESIS,
        bibtex=publications.THESIS,
        modalities=("video",),
        units="needed",
        reported=(
            Reported("ResNet-18, units, perceptron", "video", 0.7192, FN1, "fn1"),
            Reported("Inception-v4, units, perceptron", "video", 0.7033, FN1, "fn1"),
            Reported("Inception-ResNet, units, perceptron", "video", 0.8746, FN1, "fn1"),
        ),
        extra="images",
        parameters=11_178_645,
    )
    size = THESIS_SIZE

    def __init__(self, task: Task, modality: Modality, settings: UnitsPerceptronSettings) -> None:
        """Build the network with random weights."""
        self.name = settings.network
        super().__init__(task, modality, settings)

    def head_of(self, features: int, labels: int) -> nn.Module:
        """Build the layer of the units, and the perceptron."""
        return _UnitsThenEmotion(features, self.task, self.settings.hidden)


class _UnitsThenEmotion(nn.Module):
    """From features to the logits of the units, and from these units to those of the labels."""

    def __init__(self, features: int, task: Task, hidden: int) -> None:
        super().__init__()
        self.units = nn.Linear(features, len(task.units))
        self.perceptron = nn.Sequential(
            nn.Linear(len(task.units), hidden), nn.ReLU(), nn.Linear(hidden, len(task.labels))
        )

    def forward(self, features: Tensor) -> Tensor:
        units = self.units(features)
        labels = self.perceptron(units.detach().sigmoid())
        return torch.cat([labels, units], dim=1)
