"""Miene and Stimme together: a face network asked frame by frame, and a network of the voice.

Each answers alone; their log-probabilities are added (log-linear pooling), as for two witnesses who
know nothing of one another. The face is seen on some of the sampled frames, of which those that
look least neutral may count alone: people who talk look neutral most of the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avemotion.config import FACE_FRAMES, MODALITIES, Modality
from avemotion.data.batch import Batch
from avemotion.data.task import NEUTRAL, Task
from avemotion.errors import require, require_types
from avemotion.features.table import STILLS
from avemotion.models.base import About, EmotionModel
from avemotion.models.folding import folded
from avemotion.models.inputs import Input
from avemotion.models.miene import Miene, MieneSettings, standardised
from avemotion.models.stimme import Stimme, StimmeSettings

FACE, VOICE = STILLS, "mel"


@dataclass(frozen=True)
class MieneStimmeSettings:
    """The size of both networks, and how frames are pooled."""

    face_channels: tuple[int, ...] = MieneSettings.channels
    """Channels of each stage of the face network: see `--miene.channels`."""
    voice_channels: tuple[int, ...] = StimmeSettings.channels
    """Channels of each stage of the voice network: see `--stimme.channels`."""
    range_db: float = StimmeSettings.range_db
    """Decibels below the loudest place that are heard: see `--stimme.range_db`."""
    frames: int = 10
    """Frames of the face that are read, evenly among the 20 sampled ones."""
    expressive_share: float = 1.0
    """Share of these frames that count: those that look least neutral. 1 for all."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        require_types(self, "--miene_stimme.")
        allowed = f"from 1 to {FACE_FRAMES}"
        require(1 <= self.frames <= FACE_FRAMES, "--miene_stimme.frames", self.frames, allowed)
        share = self.expressive_share
        require(0 < share <= 1, "--miene_stimme.expressive_share", share, "above 0, at most 1")


class MieneStimme(EmotionModel):
    """A `Miene` for each frame, a `Stimme`, and nothing else that is learned."""

    Settings = MieneStimmeSettings
    settings: MieneStimmeSettings
    about = About(title="Miene and Stimme", source="avemotion", modalities=MODALITIES)
    takes_missing = True

    def __init__(self, task: Task, modality: Modality, settings: MieneStimmeSettings) -> None:
        """Build both networks, or one; see `EmotionModel`."""
        super().__init__(task, modality, settings)
        if modality != "audio":
            sizes = MieneSettings(channels=settings.face_channels, votes_share=0.0)
            self.face = Miene(task, "video", sizes)
            places = torch.linspace(0, FACE_FRAMES - 1, settings.frames).round().long()
            self.register_buffer("frames", places, persistent=False)
        if modality != "video":
            voice = StimmeSettings(settings.voice_channels, range_db=settings.range_db)
            self.voice = Stimme(task, "audio", voice)

    @classmethod
    def reads(cls, modality: Modality, settings: MieneStimmeSettings) -> tuple[Input, ...]:
        """Return face, voice, or both; see `EmotionModel`."""
        both = {"video": Input(FACE), "audio": Input(VOICE)}
        return tuple(part for stream, part in both.items() if modality in ("av", stream))

    def read(self, batch: Batch[Tensor]) -> Batch[Tensor]:
        """Return the faces as `Miene` reads them, and the spectrograms as `Stimme` reads them."""
        clips = super().read(batch)
        if FACE in clips.inputs:
            clips = clips.with_inputs(**{FACE: standardised(clips.inputs[FACE])})
        if VOICE not in clips.inputs:
            return clips
        heard = self.voice.read(batch)
        return replace(clips, inputs=clips.inputs | heard.inputs, lengths=heard.lengths)

    def masked_value(self, name: str) -> Tensor | float:
        """Return what `Stimme` does."""
        return self.voice.masked_value(name)

    def forward(self, batch: Batch[Tensor]) -> Tensor:
        """Map a batch from `read` to log-likelihoods, float (clip, label): sums of both."""
        found = []
        if FACE in batch.inputs:
            found.append(self._seen(batch.inputs[FACE]) * batch.present["video"][:, None])
        if VOICE in batch.inputs:
            found.append(self.voice(batch).log_softmax(dim=1) * batch.present["audio"][:, None])
        if not found:  # nobody is seen or heard
            return torch.zeros(len(batch), len(self.task.labels))
        return torch.stack(found).sum(dim=0)

    def folded(self) -> MieneStimme:
        """Return a copy without batch normalisations."""
        return folded(self)

    def _seen(self, stills: Tensor) -> Tensor:
        """Return log-probabilities pooled over frames, float (clip, label).

        Args:
            stills: float (clip, 20, row, column).
        """
        faces = stills.index_select(1, self.frames)  # type: ignore[arg-type]
        pictures = faces.flatten(0, 1).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        each = self.face(Batch({"image": pictures}, {})).log_softmax(dim=1)
        each = each.unflatten(0, (-1, self.settings.frames))  # clip, frame, label
        counted = math.ceil(self.settings.expressive_share * self.settings.frames)
        if counted < self.settings.frames and NEUTRAL in self.task.labels:
            neutral = each[..., self.task.labels.index(NEUTRAL)]
            chosen = neutral.topk(counted, dim=1, largest=False).indices
            each = each.gather(1, chosen[..., None].expand(-1, -1, each.shape[2]))
        pooled: Tensor = each.mean(dim=1)
        return pooled
