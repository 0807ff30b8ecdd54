import os
import shutil

import av
import cv2
import decord
import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
from media_maker import make_clip, make_wav, noise_frames, sine, speech_like, write_pointer

from avemotion.errors import MediaError, NoAudioError, NoVideoError, UsageError
from avemotion.media import decoder
from avemotion.media.reader import READERS, read_clip, read_frames, read_sound, read_streams


def every(n):
    return np.arange(n)


def twenty(n):
    return np.unique(np.rint(np.linspace(0, n - 1, 20)).astype(np.intp))


# Frames


def test_readers_agree_on_real_frames(real_videos):
    for path in real_videos:
        ours = read_frames(path, twenty, "pyav")
        theirs = read_frames(path, twenty, "decord")
        assert ours.decoded == theirs.decoded
        np.testing.assert_array_equal(ours.indices, theirs.indices)
        assert ours.duration_seconds == pytest.approx(theirs.duration_seconds, abs=0.01)
        for a, b in zip(ours.frames.astype(float), theirs.frames.astype(float), strict=True):
            assert np.abs(a - b).mean() < 2
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.999


def test_chosen_frames_are_the_right_ones(real_videos):
    """Against decord's own reading of all frames: every other frame must fit worse."""
    colour = decord.VideoReader(str(real_videos[0]))[:].asnumpy()
    theirs = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in colour]).astype(float)
    ours = read_frames(real_videos[0], every).frames.astype(float)
    # The head is nearly still: without the mean picture only what moves is compared.
    correlation = np.corrcoef(
        (ours - ours.mean(axis=0)).reshape(len(ours), -1)[:, ::7],
        (theirs - theirs.mean(axis=0)).reshape(len(theirs), -1)[:, ::7],
    )[: len(ours), len(ours) :]
    np.testing.assert_array_equal(correlation.argmax(axis=1), np.arange(len(ours)))
    few = read_frames(real_videos[0], lambda n: np.array([0, 3, 20, n - 1]))
    np.testing.assert_array_equal(few.frames, ours[[0, 3, 20, len(ours) - 1]])


def test_luma_table_is_the_grey_conversion(real_videos):
    ours = read_frames(real_videos[0], lambda n: np.array([10]))
    with av.open(str(real_videos[0])) as container:
        frames = container.decode(video=0)
        frame = next(frame for number, frame in enumerate(frames) if number == 10)
        assert frame.format.name == "yuv420p"
        # FFmpeg's own conversion, through colour, independent of any table of ours
        colour = frame.to_ndarray(format="rgb24")
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY).astype(float)
    difference = np.abs(ours.frames[0] - grey)
    # Saturated colours clip on their way through RGB: the bound is on the mean.
    assert difference.mean() < 1.5


@pytest.mark.parametrize(
    "name, options, bound",
    [
        ("a.mkv", {"codec": "ffv1"}, 1),
        ("b.mkv", {"codec": "ffv1", "pixel_format": "gray"}, 0),
        ("c.mkv", {"codec": "mjpeg", "pixel_format": "yuvj420p"}, 4),  # full range
        ("f.mkv", {"codec": "ffv1", "full_range": True}, 1),  # yuv420p all the same
        ("d.flv", {"codec": "flv"}, 4),
        ("e.mp4", {"codec": "mpeg4"}, 4),
    ],
)
@pytest.mark.parametrize("width", [128, 136])  # 136: rows of the plane are padded
def test_grey_levels_come_back(tmp_path, name, options, bound, width):
    levels = np.linspace(0, 255, 24).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None], (24, 96, width)).copy()
    frames[:, :48] = levels[::-1, None, None]
    video = read_frames(make_clip(tmp_path / name, frames, **options), every)
    assert video.decoded == 24
    error = np.abs(video.frames[:, 4:44].astype(int) - frames[:, 4:44]).max()
    error = max(error, np.abs(video.frames[:, 52:92].astype(int) - frames[:, 52:92]).max())
    assert error <= bound


@pytest.mark.parametrize("reader", ["pyav", "decord"])
def test_rotated_videos_come_upright(tmp_path, reader):
    upright = noise_frames(24, height=128, width=96)
    stored = np.ascontiguousarray(np.rot90(upright, k=-1, axes=(1, 2)))  # turned clockwise
    path = make_clip(tmp_path / "phone.mp4", stored, codec="mpeg4", rotation=90)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).rotation == 90  # counter-clockwise to be upright
    video = read_frames(path, every, reader)
    assert video.frames.shape == (24, 128, 96)
    assert np.abs(video.frames.astype(int) - upright).mean() < 4


def test_views_may_repeat_stored_duplicates(tmp_path):
    """10 frames a second stored as 30: every frame thrice, and all of them are asked for."""
    frames = noise_frames(20).repeat(3, axis=0)
    path = make_clip(tmp_path / "slow.mkv", frames, rate=30, codec="ffv1")
    assert read_frames(path, every).frames.shape[0] == 60


def test_frozen_video_is_refused(tmp_path):
    path = make_clip(tmp_path / "frozen.mkv", noise_frames(1).repeat(40, axis=0), codec="ffv1")
    with pytest.raises(MediaError, match=r"frozen.mkv moves for only 0.00 of 1.60 s \(1 of 20 "):
        read_frames(path, twenty)


@pytest.mark.parametrize(
    "frames, said", [(1, "single frame: an image"), (3, "1 of 3 sampled frames")]
)
def test_pictures_are_no_videos(tmp_path, frames, said):
    still = noise_frames(1).repeat(frames, axis=0)
    path = make_clip(tmp_path / "still.mkv", still, codec="ffv1")
    with pytest.raises(MediaError, match=said):
        read_frames(path, every)


def test_short_videos_are_read(tmp_path):
    path = make_clip(tmp_path / "short.mkv", noise_frames(4), codec="ffv1")
    assert read_frames(path, every).decoded == 4


def test_a_songs_cover_is_no_video(tmp_path):
    path = tmp_path / "song.mp3"
    cover = cv2.imencode(".png", noise_frames(1)[0])[1].tobytes()
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libmp3lame", rate=16_000, layout="mono")
        image = container.add_stream("png", rate=1)
        image.width, image.height, image.pix_fmt = 128, 96, "gray"
        image.disposition = av.stream.Disposition.attached_pic
        container.start_encoding()
        packet = av.Packet(cover)
        packet.stream = image
        packet.pts = packet.dts = 0
        container.mux(packet)
        sound = (sine(440, 1, 16_000) * 32767).astype(np.int16)
        for start in range(0, 16_000, 1152):
            block = av.AudioFrame.from_ndarray(sound[None, start : start + 1152], "s16", "mono")
            block.sample_rate, block.pts = 16_000, start
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video  # FFmpeg shows the cover as a video
    with pytest.raises(NoVideoError):
        read_frames(path, every)
    assert read_streams(path) == (False, True)
    assert read_sound(path).duration_seconds == pytest.approx(1, abs=0.1)


def test_unknown_reader_is_refused(tmp_path):
    with pytest.raises(UsageError, match="'cv2'.*pyav, decord"):
        read_frames(tmp_path / "a.flv", every, "cv2")


@pytest.mark.parametrize("held", [0, 2**26])
def test_one_pass_reads_what_two_do(real_videos, held, monkeypatch):
    """Whether the packets are held between counting and decoding, or read again."""
    monkeypatch.setattr(decoder, "_HELD_BYTES", held)
    for path in real_videos[:2]:
        both = read_clip(path, path, twenty)
        with av.open(str(path)) as container:
            assert both.frames.decoded == sum(1 for _ in container.decode(video=0))
        apart = read_frames(path, twenty, "decord")
        np.testing.assert_array_equal(both.frames.indices, apart.indices)
        assert np.abs(both.frames.frames.astype(float) - apart.frames).mean() < 2
        np.testing.assert_array_equal(both.sound.samples, read_sound(path).samples)


def test_what_a_clip_lacks_is_said(tmp_path, real_videos):
    wav = make_wav(tmp_path / "voice.wav", speech_like(1))
    mute = make_clip(tmp_path / "mute.flv", noise_frames(30))
    alone = read_clip(wav, wav, twenty)
    assert alone.frames is None and alone.no_frames == "voice.wav is a sound file"
    assert alone.sound.duration_seconds == 1 and alone.no_sound == ""
    seen = read_clip(mute, mute, twenty)
    assert seen.sound is None and seen.no_sound == "mute.flv has no audio track"
    assert len(seen.frames.frames) == 20 and seen.no_frames == ""
    apart = read_clip(mute, wav, twenty)
    assert apart.frames is not None and apart.sound is not None
    nothing = read_clip(None, None, twenty)
    assert (nothing.no_frames, nothing.no_sound) == ("no video file", "no sound file")


def test_packets_without_a_frame_do_not_shift_the_grid(tmp_path):
    """Numbers are those of decoded frames: a container may count others."""
    frames = noise_frames(40)
    whole = make_clip(tmp_path / "whole.mkv", frames, codec="mpeg4")
    holed = tmp_path / "holed.mkv"
    with av.open(str(whole)) as old, av.open(str(holed), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.dts is None:
                continue
            if number in (10, 11, 12):  # as a muxer's filler: a packet that decodes to nothing
                filler = av.Packet(b"\x00\x00\x01\xb6\x00")
                filler.pts, filler.dts = packet.pts, packet.dts
                packet = filler
            packet.stream = stream
            new.mux(packet)
    with av.open(str(holed)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 40
    with av.open(str(holed)) as container:
        theirs = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert len(theirs) == 37
    ours = read_frames(holed, twenty)
    assert ours.decoded == 37
    np.testing.assert_array_equal(ours.indices, twenty(37))
    expected = np.stack([theirs[i] for i in twenty(37)]).astype(int)
    assert np.abs(ours.frames - expected).max() <= 2  # our luma table against FFmpeg's scaler


# Sound


def test_real_wavs_come_out_as_they_are(real_sounds):
    for path in real_sounds[::100]:
        rate, expected = scipy.io.wavfile.read(path)
        sound = read_sound(path)
        assert sound.sample_rate == rate == 16_000
        np.testing.assert_array_equal(sound.samples, expected)


def test_channels_are_averaged(tmp_path):
    left, right = speech_like(1, seed=1), speech_like(1, seed=2)
    path = make_wav(tmp_path / "stereo.wav", np.stack([left, right], axis=1))
    expected = (left.astype(float) + right) / 2
    np.testing.assert_allclose(read_sound(path).samples, expected, atol=0.51)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("frequency", [300.0, 3_000.0])
def test_resampling_keeps_frequency_and_amplitude(tmp_path, rate, frequency):
    pcm = (sine(frequency, 1.0, rate, amplitude=0.25) * 32768).round().astype(np.int16)
    samples = read_sound(make_wav(tmp_path / "tone.wav", pcm, rate)).samples
    assert len(samples) == 16_000
    middle = samples[1_000:15_000].astype(float)
    # Least squares on the tone itself: whatever it does not explain is distortion.
    time = np.arange(1_000, 15_000) / 16_000
    basis = np.stack([np.cos(2 * np.pi * frequency * time), np.sin(2 * np.pi * frequency * time)])
    weights, *_ = np.linalg.lstsq(basis.T, middle, rcond=None)
    assert np.hypot(*weights) == pytest.approx(0.25 * 32768, rel=0.01)
    assert (middle - weights @ basis).std() < 0.01 * 0.25 * 32768


def test_tones_that_16_khz_cannot_hold_vanish(tmp_path):
    pcm = (sine(12_000, 1.0, 48_000) * 32767).astype(np.int16)
    samples = read_sound(make_wav(tmp_path / "high.wav", pcm, 48_000)).samples
    assert samples[1_000:-1_000].std() < 0.005 * 32767


def test_sound_of_a_real_video_is_that_of_its_wav(crema_d, real_videos):
    video = next(v for v in real_videos if (crema_d / "AudioWAV" / f"{v.stem}.wav").is_file())
    ours = read_sound(video).samples.astype(float)
    _, official = scipy.io.wavfile.read(crema_d / "AudioWAV" / f"{video.stem}.wav")
    match = scipy.signal.correlate(ours, official.astype(float), method="fft")
    assert match.max() / np.linalg.norm(ours) / np.linalg.norm(official) > 0.9


# Wrong input


def readers():
    yield lambda path: read_sound(path)
    for name in READERS:
        yield lambda path, name=name: read_frames(path, twenty, name)


@pytest.mark.parametrize("read", list(readers()))
def test_what_is_no_media_file_is_named(tmp_path, read):
    with pytest.raises(MediaError, match="no such file"):
        read(tmp_path / "nowhere.flv")
    with pytest.raises(MediaError, match="not a regular file"):
        read(tmp_path)
    (tmp_path / "empty.flv").touch()
    with pytest.raises(MediaError, match="empty"):
        read(tmp_path / "empty.flv")
    with pytest.raises(MediaError, match="git lfs pull"):
        read(write_pointer(tmp_path / "pointer.flv"))
    (tmp_path / "text.flv").write_text("nothing that a decoder knows\n" * 50)
    with pytest.raises(MediaError, match="text.flv cannot be decoded"):
        read(tmp_path / "text.flv")
    os.mkfifo(tmp_path / "pipe.flv")  # reading it would wait for ever
    with pytest.raises(MediaError, match="not a regular file"):
        read(tmp_path / "pipe.flv")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("read", list(readers()))
def test_truncated_real_video_is_an_error_and_never_a_missing_part(
    tmp_path, real_videos, share, read
):
    data = real_videos[0].read_bytes()
    path = tmp_path / "cut.flv"
    path.write_bytes(data[: max(20, int(len(data) * share))])
    with pytest.raises(MediaError, match="cut.flv (is truncated|cannot be decoded)") as caught:
        read(path)
    assert not isinstance(caught.value, NoVideoError | NoAudioError)


def test_truncated_wav_is_an_error(tmp_path):
    path = make_wav(tmp_path / "cut.wav", speech_like(1))
    path.write_bytes(path.read_bytes()[:16_000])
    with pytest.raises(MediaError, match=r"cut.wav is truncated.* 32,044 bytes.* 16,000"):
        read_sound(path)


def test_wav_from_a_pipe_is_read(tmp_path):
    """Writers that cannot seek back leave a placeholder for the length."""
    path = make_wav(tmp_path / "piped.wav", speech_like(1))
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert read_sound(path).duration_seconds == 1


def test_truncated_mp4_is_an_error_with_its_index_in_front(tmp_path):
    whole = make_clip(tmp_path / "whole.mp4", noise_frames(40), codec="mpeg4")
    front = tmp_path / "front.mp4"
    with (
        av.open(str(whole)) as old,
        av.open(str(front), "w", options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    assert read_frames(front, twenty).decoded == 40
    data = front.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    front.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(MediaError, match="truncated"):
        read_frames(front, twenty)


def test_rubbish_after_the_end_does_no_harm(tmp_path, real_videos):
    path = tmp_path / "tail.flv"
    path.write_bytes(real_videos[0].read_bytes() + bytes(100))
    assert read_frames(path, twenty).decoded == read_frames(real_videos[0], twenty).decoded


def test_missing_streams_have_their_own_errors(tmp_path):
    wav = make_wav(tmp_path / "voice.wav", speech_like(1))
    for reader in READERS:
        with pytest.raises(NoVideoError, match="voice.wav is a sound file"):
            read_frames(wav, twenty, reader)
    mute = make_clip(tmp_path / "mute.flv", noise_frames(30))
    with pytest.raises(NoAudioError, match="mute.flv has no audio track"):
        read_sound(mute)
    silent = make_wav(tmp_path / "silent.wav", np.zeros(16_000, np.int16))
    with pytest.raises(NoAudioError, match="silent.wav is silent"):
        read_sound(silent)
    short = make_wav(tmp_path / "click.wav", speech_like(0.05))
    with pytest.raises(NoAudioError, match="0.050 s, at least 0.1 s"):
        read_sound(short)


def test_streams_are_told_from_the_head(tmp_path, real_videos, real_sounds):
    assert read_streams(real_videos[0], 16_384) == (True, True)
    assert read_streams(real_sounds[0], 4_096) == (False, True)
    mute = make_clip(tmp_path / "mute.flv", noise_frames(30))
    assert read_streams(mute) == (True, False)


def test_names_with_blanks_and_other_letters(tmp_path, real_videos):
    odd = tmp_path / "ein Clip, ähnlich — 1%.flv"
    shutil.copyfile(real_videos[0], odd)
    assert len(read_frames(odd, twenty).frames) == 20
