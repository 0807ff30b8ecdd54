"""Networks with random weights, random clips for them, and random predictions."""

import dataclasses

import numpy as np
import torch
from torch import nn

from avemotion.config import ExperimentSettings, NetworkSettings, PreprocessSettings
from avemotion.data.batch import ClipInputs
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.types import Split
from avemotion.inference.runtimes.interface import ClipArrays
from avemotion.models.ar5 import AR5
from avemotion.models.metadata import CheckpointMetadata

EXPERIMENTS = {
    "av": ExperimentSettings("av"),
    "video": ExperimentSettings("video", NetworkSettings(width=0.5, video_features=40)),
    "audio": ExperimentSettings("audio", NetworkSettings(spectrogram="power", audio_features=33)),
}


def untrained(experiment: ExperimentSettings, seed: int = 0) -> AR5:
    """A network whose predictions depend on the clip; its statistics are not the initial ones."""
    torch.manual_seed(seed)
    network = AR5(experiment.modality, len(EMOTIONS), experiment.network)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # collect plain means
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.normal_(norm.bias, std=0.2)
    if network.audio is not None and experiment.network.spectrogram == "log_mel":
        nn.init.uniform_(network.audio.mean, 20, 40)
        nn.init.uniform_(network.audio.std, 10, 20)
    with torch.no_grad():
        network.train()(tensors_of(random_batch(experiment, 8, seed)))
        network.classifier[-1].weight *= 8
    return network.eval()


def random_batch(experiment: ExperimentSettings, clips: int, seed: int) -> ClipArrays:
    """Grey blocks that change from frame to frame; spectrograms as loud as real ones."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(20, 230, (clips, 1, 7, 5)).repeat(14, axis=2).repeat(16, axis=3)
    images = (
        rng.random((clips, 1, 128, 128)) ** 30
        if experiment.network.spectrogram == "power"
        else rng.uniform(0, 80, (clips, 1, 1, 1)) * rng.random((clips, 1, 64, 500))
    )
    return ClipArrays(
        faces=(blocks + rng.integers(-15, 16, (clips, 20, 98, 80))).astype(np.uint8),
        spectrograms=images.astype(np.float32),
        lengths=rng.integers(0, images.shape[-1] + 1, clips),
        has_face=rng.random(clips) < 0.7,
        has_sound=rng.random(clips) < 0.7,
    )


def tensors_of(batch: ClipArrays) -> ClipInputs:
    """The batch as the network reads it, the faces normalised by the thesis' equation."""
    faces = (batch.faces.astype(np.float32) - 127) / 128
    others = (getattr(batch, f.name) for f in dataclasses.fields(batch) if f.name != "faces")
    return ClipInputs(*map(torch.from_numpy, (faces, *others)))


def metadata_of(experiment: ExperimentSettings) -> CheckpointMetadata:
    split = Split(("1001", "1002"), ("1003",), ())
    scores = {"val_accuracy": 0.5}
    synthetic = {"tables": "unit"} if experiment.modality == "av" else None
    return CheckpointMetadata(
        experiment, EMOTIONS, PreprocessSettings(seed=3), split, 7, scores, synthetic
    )


def calibrated_predictions(
    clips: int, sharpness: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of random logits, and targets drawn with exactly these probabilities."""
    rng = np.random.default_rng(seed)
    exponentials = np.exp(rng.normal(0, sharpness, (clips, 3)))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    targets = (rng.random((clips, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return probabilities, targets
