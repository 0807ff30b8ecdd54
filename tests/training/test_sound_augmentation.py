"""What is done to the waveforms of a training batch, against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from avemotion.config import TrainingSettings
from avemotion.features import random_channels
from avemotion.training import sound_augmentation
from avemotion.training.sound_augmentation import (
    add_noise,
    augment_waveforms,
    equalise,
    limit_band,
    reverberate,
)

SILENT = {f"sound_{what}": 0.0 for what in ("noise", "room", "channel", "equaliser", "gain_db")}


def voices(clips: int = 6, samples: int = 20_000) -> tuple[Tensor, Tensor]:
    """Noise of different level and length, float (clip, sample), and the lengths."""
    generator = torch.Generator().manual_seed(0)
    lengths = samples - 1_500 * torch.arange(clips)
    sound = torch.randn(clips, samples, generator=generator)
    sound = sound * (500 + 300 * torch.arange(clips))[:, None]
    return sound * (torch.arange(samples) < lengths[:, None]), lengths


def decibels(sound: Tensor, lengths: Tensor) -> Tensor:
    return 10 * (sound.double().square().sum(dim=1) / lengths).log10()


def test_the_recorder_alone_adds_one_step_of_noise() -> None:
    sound, lengths = voices()
    found = augment_waveforms(sound.short(), lengths, TrainingSettings(**SILENT))
    noise = found - sound.short()
    sounding = torch.arange(sound.shape[1]) < lengths[:, None]
    assert not noise[~sounding].any()
    assert float(noise[sounding].mean()) == pytest.approx(0, abs=0.02)
    assert float(noise[sounding].std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("babble", [0.0, 1.0])
def test_noise_has_the_ratio_that_was_drawn(monkeypatch: pytest.MonkeyPatch, babble: float) -> None:
    monkeypatch.setattr(sound_augmentation, "NOISE_SNR_DB", (7.0, 7.0))
    monkeypatch.setattr(sound_augmentation, "BABBLE_SHARE", babble)
    sound, lengths = voices()
    which = torch.tensor([1, 3, 4])
    noise = add_noise(sound, lengths, which) - sound[which]
    noise = noise * (torch.arange(sound.shape[1]) < lengths[which, None])
    ratio = decibels(sound[which], lengths[which]) - decibels(noise, lengths[which])
    torch.testing.assert_close(ratio, torch.full((3,), 7.0).double(), atol=0.01, rtol=0)


def test_a_babble_is_made_of_other_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_augmentation, "BABBLE_SHARE", 1.0)
    time = torch.arange(16_000) / 16_000
    tones = torch.stack([torch.sin(2 * math.pi * f * time) for f in (500, 1_000, 1_500)]) * 1_000
    lengths = torch.full((3,), 16_000)
    noise = add_noise(tones, lengths, torch.tensor([0])) - tones[:1]
    spectrum = torch.fft.rfft(noise[0]).abs()
    loud = set(torch.nonzero(spectrum > spectrum.max() / 20)[:, 0].tolist())
    assert loud <= {1_000, 1_500} and loud


def test_voices_of_a_babble_are_equally_loud_however_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_augmentation, "BABBLE_SHARE", 1.0)
    monkeypatch.setattr(sound_augmentation, "BABBLE_VOICES", 2)
    time = torch.arange(16_000) / 16_000
    tones = torch.stack([torch.sin(2 * math.pi * f * time) for f in (500, 1_000, 1_500)]) * 1_000
    lengths = torch.tensor([16_000, 4_000, 16_000])
    tones = tones * (time * 16_000 < lengths[:, None])
    powers = []
    for seed in range(20):
        torch.manual_seed(seed)
        noise = add_noise(tones, lengths, torch.tensor([0])) - tones[:1]
        spectrum = torch.fft.rfft(noise[0]).abs().square()
        both = [float(spectrum[f - 40 : f + 40].sum()) for f in (1_000, 1_500)]
        if min(both) > 0.01 * max(both):  # both were drawn
            powers.append(both[0] / both[1])
    assert powers and np.median(powers) == pytest.approx(1, rel=0.1)


def test_a_narrow_channel_cuts_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_channels, "LOW_EDGE_HZ", (300.0, 300.0))
    monkeypatch.setattr(random_channels, "HIGH_EDGE_HZ", (3_400.0, 3_400.0))
    time = torch.arange(16_384) / 16_000
    for hertz, gain_db in ((150, -48.2), (300, -3.0), (1_000, 0.0), (3_400, -3.0), (5_000, -26.8)):
        tone = 1_000 * torch.sin(2 * math.pi * hertz * time)[None]
        found = limit_band(tone, torch.tensor([16_384]), torch.tensor([0]))
        middle = slice(4_096, 12_288)  # a tone that begins and ends is no pure tone
        change = 20 * (found[:, middle].std() / tone[:, middle].std()).log10()
        assert float(change) == pytest.approx(gain_db, abs=0.5)


def test_a_microphone_is_smooth_and_keeps_the_level() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sound = torch.from_numpy(rng.normal(0, 500, (2, 16_384))).float()
    lengths, which = torch.tensor([16_384, 16_384]), torch.tensor([0, 1])
    found = equalise(sound, lengths, which)
    torch.testing.assert_close(
        decibels(found, lengths), decibels(sound, lengths), atol=1e-3, rtol=0
    )
    gains = 20 * (torch.fft.rfft(found) / torch.fft.rfft(sound)).abs().log10()
    curve = gains[:, 96:-105].reshape(2, -1, 12).median(dim=2).values  # each some 12 Hz
    assert float(curve.diff(dim=1).abs().max()) < 1.0 and float(curve.std(dim=1).min()) > 1.5
    assert not torch.allclose(curve[0], curve[1], atol=2.0)


def test_a_room_repeats_the_sound_and_keeps_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_augmentation, "REVERBERATION_SECONDS", (0.5, 0.5))
    monkeypatch.setattr(sound_augmentation, "DIRECT_DB", (0.0, 0.0))
    click = torch.zeros(1, 16_000)
    click[0, 1_000] = 1_000
    found = reverberate(click, torch.tensor([16_000]), torch.tensor([0]))[0]
    assert float(found.square().sum()) == pytest.approx(1_000**2, rel=0.01)
    assert found[:1_000].abs().max() < 1e-2 * found[1_000]
    early, late = (found[1_100 + at : 1_100 + at + 800].square().sum() for at in (0, 4_000))
    # 60 dB in 0.5 s are 30 dB in 0.25 s.
    assert 10 * math.log10(early / late) == pytest.approx(30, abs=1.5)


def test_a_gain_stays_within_its_range_and_the_chances_count() -> None:
    torch.manual_seed(0)
    sound = torch.full((400, 64), 1_000.0)
    lengths = torch.full((400,), 64)
    settings = TrainingSettings(**(SILENT | {"sound_gain_db": 20.0}))
    gains_db = decibels(augment_waveforms(sound, lengths, settings), lengths) - 60
    assert gains_db.abs().max() < 20.2 and gains_db.min() < -18 and gains_db.max() > 18
    noisy = TrainingSettings(**(SILENT | {"sound_noise": 0.25}))
    changed = (augment_waveforms(sound, lengths, noisy) - sound).abs().amax(dim=1) > 6
    assert 70 < int(changed.sum()) < 130


def test_clips_without_sound_stay_silent() -> None:
    sound, lengths = voices(3)
    lengths[1], sound[1] = 0, 0
    everything = TrainingSettings(sound_noise=1.0, sound_room=1.0, sound_channel=1.0)
    found = augment_waveforms(sound, lengths, everything)
    assert not found[1].any() and torch.isfinite(found).all()
    alone = augment_waveforms(sound[:1], lengths[:1], everything)  # nobody else for a babble
    assert np.isfinite(alone.numpy()).all() and alone.any()
