import sys

import cv2
import librosa
import numpy as np
import pytest
from media_maker import sine, speech_like

from avemotion.errors import UsageError
from avemotion.features.spectrogram import add_noise, log_mel, mel_filters, power_spectrogram
from avemotion.media.reader import read_sound

RATE = 16_000


def noisy_of(samples: np.ndarray) -> np.ndarray:
    """The samples with the same noise that `add_noise` draws from this seed, drawn here anew."""
    return samples + np.random.default_rng(5).normal(0.0, 1.0, len(samples))


def thesis_spectrogram(samples: np.ndarray) -> np.ndarray:
    """The thesis' recipe window by window: Fourier's sums themselves, no FFT and no scipy."""
    at = np.arange(256)
    flank = np.minimum(np.minimum(at, 256 - at) / 32, 1)  # Tukey: a quarter in the cosine flanks
    window = np.sin(np.pi / 2 * flank) ** 2
    waves = np.exp(-2j * np.pi * np.outer(np.arange(129), at) / 256)
    columns = []
    for start in range(0, len(samples) - 255, 224):
        part = samples[start : start + 256]
        power = np.abs(waves @ (window * (part - part.mean()))) ** 2
        power[1:128] *= 2  # for the negative frequencies
        columns.append(power[::-1])
    image = np.stack(columns, axis=1)
    return cv2.resize(image / image.max(), (128, 128), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(params=["noise", "sine"])
def samples(request) -> np.ndarray:
    if request.param == "noise":
        return speech_like(2.3, seed=1)
    return (sine(1000, 1.7, RATE) * 32767).astype(np.int16)


def test_power_spectrogram_is_the_thesis_recipe(samples):
    ours = power_spectrogram(add_noise(samples, np.random.default_rng(5)))
    assert ours.dtype == np.float32 and ours.shape == (128, 128)
    np.testing.assert_allclose(ours, thesis_spectrogram(noisy_of(samples)), rtol=1e-5, atol=1e-9)


def test_that_comparison_notices_missing_noise(samples):
    ours = power_spectrogram(add_noise(samples, np.random.default_rng(5)))
    without = thesis_spectrogram(samples.astype(np.float64))
    assert not np.allclose(ours, without, rtol=1e-5, atol=1e-9)


def test_power_spectrogram_of_a_real_clip(real_sounds):
    samples = read_sound(real_sounds[0]).samples
    ours = power_spectrogram(add_noise(samples, np.random.default_rng(5)))
    np.testing.assert_allclose(ours, thesis_spectrogram(noisy_of(samples)), rtol=1e-5, atol=1e-9)


def test_high_frequencies_come_first():
    low = power_spectrogram(noisy_of((sine(500, 2, RATE) * 32767).astype(np.int16)))
    assert low.sum(axis=1).argmax() == pytest.approx(128 * (1 - 500 / 8000), abs=2)


def test_a_power_spectrogram_without_scipy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(UsageError, match="pip install scipy"):
        power_spectrogram(noisy_of(np.zeros(16_000, np.int16)))


def test_noise_has_the_strength_of_one_step():
    noise = add_noise(np.zeros(200_000, np.int16), np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(1, abs=0.01)


def test_mel_filters_are_librosas():
    expected = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=64, dtype=np.float64)
    np.testing.assert_allclose(mel_filters(), expected, rtol=1e-6, atol=1e-12)


def librosa_log_mel(noisy: np.ndarray) -> np.ndarray:
    """librosa's log-mel above -100 dB on windows of 400 centred half a hop into each column."""
    # librosa centres the window in its 512 samples: 56 more on either side.
    padded = np.pad(noisy / 32768, (120 + 56, 120 + 56 + 160))
    power = librosa.feature.melspectrogram(
        y=padded, sr=RATE, n_fft=512, win_length=400, hop_length=160, center=False, n_mels=64
    )
    return librosa.power_to_db(power, ref=1.0, amin=1e-12, top_db=None) + 100


def test_log_mel_is_librosas(samples):
    noisy = noisy_of(samples)
    image, length = log_mel(noisy)
    assert image.dtype == np.float16 and image.shape == (64, 500)
    assert length == len(samples) // 160
    expected = np.maximum(librosa_log_mel(noisy)[:, :length], 0)
    # float16 holds values around 100 in steps of 1/16
    np.testing.assert_allclose(image[:, :length], expected, atol=0.05)
    assert not image[:, length:].any()


def test_long_sounds_are_cropped_to_their_middle():
    noisy = noisy_of(speech_like(7.0))
    image, length = log_mel(noisy)
    assert length == 500
    middle, _ = log_mel(noisy[RATE : 6 * RATE])
    np.testing.assert_array_equal(image, middle)


def test_silence_is_the_floor():
    image, length = log_mel(np.zeros(RATE))
    assert length == 100 and not image.any()
