"""One to sixteen channels, silent ones, samples that are no numbers: through the real decoder."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.io.wavfile
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from media_maker import make_wav, speech_like

from avemotion.config import TimelineSettings
from avemotion.errors import MediaError, NoAudioError
from avemotion.media.reader import read_arrays, read_clip, read_sound
from avemotion.media.sources import DecodedClip
from avemotion.media.windows import stream_windows

RATE = 48_000
LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")
UNNAMED = tuple(f"{count} channels" for count in range(1, 17))

# Codec, container, layouts; which frequencies a codec keeps of a bass channel is its own affair.
WRITTEN = {
    "pcm_s16le": ("wav", (*LAYOUTS, *UNNAMED)),
    "pcm_f32le": ("wav", (*LAYOUTS, *UNNAMED)),
    "aac": ("mp4", (*LAYOUTS[:6], "7.1")),
    "ac3": ("mkv", LAYOUTS[:6]),
    "flac": ("mkv", LAYOUTS),
    # FFmpeg's encoder writes the channels of 5.0 and 6.1 in another order than it says.
    "libopus": ("mkv", (*LAYOUTS[:2], "3.0", "quad", "5.1", "7.1")),
    "opus 255": ("mkv", UNNAMED[8:]),
}

# Reads each channel with a sine of its own, and prints the strength of every sine in the mix.
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from avemotion.media.decoder import decode
for path in sys.argv[1:]:
    streams = decode(Path(path), None, True)
    middle = streams.samples[4_800:][: streams.sample_rate]
    spectrum = np.abs(np.fft.rfft(middle)) * 2 / len(middle)
    print(json.dumps([path, spectrum[300:2000:100].tolist(), streams.notes]), flush=True)
"""


def write_sound(
    path: Path, codec: str, layout: str, tracks: list[np.ndarray], **options: str
) -> Path:
    """Write tracks, each float32 (channel, sample) at 48 kHz, of one layout."""
    with av.open(str(path), "w") as out:
        streams = [out.add_stream(codec, rate=RATE, layout=layout) for _ in tracks]
        for stream, channels in zip(streams, tracks, strict=True):
            stream.options = options
            packed = np.ascontiguousarray(np.asarray(channels, np.float32).T)
            for start in range(0, len(packed), 1024):
                block = packed[start : start + 1024].reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def noise(decibels: float, seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    """float32 (sample,) at 48 kHz, below 8 kHz, of a level in dB of full scale."""
    samples = scipy.signal.resample_poly(speech_like(seconds, seed).astype(float), 3, 1)
    return (samples * 10 ** (decibels / 20) / np.sqrt(np.mean(samples**2))).astype(np.float32)


def as_heard(channel: np.ndarray) -> np.ndarray:
    return scipy.signal.resample_poly(channel.astype(float), 1, 3)


def likeness(path: Path, expected: np.ndarray) -> float:
    """Correlation with a channel at 48 kHz, wherever the codec's delay has put it."""
    heard, expected = read_sound(path).samples.astype(float), as_heard(expected)
    match = scipy.signal.correlate(heard, expected, method="fft")
    return float(match.max() / np.linalg.norm(heard) / np.linalg.norm(expected))


def notes_of(path: Path) -> tuple[str, ...]:
    """The notes of a clip, after finding them in its first window."""
    notes = read_clip(None, path, np.arange).notes
    assert next(stream_windows(path, TimelineSettings())).notes == notes
    return notes


@pytest.mark.parametrize("codec", WRITTEN)
def test_every_number_of_channels_is_mixed_right(tmp_path: Path, codec: str) -> None:
    """In a process of its own: PyAV's planes of eight channels and more end it."""
    suffix, layouts = WRITTEN[codec]
    name, *family = codec.split()
    options = {"mapping_family": family[0]} if family else {}
    time = np.arange(round(1.3 * RATE)) / RATE
    paths = {}
    for layout in layouts:
        count = av.AudioLayout(layout).nb_channels
        sines = [0.25 * np.sin(2 * np.pi * (300 + 100 * k) * time) for k in range(count)]
        path = tmp_path / f"{layout.replace(' ', '-')}.{suffix}"
        encoder = {"opus": "libopus"}.get(name, name)
        paths[str(write_sound(path, encoder, layout, [np.stack(sines)], **options))] = layout
    done = subprocess.run([sys.executable, "-c", PROGRAM, *paths], capture_output=True, text=True)
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(read) == len(paths), (done.returncode, len(read))
    for path, strengths, notes in read:
        names = [channel.name for channel in av.AudioLayout(paths[path]).channels]
        heard = [k for k, name in enumerate(names) if name not in ("LFE", "LFE2")]
        if len(names) > 2 and "FC" in names:
            heard = [names.index("FC")]
            assert notes == [f"of {len(names)} audio channels, the front centre one is used"]
        expected = np.zeros(17)
        expected[heard] = 0.25 / len(heard)
        np.testing.assert_allclose(strengths, expected, atol=0.012, err_msg=path)


@pytest.mark.parametrize("codec", ["ac3", "eac3", "flac"])
def test_a_silent_centre_gives_way_to_the_others(tmp_path: Path, codec: str) -> None:
    voice = noise(-30)
    silence = 0 * voice
    path = tmp_path / "a.mkv"
    write_sound(path, codec, "5.1", [np.stack([voice, voice, silence, silence, silence, silence])])
    note = "the mean of the others is used: the front centre one is silent"
    assert notes_of(path) == (f"of 6 audio channels, {note}",)
    assert likeness(path, voice) > 0.95


@pytest.mark.parametrize("below, is_used", [(0, True), (30, True), (50, False)])
def test_a_centre_may_be_quieter_than_the_music(
    tmp_path: Path, below: float, is_used: bool
) -> None:
    music, voice = noise(-20, seed=1), noise(-20 - below)
    path = tmp_path / "a.wav"
    write_sound(path, "pcm_s16le", "3.0", [np.stack([music, music, voice])])
    assert likeness(path, voice if is_used else music) > 0.95


@pytest.mark.parametrize(
    "name, codec, gain",
    [("a.wav", "pcm_s16le", 1.0), ("a.mp3", "libmp3lame", 1.0), ("a.flac", "flac", 0.8)],
)
def test_channels_that_cancel_out_are_not_averaged(
    tmp_path: Path, name: str, codec: str, gain: float
) -> None:
    voice = noise(-30)
    path = write_sound(tmp_path / name, codec, "stereo", [np.stack([-gain * voice, voice])])
    (note,) = notes_of(path)
    loudest = "number 2" if gain < 1 else "number"  # a codec may make either the louder one
    assert note.startswith(f"of 2 audio channels, {loudest}")
    assert note.endswith("the loudest, is used: the mean would cancel it out")
    assert max(likeness(path, voice), likeness(path, -voice)) > 0.95


@pytest.mark.parametrize("right", [0.0, 0.3, 1.0])
def test_channels_that_do_not_cancel_are_averaged(tmp_path: Path, right: float) -> None:
    left, other = noise(-30), noise(-30, seed=1)
    channels = np.stack([left, right * other])
    path = write_sound(tmp_path / "a.wav", "pcm_f32le", "stereo", [channels])
    assert notes_of(path) == ()
    expected = channels.mean(axis=0)
    assert likeness(path, expected) > 0.99
    level = read_sound(path).samples.std() / 32_768
    assert level == pytest.approx(as_heard(expected).std(), rel=0.02)


@pytest.mark.parametrize("codec", ["ac3", "eac3", "pcm_s16le"])
def test_a_track_of_dither_is_silent(tmp_path: Path, codec: str) -> None:
    """AC-3 decodes silence to noise; 16-bit files have dither of one step."""
    voice, silence = noise(-50), 0 * noise(-50)
    if codec == "pcm_s16le":
        rng = np.random.default_rng(0)
        dither = rng.uniform(-0.5, 0.5, (2, len(voice))).sum(axis=0) / 32_768
        silence = np.rint(dither * 32_768).astype(np.float32) / 32_768
        assert silence.any()
    path = write_sound(tmp_path / "a.mkv", codec, "mono", [silence[None], voice[None]])
    (note,) = notes_of(path)
    assert note.startswith("of 2 audio tracks, number 2, the")
    assert likeness(path, voice) > 0.95
    alone = write_sound(tmp_path / "b.mkv", codec, "mono", [silence[None]])
    with pytest.raises(NoAudioError, match=r"b.mkv is silent .*below -90 dB of full scale"):
        read_sound(alone)
    window = next(stream_windows(alone, TimelineSettings()))
    assert window.samples is None and "silent in this window" in window.no_sound


def test_faint_recordings_are_no_silence(tmp_path: Path, real_sounds: list[Path]) -> None:
    """The quietest clip of CREMA-D, and the same 35 dB lower: a few steps of 16 bits."""
    levels = {path: scipy.io.wavfile.read(path)[1].astype(float).std() for path in real_sounds}
    quietest = min(levels, key=levels.__getitem__)
    _, samples = scipy.io.wavfile.read(quietest)
    np.testing.assert_array_equal(read_sound(quietest).samples, samples)
    fainter = np.rint(samples * 10 ** (-35 / 20)).astype(np.int16)
    path = make_wav(tmp_path / "faint.wav", fainter)
    np.testing.assert_array_equal(read_sound(path).samples, fainter)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_no_numbers_are_refused(
    tmp_path: Path, value: float, channels: int
) -> None:
    samples = np.stack([noise(-30)] * channels)
    samples[-1, 40_000] = value
    path = tmp_path / "a.wav"
    write_sound(path, "pcm_f32le", f"{channels} channels", [samples])
    with pytest.raises(MediaError, match=r"sound of a.wav holds samples that are .*\(NaN\)"):
        read_sound(path)
    if not np.isfinite(value):
        with pytest.raises(MediaError, match="the sound at 0.8 s holds samples that are"):
            next(stream_windows(path, TimelineSettings()))


@settings(max_examples=25, deadline=None)
@given(
    gains=st.lists(st.sampled_from([-1.0, -0.5, 0.0, 1e-6, 0.1, 1.0]), min_size=1, max_size=9),
    integer=st.booleans(),
)
def test_arrays_are_mixed_as_files_are(
    tmp_path_factory: pytest.TempPathFactory, gains: list[float], integer: bool
) -> None:
    """Whatever the mix, a voice that is in some channel is heard."""
    voice = speech_like(0.5).astype(np.float32) / 32_768
    channels = np.array(gains, np.float32)[:, None] * voice
    if integer:
        channels = np.rint(channels * 32_768).astype(np.int16)
    path = tmp_path_factory.mktemp("arrays") / "a.wav"
    scipy.io.wavfile.write(path, 16_000, channels.T)
    array = read_arrays(DecodedClip(waveform=channels, sample_rate=16_000), np.arange)
    file = read_clip(None, path, np.arange)
    assert array.notes == file.notes
    assert (array.sound is None) == (file.sound is None) == (max(map(abs, gains)) < 0.1)
    if array.sound and file.sound:
        np.testing.assert_array_equal(array.sound.samples, file.sound.samples)
        heard = array.sound.samples.astype(float)
        assert abs(np.corrcoef(heard, voice)[0, 1]) > 0.99


def test_many_channels_of_a_long_sound_are_not_all_held(tmp_path: Path) -> None:
    """Three minutes of 16 channels at 16 kHz are 184 MB as float32; one is 12 MB."""
    program = (
        "import resource, sys; from pathlib import Path;"
        "from avemotion.media.reader import read_sound; read_sound(Path(sys.argv[1]));"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak(); read_sound(Path(sys.argv[2])); print((peak() - before) / 1024)"
    )
    short = make_wav(tmp_path / "short.wav", np.tile(speech_like(2)[:, None], 16))
    long = make_wav(tmp_path / "long.wav", np.tile(speech_like(180)[:, None], 16))
    words = [sys.executable, "-c", program, str(short), str(long)]
    grown = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert grown < 150  # MiB: packets up to 64, then the mix
