"""CNN3 and CNN5: the plain convolutional networks of two student reports on FER2013."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from avemotion.config import Modality
from avemotion.data.task import Task
from avemotion.errors import require, require_types
from avemotion.models.base import About, Reported
from avemotion.models.pictures import (
    FER_SIZE,
    FIVE_NETWORKS,
    PRIVATE_TEST,
    PictureModel,
    map_values,
    pooled_convolutions,
    scaled,
)

CNN3_SIZES = (32, 64, 128)
"""Channels of CNN3's convolutions."""
CNN5_SIZES = (32, 64, 128, 256, 512)
"""Channels of CNN5's stages."""
CNN5_HIDDEN = 256
"""Units of CNN5's dense layer; the report has such layers, of sizes that it does not give."""

_WEBCAM = "a student report on FER2013 with a CNN for a webcam"


@dataclass(frozen=True)
class CNN3Settings:
    """Sizes of CNN3, as its report gives them; its padding, which keeps the size, is ours."""

    width: float = 1.0
    """Factor on the channels of every convolution."""
    units: int = 1024
    """Units of the dense layer."""
    dropout: float = 0.5
    """Share of the dense layer's values dropped in training."""

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        require_types(self, "--cnn3.")
        require(0.1 <= self.width <= 4, "--cnn3.width", self.width, "from 0.1 to 4")
        require(4 <= self.units <= 8192, "--cnn3.units", self.units, "from 4 to 8192")
        require(0 <= self.dropout < 1, "--cnn3.dropout", self.dropout, "at least 0 and below 1")


class CNN3(PictureModel):
    """32-64-128 convolutions of 3 x 3 with ReLU, each with 2 x 2 max-pooling, and a dense layer.

    48 x 48 x 1.
    """

    Settings = CNN3Settings
    about = About(
        title="CNN3",
        source=FIVE_NETWORKS,
        modalities=("video",),
        units="optional",
        reported=(Reported("Plain CNN", "video", 0.5834, PRIVATE_TEST, "fer2013"),),
    )
    size = FER_SIZE

    def __init__(self, task: Task, modality: Modality, settings: CNN3Settings) -> None:
        """Build the layers."""
        super().__init__(task, modality, settings)
        sizes = [scaled(size, settings.width) for size in CNN3_SIZES]
        self.layers = nn.Sequential(
            pooled_convolutions(sizes),
            nn.Flatten(),
            nn.Linear(map_values(sizes[-1], FER_SIZE, len(sizes)), settings.units),
            nn.ReLU(inplace=True),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.units, len(task.outputs)),
        )


@dataclass(frozen=True)
class CNN5Settings:
    """Sizes of CNN5, as its report gives them; that of the dense layer is ours (256 units)."""

    activation: Literal["relu", "elu"] = "relu"
    """After each batch norm, and after the dense layer."""
    width: float = 1.0
    """Factor on the channels of every convolution, and on the units of the dense layer."""
    dropout: float = 0.1
    """Share of values dropped after each stage in training."""

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        require_types(self, "--cnn5.")
        require(0.1 <= self.width <= 4, "--cnn5.width", self.width, "from 0.1 to 4")
        require(0 <= self.dropout < 1, "--cnn5.dropout", self.dropout, "at least 0 and below 1")


class CNN5(PictureModel):
    """Five stages of two 3 x 3 convolutions with batch norm, max-pooling and dropout; He's start.

    48 x 48 x 1; 32-64-128-256-512 channels.
    """

    Settings = CNN5Settings
    about = About(
        title="CNN5",
        source=_WEBCAM,
        modalities=("video",),
        units="optional",
        # Its micro F1, which is the accuracy: the same for ReLU and ELU.
        reported=(
            Reported(
                "CNN, 5 stages",
                "video",
                0.61,
                "a student report; FER2013, a random fifth, which chose the epoch, too",
                "fer2013",
            ),
        ),
    )
    size = FER_SIZE

    def __init__(self, task: Task, modality: Modality, settings: CNN5Settings) -> None:
        """Build the layers."""
        super().__init__(task, modality, settings)
        activation = {"relu": nn.ReLU, "elu": nn.ELU}[settings.activation]
        layers: list[nn.Module] = []
        channels = 1
        for size in CNN5_SIZES:
            out = scaled(size, settings.width)
            for before in (channels, out):
                layers += [
                    nn.Conv2d(before, out, 3, padding=1),
                    nn.BatchNorm2d(out),
                    activation(inplace=True),
                ]
            layers += [nn.MaxPool2d(2), nn.Dropout(settings.dropout)]
            channels = out
        units = scaled(CNN5_HIDDEN, settings.width)
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(map_values(channels, FER_SIZE, len(CNN5_SIZES)), units),
            activation(inplace=True),
            nn.Linear(units, len(task.outputs)),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
