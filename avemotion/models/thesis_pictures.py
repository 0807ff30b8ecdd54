"""AR1, AR2, AR3, AR4: the plain networks of the thesis, for one face or the faces of a clip.

Source: N.-C. Ristea, "Emotion recognition using deep neural networks", 2019, section 5.2. Its text
says what they are made of; layer sizes are only in figures that are not available, and no result of
them is reported. **The sizes here are ours**, all at the top of this file.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from avemotion.config import FACE_FRAMES, Modality
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import require, require_types
from avemotion.models import publications
from avemotion.models.base import About, EmotionModel
from avemotion.models.inputs import Input
from avemotion.models.pictures import (
    THESIS,
    THESIS_SIZE,
    PictureModel,
    map_values,
    pooled_convolutions,
    scaled,
)

AR1_SIZES = (32, 64, 128, 128)
"""Channels of AR1's convolutions, each followed by a 2 x 2 max-pooling; AR4's are the same."""
AR1_HIDDEN = 256
"""Units of AR1's fully connected layer, and of AR4's without activation."""
AR2_SIZES = (16, 32, 64)
"""Channels of AR2's convolutions."""
AR2_HIDDEN = 64
"""Units of AR2's fully connected layer."""
AR3_SIZES = (16, 32, 64, 128)
"""Channels of AR3's convolutions."""
AR3_POOLING = ((2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
"""Faces, rows and columns that AR3's max-poolings take together; the first convolution halves rows
and columns, too."""
AR3_HIDDEN = 256
"""Units of AR3's fully connected layer."""
AR4_PERCEPTRON = 128
"""Units of the hidden layer of AR4's perceptron."""


@dataclass(frozen=True)
class PlainSettings:
    """Size of a plain network. The text of the thesis gives no layer sizes: these are ours."""

    width: float = 1.0
    """Factor on the channels of every convolution, and on the units of the layers after them."""

    def __post_init__(self) -> None:
        """Refuse a width out of range."""
        require_types(self, "")
        require(0.1 <= self.width <= 4, "width", self.width, "from 0.1 to 4")


def _about(title: str) -> About:
    return About(
        title=title,
        source=THESIS,
        bibtex=publications.THESIS,
        modalities=("video",),
        units="optional",
    )


class AR1(PictureModel):
    """The reference: convolutions with ReLU and max-pooling, a fully connected layer, the answer.

    98 x 80 x 1; 32-64-128-128 channels, 256 units: our choice.
    """

    Settings = PlainSettings
    about = _about("AR1")
    size = THESIS_SIZE

    def __init__(self, task: Task, modality: Modality, settings: PlainSettings) -> None:
        """Build the layers."""
        super().__init__(task, modality, settings)
        self.layers = _plain(AR1_SIZES, AR1_HIDDEN, len(task.outputs), settings.width)


class AR2(PictureModel):
    """AR1 for small corpora: fewer layers, and fewer channels.

    98 x 80 x 1; 16-32-64 channels, 64 units: our choice.
    """

    Settings = PlainSettings
    about = _about("AR2")
    size = THESIS_SIZE

    def __init__(self, task: Task, modality: Modality, settings: PlainSettings) -> None:
        """Build the layers."""
        super().__init__(task, modality, settings)
        self.layers = _plain(AR2_SIZES, AR2_HIDDEN, len(task.outputs), settings.width)


class AR4(PictureModel):
    """An extractor, AR1 with one fully connected layer and no activation, and a perceptron.

    98 x 80 x 1; AR1's channels, 256 features, 128 units in the perceptron's hidden layer: our
    choice. Both parts are trained together; the thesis does not say otherwise.
    """

    Settings = PlainSettings
    about = _about("AR4")
    size = THESIS_SIZE

    def __init__(self, task: Task, modality: Modality, settings: PlainSettings) -> None:
        """Build the layers."""
        super().__init__(task, modality, settings)
        sizes = [scaled(size, settings.width) for size in AR1_SIZES]
        features, hidden = (scaled(n, settings.width) for n in (AR1_HIDDEN, AR4_PERCEPTRON))
        self.layers = nn.Sequential(
            pooled_convolutions(sizes),
            nn.Flatten(),
            nn.Linear(map_values(sizes[-1], THESIS_SIZE, len(sizes)), features),
            nn.Linear(features, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, len(task.outputs)),
        )


class AR3(EmotionModel):
    """3-D convolutions over the faces of a clip: over time, rows and columns.

    20 x 98 x 80 x 1; 16-32-64-128 channels, 256 units: our choice.
    """

    Settings = PlainSettings
    about = _about("AR3")

    def __init__(self, task: Task, modality: Modality, settings: PlainSettings) -> None:
        """Build the layers."""
        super().__init__(task, modality, settings)
        layers: list[nn.Module] = []
        channels, sides = 1, (FACE_FRAMES, *(side // 2 for side in THESIS_SIZE))
        for size, pooling in zip(AR3_SIZES, AR3_POOLING, strict=True):
            out = scaled(size, settings.width)
            # Full-size maps cost most: the first convolution takes every second row and column.
            kernel, stride = (3, 1) if layers else ((3, 5, 5), (1, 2, 2))
            padding = (1, 1, 1) if layers else (1, 2, 2)
            layers += [
                nn.Conv3d(channels, out, kernel, stride, padding),
                nn.ReLU(inplace=True),
                nn.MaxPool3d(pooling),
            ]
            channels = out
            sides = tuple(side // pool for side, pool in zip(sides, pooling, strict=True))
        depth, rows, columns = sides
        hidden = scaled(AR3_HIDDEN, settings.width)
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * depth * rows * columns, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, len(task.outputs)),
        )

    @classmethod
    def reads(cls, modality: Modality, settings: PlainSettings) -> tuple[Input, ...]:
        """Return the faces."""
        return (Input("faces"),)

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch from `read` to logits, float (clip, output); without a face they are 0."""
        logits: Tensor = self.layers(batch.inputs["faces"][:, None])
        return logits * batch.present["video"][:, None]


def _plain(sizes: tuple[int, ...], hidden: int, labels: int, width: float) -> nn.Sequential:
    """Build convolutions, a fully connected layer with ReLU, and the layer of the answer."""
    channels, units = [scaled(size, width) for size in sizes], scaled(hidden, width)
    return nn.Sequential(
        pooled_convolutions(channels),
        nn.Flatten(),
        nn.Linear(map_values(channels[-1], THESIS_SIZE, len(channels)), units),
        nn.ReLU(inplace=True),
        nn.Linear(units, labels),
    )
