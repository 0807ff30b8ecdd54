"""BiLSTM: the rows of a picture as time steps, from a student report on FER2013."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from avemotion.config import Modality
from avemotion.data.task import Task
from avemotion.errors import require, require_types
from avemotion.models.base import About, Reported
from avemotion.models.pictures import FER_SIZE, FIVE_NETWORKS, PRIVATE_TEST, PictureModel


@dataclass(frozen=True)
class BiLSTMSettings:
    """Sizes, as the report gives them; that the last states are read, and ReLU, are ours."""

    units: int = 64
    """Units of each LSTM layer in each direction, and of the dense layer."""

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        require_types(self, "--bilstm.")
        require(4 <= self.units <= 1024, "--bilstm.units", self.units, "from 4 to 1024")


class BiLSTM(PictureModel):
    """Two bidirectional LSTM layers over the rows, and a dense layer over their last states.

    48 x 48 x 1.
    """

    Settings = BiLSTMSettings
    about = About(
        title="BiLSTM",
        source=FIVE_NETWORKS,
        modalities=("video",),
        units="optional",
        reported=(Reported("Recurrent network", "video", 0.4521, PRIVATE_TEST, "fer2013"),),
    )
    size = FER_SIZE

    def __init__(self, task: Task, modality: Modality, settings: BiLSTMSettings) -> None:
        """Build the layers."""
        super().__init__(task, modality, settings)
        units = settings.units
        self.rows = nn.LSTM(FER_SIZE[1], units, 2, batch_first=True, bidirectional=True)
        self.layers = nn.Sequential(
            nn.Linear(2 * units, units), nn.ReLU(inplace=True), nn.Linear(units, len(task.outputs))
        )

    def answer(self, pictures: Tensor) -> Tensor:
        """Map float (clip, 1, row, column) to logits, float (clip, output)."""
        _, (states, _) = self.rows(pictures[:, 0])
        both = states[-2:].transpose(0, 1).flatten(1)  # of the second layer, each way's last
        return super().answer(both)
