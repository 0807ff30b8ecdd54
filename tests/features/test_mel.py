"""The level-free mel spectrogram against librosa's, and against a table of CREMA-D's voices."""

import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_maker import speech_like

from avemotion.features.mel import MEL_SHAPE, mel, mel_columns
from avemotion.media.reader import read_sound

librosa = pytest.importorskip("librosa")


def by_librosa(samples: np.ndarray) -> np.ndarray:
    """The recipe in words of the module, on samples that were read before."""
    sound = librosa.resample(samples[:48_000] / 32_768.0, orig_sr=16_000, target_sr=22_050)
    padded = np.zeros(66_150)
    padded[: len(sound)] = sound[:66_150]
    power = librosa.feature.melspectrogram(y=padded, sr=22_050)
    return librosa.power_to_db(power, ref=np.max, top_db=80) + 80


@settings(deadline=None, max_examples=25)
@given(st.integers(400, 90_000), st.integers(-30, 0))
def test_as_librosa_computes_it(samples: int, level_db: int) -> None:
    sound = speech_like(samples / 16_000) * 10 ** (level_db / 20)
    np.testing.assert_allclose(mel(sound), by_librosa(sound), atol=0.05)


def test_the_level_leaves_no_trace() -> None:
    sound = speech_like(2.0).astype(np.float64)
    np.testing.assert_allclose(mel(sound / 8), mel(sound), atol=0.05)
    assert mel(sound).max() == 80.0


def test_silence_is_zeros_and_what_follows_a_short_sound_is_low() -> None:
    assert not mel(np.zeros(16_000, np.int16)).any()
    found = mel(speech_like(1.0))
    assert found.shape == MEL_SHAPE and found[:, :40].any() and not found[:, 50:].any()


@pytest.mark.parametrize(("samples", "columns"), [(0, 0), (1, 1), (16_000, 44), (90_000, 130)])
def test_columns_that_hold_sound(samples: int, columns: int) -> None:
    assert mel_columns(samples) == columns
    if 16_000 <= samples < 48_000:
        assert np.flatnonzero(mel(speech_like(samples / 16_000)).any(axis=0))[-1] >= columns - 2


def test_real_voices_are_those_of_the_table(test_data: Path) -> None:
    table = test_data / "crema-d-mel"
    if not table.is_dir():
        pytest.skip("no table of mel spectrograms")
    names = (table / "names.txt").read_text().split()
    with lzma.open(table / "mel_half_db_diff.npy.xz") as file:
        steps = np.load(file)
    voices = sorted((test_data / "crema-d" / "AudioWAV").glob("*.wav"))[::100]
    for path in voices:
        image = np.cumsum(steps[names.index(path.stem)], axis=0, dtype=np.uint8) / 2
        difference = np.abs(mel(read_sound(path).samples) - image)
        assert difference.max() <= 0.5, path.name  # steps of half a decibel
