"""Networks with random weights, random clips for them, and random predictions."""

import numpy as np
import torch
from torch import nn

from avemotion.config import ExperimentSettings, PreprocessSettings
from avemotion.data.batch import Arrays, Batch
from avemotion.data.corpora.crema_d import EMOTIONS
from avemotion.data.task import Task
from avemotion.data.types import Split
from avemotion.models.ar5 import AR5
from avemotion.models.inputs import Input
from avemotion.models.metadata import CheckpointMetadata
from avemotion.models.registry import create, with_settings

TASK = Task(EMOTIONS)


def experiment_of(modality: str = "av", **settings: object) -> ExperimentSettings:
    """AR5 with some settings of its own."""
    return with_settings(ExperimentSettings("ar5", modality, settings))


EXPERIMENTS = {
    "av": experiment_of("av"),
    "video": experiment_of("video", width=0.5, video_features=40),
    "audio": experiment_of("audio", spectrogram="power", audio_features=33),
}


def untrained(experiment: ExperimentSettings, seed: int = 0) -> AR5:
    """A network whose predictions depend on the clip; its statistics are not the initial ones."""
    torch.manual_seed(seed)
    network = create(TASK, experiment)
    assert isinstance(network, AR5)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # collect plain means
        nn.init.uniform_(norm.weight, 0.5, 2.0)
        nn.init.normal_(norm.bias, std=0.2)
    if network.audio is not None and network.settings.spectrogram == "log_mel":
        nn.init.uniform_(network.audio.mean, 20, 40)
        nn.init.uniform_(network.audio.std, 10, 20)
    with torch.no_grad():
        network.train()(as_read_by_hand(random_batch(experiment, 8, seed)))
        network.classifier[-1].weight *= 8
    return network.eval()


def random_batch(experiment: ExperimentSettings, clips: int, seed: int) -> Arrays:
    """Grey blocks that change from frame to frame; spectrograms as loud as real ones."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(20, 230, (clips, 1, 7, 5)).repeat(14, axis=2).repeat(16, axis=3)
    kind = experiment.settings["spectrogram"]
    images = (
        rng.random((clips, 128, 128)) ** 30
        if kind == "power"
        else rng.uniform(0, 80, (clips, 1, 1)) * rng.random((clips, 64, 500))
    )
    return Batch(
        inputs={
            "faces": (blocks + rng.integers(-15, 16, (clips, 20, 98, 80))).astype(np.uint8),
            kind: images.astype(np.float32),
        },
        lengths={kind: rng.integers(0, images.shape[-1] + 1, clips)},
        present={"video": rng.random(clips) < 0.7, "audio": rng.random(clips) < 0.7},
    )


def without_level(image: np.ndarray, length: int) -> np.ndarray:
    """One log-mel from 50 dB below its speech: the columns within 30 dB of the loudest."""
    found = np.zeros_like(image)
    if length:
        heard = image[:, :length].astype(np.float64)
        power = (10 ** (heard / 10)).mean(axis=0)
        level = 10 * np.log10(power[power >= power.max() / 1000].mean())
        found[:, :length] = np.maximum(heard - level + 50, 0)
    return found


def as_read_by_hand(batch: Arrays) -> Batch[torch.Tensor]:
    """The batch as the network reads it: faces by the thesis' equation, log-mels without level."""
    read = {
        name: (array.astype(np.float32) - 127) / 128 if name == "faces" else array[:, None]
        for name, array in batch.inputs.items()
    }
    if "log_mel" in read:
        images = zip(batch.inputs["log_mel"], batch.lengths["log_mel"], strict=True)
        read["log_mel"] = np.stack([without_level(*image) for image in images])[:, None]
    return Batch(read, batch.present, batch.lengths).map(torch.from_numpy)


def metadata_of(
    experiment: ExperimentSettings, temperature: float | None = None
) -> CheckpointMetadata:
    kind = experiment.settings["spectrogram"]
    names = {"av": ("faces", kind), "video": ("faces",), "audio": (kind,)}[experiment.modality]
    return CheckpointMetadata(
        experiment=experiment,
        corpus="crema_d",
        corpus_clips=96,
        task=TASK,
        inputs=tuple(map(Input, names)),
        preprocessing=PreprocessSettings(seed=3),
        split=Split(("1001", "1002"), ("1003",), ()),
        epoch=7,
        scores={"val_accuracy": 0.5},
        synthetic={"tables": "unit"} if experiment.modality == "av" else None,
        temperature=temperature,
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
