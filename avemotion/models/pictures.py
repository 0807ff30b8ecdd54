"""What the models of one face picture share: how they read it, and layers that several have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from avemotion.config import FACE_HEIGHT, FACE_WIDTH, Modality
from avemotion.data.batch import Batch
from avemotion.models.base import EmotionModel
from avemotion.models.inputs import Input

THESIS = "N.-C. Ristea, bachelor thesis, Politehnica University of Bucharest, 2019"
"""Source of the networks for action units and emotions of one face."""
THESIS_SIZE = (FACE_HEIGHT, FACE_WIDTH)
"""Rows and columns of a face in the thesis."""
FER_SIZE = (48, 48)
"""Rows and columns of a picture of FER2013."""
FN1 = "Ristea 2019; FN1, which is not public, seven emotions"
"""Corpus and protocol of the figures that the thesis reports for networks of one face."""
FIVE_NETWORKS = "a student report on FER2013 that compares CNN, recurrent network and transformer"
"""Source of the networks that slides compare."""
PRIVATE_TEST = "a student report; FER2013, its part PrivateTest"
"""Corpus and protocol of the figures in these slides."""


class PictureModel(EmotionModel):
    """Base of networks of one face picture; a subclass builds `layers`, or says how it answers."""

    size: ClassVar[tuple[int, int]]
    """Rows and columns that pictures are resized to."""
    layers: nn.Module

    @classmethod
    def channels(cls, settings: Any) -> int:
        """Return how many channels it reads: 1, or 3 that are the same."""
        return 1

    @classmethod
    def reads(cls, modality: Modality, settings: Any) -> tuple[Input, ...]:
        """Return the picture."""
        return (Input("image", cls.size, cls.channels(settings)),)

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch from `read` to logits, float (clip, output); without a face they are 0."""
        pictures = batch.inputs["image"].contiguous(memory_format=torch.channels_last)
        return self.answer(pictures) * batch.present["video"][:, None]

    def answer(self, pictures: Tensor) -> Tensor:
        """Map float (clip, channel, row, column) to logits, float (clip, output)."""
        logits: Tensor = self.layers(pictures)
        return logits


def scaled(channels: int, width: float) -> int:
    """Return the channels of a layer at a width; at least 4."""
    return max(4, round(channels * width))


def pooled_convolutions(sizes: Sequence[int]) -> nn.Sequential:
    """Build 3 x 3 convolutions over a grey picture, each with ReLU and a 2 x 2 max-pooling.

    Args:
        sizes: Output channels of each; the last maps have ``sizes[-1]`` channels and
            ``1 / 2 ** len(sizes)`` of the rows and columns, rounded down at each pooling.
    """
    layers: list[nn.Module] = []
    for before, after in zip((1, *sizes), sizes, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def map_values(channels: int, size: tuple[int, int], poolings: int) -> int:
    """Return how many values maps of a picture have after some 2 x 2 poolings."""
    rows, columns = size
    return channels * (rows >> poolings) * (columns >> poolings)
