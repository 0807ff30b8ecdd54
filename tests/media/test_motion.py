"""How much a video must move, and what is said where it moves little."""

from pathlib import Path

import numpy as np
import pytest
from media_maker import make_clip, noise_frames

from avemotion.config import PreprocessSettings, TimelineSettings
from avemotion.errors import MediaError
from avemotion.features.extraction import extract
from avemotion.features.frame_sampling import even_grid
from avemotion.media.motion import Motion
from avemotion.media.reader import read_arrays, read_clip, read_frames
from avemotion.media.sources import DecodedClip
from avemotion.media.windows import stream_windows


def plain(n: int) -> np.ndarray:
    return np.unique(even_grid(n, 0, 0.0))


def halting(moving: np.ndarray, still: int) -> np.ndarray:
    """Frames, the last of which is repeated."""
    return np.concatenate([moving, moving[-1:].repeat(still, axis=0)])


def lossless(path: Path, frames: np.ndarray, rate: int) -> Path:
    return make_clip(path, frames, rate, codec="ffv1", pixel_format="gray")


CASES = {
    "two frames": (noise_frames(2), 30, "moves for only 0.07 of 0.07 s"),
    "frozen": (halting(noise_frames(1), 59), 30, "moves for only 0.00 of 2.00 s"),
    "a cut to a still": (halting(noise_frames(2), 23), 300, "moves for only 0.00 of 0.08 s"),
    "three frames": (noise_frames(3), 25, "little motion: 3 different frames in 0.12 s"),
    "three frames of a faster one": (
        noise_frames(3), 30, "little motion: 3 different frames in 0.10 s",
    ),
    "nine frames": (noise_frames(9), 9, "little motion: 9 different frames in 1.00 s"),
    "ten frames": (noise_frames(10), 10, ""),
    "two frames, a second each": (
        noise_frames(2), 1, "little motion: 2 different frames in 2.00 s",
    ),
    "nearly half a second": (noise_frames(29), 60, "little motion: 20 different frames in 0.48 s"),
    "half a second": (noise_frames(30), 60, ""),
    "still after 0.8 of 2.5 s": (
        halting(noise_frames(24), 51), 30,
        "the video stands still or repeats for 1.7 of 2.5 s: 7 of 20 sampled frames differ",
    ),
    "still for 0.7 of 2 s": (
        halting(noise_frames(39), 21), 30,
        "the video stands still or repeats for 0.6 of 2.0 s: 14 of 20 sampled frames differ",
    ),
    "still for 0.4 of 2 s": (halting(noise_frames(48), 12), 30, ""),
    "ten frames a second, stored as thirty": (noise_frames(20).repeat(3, axis=0), 30, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_clip_and_a_window_are_judged_by_one_rule(name: str, tmp_path: Path) -> None:
    frames, rate, said = CASES[name]
    path = lossless(tmp_path / "a.mkv", frames, rate)
    arrays = DecodedClip(frames, frame_rate=float(rate))
    (window,) = stream_windows(path, TimelineSettings())
    if "moves" in said:
        for read in (lambda: read_clip(path, None, plain), lambda: read_arrays(arrays, plain)):
            with pytest.raises(MediaError, match=f"{said} .* at least 0.1 s are needed"):
                read()
        assert window.frames is None and "frozen video" in window.no_frames
        return
    for notes in (
        read_clip(path, None, plain).notes,
        read_arrays(arrays, plain).notes,
        window.notes,
    ):
        assert len(notes) == bool(said)
        assert said in "".join(notes)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.8])
def test_a_real_clip_that_repeats_its_last_frame_is_never_taken_without_a_word(
    seconds: float, real_videos: list[Path], tmp_path: Path
) -> None:
    """As a truncated FLV decodes."""
    whole = read_frames(real_videos[0], lambda n: np.arange(n)).frames
    kept = round(30 * seconds)
    path = lossless(tmp_path / "a.avi", halting(whole[:kept], len(whole) - kept), 30)
    with pytest.raises(MediaError, match="more than half of it: the video is frozen or truncated"):
        extract("1001_DFA_ANG_XX", path, None, PreprocessSettings(views=1))
    (note,) = read_clip(path, None, plain).notes
    still, length = len(whole) / 30 - seconds, len(whole) / 30
    assert note.startswith("the video stands still or repeats for ")
    said = float(note.removeprefix("the video stands still or repeats for ").split(" of ")[0])
    assert said == pytest.approx(still, abs=length / 19)  # the distance of sampled frames


def test_training_reads_what_moves_for_half_of_its_duration() -> None:
    Motion(seconds=2.0, sampled=20, distinct=10).check_for_training("a.flv")
    with pytest.raises(MediaError, match="a.flv stands still or repeats for 1.2 of 2.0 s"):
        Motion(seconds=2.0, sampled=20, distinct=9).check_for_training("a.flv")


def test_a_single_frame_that_was_asked_for_is_given(tmp_path: Path) -> None:
    path = lossless(tmp_path / "a.mkv", noise_frames(20), 25)
    clip = read_clip(path, None, lambda n: np.array([n // 2]))
    assert clip.frames is not None and clip.notes == ()


def test_an_unknown_duration_is_no_reason_to_refuse() -> None:
    assert not Motion(seconds=0.0, sampled=20, distinct=20).is_too_little()
    assert Motion(seconds=0.0, sampled=20, distinct=1).is_too_little()
