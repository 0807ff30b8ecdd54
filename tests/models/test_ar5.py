"""The network: shapes, missing modalities, padding."""

import numpy as np
import pytest
import torch

from avemotion.config import NetworkSettings
from avemotion.data.batch import ClipInputs
from avemotion.models.ar5 import AR5
from avemotion.models.base import probabilities


def inputs(clips: int = 3, spectrogram: str = "log_mel", seed: int = 0) -> ClipInputs:
    generator = torch.Generator().manual_seed(seed)
    shape = {"log_mel": (64, 500), "power": (128, 128)}[spectrogram]
    return ClipInputs(
        torch.rand(clips, 20, 98, 80, generator=generator) * 2 - 1,
        torch.rand(clips, 1, *shape, generator=generator) * 80,
        torch.full((clips,), 250 if spectrogram == "log_mel" else 128),
        torch.ones(clips, dtype=torch.bool),
        torch.ones(clips, dtype=torch.bool),
    )


@pytest.mark.parametrize("modality", ["av", "video", "audio"])
@pytest.mark.parametrize("spectrogram", ["log_mel", "power"])
def test_every_variant_gives_probabilities(modality: str, spectrogram: str) -> None:
    network = AR5(modality, 6, NetworkSettings(spectrogram=spectrogram)).eval()
    assert (network.video is None) == (modality == "audio")
    assert (network.audio is None) == (modality == "video")
    found = probabilities(network, inputs(3, spectrogram))
    assert found.shape == (3, 6)
    np.testing.assert_allclose(found.sum(axis=1), np.ones(3), rtol=1e-6)


def test_size_is_sensible_and_width_shrinks_it() -> None:
    def size(**settings: float) -> int:
        return sum(p.numel() for p in AR5("av", 6, NetworkSettings(**settings)).parameters())

    assert 1_000_000 < size() < 3_000_000
    assert size(width=0.5) < size() / 2
    assert size(video_features=256) > size() > size(audio_features=32)


def test_a_missing_modality_cannot_be_seen() -> None:
    """With `has_face` False the faces have no effect on an av network."""
    network = AR5("av", 6, NetworkSettings()).eval()
    one, other = inputs(seed=1), inputs(seed=2)
    mixed = ClipInputs(other.faces, one.spectrograms, one.lengths, one.has_face, one.has_sound)
    assert not np.allclose(probabilities(network, one), probabilities(network, mixed))
    no_face = torch.zeros(3, dtype=torch.bool)
    blind = [
        ClipInputs(x.faces, one.spectrograms, one.lengths, no_face, one.has_sound)
        for x in (one, other)
    ]
    np.testing.assert_array_equal(*(probabilities(network, x) for x in blind))


def test_what_lies_past_the_sound_cannot_be_heard() -> None:
    network = AR5("audio", 6, NetworkSettings()).eval()
    clean = inputs()
    noisy = clean.spectrograms.clone()
    noisy[..., 250:] = 80
    loud = ClipInputs(None, noisy, clean.lengths, clean.has_face, clean.has_sound)
    np.testing.assert_array_equal(probabilities(network, clean), probabilities(network, loud))
