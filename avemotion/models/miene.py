"""Miene (German for an expression of the face): a small residual network for one face.

Ours; for FER2013 with the votes of FER+. One trunk, two heads: one learns the label of a picture,
the other how the crowd voted. The two differ (they agree on two thirds of FER2013's test pictures),
so that one head cannot serve both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avemotion.config import Modality
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import UsageError, require
from avemotion.models.base import About, EmotionModel
from avemotion.models.inputs import Input

SIDE = 48
"""Rows and columns that it reads."""

_LEAST_DEVIATION = 0.02  # 2.5 of 255 grey levels: less is noise


@dataclass(frozen=True)
class MieneSettings:
    """Size of the network, and which head answers."""

    channels: tuple[int, ...] = (32, 80, 160)
    """Channels of each stage, which has two blocks and half the resolution of the one before."""
    dropout: float = 0.2
    """Share of the trunk's features that is dropped before the heads."""
    votes_share: float = 0.5
    """Share of the loss that the head on the crowd's votes has; 0 for a corpus without votes."""
    head: Literal["label", "votes"] = "label"
    """Head that answers."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        right = len(self.channels) >= 1 and all(8 <= n <= 1024 for n in self.channels)
        require(right, "--miene.channels", self.channels, "one or more numbers from 8 to 1024")
        require(0 <= self.dropout < 1, "--miene.dropout", self.dropout, "at least 0 and below 1")
        share = self.votes_share
        require(0 <= share < 1, "--miene.votes_share", share, "at least 0 and below 1")
        if self.head == "votes" and not share:
            raise UsageError(
                "--miene.head is votes, but --miene.votes_share is 0, so this head would learn "
                "nothing. Give a share above 0, or leave --miene.head out."
            )


class Miene(EmotionModel):
    """A stem with stride 2, stages of two gated residual blocks, and two heads."""

    Settings = MieneSettings
    settings: MieneSettings
    about = About(
        title="Miene",
        source="avemotion; residual blocks with squeeze-and-excitation (Hu et al., CVPR 2018)",
        modalities=("video",),
    )
    recipe: ClassVar[Mapping[str, Any]] = {
        "epochs": 45,
        "batch_size": 128,
        "optimizer": "sgd",
        "learning_rate": 0.12,
        "weight_decay": 0.0005,
        "weight_averaging": 0.999,
        "early_stopping": False,
        "rotation_degrees": 12.0,
        "scale": 0.15,
        "shift": 0.08,
        "shear": 0.1,
        "cutout": 0.3,
    }

    def __init__(self, task: Task, modality: Modality, settings: MieneSettings) -> None:
        """Build the network; see `EmotionModel`."""
        super().__init__(task, modality, settings)
        self.votes_share = settings.votes_share
        first, *_, last = (settings.channels[0], *settings.channels)
        blocks: list[nn.Module] = [
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
        ]
        channels = first
        for number, width in enumerate(settings.channels):
            blocks += [_Block(channels, width, stride=2 if number else 1), _Block(width, width, 1)]
            channels = width
        self.trunk = nn.Sequential(*blocks)
        heads = ("label", "votes") if settings.votes_share else ("label",)
        self.heads = nn.ModuleDict({name: nn.Linear(last, len(task.labels)) for name in heads})

    @classmethod
    def reads(cls, modality: Modality, settings: MieneSettings) -> tuple[Input, ...]:
        """Return its one input; see `EmotionModel`."""
        return (Input("image", (SIDE, SIDE)),)

    def read(self, batch: Batch[Tensor]) -> Batch[Tensor]:
        """Return pictures without their light: see `standardised`."""
        clips = super().read(batch)
        return clips.with_inputs(image=standardised(clips.inputs["image"]))

    def features(self, batch: Batch[Tensor]) -> Tensor:
        """Return what the heads read: float (clip, channels of the last stage)."""
        maps: Tensor = self.trunk(batch.inputs["image"])
        return maps.mean(dim=(2, 3))

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Return the logits of the head that answers, float (clip, label)."""
        logits: Tensor = self.heads[self.settings.head](self._dropped(self.features(batch)))
        return logits

    def _dropped(self, features: Tensor) -> Tensor:
        return functional.dropout(features, self.settings.dropout, self.training)

    def both_logits(self, batch: Batch[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the logits of label and votes, each float (clip, label), for training."""
        features = self._dropped(self.features(batch))
        return self.heads["label"](features), self.heads["votes"](features)


def standardised(pictures: Tensor) -> Tensor:
    """Return pictures of mean 0 and deviation 1 each, so that light and contrast leave no trace.

    Args:
        pictures: float (..., row, column).
    """
    mean = pictures.mean(dim=(-2, -1), keepdim=True)
    deviation = pictures.std(dim=(-2, -1), keepdim=True, correction=0)
    return (pictures - mean) / deviation.clamp(min=_LEAST_DEVIATION)


class _Block(nn.Module):
    """Two 3 x 3 convolutions, squeeze-and-excitation, and the way around them."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        squeezed = max(8, width // 8)
        self.gate = nn.Sequential(
            nn.Linear(width, squeezed), nn.ReLU(inplace=True), nn.Linear(squeezed, width)
        )
        self.around = (
            nn.Identity()
            if channels == width and stride == 1
            else nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        changed = self.body(maps)
        gate = torch.sigmoid(self.gate(changed.mean(dim=(2, 3))))[:, :, None, None]
        return functional.relu(changed * gate + self.around(maps))
