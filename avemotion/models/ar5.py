"""AR5: faces and voice in two convolutional branches, joined by fully connected layers.

Source: N.-C. Ristea, "Emotion recognition using deep neural networks", 2019; Ristea, Dutu, Radoi,
SpeD 2019 (arXiv 2003.00351): a denser branch for the stacked faces, a lighter one for the
spectrogram; each ends in an embedding whose length sets that modality's weight; the embeddings are
concatenated and classified. Layer sizes appear only in a figure that is not available: **those here
are ours**, all in the two tables below. About 1.3 million parameters at width 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH, Modality, Stream
from avemotion.data.batch import Batch
from avemotion.data.task import Task
from avemotion.features.level import level_free
from avemotion.features.spectrogram import MEL_BANDS
from avemotion.features.table import feature
from avemotion.models import publications
from avemotion.models.ar5_settings import AR5Settings
from avemotion.models.base import About, EmotionModel, Reported
from avemotion.models.folding import folded
from avemotion.models.inputs import Input

if TYPE_CHECKING:
    from avemotion.data.dataset import ClipDataset

# Output channels of the convolutions (each with batch norm and ReLU) between one 2 x 2 max-pooling
# and the next. The very first is 5 x 5 with stride 2, the others 3 x 3: full-size maps cost most.
VIDEO_STAGES = ((48,), (96, 96), (160, 160))
AUDIO_STAGES = ((16,), (32,), (64, 128))
HIDDEN = 128
"""Units of the fully connected layer over both embeddings."""

_SHRINK = 16  # the stride and three poolings: a value of the last maps covers 16 x 16 pixels


class AR5(EmotionModel):
    """The network; its modality decides which branches it has.

    With both branches a clip may lack a modality (`Batch.present`): that embedding is then zero,
    which the classifier learns to handle where training hides modalities.
    """

    Settings = AR5Settings
    takes_missing = True
    about = About(
        title="AR5",
        source="Ristea 2019, bachelor thesis; Ristea, Dutu, Radoi 2019, arXiv 2003.00351",
        bibtex=publications.AR5,
        units="optional",
        # The thesis does not give the number of actors that its figures are means over.
        reported=(
            Reported("AR5", "av", 0.6942, "Ristea 2019; CREMA-D, leave one actor out", "crema_d"),
            Reported(
                "AR5", "video", 0.6284, "Ristea 2019; CREMA-D, leave one actor out", "crema_d"
            ),
        ),
    )

    def __init__(self, task: Task, modality: Modality, settings: AR5Settings) -> None:
        """Build the branches.

        Args:
            task: The emotions.
            modality: ``av`` for both branches, ``video`` or ``audio`` for one.
            settings: Width, lengths of the embeddings, dropout, kind of spectrogram.
        """
        super().__init__(task, modality, settings)
        self.video = VideoBranch(settings) if modality != "audio" else None
        self.audio = AudioBranch(settings) if modality != "video" else None
        sizes: dict[Stream, int] = {}
        if self.video:
            sizes["video"] = settings.video_features
        if self.audio:
            sizes["audio"] = settings.audio_features
        self.embedding_sizes = sizes
        self.classifier = nn.Sequential(
            nn.Linear(sum(sizes.values()), HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(settings.dropout),
            nn.Linear(HIDDEN, len(task.outputs)),
        )

    @classmethod
    def reads(cls, modality: Modality, settings: AR5Settings) -> tuple[Input, ...]:
        """Return the faces, the spectrogram, or both."""
        faces, sound = Input("faces"), Input(settings.spectrogram)
        return {"av": (faces, sound), "video": (faces,), "audio": (sound,)}[modality]

    def read(self, batch: Batch[Tensor]) -> Batch[Tensor]:
        """Return a batch as `EmotionModel.read` does, in the form that the settings ask for.

        Faces are scaled, the log-mel is without its recording level, the power spectrogram resized.
        """
        read, s = super().read(batch), self.settings
        changed, lengths = dict(read.inputs), dict(read.lengths)
        if "faces" in changed and s.face_scaling == "listing":
            changed["faces"] = (changed["faces"] * 128 + 127) / 255 - 0.5
        if "log_mel" in changed:
            changed["log_mel"] = self._level_free(changed["log_mel"], lengths["log_mel"])
        if "power" in changed and s.power_shape != feature("power").shape:
            changed["power"] = functional.interpolate(
                changed["power"], s.power_shape, mode="bilinear", antialias=True
            )
            lengths["power"] = (lengths["power"] > 0) * s.spectrogram_columns
        return replace(read, inputs=changed, lengths=lengths)

    def _level_free(self, log_mels: Tensor, lengths: Tensor) -> Tensor:
        range_db = self.settings.level_range_db
        return log_mels if range_db is None else level_free(log_mels, lengths, range_db)

    def embeddings(self, batch: Batch[Tensor]) -> dict[Stream, Tensor]:
        """Return the embedding of each branch, float (clip, features): video, then audio."""
        embeddings: dict[Stream, Tensor] = {}
        if self.video is not None:
            there = batch.present["video"][:, None]
            faces = batch.inputs.get("faces")
            embeddings["video"] = (
                _zeros(there, self.settings.video_features)
                if faces is None
                else self.video(faces) * there
            )
        if self.audio is not None:
            name, there = self.settings.spectrogram, batch.present["audio"][:, None]
            spectrograms = batch.inputs.get(name)
            embeddings["audio"] = (
                _zeros(there, self.settings.audio_features)
                if spectrograms is None
                else self.audio(spectrograms, batch.lengths[name]) * there
            )
        return embeddings

    def classify(self, embeddings: Mapping[Stream, Tensor]) -> Tensor:
        """Map the embeddings of all branches to logits, float (clip, emotion)."""
        logits: Tensor = self.classifier(torch.cat(list(embeddings.values()), dim=1))
        return logits

    def prepare(self, dataset: ClipDataset) -> None:
        """Standardise the log-mel by the training clips; the thesis' spectrogram stays as it is."""
        if self.audio is not None and self.settings.spectrogram == "log_mel":
            mean, std = dataset.statistics("log_mel", self._level_free)
            self.audio.mean.copy_(mean)
            self.audio.std.copy_(std)

    def masked_value(self, name: str) -> Tensor:
        """Return the mean of each row of the spectrogram, float (row, 1)."""
        assert self.audio is not None
        return self.audio.mean

    def folded(self) -> AR5:
        """Return a copy without batch normalisations."""
        return folded(self)


class VideoBranch(nn.Module):
    """The denser branch: 20 faces stacked as channels, so that the first layer sees motion."""

    def __init__(self, settings: AR5Settings) -> None:
        """Build the convolutions and the layer of the embedding."""
        super().__init__()
        self.convolutions, channels = _stages(FACE_FRAMES, VIDEO_STAGES, settings.width)
        rows, columns = FACE_HEIGHT // _SHRINK, FACE_WIDTH // _SHRINK
        # A crop shows the face always at the same position, so positions matter: no global pooling.
        self.features = nn.Sequential(
            nn.Flatten(),
            *_embedding_layers(channels * rows * columns, settings.video_features, settings),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Map float (clip, 20, 98, 80) to float (clip, video_features)."""
        maps = self.convolutions(faces.contiguous(memory_format=torch.channels_last))
        embedding: Tensor = self.features(maps.contiguous())
        return embedding


class AudioBranch(nn.Module):
    """The lighter branch: a spectrogram, pooled over time by mean and maximum."""

    mean: Tensor
    std: Tensor

    def __init__(self, settings: AR5Settings) -> None:
        """Build the convolutions and the layer of the embedding."""
        super().__init__()
        rows = MEL_BANDS if settings.spectrogram == "log_mel" else settings.spectrogram_rows
        # Of each row over the training clips; the thesis' power spectrogram is not standardised.
        self.register_buffer("mean", torch.zeros(rows, 1))
        self.register_buffer("std", torch.ones(rows, 1))
        self.convolutions, channels = _stages(1, AUDIO_STAGES, settings.width)
        self.features = nn.Sequential(
            *_embedding_layers(2 * channels * (rows // _SHRINK), settings.audio_features, settings)
        )

    def forward(self, spectrograms: Tensor, lengths: Tensor) -> Tensor:
        """Map float (clip, 1, row, column) and its lengths to float (clip, audio_features)."""
        columns = torch.arange(spectrograms.shape[-1], device=spectrograms.device)
        sounding = columns < lengths[:, None]  # (clip, column)
        scaled = (spectrograms - self.mean) / self.std * sounding[:, None, None]
        maps = self.convolutions(scaled.contiguous(memory_format=torch.channels_last))
        valid = sounding[:, ::_SHRINK][:, None, None, : maps.shape[-1]]
        mean = (maps * valid).sum(dim=-1) / valid.sum(dim=-1).clamp(min=1)
        peak = (maps * valid).amax(dim=-1)  # after ReLU no value is below the masked zeros
        embedding: Tensor = self.features(torch.cat([mean, peak], dim=1).flatten(1))
        return embedding


def _zeros(there: Tensor, features: int) -> Tensor:
    """Return the embeddings of clips that all lack a modality."""
    return torch.zeros(len(there), features, device=there.device)


def _embedding_layers(inputs: int, features: int, settings: AR5Settings) -> list[nn.Module]:
    """Build the end of a branch; batch norm gives both modalities' embeddings one scale."""
    return [
        nn.Linear(inputs, features, bias=False),
        nn.BatchNorm1d(features),
        nn.ReLU(inplace=True),
        nn.Dropout(settings.dropout),
    ]


def _stages(
    channels: int, stages: tuple[tuple[int, ...], ...], width: float
) -> tuple[nn.Sequential, int]:
    """Build convolutions with a max-pooling after each stage; return them and their channels."""
    layers: list[nn.Module] = []
    for stage in stages:
        for size in stage:
            out = max(4, round(size * width))
            kernel, stride = (3, 1) if layers else (5, 2)
            layers += [
                nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(inplace=True),
            ]
            channels = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers), channels
