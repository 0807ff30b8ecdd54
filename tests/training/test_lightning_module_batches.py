"""Batches made by the test, through the augmentation of training."""

import dataclasses

import torch

from avemotion.config import ExperimentSettings, Modality, NetworkSettings, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.models.ar5 import AR5
from avemotion.training.lightning_module import EmotionModule

CLIPS = 64
PLAIN = TrainingSettings(label_smoothing=0.0, mixup=0.0, spectrogram_masking=False)
SMALL = NetworkSettings(width=0.25)


def hidden(modality: Modality, chance: float) -> tuple[int, int]:
    """How many of 64 faces and of 64 voices the augmentation hides."""
    settings = dataclasses.replace(PLAIN, modality_dropout=chance)
    network = AR5(modality, 6, SMALL)
    module = EmotionModule(network, ExperimentSettings(modality, SMALL, settings), 6)
    there = torch.ones(CLIPS, dtype=torch.bool)
    labels = torch.zeros(CLIPS, dtype=torch.int64)
    torch.manual_seed(0)
    inputs, _ = module.augmented(Batch(None, None, None, there, there, labels))
    return int((~inputs.has_face).sum()), int((~inputs.has_sound).sum())


def test_modalities_are_hidden_only_where_there_are_two() -> None:
    faces, voices = hidden("av", 0.25)
    assert 5 <= faces <= 30 and 5 <= voices <= 30
    assert hidden("av", 0.0) == hidden("video", 0.25) == hidden("audio", 0.25) == (0, 0)
