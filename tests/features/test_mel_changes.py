"""Changes of mel spectrograms against the same changes of the waveforms."""

import numpy as np
import pytest
import torch
from media_maker import speech_like

from avemotion.features import mel_changes, random_channels
from avemotion.features.mel import MEL_RANGE_DB, mel, mel_columns
from avemotion.training.sound_augmentation import limit_band

SAMPLES = 40_000


def voice() -> np.ndarray:
    """2.5 s, float64, with the noise of a quiet room."""
    sound = speech_like(SAMPLES / 16_000).astype(np.float64)
    return sound + np.random.default_rng(0).normal(0, 3, len(sound))


def spectrograms(*sounds: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return them as training has them, and how many columns hold sound."""
    found = torch.from_numpy(np.stack([mel(s) for s in sounds])).float()[:, None]
    return found, torch.tensor([mel_columns(len(s)) for s in sounds])


@pytest.mark.parametrize(("snr_db", "fall_db"), [(8.0, 0.0), (15.0, 0.0), (5.0, 10.0)])
def test_noise_is_as_loud_and_coloured_as_that_of_waveforms(
    monkeypatch: pytest.MonkeyPatch, snr_db: float, fall_db: float
) -> None:
    monkeypatch.setattr(mel_changes, "NOISE_SNR_DB", (snr_db, snr_db))
    monkeypatch.setattr(mel_changes, "NOISE_FALL_DB", fall_db)
    monkeypatch.setattr(mel_changes, "drawn", lambda low, high, mels: torch.full((1,), high))
    clean = voice()
    rng, spectrum = np.random.default_rng(1), np.fft.rfftfreq(SAMPLES, 1 / 16_000)
    shape = (np.maximum(spectrum, 50) / 50) ** (-fall_db / 20)
    noise = np.fft.irfft(np.fft.rfft(rng.normal(size=SAMPLES)) * shape, SAMPLES)
    noise *= np.sqrt((clean**2).mean() / (noise**2).mean() / 10 ** (snr_db / 10))
    theirs, lengths = spectrograms(clean + noise)
    torch.manual_seed(0)
    ours = mel_changes.noisy(spectrograms(clean)[0], lengths)
    heard = slice(2, int(lengths) - 2)  # the window reaches past both ends
    bands = slice(2, 108)  # to 7 kHz: the resampling filter begins to fall there
    means = [s[0, 0, bands, heard].mean(dim=1) for s in (ours, theirs)]
    assert float((means[0] - means[1]).abs().mean()) < 0.8
    assert float((means[0] - means[1]).abs().max()) < 3.5
    spreads = [s[0, 0, bands, heard].std() for s in (ours, theirs)]
    assert float(spreads[0]) == pytest.approx(float(spreads[1]), rel=0.1)


def test_a_narrow_channel_is_that_of_waveforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_channels, "LOW_EDGE_HZ", (300.0, 300.0))
    monkeypatch.setattr(random_channels, "HIGH_EDGE_HZ", (3_400.0, 3_400.0))
    clean = voice()
    waveform, which = torch.from_numpy(clean).float()[None], torch.tensor([0])
    narrow = limit_band(waveform, torch.tensor([SAMPLES]), which)[0].double().numpy()
    theirs, lengths = spectrograms(narrow)
    ours = mel_changes.through_channel(spectrograms(clean)[0], lengths)
    middle = (slice(None), slice(None), slice(6, 90), slice(2, int(lengths) - 2))
    apart = (ours[middle] - theirs[middle]).abs()
    assert float(apart.median()) < 0.5 and float(apart.mean()) < 1.5
    above = (
        slice(None),
        slice(None),
        slice(104, 108),
        middle[-1],
    )  # around 6.4 kHz: 44 dB down, less what the peak lost
    lost = spectrograms(clean)[0][above].mean() - ours[above].mean()
    assert 36 < float(lost) < 46


def test_a_microphone_changes_each_clip_smoothly_and_by_itself() -> None:
    torch.manual_seed(0)
    clean, lengths = spectrograms(voice(), voice())
    clean = clean.clamp(min=30)  # far above the floor: nothing is cut off
    clean[..., int(lengths[0]) :] = 0
    changed = mel_changes.equalised(clean, lengths)
    response = (changed - clean)[:, 0, :, : int(lengths[0])]
    assert float(response.std(dim=2).max()) < 1e-3  # the same at all times
    curve = response.mean(dim=2)
    assert float(curve.diff(dim=1).abs().max()) < 2 and 2 < float(curve.std(dim=1).mean()) < 12
    assert not torch.allclose(curve[0], curve[1], atol=1.0)


@pytest.mark.parametrize("change", ["noisy", "through_channel", "equalised"])
def test_each_leaves_a_spectrogram_without_level(change: str) -> None:
    torch.manual_seed(0)
    short = voice()[:12_000]
    clean, lengths = spectrograms(voice(), short, np.zeros(0))
    found = getattr(mel_changes, change)(clean, lengths)
    assert torch.isfinite(found).all() and float(found.min()) == 0
    loudest = found.amax(dim=(1, 2, 3)).tolist()
    assert loudest == pytest.approx([MEL_RANGE_DB, MEL_RANGE_DB, 0], abs=1e-3)
    assert not found[1, 0, :, int(lengths[1]) :].any()
