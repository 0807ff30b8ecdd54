"""Windows over long media: which frames and samples each holds, by independent readings."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_maker import make_clip, noise_frames, sine, speech_like

from avemotion.config import TimelineSettings
from avemotion.errors import MediaError, MissingModalityError
from avemotion.features.frame_sampling import even_grid
from avemotion.media.reader import read_clip
from avemotion.media.video_stream import evenly_in_time
from avemotion.media.windows import MediaWindow, spans, stream_windows

SETTINGS = TimelineSettings(window_seconds=2.0, hop_seconds=0.5)


@given(st.integers(0, 5000), st.integers(1, 500), st.data())
def test_windows_cover_everything_and_end_with_the_media(
    duration: int, window: int, data: st.DataObject
) -> None:
    hop = data.draw(st.integers(1, window))
    found = list(spans(window, hop, lambda end: min(end, duration)))
    if duration == 0:
        assert found == []
        return
    assert found[0][0] == 0 and found[-1][1] == duration
    assert all(end - start == min(window, duration) for start, end in found)
    assert all(start == number * hop for number, (start, _) in enumerate(found[:-1]))
    for before, after in pairwise(found):
        assert 0 < after[0] - before[0] <= hop  # so nothing lies between them
    # As many as are needed: the last but one does not reach the end.
    assert all(end < duration for _, end in found[:-1])


@given(st.integers(1, 400), st.sampled_from([Fraction(30000, 1001), Fraction(25), Fraction(60)]))
def test_at_a_constant_rate_the_frames_are_those_of_a_clips_plain_grid(
    n: int, rate: Fraction
) -> None:
    times = np.arange(n) / float(rate) + 7.3
    assert evenly_in_time(times) == even_grid(n, 0, 0.0).tolist()


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=100))
def test_frames_are_the_nearest_in_time(steps: list[float]) -> None:
    times = np.cumsum(steps)
    chosen = evenly_in_time(times)
    assert chosen == sorted(chosen)
    for place, number in zip(np.linspace(times[0], times[-1], 20), chosen, strict=True):
        assert abs(times[number] - place) == pytest.approx(np.abs(times - place).min(), abs=1e-9)


def all_frames(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Times and luma of every frame, read by PyAV alone."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [float(f.time) for f in frames], [f.to_ndarray(format="gray") for f in frames]


def check_frames(window: MediaWindow, times: list[float], grey: list[np.ndarray]) -> None:
    """A window's frames are the nearest to 20 places, and none is from outside."""
    inside = [
        i
        for i, t in enumerate(times)
        if window.start_seconds - 1e-9 <= t < window.end_seconds - 1e-9
    ]
    assert window.frames_decoded == len(inside) and window.frames is not None
    places = np.linspace(times[inside[0]], times[inside[-1]], 20)
    for place, frame, at in zip(places, window.frames, window.frame_seconds, strict=True):
        nearest = min(inside, key=lambda i: abs(times[i] - place))
        assert at == pytest.approx(times[nearest], abs=1e-6)
        assert np.abs(frame.astype(int) - grey[nearest]).max() <= 1  # rounding of grey


def test_frames_and_sound_against_an_independent_reading(tmp_path: Path) -> None:
    sound = speech_like(7.3, seed=1).astype(np.float32) / 32_768
    path = make_clip(
        tmp_path / "long.mkv", noise_frames(182), 25, sound=sound, sound_rate=16_000, codec="mpeg4"
    )
    times, grey = all_frames(path)
    windows = list(stream_windows(path, SETTINGS))
    assert [(w.start_seconds, w.end_seconds) for w in windows] == [
        *((k / 2, k / 2 + 2) for k in range(11)), (5.3, 7.3),
    ]  # fmt: skip
    pcm = np.round(sound * 32_767).astype(np.int16)
    for window in windows:
        check_frames(window, times, grey)
        first, last = (round(s * 16_000) for s in (window.start_seconds, window.end_seconds))
        assert np.array_equal(window.samples, pcm[first:last])
        assert window.missing_seconds == 0 and not (window.no_frames or window.no_sound)


def test_sound_at_another_rate_is_that_of_reading_the_whole(tmp_path: Path) -> None:
    stereo = np.stack([sine(440, 6, 44_100), sine(660, 6, 44_100, 0.2)])
    path = make_clip(tmp_path / "sound.wav", None, sound=stereo)
    whole = read_clip(None, path, lambda n: np.arange(n)).sound
    assert whole is not None
    for window in stream_windows(path, SETTINGS):
        first, last = (round(s * 16_000) for s in (window.start_seconds, window.end_seconds))
        assert window.samples is not None and window.no_frames == "the file has no video"
        assert window.kind == "sound"
        assert np.array_equal(window.samples, whole.samples[first:last])


def write_timed(
    path: Path, frames: np.ndarray, seconds: list[float], sounds: dict[float, np.ndarray]
):
    """Write a Matroska file with frames, and blocks of 16 kHz sound, at chosen times."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.height, video.width, video.pix_fmt = *frames.shape[1:], "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        video.options = {"qmin": "1", "qmax": "3"}
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono") if sounds else None
        packets = []
        for grey, at in zip(frames, seconds, strict=True):
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(1000 * at), Fraction(1, 1000)
            packets += video.encode(frame)
        packets += video.encode(None)
        for at, samples in sounds.items():
            for offset in range(0, len(samples), 1600):
                block = av.AudioFrame.from_ndarray(
                    samples[None, offset : offset + 1600], format="s16", layout="mono"
                )
                block.sample_rate, block.time_base = 16_000, Fraction(1, 16_000)
                block.pts = round(at * 16_000) + offset
                packets += audio.encode(block)
        packets.sort(key=lambda p: p.pts * p.time_base)
        for packet in packets:
            container.mux(packet)
    return path


def test_a_variable_rate_is_sampled_by_time(tmp_path: Path) -> None:
    """The first second has 50 frames, every later one 8: by number, most would be of the first."""
    seconds = [i / 50 for i in range(50)] + [1 + i / 8 for i in range(32)]
    path = write_timed(tmp_path / "vfr.mkv", noise_frames(len(seconds)), seconds, {})
    times, grey = all_frames(path)
    assert times == pytest.approx(seconds, abs=1e-3)
    windows = list(stream_windows(path, SETTINGS))
    assert [w.no_sound for w in windows] == ["the file has no sound"] * len(windows)
    for window in windows:
        check_frames(window, times, grey)
    assert sum(at < 1 for at in windows[0].frame_seconds) <= 11


def test_gaps_offsets_and_ends_are_told_window_by_window(tmp_path: Path) -> None:
    """Sound from 1 to 5 s and from 8 to 14 s; frames from 0 to 4 s and from 9 to 12 s."""
    early, late = speech_like(4, 1), speech_like(6, 2)
    seconds = [i / 25 for i in range(100)] + [9 + i / 25 for i in range(75)]
    path = write_timed(tmp_path / "gaps.mkv", noise_frames(175), seconds, {1: early, 8: late})
    windows = list(stream_windows(path, TimelineSettings(window_seconds=2, hop_seconds=1)))
    assert windows[-1].end_seconds == 14
    truth = np.zeros(14 * 16_000, np.int16)
    truth[16_000 : 5 * 16_000], truth[8 * 16_000 :] = early, late
    there = [(1, 5), (8, 14)]
    for window in windows:
        start, end = window.start_seconds, window.end_seconds
        heard = [(max(a, start), min(b, end)) for a, b in there if a < end and b > start]
        length = sum(b - a for a, b in heard)
        if length < 1:
            assert window.samples is None and "in this window" in window.no_sound
        else:
            first, last = round(heard[0][0] * 16_000), round(heard[-1][1] * 16_000)
            assert np.array_equal(window.samples, truth[first:last])
            assert window.missing_seconds == pytest.approx(2 - length)
        shown = sum(start <= t < end for t in seconds) / 25
        assert (window.frames is None) == (shown < 1), window
        assert window.frames_decoded == (round(25 * shown) if shown >= 1 else 0)
    neither = [w for w in windows if w.frames is None and w.samples is None]
    assert [w.start_seconds for w in neither] == [5, 6]
    assert neither[0].no_frames and neither[0].no_sound


def test_a_short_gap_inside_a_window_is_zeros(tmp_path: Path) -> None:
    first, second = speech_like(1, 1), speech_like(2, 2)
    seconds = [i / 25 for i in range(88)]
    path = write_timed(tmp_path / "gap.mkv", noise_frames(88), seconds, {0: first, 1.5: second})
    window = next(iter(stream_windows(path, SETTINGS)))
    expected = np.concatenate([first, np.zeros(8000, np.int16), second[:8000]])
    assert np.array_equal(window.samples, expected)
    assert window.missing_seconds == 0.5


def test_time_counts_from_the_earlier_stream(tmp_path: Path) -> None:
    """Both streams start late, the sound half a second after the picture."""
    seconds = [10 + i / 25 for i in range(100)]
    speech = speech_like(3.5)
    path = write_timed(tmp_path / "late.mkv", noise_frames(100), seconds, {10.5: speech})
    windows = list(stream_windows(path, SETTINGS))
    assert [w.start_seconds for w in windows] == [0, 0.5, 1, 1.5, 2]
    assert windows[0].frame_seconds[0] == 0 and windows[0].missing_seconds == 0.5
    assert np.array_equal(windows[0].samples, speech[: round(1.5 * 16_000)])
    assert np.array_equal(windows[1].samples, speech[: 2 * 16_000])


def test_a_frozen_picture_is_no_face(tmp_path: Path) -> None:
    moving = noise_frames(60)
    frames = np.concatenate([moving, np.repeat(moving[-1:], 60, axis=0)])
    path = make_clip(tmp_path / "frozen.mkv", frames, 25, codec="mpeg4")
    windows = list(stream_windows(path, SETTINGS))
    assert windows[0].frames is not None
    assert windows[-1].frames is None and "frozen video" in windows[-1].no_frames


def test_large_and_fast_video_is_held_small(tmp_path: Path) -> None:
    second = TimelineSettings(window_seconds=1, hop_seconds=1)
    coarse = noise_frames(10, 18, 24, smooth=2).repeat(50, axis=1).repeat(50, axis=2)
    path = make_clip(tmp_path / "large.mkv", coarse, 10, codec="mpeg4")
    window = next(stream_windows(path, second))
    assert window.frames is not None and window.frames.shape == (20, 720, 960)
    assert window.scale == (1.25, 1.25)
    path = make_clip(tmp_path / "fast.mkv", noise_frames(480), 240, codec="mpeg4")
    for window in stream_windows(path, second):
        assert 100 <= window.frames_decoded <= 200
        places = np.linspace(window.frame_seconds[0], window.frame_seconds[-1], 20)
        assert np.abs(places - window.frame_seconds).max() <= 1 / 200


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "mute.mkv", noise_frames(50), 25, codec="mpeg4")
    with pytest.raises(MissingModalityError, match="no sound"):
        next(stream_windows(path, SETTINGS, with_video=False))
    back = write_timed(
        tmp_path / "back.mkv", noise_frames(100), [i / 25 for i in range(100)], {0: speech_like(9)}
    )
    joined = tmp_path / "joined.mkv"
    with av.open(str(back)) as source, av.open(str(joined), "w", format="matroska") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.pts is not None:
                packet.stream = stream
                packet.pts = packet.dts = packet.pts + (7200_000 if packet.pts > 4000 else 0)
                target.mux(packet)
    windows = stream_windows(joined, SETTINGS)
    assert next(windows).samples is not None
    with pytest.raises(MediaError, match="time stamps jump"):
        list(windows)
    with pytest.raises(MediaError, match="no such file"):
        next(stream_windows(tmp_path / "nothing.mp4", SETTINGS))
