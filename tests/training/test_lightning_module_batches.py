"""Batches made by the test, through the augmentation of training."""

import dataclasses

import torch
from network_maker import TASK

from avemotion.config import Modality, TrainingSettings
from avemotion.data.batch import Batch
from avemotion.models.ar5 import AR5, AR5Settings
from avemotion.training.lightning_module import EmotionModule

CLIPS = 64
PLAIN = TrainingSettings(label_smoothing=0.0, mixup=0.0, spectrogram_masking=False)
SMALL = AR5Settings(width=0.25)


def hidden(modality: Modality, chance: float) -> tuple[int, int]:
    """How many of 64 faces and of 64 voices the augmentation hides."""
    settings = dataclasses.replace(PLAIN, modality_dropout=chance)
    module = EmotionModule(AR5(TASK, modality, SMALL), settings)
    there = torch.ones(CLIPS, dtype=torch.bool)
    labels = torch.zeros(CLIPS, dtype=torch.int64)
    torch.manual_seed(0)
    batch = Batch({}, {"video": there, "audio": there}, targets=labels)
    present = module.augmented(batch)[0].present
    return int((~present["video"]).sum()), int((~present["audio"]).sum())


def test_modalities_are_hidden_only_where_there_are_two() -> None:
    faces, voices = hidden("av", 0.25)
    assert 5 <= faces <= 30 and 5 <= voices <= 30
    assert hidden("av", 0.0) == hidden("video", 0.25) == hidden("audio", 0.25) == (0, 0)
