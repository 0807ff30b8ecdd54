"""AR5: faces and voice in two convolutional branches, joined by fully connected layers.

Source: N.-C. Ristea, "Emotion recognition using deep neural networks", 2019; Ristea, Dutu, Radoi,
SpeD 2019 (arXiv 2003.00351): a denser branch for the stacked faces, a lighter one for the
spectrogram; each ends in an embedding whose length sets that modality's weight; the embeddings are
concatenated and classified. Layer sizes appear only in a figure that is not available: **those here
are ours**, all in the two tables below. About 1.3 million parameters at width 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avemotion.config import FACE_FRAMES, FACE_HEIGHT, FACE_WIDTH, Modality, NetworkSettings
from avemotion.data.batch import ClipInputs
from avemotion.features.spectrogram import SPECTROGRAM_SHAPES

# Output channels of the convolutions (each with batch norm and ReLU) between one 2 x 2 max-pooling
# and the next. The very first is 5 x 5 with stride 2, the others 3 x 3: full-size maps cost most.
VIDEO_STAGES = ((48,), (96, 96), (160, 160))
AUDIO_STAGES = ((16,), (32,), (64, 128))
HIDDEN = 128
"""Units of the fully connected layer over both embeddings."""

_SHRINK = 16  # the stride and three poolings: a value of the last maps covers 16 x 16 pixels


class AR5(nn.Module):
    """The network; its modality decides which branches it has.

    With both branches a clip may lack a modality (`ClipInputs.has_face`, `has_sound`): that
    embedding is then zero, which the classifier learns to handle where training hides modalities.
    """

    def __init__(self, modality: Modality, classes: int, settings: NetworkSettings) -> None:
        """Build the branches.

        Args:
            modality: ``av`` for both branches, ``video`` or ``audio`` for one.
            classes: Number of emotions.
            settings: Width, lengths of the embeddings, dropout, kind of spectrogram.
        """
        super().__init__()
        self.video = VideoBranch(settings) if modality != "audio" else None
        self.audio = AudioBranch(settings) if modality != "video" else None
        self._video_features = settings.video_features if self.video else 0
        self._audio_features = settings.audio_features if self.audio else 0
        self.classifier = nn.Sequential(
            nn.Linear(self._video_features + self._audio_features, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Dropout(settings.dropout),
            nn.Linear(HIDDEN, classes),
        )

    def forward(self, inputs: ClipInputs) -> Tensor:
        """Return logits, float (clip, classes)."""
        return self.classify(self.embeddings(inputs))

    def embeddings(self, inputs: ClipInputs) -> list[Tensor]:
        """Return the embedding of each branch, float (clip, features): video, then audio."""
        embeddings = []
        if self.video is not None:
            if inputs.faces is None:
                embeddings.append(_zeros(inputs, self._video_features))
            else:
                embeddings.append(self.video(inputs.faces) * inputs.has_face[:, None])
        if self.audio is not None:
            if inputs.spectrograms is None:
                embeddings.append(_zeros(inputs, self._audio_features))
            else:
                assert inputs.lengths is not None
                embedding = self.audio(inputs.spectrograms, inputs.lengths)
                embeddings.append(embedding * inputs.has_sound[:, None])
        return embeddings

    def classify(self, embeddings: list[Tensor]) -> Tensor:
        """Map the embeddings of all branches to logits, float (clip, classes)."""
        logits: Tensor = self.classifier(torch.cat(embeddings, dim=1))
        return logits


class VideoBranch(nn.Module):
    """The denser branch: 20 faces stacked as channels, so that the first layer sees motion."""

    def __init__(self, settings: NetworkSettings) -> None:
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

    def __init__(self, settings: NetworkSettings) -> None:
        """Build the convolutions and the layer of the embedding."""
        super().__init__()
        rows, _ = SPECTROGRAM_SHAPES[settings.spectrogram]
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


def _zeros(inputs: ClipInputs, features: int) -> Tensor:
    """Return the embeddings of clips that all lack a modality."""
    return torch.zeros(len(inputs.has_face), features, device=inputs.has_face.device)


def _embedding_layers(inputs: int, features: int, settings: NetworkSettings) -> list[nn.Module]:
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
