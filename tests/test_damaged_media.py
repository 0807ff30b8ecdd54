"""Damage that decoders do not complain of is found all the same."""

from pathlib import Path

import numpy as np
import pytest
from media_maker import make_clip, make_wav, noise_frames, speech_like

from avemotion.config import PreprocessSettings
from avemotion.errors import MediaError
from avemotion.extraction import extract
from avemotion.media import read_frames, read_sound

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
    with pytest.raises(MediaError, match="sampled frames of frozen.avi differ: .*frozen"):
        extract("1001_DFA_ANG_XX", path, None, SETTINGS)


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2_147_483_647])
def test_impossible_sampling_rates_are_named(tmp_path: Path, rate: int):
    path = make_wav(tmp_path / "sound.wav", speech_like(1))
    content = bytearray(path.read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(MediaError, match=f"sound.wav claims {rate:,} samples a second"):
        read_sound(path)


def test_a_stream_that_no_decoder_knows_is_named(tmp_path: Path):
    path = make_wav(tmp_path / "sound.wav", speech_like(1))
    content = bytearray(path.read_bytes())
    content[20:22] = (0x7ABC).to_bytes(2, "little")  # the format's number
    path.write_bytes(content)
    with pytest.raises(MediaError, match="its audio is of a kind that FFmpeg does not know"):
        read_sound(path)
