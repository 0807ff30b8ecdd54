"""What a network can read of a clip: shapes, lengths, noise, and clips that lack face or voice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_maker import speech_like

from avemotion.errors import UsageError
from avemotion.features.spectrogram import log_mel, power_spectrogram
from avemotion.features.table import (
    FEATURES,
    ClipSignals,
    check_features,
    feature,
    shows_motion,
)
from avemotion.features.types import ClipFeatures
from avemotion.features.views import view_rng

VIEWS = 3
FACES = np.random.default_rng(0).integers(0, 256, (VIEWS, 20, 98, 80), dtype=np.uint8)


def signals(samples: int = 16_000, seed: int = 0) -> ClipSignals:
    return ClipSignals("1001_DFA_ANG_XX", seed, FACES, speech_like(samples / 16_000))


@pytest.mark.parametrize("name", FEATURES)
def test_an_array_has_the_shape_and_type_that_the_table_says(name: str) -> None:
    about, clip = feature(name), signals()
    shape = tuple(len(clip.heard()) if size is None else size for size in about.shape)
    array = about.of(clip, VIEWS)
    assert array.shape == ((VIEWS, *shape) if about.has_views else shape)
    assert array.dtype == about.dtype and array.any()


@pytest.mark.parametrize("name", FEATURES)
def test_what_a_clip_lacks_is_zeros(name: str) -> None:
    about = feature(name)
    nothing = ClipSignals("1001_DFA_ANG_XX", 0, None, None)
    array = about.of(nothing, VIEWS)
    assert not array.any() and array.dtype == about.dtype
    assert array.size == 0 or array.shape == about.of(signals(), VIEWS).shape
    if about.columns:
        assert about.length_of(nothing) == 0


def test_sound_is_heard_in_one_way_with_noise_of_its_own() -> None:
    """Drawn after the shift of the frames, from numbers that clip and seed alone decide."""
    clip = signals()
    rng = view_rng(clip.name, 0, clip.seed)
    rng.random()
    noisy = clip.heard() + rng.standard_normal(len(clip.heard()))
    np.testing.assert_array_equal(clip.noisy(), noisy)
    np.testing.assert_array_equal(feature("log_mel").of(clip, VIEWS), log_mel(noisy)[0])
    np.testing.assert_array_equal(feature("power").of(clip, VIEWS), power_spectrogram(noisy))
    assert not np.array_equal(clip.noisy(), signals(seed=1).noisy())


@settings(deadline=None, max_examples=40)
@given(st.integers(800, 120_000))
def test_lengths_are_those_of_the_arrays(samples: int) -> None:
    clip = ClipSignals("a", 0, None, np.ones(samples, np.int16))
    assert feature("log_mel").length_of(clip) == log_mel(clip.noisy())[1]
    assert feature("waveform").length_of(clip) == samples
    assert feature("power").length_of(clip) == 128


def test_a_picture_is_the_middle_of_the_sampled_frames() -> None:
    np.testing.assert_array_equal(feature("image").of(signals(), VIEWS), FACES[:, 10])
    assert shows_motion(["log_mel", "faces"]) and not shows_motion(["log_mel", "image"])


def test_the_features_of_a_clip_are_those_that_are_asked_for() -> None:
    found = ClipFeatures.of(signals(), ("waveform", "image"), VIEWS)
    assert list(found.arrays) == ["waveform", "image"]
    assert found.lengths == {"waveform": 16_000}
    assert found.nbytes == 2 * 16_000 + VIEWS * 98 * 80


@pytest.mark.parametrize("names", [(), ("faces", "faces"), ("faces", "smell")])
def test_wrong_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(
        UsageError, match="--features is .*one or more of faces, image, stills, power"
    ):
        check_features(names)
    with pytest.raises(UsageError, match="no feature 'smell'. Features: faces, image"):
        feature("smell")


def test_a_waveform_that_is_too_loud_is_limited_not_wrapped() -> None:
    loud = ClipSignals("a", 0, None, np.array([20_000.0, -40_000.0, 0.6]) * 10)
    assert feature("waveform").of(loud, 1).tolist() == [32_767, -32_768, 6]
