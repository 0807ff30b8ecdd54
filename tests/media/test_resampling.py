"""soxr behind our functions: against a closed form, and against another resampler."""

import resource
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import firwin, resample_poly

from avemotion.media.resampling import BlockResampler, resample

RATES = [8_000, 11_025, 22_050, 24_000, 32_000, 44_056, 44_100, 44_101, 48_000, 96_000, 767_999]
INNER = slice(2000, -2000)  # at the ends a sine begins and stops at once


def tone(frequency: float, rate: int) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(rate) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency", [50, 1_000, 3_300])
def test_a_sine_comes_out_as_that_sine(rate: int, frequency: int) -> None:
    found, expected = resample(tone(frequency, rate), rate, 16_000), tone(frequency, 16_000)
    assert found.dtype == np.float32
    assert np.abs(found[INNER] - expected[INNER]).max() < 2e-5  # half a step of 16 bits: 1.5e-5


@pytest.mark.parametrize("rate", [44_056, 44_100, 44_101, 48_000, 96_000, 767_999])
def test_what_both_rates_hold_is_kept_and_the_rest_vanishes(rate: int) -> None:
    kept = resample(tone(7_200, rate), rate, 16_000)[INNER]
    assert np.abs(kept - tone(7_200, 16_000)[INNER]).max() < 2e-3
    for above in (8_050, 9_000, 12_000, 20_000):
        vanished = resample(tone(above, rate), rate, 16_000)
        assert np.abs(vanished[INNER]).max() < 2e-5


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_056, 44_100, 48_000, 96_000])
def test_agrees_with_scipy_on_speech_like_noise(rate: int) -> None:
    """Scipy's polyphase filter with a far longer low-pass than its default."""
    common = np.gcd(rate, 16_000)
    up, down = 16_000 // common, rate // common
    rng = np.random.default_rng(rate)
    # Nothing in the transition band of either.
    narrow = firwin(1601, min(rate, 16_000) * 0.4, fs=rate, window=("kaiser", 12.0))
    sound = np.convolve(rng.uniform(-1, 1, rate), narrow).astype(np.float32)
    widest = max(up, down)
    low_pass = firwin(2 * 64 * widest + 1, 1 / widest, window=("kaiser", 12.0))
    expected = resample_poly(sound.astype(np.float64), up, down, window=low_pass)
    found = resample(sound, rate, 16_000)
    length = min(len(found), len(expected))
    assert len(expected) - len(found) in (0, 1)
    assert np.abs(found[:length] - expected[:length]).max() < 2e-4  # soxr: -0.002 dB at 6 kHz


@given(
    rate=st.sampled_from([*RATES, 1_000, 16_000]),
    lengths=st.lists(st.integers(0, 40) | st.integers(0, 5_000), max_size=12),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=200)
def test_blocks_together_equal_the_whole(rate: int, lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = [rng.uniform(-1, 1, length).astype(np.float32) for length in lengths]
    for block in blocks:
        block.flags.writeable = False  # as those that decoders give
    sound = np.concatenate([np.zeros(0, np.float32), *blocks])
    ours = BlockResampler(rate, 16_000)
    found = [ours.push(block) for block in blocks]
    found.append(ours.push(np.zeros(0, np.float32), last=True))
    whole = resample(sound, rate, 16_000)
    assert len(whole) == (2 * len(sound) * 16_000 + rate) // (2 * rate)  # rounded, halves up
    np.testing.assert_array_equal(np.concatenate(found), whole)


def test_the_wanted_rate_and_silence_come_out_as_they_went_in() -> None:
    sound = tone(440, 16_000)
    assert resample(sound, 16_000, 16_000) is sound
    assert BlockResampler(16_000, 16_000).push(sound) is sound
    assert not resample(np.zeros(44_100, np.float32), 44_100, 16_000).any()


@pytest.mark.parametrize("rate", [44_101, 767_999])
def test_rates_without_common_factors_cost_neither_time_nor_memory(rate: int) -> None:
    """One that shares no factor with 16 kHz would need a polyphase table of up to 2 GB."""
    sound = np.full(10 * rate, 0.1, np.float32)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert len(resample(sound, rate, 16_000)) == 160_000
    assert time.process_time() - start < 5  # measured: 0.2 s
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
