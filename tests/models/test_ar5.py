"""The network: shapes, missing modalities, padding."""

import dataclasses

import numpy as np
import pytest
import torch
from network_maker import TASK
from torch import Tensor

from avemotion.data.batch import Batch
from avemotion.models.ar5 import AR5, AR5Settings
from avemotion.models.base import probabilities


def clips_of(number: int = 3, spectrogram: str = "log_mel", seed: int = 0) -> Batch[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = {"log_mel": (64, 500), "power": (128, 128)}[spectrogram]
    faces = torch.randint(256, (number, 20, 98, 80), generator=generator, dtype=torch.uint8)
    there = torch.ones(number, dtype=torch.bool)
    return Batch(
        inputs={
            "faces": faces,
            spectrogram: torch.rand(number, *shape, generator=generator) * 80,
        },
        present={"video": there, "audio": there},
        lengths={spectrogram: torch.full((number,), 250 if spectrogram == "log_mel" else 128)},
    )


@pytest.mark.parametrize("modality", ["av", "video", "audio"])
@pytest.mark.parametrize("spectrogram", ["log_mel", "power"])
def test_every_variant_gives_probabilities(modality: str, spectrogram: str) -> None:
    network = AR5(TASK, modality, AR5Settings(spectrogram=spectrogram)).eval()
    assert (network.video is None) == (modality == "audio")
    assert (network.audio is None) == (modality == "video")
    found = probabilities(network, clips_of(3, spectrogram))
    assert found.shape == (3, 6)
    np.testing.assert_allclose(found.sum(axis=1), np.ones(3), rtol=1e-6)


def test_size_is_sensible_and_width_shrinks_it() -> None:
    def size(**settings: float) -> int:
        return sum(p.numel() for p in AR5(TASK, "av", AR5Settings(**settings)).parameters())

    assert 1_000_000 < size() < 3_000_000
    assert size(width=0.5) < size() / 2
    assert size(video_features=256) > size() > size(audio_features=32)


@pytest.mark.parametrize(("stream", "name"), [("video", "faces"), ("audio", "log_mel")])
def test_a_missing_modality_cannot_be_seen(stream: str, name: str) -> None:
    """Where `present` says no, the feature has no effect on an av network, nor if left out."""
    network = AR5(TASK, "av", AR5Settings()).eval()
    one, other = clips_of(seed=1), clips_of(seed=2)
    mixed = one.with_inputs(**{name: other.inputs[name]})
    assert not np.allclose(probabilities(network, one), probabilities(network, mixed))
    hidden = one.present | {stream: torch.zeros(3, dtype=torch.bool)}
    rest = {key: array for key, array in one.inputs.items() if key != name}
    blind = [
        probabilities(network, dataclasses.replace(clips, present=hidden))
        for clips in (one, mixed, dataclasses.replace(one, inputs=rest))
    ]
    np.testing.assert_array_equal(blind[0], blind[1])
    np.testing.assert_array_equal(blind[0], blind[2])


def test_what_lies_past_the_sound_cannot_be_heard() -> None:
    network = AR5(TASK, "audio", AR5Settings()).eval()
    clean = clips_of()
    noisy = clean.inputs["log_mel"].clone()
    noisy[..., 250:] = 80
    loud = dataclasses.replace(clean, inputs={"log_mel": noisy})
    np.testing.assert_array_equal(probabilities(network, clean), probabilities(network, loud))
