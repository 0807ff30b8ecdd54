import numpy as np
import pytest

from avemotion.features.corruptions import CONDITIONS
from avemotion.features.recording_quality import QUALITIES, brightness, clipped_percent
from avemotion.features.waveform_effects import add_at_snr, amplify, clip_peaks

RATE = 16_000


def spoken(level_db: float) -> np.ndarray:
    """A second of tone between half seconds of digital silence; the tone has that level."""
    amplitude = 32_768 * np.sqrt(2) * 10 ** (level_db / 20)
    tone = amplitude * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    pause = np.zeros(RATE // 2)
    return np.rint(np.concatenate([pause, tone, pause])).astype(np.int16)


@pytest.mark.parametrize("level_db", [-50.0, -20.0, -6.0])
def test_the_level_is_that_of_the_speech_not_of_the_pauses(level_db: float) -> None:
    assert QUALITIES["speech_level_db"].measure(spoken(level_db)) == pytest.approx(
        level_db, abs=0.05
    )


def test_noise_fills_the_pauses() -> None:
    measure = QUALITIES["loudness_range_db"].measure
    noise = np.random.default_rng(0).standard_normal(2 * RATE)
    for snr in (30.0, 10.0):
        # Half of the clip is pauses: the tone's own level is 3 dB above the clip's.
        expected = 10 * np.log10(1 + 2 * 10 ** (snr / 10))
        found = measure(add_at_snr(spoken(-20), noise, snr))
        assert found == pytest.approx(expected, abs=1.0)  # frames of noise differ a little
    assert measure(spoken(-20)) > 60


@pytest.mark.parametrize("percent", [1.0, 10.0])
def test_clipping_is_found_whatever_the_level(percent: float) -> None:
    rng = np.random.default_rng(1)
    voice = (3_000 * rng.standard_normal(RATE)).astype(np.int16)
    clipped = clip_peaks(voice, percent / 100)
    assert clipped_percent(voice) < 0.05
    assert clipped_percent(clipped) == pytest.approx(percent, rel=0.05)
    quieter = np.asarray(amplify(clipped, -20)).astype(np.int16)
    assert clipped_percent(quieter) == pytest.approx(percent, rel=0.2)


def test_brightness_is_the_mean_grey() -> None:
    faces = np.concatenate([np.full((1, 98, 80), 10), np.full((3, 98, 80), 30)]).astype(np.uint8)
    assert brightness(faces) == 25


@pytest.mark.parametrize("length", [1, 319, 321])
def test_sounds_shorter_than_a_frame_are_measured_too(length: int) -> None:
    sound = np.arange(1, length + 1, dtype=np.int16)
    for quality in QUALITIES.values():
        if quality.stream == "audio":
            assert np.isfinite(quality.measure(sound))


def test_each_quality_has_a_corruption_that_changes_it_towards_its_word() -> None:
    rng = np.random.default_rng(2)
    voice = spoken(-30)
    faces = rng.integers(80, 200, (20, 98, 80)).astype(np.uint8)
    for name, quality in QUALITIES.items():
        media = voice if quality.stream == "audio" else faces
        conditions = [c for c in CONDITIONS.values() if c.family == quality.family]
        assert conditions, name
        clean = quality.measure(media)
        for condition in conditions:
            assert condition.corrupt
            changed = condition.corrupt(media, rng, lambda _: [])
            lower = quality.measure(np.asarray(changed).astype(media.dtype)) < clean
            assert (quality.low if lower else quality.high) is not None, condition.name
