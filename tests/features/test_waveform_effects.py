"""Noise, babble, a telephone line, pitch and tempo: each against closed forms."""

import numpy as np
import pytest
from media_maker import sine

from avemotion.features.waveform_effects import (
    add_at_snr,
    amplify,
    babble,
    change_tempo,
    clip_peaks,
    mp3,
    room,
    shift_pitch,
    telephone,
)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def test_too_loud_a_sum_is_limited_and_never_wraps_round() -> None:
    loud = np.tile(np.array([32_767, -32_768], np.int16), 5_000)
    corrupted = add_at_snr(loud, np.random.default_rng(0).standard_normal(10_000), 20)
    assert np.abs(corrupted.astype(int) - loud).max() < 6 * 3_277
    assert (corrupted == loud).mean() == pytest.approx(
        0.5, abs=0.02
    )  # noise points outward on half


def test_voices_of_the_babble_are_equally_strong() -> None:
    voices = [
        (sine(f, 1, 16_000, a) * 32_767).astype(np.int16) for f, a in ((500, 0.5), (900, 0.01))
    ]
    spectrum = np.abs(np.fft.rfft(babble(voices, 16_000)))
    assert spectrum[500] == pytest.approx(spectrum[900], rel=0.01)
    assert rms(babble(voices, 16_000)) == pytest.approx(np.sqrt(2), rel=0.01)
    short = np.array([3, -3, 3, 3], np.int16)
    assert babble([short], 10).tolist() == [1, -1, 1, 1, 1, -1, 1, 1, 1, -1]
    assert babble([short], 3).tolist() == [1, -1, 1]


@pytest.mark.parametrize(
    "hertz, decibels",
    [(100, None), (300, -3), (1000, 0), (3000, 0), (3400, -3), (4100, None), (5000, None)],
)
def test_a_telephone_passes_300_to_3400_hertz(hertz: int, decibels: float | None) -> None:
    """None: at least 45 dB down, wherever else in the spectrum it may come out."""
    samples = (sine(hertz, 3, 16_000) * 32_767).astype(np.int16)[:-1]
    heard = telephone(samples)
    assert heard.dtype == np.int16 and heard.shape == samples.shape
    before, after = (np.abs(np.fft.rfft(x[16_000:32_000])).max() for x in (samples, heard))
    if decibels is None:
        assert after < before * 10 ** (-45 / 20)
    else:
        assert 20 * np.log10(after / before) == pytest.approx(decibels, abs=0.3)


def peak_hertz(samples: np.ndarray) -> float:
    """The strongest frequency, to a hundredth of a hertz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 16_000 * 100))
    return float(spectrum.argmax()) / 100


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    """3 s of 440 Hz at half of full scale."""
    return (sine(440, 3, 16_000, 0.5) * 32_767).astype(np.int16)


@pytest.mark.parametrize("semitones", [-2, 2, 5])
def test_pitch_multiplies_the_frequency_and_keeps_the_length(
    tone: np.ndarray, semitones: int
) -> None:
    higher = shift_pitch(tone, semitones)
    assert higher.dtype == np.int16 and higher.shape == tone.shape
    assert peak_hertz(higher) == pytest.approx(440 * 2 ** (semitones / 12), abs=0.1)
    assert rms(higher) == pytest.approx(rms(tone), rel=0.1)


@pytest.mark.parametrize("factor", [0.9, 1.1, 2.0])
def test_tempo_divides_the_length_and_keeps_the_frequency(tone: np.ndarray, factor: float) -> None:
    faster = change_tempo(tone, factor)
    assert faster.dtype == np.int16 and len(faster) == round(len(tone) / factor)
    assert peak_hertz(faster) == pytest.approx(440, abs=0.1)
    assert rms(faster) == pytest.approx(rms(tone), rel=0.1)


def test_tempo_moves_what_happens_in_time() -> None:
    """A tone that starts after 1 s starts after 1 s / 1.1."""
    late = np.concatenate([np.zeros(16_000), sine(440, 1, 16_000, 0.5) * 32_767]).astype(np.int16)
    loud = np.abs(change_tempo(late, 1.1).astype(int)) > 8_000
    assert loud.argmax() == pytest.approx(16_000 / 1.1, abs=1024)  # within a window


def test_a_gain_is_neither_rounded_nor_limited(tone: np.ndarray) -> None:
    assert rms(amplify(tone, 20)) == pytest.approx(10 * rms(tone), rel=1e-9)
    assert np.abs(amplify(tone, 20)).max() > 100_000
    np.testing.assert_allclose(amplify(amplify(tone, -20), 20), tone, rtol=1e-12)


def test_clipping_cuts_the_asked_share_of_samples() -> None:
    samples = (np.random.default_rng(0).standard_normal(20_000) * 3000).astype(np.int16)
    clipped = clip_peaks(samples, 0.1)
    changed = np.abs(samples.astype(int)) > np.abs(clipped.astype(int))
    assert changed.mean() == pytest.approx(0.1, abs=0.005)
    np.testing.assert_array_equal(clipped[~changed], samples[~changed])
    assert len(set(np.abs(clipped[changed]).tolist())) == 1


def test_clipping_leaves_a_voice_between_muted_stretches() -> None:
    samples = np.zeros(16_000, np.int16)
    samples[:1_500] = 1_000 * np.sin(np.arange(1_500) / 9)
    clipped = clip_peaks(samples, 0.1)
    assert 900 < np.abs(clipped).max() < 1_000
    assert not clip_peaks(np.zeros(99, np.int16), 0.1).any()


def test_a_room_decays_by_60_db_in_its_time_and_keeps_the_level() -> None:
    click = np.zeros(16_000, np.int16)
    click[100] = 20_000
    found = room(click, 0.4, np.random.default_rng(0))
    assert rms(found) == pytest.approx(rms(click), rel=1e-6)
    assert np.abs(found[:100]).max() < 1e-6 * found[100]
    early, late = (np.square(found[at : at + 800]).mean() for at in (200, 200 + 3_200))
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=1.5)


def test_mp3_keeps_time_and_level_and_loses_the_highest_frequencies() -> None:
    rng = np.random.default_rng(0)
    samples = np.cumsum(rng.standard_normal(32_000) * 200).astype(np.int16) // 4
    samples = samples + (rng.standard_normal(32_000) * 50).astype(np.int16)
    found = mp3(samples, 32_000)
    assert found.dtype == np.int16 and len(found) == len(samples)
    assert np.corrcoef(found[2_000:-2_000], samples[2_000:-2_000])[0, 1] > 0.99
    assert rms(found) == pytest.approx(rms(samples), rel=0.1)
    ours, theirs = (
        np.abs(np.fft.rfft(x))[round(7_500 / 8_000 * 16_000) :] for x in (found, samples)
    )
    assert rms(ours) < rms(theirs) / 10
