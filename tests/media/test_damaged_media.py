"""Damage that decoders do not complain of is found all the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from media_maker import make_clip, make_wav, noise_frames, speech_like

from avemotion.config import PreprocessSettings, TimelineSettings
from avemotion.errors import MediaError, NoAudioError
from avemotion.features.extraction import extract
from avemotion.media import reader
from avemotion.media.reader import read_frames, read_sound
from avemotion.media.windows import MediaWindow, stream_windows

SETTINGS = PreprocessSettings()


def every(n: int) -> np.ndarray:
    return np.arange(n)


def test_a_video_whose_rest_is_overwritten_is_refused(tmp_path: Path):
    whole = make_clip(tmp_path / "whole.flv", noise_frames(50))
    content = whole.read_bytes()
    assert len(read_frames(whole, every).frames) == 50
    damaged = tmp_path / "damaged.flv"
    damaged.write_bytes(content[: int(0.4 * len(content))].ljust(len(content), b"\0"))
    with pytest.raises(MediaError, match=r"only the first 0\.\d of the 2\.0 s that damaged.flv"):
        read_frames(damaged, every)
    damaged.write_bytes(content[: int(0.8 * len(content))].ljust(len(content), b"\0"))
    assert 35 < len(read_frames(damaged, every).frames) < 50


def test_the_plain_view_must_not_repeat_even_where_all_views_together_do_not(tmp_path: Path):
    moving = noise_frames(18)
    frozen = moving[-1:].repeat(42, axis=0)
    path = make_clip(tmp_path / "frozen.avi", np.concatenate([moving, frozen]), codec="ffv1",
                     pixel_format="gray")  # fmt: skip
    with pytest.raises(
        MediaError, match=r"frozen.avi stands still or repeats for 1.\d of 2.4 s .*frozen"
    ):
        extract("1001_DFA_ANG_XX", path, None, SETTINGS)


def claiming(path: Path, place: int, value: int, size: int, seconds: float = 1) -> Path:
    """Write a sound with another number in its header."""
    content = bytearray(make_wav(path, speech_like(seconds)).read_bytes())
    content[place : place + size] = value.to_bytes(size, "little")
    path.write_bytes(content)
    return path


def first_window(path: Path) -> MediaWindow:
    return next(stream_windows(path, TimelineSettings()))


@pytest.mark.parametrize("read", [read_sound, first_window])
@pytest.mark.parametrize("rate", [0, 1, 999, 768_001, 2_147_483_647])
def test_impossible_sampling_rates_are_named(
    tmp_path: Path, rate: int, read: Callable[[Path], object]
):
    path = claiming(tmp_path / "sound.wav", 24, rate, 4)
    said = f"sound.wav claims {rate:,} samples a second" if rate else "sound.wav cannot be decoded"
    with pytest.raises(MediaError, match=said):
        read(path)


@pytest.mark.parametrize(
    "rate",
    [1_000, 8_000, 11_025, 22_050, 24_000, 32_000, 44_056, 44_100, 44_101, 47_952, 48_000, 88_200,
     96_000, 176_400, 192_000, 250_000, 352_800, 384_000, 705_600, 767_999, 768_000],
)  # fmt: skip
def test_sampling_rates_of_devices_and_odd_ones_are_read(tmp_path: Path, rate: int):
    path = claiming(tmp_path / "sound.wav", 24, rate, 4, seconds=5)
    sound = read_sound(path)
    assert len(sound.samples) == round(80_000 * 16_000 / rate)
    window = first_window(path)
    assert window.samples is not None
    np.testing.assert_array_equal(window.samples, sound.samples[: len(window.samples)])


def test_a_short_sound_is_refused_before_it_is_resampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = claiming(tmp_path / "sound.wav", 24, 44_100, 4, seconds=4409 / 16_000)
    with pytest.raises(NoAudioError, match="sound.wav lasts 0.100 s"):
        read_sound(path)
    assert len(read_sound(claiming(path, 24, 44_100, 4, 4410 / 16_000)).samples) == 1600
    monkeypatch.setattr(reader, "resample", None)
    with pytest.raises(NoAudioError, match="lasts 0.083 s"):
        read_sound(claiming(path, 24, 192_000, 4, 1))


@pytest.mark.parametrize("read", [read_sound, first_window])
def test_a_stream_that_no_decoder_knows_is_named(tmp_path: Path, read: Callable[[Path], object]):
    path = claiming(tmp_path / "sound.wav", 20, 0x1234, 2)  # the format's number
    with pytest.raises(MediaError, match="its audio codec is unknown to FFmpeg"):
        read(path)
