"""Which of several videos is used, and videos that end long before their sound."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from awkward_inputs import Track, film, voice, write_videos
from media_maker import noise_frames

from avemotion.config import TimelineSettings
from avemotion.errors import MediaError
from avemotion.media.reader import read_clip, read_frames
from avemotion.media.windows import stream_windows

WINDOWS = TimelineSettings(window_seconds=1, hop_seconds=1)


def every(n: int) -> np.ndarray:
    return np.arange(n)


@pytest.mark.parametrize(
    "kinds, used, why",
    [
        ((Disposition(0), Disposition.default), 1, "number 2, the default one"),
        ((Disposition.default, Disposition(0)), 0, "number 1, the default one"),
        ((Disposition(0), Disposition(0)), 0, "number 1, the first one"),
    ],
)
def test_the_default_video_is_used(
    kinds: tuple[Disposition, ...], used: int, why: str, tmp_path: Path
) -> None:
    videos = [noise_frames(25, seed=0), noise_frames(25, seed=1)]
    path = write_videos(tmp_path / "a.mkv", videos, kinds)
    clip, (window,) = read_clip(path, None, every), stream_windows(path, WINDOWS)
    assert clip.frames is not None and window.frames is not None
    np.testing.assert_array_equal(clip.frames.frames, videos[used])
    np.testing.assert_array_equal(window.frames[[0, -1]], videos[used][[0, -1]])
    assert clip.notes == window.notes == (f"of 2 video streams, {why}, is used",)


def test_a_default_video_of_an_unknown_codec_is_not_used(tmp_path: Path) -> None:
    videos = [noise_frames(25, seed=0), noise_frames(25, seed=1)]
    path = write_videos(tmp_path / "a.mkv", videos, [Disposition(0), Disposition.default])
    head, tail = path.read_bytes().rsplit(b"V_FFV1", 1)
    path.write_bytes(head + b"V_XXXX" + tail)
    clip = read_clip(path, None, every)
    assert clip.frames is not None
    np.testing.assert_array_equal(clip.frames.frames, videos[0])


def test_a_cover_image_beside_a_video_needs_no_note(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.mp4", noise_frames(26)
    with av.open(str(path), "w") as out:
        video, cover = out.add_stream("libx264", rate=25), out.add_stream("png", rate=1)
        for stream, pixels in ((video, "yuv420p"), (cover, "gray")):
            stream.height, stream.width, stream.pix_fmt = 96, 128, pixels
        cover.disposition = Disposition.attached_pic
        out.start_encoding()
        images = [av.VideoFrame.from_ndarray(grey, format="gray") for grey in frames]
        out.mux([*cover.encode(images.pop()), *cover.encode(None)])
        for image in images:
            out.mux(video.encode(image))
        out.mux(video.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert read_clip(path, None, every).notes == ()


OUTLASTED = {
    "a.mp4": ("libx264", "aac", 16_000),
    "a.mov": ("libx264", "pcm_s16le", 16_000),
    "a.avi": ("mpeg4", "libmp3lame", 44_100),
    "a.ts": ("libx264", "aac", 16_000),
    "a.mkv": ("libx264", "flac", 16_000),
    "a.webm": ("libvpx", "libopus", 48_000),
    "a.flv": ("flv", "libmp3lame", 44_100),
}


@pytest.mark.parametrize("name", OUTLASTED)
def test_a_sound_may_last_four_times_as_long_in_any_container(name: str, tmp_path: Path) -> None:
    codec, sound_codec, rate = OUTLASTED[name]
    sound = [Track(voice(4.0), codec=sound_codec, rate=rate)]
    path = film(tmp_path / name, noise_frames(25), sound, codec)
    clip = read_clip(path, path, every)
    assert clip.frames is not None and clip.sound is not None
    assert clip.frames.decoded == 25
    assert clip.frames.duration_seconds == pytest.approx(1, abs=0.05)
    assert clip.sound.duration_seconds == pytest.approx(4, abs=0.2)
    assert read_frames(path, every).decoded == 25, "also without its sound"
    windows = list(stream_windows(path, WINDOWS))
    assert [bool(window.no_frames) for window in windows[:4]] == [False, True, True, True]
    assert all(window.samples is not None for window in windows[:4])
    assert len(list(stream_windows(path, WINDOWS, with_sound=False))) <= 2


@pytest.mark.parametrize("name", ["a.flv", "a.mkv"])
@pytest.mark.parametrize("with_sound", [True, False])
def test_a_rest_that_is_overwritten_is_found_by_clip_and_timeline(
    name: str, with_sound: bool, tmp_path: Path
) -> None:
    """Four seconds; all that comes after the first third is zeros."""
    codec, sound_codec, rate = OUTLASTED[name]
    sound = [Track(voice(4.0), codec=sound_codec, rate=rate)] if with_sound else []
    path = film(tmp_path / name, noise_frames(100), sound, codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3].ljust(len(content), b"\0"))
    message = rf"only the first [01]\.\d of the [34]\.\d s that {name} announces"
    with pytest.raises(MediaError, match=message):
        read_clip(path, path if with_sound else None, every)
    windows = stream_windows(path, WINDOWS)
    assert next(windows).frames is not None
    with pytest.raises(MediaError, match=message):
        list(windows)


def test_a_video_that_ends_before_its_own_duration_is_damaged_whatever_its_sound(
    tmp_path: Path,
) -> None:
    """An AVI's header of the video announces 100 frames; 25 are there, and 4 s of sound."""
    sound = [Track(voice(4.0), codec="libmp3lame", rate=44_100)]
    path = film(tmp_path / "a.avi", noise_frames(25), sound, "mpeg4")
    content = bytearray(path.read_bytes())
    length = content.index(b"vids") + 32  # dwLength of AVISTREAMHEADER
    content[length : length + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"only the first 1\.0 of the 4\.0 s that a.avi"):
        read_clip(path, path, every)


def test_a_long_last_frame_is_no_damage(tmp_path: Path) -> None:
    """Slides: the last of three is shown for 3.6 of 4 s."""
    short = film(tmp_path / "short.mp4", noise_frames(3), times=[0, 200, 400], bf="0")
    path = tmp_path / "long.mp4"
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None:
                at = packet.pts * packet.time_base
                packet.duration = round(
                    (Fraction(36, 10) if at > 0.3 else Fraction(1, 5)) / packet.time_base
                )
                packet.stream = stream
                target.mux(packet)
    with av.open(str(path)) as container:
        assert container.duration == 4_000_000
    assert read_clip(path, None, every).frames is not None
