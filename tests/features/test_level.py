"""The recording level taken out of a log-mel."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avemotion.features.level import level_free
from avemotion.features.spectrogram import log_mel


def speech(gain: float, seconds: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A log-mel of bursts of noise with pauses, and its length."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(round(16_000 * seconds))
    samples *= np.repeat(rng.choice([0.01, 1.0], len(samples) // 800), 800)[: len(samples)]
    image, length = log_mel(3000 * gain * samples)
    return torch.from_numpy(image).float()[None, None], torch.tensor([length])


@given(gain_db=st.floats(-30, 20), range_db=st.floats(10, 50))
def test_a_gain_changes_nothing(gain_db: float, range_db: float) -> None:
    plain, louder = (level_free(*speech(gain), range_db) for gain in (1, 10 ** (gain_db / 20)))
    torch.testing.assert_close(plain, louder, atol=0.07, rtol=0)  # float16 in between


def test_the_level_is_that_of_the_speech_alone() -> None:
    """Pauses 40 dB down do not count; of a steady tone the mean power is at the range's top."""
    image, length = speech(1.0)
    found = level_free(image, length, 40.0)
    power = (10 ** (found[0, 0, :, : int(length)] / 10)).mean(dim=0)
    spoken = power > power.max() / 1000
    assert 0.3 < float(spoken.float().mean()) < 0.8
    assert 10 * float(power[spoken].mean().log10()) == pytest.approx(40, abs=0.2)


def test_silence_and_padding_stay_zero() -> None:
    image, length = speech(1.0)
    found = level_free(torch.cat([image, image]), torch.cat([length, length * 0]), 40.0)
    assert not found[1].any() and not found[0, 0, :, int(length) :].any()
    assert torch.isfinite(found).all()
    assert not level_free(torch.zeros(1, 1, 64, 500), torch.tensor([100]), 40.0)[0].amax() > 40
