"""Spectrograms of a batch in torch, against scipy and librosa for one clip."""

import cv2
import librosa
import numpy as np
import scipy.signal
import torch

from avemotion.features.batched_spectrograms import log_mels, power_spectrograms

SAMPLES = (256, 4_001, 40_123, 80_000, 100_123)
"""Lengths of the sounds: the shortest there is, odd ones, and more than the 5 s of a log-mel."""


def sounds() -> list[np.ndarray]:
    """Noise whose spectrum and level change, in int16 steps."""
    rng = np.random.default_rng(1)
    return [
        np.cumsum(rng.standard_normal(n)) * np.hanning(n) + 200 * rng.standard_normal(n)
        for n in SAMPLES
    ]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    tensors = [torch.from_numpy(sound) for sound in sounds()]
    waveforms = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
    return waveforms, torch.tensor(SAMPLES)


def test_power_spectrograms_are_scipys_flipped_scaled_and_resized() -> None:
    for found, sound in zip(power_spectrograms(*batch()), sounds(), strict=True):
        _, _, power = scipy.signal.spectrogram(sound)
        flipped = np.flipud(power) / np.abs(power).max()
        wanted = cv2.resize(flipped, (128, 128), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(found.numpy(), wanted, atol=2e-6)


def test_log_mels_are_librosas() -> None:
    for found, sound in zip(log_mels(*batch()), sounds(), strict=True):
        start = max(0, len(sound) - 80_000) // 2
        sound = sound[start : start + 80_000] / 32_768
        columns = len(sound) // 160
        # librosa centres the window of 400 in 512 samples, so it begins 56 samples earlier.
        mel = librosa.feature.melspectrogram(
            y=np.pad(sound, (120 + 56, 400)), sr=16_000, n_fft=512, win_length=400, hop_length=160,
            n_mels=64, center=False, power=2.0,
        )[:, :columns]  # fmt: skip
        wanted = np.maximum(10 * np.log10(np.maximum(mel, 1e-12)) + 100, 0)
        np.testing.assert_allclose(found[:, :columns].numpy(), wanted, atol=0.01)
        assert not found[:, columns:].any()


def test_a_clip_without_sound_gives_zeros() -> None:
    waveforms, lengths = batch()
    lengths[2] = 0
    for compute in (log_mels, power_spectrograms):
        found = compute(waveforms, lengths)
        assert not found[2].any() and found[1].any()
