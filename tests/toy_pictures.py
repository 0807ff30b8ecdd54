"""A model for pictures, as small as can be: it is registered by the tests that use it."""

from dataclasses import dataclass

from torch import Tensor, nn

from avemotion.config import Modality
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.models.base import About, EmotionModel
from avemotion.models.inputs import Input


@dataclass(frozen=True)
class PictureNetSettings:
    """What the pictures are made into."""

    size: int = 24
    """Rows and columns."""


class PictureNet(EmotionModel):
    """A linear layer over a picture of three channels."""

    Settings = PictureNetSettings
    about = About(title="PictureNet", source="a test", modalities=("video",))

    def __init__(self, task: Task, modality: Modality, settings: PictureNetSettings) -> None:
        super().__init__(task, modality, settings)
        self.layer = nn.Linear(3 * settings.size**2, len(task.labels))

    @classmethod
    def reads(cls, modality: Modality, settings: PictureNetSettings) -> tuple[Input, ...]:
        return (Input("image", (settings.size, settings.size), channels=3),)

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        pictures = batch.inputs["image"]
        assert pictures.shape[1:] == (3, self.settings.size, self.settings.size)
        logits: Tensor = self.layer(pictures.flatten(1)) * batch.present["video"][:, None]
        return logits
