"""Stimme: a small network of the voice that hears no level, and nothing before the voice begins.

It reads the level-free mel spectrogram of the first 3 s, shifted so that the first sound within
`range_db` of the loudest place comes first; all that is quieter than that is one floor, so that
neither noise of the recording nor gates show. Over time it pools by attention: mean and deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from avemotion.config import Modality
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.errors import require, require_types
from avemotion.features.mel import MEL_RANGE_DB, MEL_SHAPE
from avemotion.models.base import About, EmotionModel
from avemotion.models.inputs import Input

NAME = "mel"
_STRIDE = (4, 2)  # of the stem, over bands and columns


@dataclass(frozen=True)
class StimmeSettings:
    """What it hears, and its size."""

    channels: tuple[int, ...] = (24, 48, 96)
    """Channels of each stage of two convolutions; between two stages bands and columns halve."""
    dropout: float = 0.3
    """Share of the pooled features that is dropped."""
    range_db: float = 40.0
    """Decibels below the loudest place that are heard; what is quieter is one floor."""
    trim: bool = True
    """Whether the silence before the voice is left out."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "--stimme.")
        right = 1 <= len(self.channels) <= 4 and all(8 <= n <= 1024 for n in self.channels)
        require(right, "--stimme.channels", self.channels, "one to four numbers from 8 to 1024")
        require(0 <= self.dropout < 1, "--stimme.dropout", self.dropout, "at least 0 and below 1")
        allowed = f"from 10 to {MEL_RANGE_DB:g}"
        require(10 <= self.range_db <= MEL_RANGE_DB, "--stimme.range_db", self.range_db, allowed)


class Stimme(EmotionModel):
    """A stem with stride, stages of two convolutions, attention over time, a dense layer."""

    Settings = StimmeSettings
    settings: StimmeSettings
    about = About(title="Stimme", source="avemotion", modalities=("audio",))

    def __init__(self, task: Task, modality: Modality, settings: StimmeSettings) -> None:
        """Build the network; see `EmotionModel`."""
        super().__init__(task, modality, settings)
        first, *_, last = (settings.channels[0], *settings.channels)
        layers: list[nn.Module] = [*_convolution(1, first, 5, _STRIDE)]
        channels, bands = first, MEL_SHAPE[0] // _STRIDE[0]
        for number, width in enumerate(settings.channels):
            if number:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                bands = -(-bands // 2)
            layers += [*_convolution(channels, width, 3), *_convolution(width, width, 3)]
            channels = width
        self.trunk = nn.Sequential(*layers)
        self.bands = nn.Linear(last * bands, last)
        self.attention = nn.Linear(last, 1)
        self.answer = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(2 * last, len(task.labels))
        )

    @classmethod
    def reads(cls, modality: Modality, settings: StimmeSettings) -> tuple[Input, ...]:
        """Return its one input; see `EmotionModel`."""
        return (Input(NAME),)

    def read(self, batch: Batch[Tensor]) -> Batch[Tensor]:
        """Return the spectrograms from -1 (the floor) to 1 (the loudest place), trimmed."""
        clips = super().read(batch)
        range_db = self.settings.range_db
        sounds = (clips.inputs[NAME] - (MEL_RANGE_DB - range_db)).clamp_(min=0)
        lengths = clips.lengths[NAME]
        if self.settings.trim:
            sounds, lengths = _trimmed(sounds, lengths)
        sounds = sounds / (range_db / 2) - 1
        return replace(
            clips, inputs={**clips.inputs, NAME: sounds}, lengths={**clips.lengths, NAME: lengths}
        )

    def masked_value(self, name: str) -> float:
        """Return the floor."""
        return -1.0

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch from `read` to logits, float (clip, label); without sound they are 0."""
        sounds = batch.inputs[NAME].contiguous(memory_format=torch.channels_last)
        maps = self.trunk(sounds).flatten(1, 2).transpose(1, 2)  # clip, column, value
        vectors = torch.relu(self.bands(maps))
        columns = vectors.shape[1]
        # A column of the maps is heard where one of those that it was made from is.
        shrunk = (batch.lengths[NAME] * columns + MEL_SHAPE[1] - 1) // MEL_SHAPE[1]
        heard = torch.arange(columns, device=maps.device) < shrunk.clamp(min=1)[:, None]
        scores = self.attention(vectors)[..., 0].masked_fill(~heard, -torch.inf)
        shares = scores.softmax(dim=1)[..., None]
        mean = (shares * vectors).sum(dim=1)
        variance = (shares * (vectors - mean[:, None]).square()).sum(dim=1)
        pooled = torch.cat([mean, (variance + 1e-4).sqrt()], dim=1)
        logits: Tensor = self.answer(pooled)
        return logits * batch.present["audio"][:, None]


def _convolution(
    before: int, after: int, kernel: int, stride: int | tuple[int, int] = 1
) -> tuple[nn.Module, ...]:
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return layer, nn.BatchNorm2d(after), nn.ReLU(inplace=True)


def _trimmed(sounds: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Shift sounds so that the first column above 0 comes first; zeros follow at the end.

    Args:
        sounds: float (clip, 1, band, column), at least 0.
        lengths: int64 (clip,): columns that hold sound.
    """
    columns = torch.arange(sounds.shape[-1], device=sounds.device)
    above = sounds.amax(dim=(1, 2)) > 0
    start = above.int().argmax(dim=1)  # 0 where there is none
    found = columns + start[:, None]
    outside = found >= sounds.shape[-1]
    index = found.clamp(max=sounds.shape[-1] - 1)[:, None, None].expand_as(sounds)
    shifted = sounds.gather(3, index).masked_fill(outside[:, None, None], 0.0)
    return shifted, (lengths - start).clamp(min=0)
