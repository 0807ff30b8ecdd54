"""The polyphase filter against scipy's."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from avemotion.media.resampling import resample


@given(
    rate=st.sampled_from([8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 44_056]),
    length=st.integers(1, 5_000),
    seed=st.integers(0, 9),
)
@example(rate=44_100, length=110_250, seed=0)
@settings(deadline=None, max_examples=40)
def test_is_scipys_polyphase_filter(rate: int, length: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)
    ours = resample(samples, rate, 16_000)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, resample_poly(samples, 16_000, rate), atol=3e-6)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_keeps_what_both_rates_hold_and_drops_the_rest(rate: int) -> None:
    time = np.arange(rate) / rate
    kept, dropped = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (1_000, 12_000))
    inner = slice(200, -200)
    expected = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(resample(kept, rate, 16_000)[inner], expected[inner], atol=2e-3)
    assert np.abs(resample(dropped, rate, 16_000)[inner]).max() < 2e-3
