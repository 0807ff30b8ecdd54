"""Clips as users have them, and what `classify_clip` gives: the table of docs/inputs.md.

`python tests/awkward_inputs.py` writes that page anew; a test holds both together.
"""

import io
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition
from media_maker import make_wav, noise_frames, speech_like, write_pointer

from avemotion.data.corpora.synthetic.face import face_frames
from avemotion.data.corpora.synthetic.performance import cast_actor
from avemotion.errors import MediaError, MissingModalityError, UsageError
from avemotion.media.sources import DecodedClip, Source
from avemotion.media.types import Box

RATE = 16_000
PAGE = Path(__file__).parents[1] / "docs" / "inputs.md"


def face(count: int = 40, number: int = 1002) -> np.ndarray:
    """A drawn face that talks: uint8 (frame, 360, 480), at most 40 frames."""
    return _talking(number)[:count]


@cache
def _talking(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    speech = 0.5 + 0.5 * np.sin(np.arange(40))
    look = cast_actor(0, number).look
    return np.stack([f[:360] for f in face_frames(look, "neutral", speech, 25.0, 1.0, rng)])


@cache
def voice(seconds: float = 1.6, seed: int = 0) -> np.ndarray:
    """float32 (sample,) at 16 kHz."""
    return speech_like(seconds, seed).astype(np.float32) / 32_768


@dataclass
class Track:
    """An audio track to write: float32 (channel, sample) at 16 kHz, stored at another rate."""

    samples: np.ndarray
    layout: str = "mono"
    codec: str = "aac"
    rate: int = RATE
    default: bool | None = None
    language: str = ""


def film(
    path: Path,
    frames: Sequence[np.ndarray] | None,
    tracks: Sequence[Track] = (),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: int = 25,
    times: Sequence[int] | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
    aspect: Fraction | None = None,
    transfer: int | None = None,
    **options: str,
) -> Path:
    """Write frames, uint8 (height, width) grey or (.., 4) RGBA, and tracks; `times` in ms."""
    with av.open(str(path), "w") as out:
        video = None
        if frames is not None:
            video = out.add_stream(codec, rate=Fraction(rate))
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = pixels
            video.options = options
            if times is not None:
                video.codec_context.time_base = Fraction(1, 1000)
            if rotation is not None:
                video.set_display_rotation(rotation, hflip=mirrored)
            if aspect is not None:
                video.codec_context.sample_aspect_ratio = aspect
            if transfer is not None:
                video.codec_context.color_trc = transfer
        sounds = []
        for track in tracks:
            stream = out.add_stream(track.codec, rate=track.rate, layout=track.layout)
            if track.default is not None:
                stream.disposition = Disposition.default if track.default else Disposition(0)
            if track.language:
                stream.metadata["language"] = track.language
            sounds.append(stream)
        out.start_encoding()
        for number, image in enumerate(frames if frames is not None else ()):
            kind = {2: "gray", 3: "rgba"}[image.ndim]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=kind)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            out.mux(video.encode(frame))
        if video is not None:
            out.mux(video.encode(None))
        for track, stream in zip(tracks, sounds, strict=True):
            write_track(out, stream, track)
    return path


def write_videos(path: Path, videos: Sequence[np.ndarray], kinds: Sequence[Disposition]) -> Path:
    """Write several videos side by side."""
    with av.open(str(path), "w") as out:
        streams = []
        for frames, kind in zip(videos, kinds, strict=True):
            stream = out.add_stream("ffv1", rate=Fraction(25))
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "gray"
            stream.disposition = kind
            streams.append(stream)
        for frames, stream in zip(videos, streams, strict=True):
            for grey in frames:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
            out.mux(stream.encode(None))
    return path


def write_track(out: av.container.OutputContainer, stream: av.AudioStream, track: Track) -> None:
    channels = np.ascontiguousarray(np.atleast_2d(track.samples), np.float32)
    for start in range(0, channels.shape[1], 1024):
        # Packed: PyAV ends the process at the planes of eight channels.
        block = np.ascontiguousarray(channels[:, start : start + 1024].T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=track.layout)
        frame.sample_rate, frame.pts = RATE, start
        frame.time_base = Fraction(1, RATE)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def speaking() -> list[Track]:
    return [Track(voice())]


def wide(frames: np.ndarray, factor: float) -> list[np.ndarray]:
    return [cv2.resize(frame, None, fx=factor, fy=factor) for frame in frames]


@dataclass
class Row:
    """An input, and its result."""

    what: str
    """Description, for the page."""
    make: Callable[[Path], Source]
    """Writes the input into a folder and returns the source for `classify_clip`."""
    result: str | type[Exception]
    """Modality used, ``av``, ``video`` or ``audio``; or the error."""
    messages: tuple[str, ...] = ()
    """Part of each warning, in their order, or of the error."""
    box: Callable[[Box], Box] | None = None
    """The face box, computed from that in the plain clip."""


def same(box: Box) -> Box:
    return box


def times(down: float, across: float | None = None) -> Callable[[Box], Box]:
    """A box in a larger frame."""
    across = down if across is None else across
    return lambda b: Box(*(round(v) for v in (b.x * across, b.y * down, b.width * across,
                                              b.height * down)))  # fmt: skip


def turned(path: Path, rotation: int) -> Path:
    """A phone's video: stored lying, with the rotation that makes it upright."""
    stored = np.rot90(face(), k=-rotation // 90, axes=(1, 2))
    return film(path, np.ascontiguousarray(stored), speaking(), rotation=rotation)


def two_faces(count: int = 40) -> np.ndarray:
    """A face in the middle, a smaller one beside it."""
    small = np.stack(wide(face(count, 1007), 0.6))
    both = np.full((count, 360, 480 + small.shape[2]), 90, np.uint8)
    both[:, :, :480] = face(count)
    both[:, : small.shape[1], 480:] = small
    return both


def leaving(share: float) -> np.ndarray:
    """The face is gone after a share of the frames; a wall is left, on which light flickers."""
    frames = face().copy()
    gone = round(share * len(frames))
    flicker = np.arange(len(frames) - gone) * 3 + 90
    frames[gone:] = flicker[:, None, None]
    return frames


def uneven(path: Path) -> Path:
    """Twenty frames in the first 0.4 s, twenty in the next 4 s."""
    quick, slow = np.arange(20) * 20, 400 + np.arange(20) * 200
    return film(path, face(), speaking(), times=[*quick.tolist(), *slow.tolist()])


def halting(path: Path) -> Path:
    """A frozen call: 15 frames in half a second, the same frame for 6 s, then one more."""
    return film(path, face(16), [], times=[*(np.arange(15) * 33).tolist(), 6500])


def changing_size(path: Path) -> Path:
    parts = []
    for name, factor in (("a.ts", 1.0), ("b.ts", 0.5)):
        images = np.stack(wide(face(20), factor))
        parts.append(film(path.with_name(name), images, codec="mpeg2video").read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def with_cover(path: Path) -> Path:
    cover = cv2.imencode(".png", face()[0])[1].tobytes()
    with av.open(str(path), "w") as out:
        audio = out.add_stream("libmp3lame", rate=RATE, layout="mono")
        image = out.add_stream("png", rate=1)
        image.width, image.height, image.pix_fmt = 480, 360, "gray"
        image.disposition = Disposition.attached_pic
        out.start_encoding()
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts = image, 0, 0
        out.mux(packet)
        write_track(out, audio, Track(voice(), codec="libmp3lame"))
    return path


def surround(path: Path) -> Path:
    """FL FR FC LFE BL BR: the voice in the middle, music left and right."""
    music = speech_like(1.6, 5).astype(np.float32) / 32_768
    channels = np.stack([music, music, voice(), music * 0, music * 0, music * 0])
    return film(path, face(), [Track(channels, "5.1", "ac3", 48_000)])


def placed(count: int, *channels: int) -> np.ndarray:
    """The voice in some of so many channels, the others silent."""
    sound = np.zeros((count, len(voice())), np.float32)
    sound[list(channels)] = voice()
    return sound


def cut(path: Path) -> Path:
    data = film(path, face(), speaking()).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def image(path: Path) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, face()[0])[1].tobytes())
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def piped(data: bytes) -> io.BufferedReader:
    """An open pipe into which a thread writes."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as end:
            end.write(data)

    threading.Thread(target=write, daemon=True).start()
    return os.fdopen(reading, "rb")


def mp4(folder: Path) -> bytes:
    return film(folder / "plain.mp4", face(), speaking()).read_bytes()


def decoded(**changes: object) -> DecodedClip:
    rgb = np.repeat(face()[..., None], 3, axis=3)
    stereo = np.stack([voice(), voice()])
    parts = {"frames": rgb, "frame_rate": 25.0, "waveform": stereo, "sample_rate": RATE}
    return DecodedClip(**(parts | changes))


def beeping() -> np.ndarray:
    return np.concatenate([voice()] * 5)  # 8 s


def silence(seconds: float = 1.6) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


NO_TRACK = "answered from video alone: {} has no audio track"
NO_FACE = "answered from audio alone: no face found in the 20 frames sampled"

CONTAINERS = [
    Row("MP4, H.264 and AAC", lambda p: film(p / "a.mp4", face(), speaking()), "av", box=same),
    Row(
        "QuickTime, ProRes 10 bit and 24-bit PCM",
        lambda p: film(p / "a.mov", face(), [Track(voice(), codec="pcm_s24le", rate=48_000)],
                       "prores_ks", "yuv422p10le"),
        "av", box=same,
    ),
    Row(
        "WebM, VP9 and Opus",
        lambda p: film(p / "a.webm", face(), [Track(voice(), codec="libopus", rate=48_000)],
                       "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"}),
        "av", box=same,
    ),
    Row(
        "Matroska, HEVC 10 bit",
        lambda p: film(p / "a.mkv", face(), speaking(), "libx265", "yuv420p10le",
                       preset="ultrafast", **{"x265-params": "log-level=none"}),
        "av", box=same,
    ),
    Row(
        "AVI, MPEG-4 and MP3",
        lambda p: film(p / "a.avi", face(), [Track(voice(), codec="libmp3lame")], "mpeg4",
                       qmin="1", qmax="3"),
        "av", box=same,
    ),
    Row(
        "MPEG program stream, MPEG-2 and MP2",
        lambda p: film(p / "a.mpg", face(), [Track(voice(), codec="mp2", rate=48_000)],
                       "mpeg2video", qmin="1", qmax="3"),
        "av", box=same,
    ),
    Row("MPEG transport stream, H.264", lambda p: film(p / "a.ts", face(), speaking()), "av",
        box=same),
    Row(
        "FLV, as CREMA-D has it",
        lambda p: film(p / "a.flv", face(), [Track(voice(), codec="libmp3lame", rate=44_100)],
                       "flv", qmin="1", qmax="3"),
        "av", box=same,
    ),
    Row("WAV", lambda p: make_wav(p / "a.wav", speech_like(1.6)), "audio"),
    Row("MP3 with cover art", lambda p: with_cover(p / "song.mp3"), "audio"),
    Row("MP4 with sound alone", lambda p: film(p / "a.mp4", None, speaking()), "audio",
        ("answered from audio alone: a.mp4 has no video stream",)),
    Row("animated GIF", lambda p: film(p / "a.gif", face(), codec="gif", pixels="gray"), "video",
        (NO_TRACK.format("a.gif"),), same),
]  # fmt: skip

FRAMES = [
    Row("portrait video of a phone, rotation in the file", lambda p: turned(p / "a.mp4", 90), "av",
        box=same),
    Row("held upside down", lambda p: turned(p / "b.mp4", 180), "av", box=same),
    Row("turned the other way", lambda p: turned(p / "c.mp4", -90), "av", box=same),
    Row("mirrored, as some front cameras store it",
        lambda p: film(p / "d.mp4", face()[:, :, ::-1], speaking(), rotation=0, mirrored=True),
        "av", box=same),
    Row("odd width and height",
        lambda p: film(p / "a.mkv", face()[:, :359, :479], speaking(), "ffv1", "yuv420p"), "av",
        box=same),
    Row("pixels that are not square (4 : 3)",
        lambda p: film(p / "a.mp4", [cv2.resize(f, (360, 360)) for f in face()], speaking(),
                       aspect=Fraction(4, 3)), "av", box=times(1, 0.75)),
    Row("4K, 3840 x 2880",
        lambda p: film(p / "a.mkv", wide(face(20), 8), speaking(), "mjpeg", "yuvj420p", 15), "av",
        box=times(8)),
    Row("8K, 5 frames",
        lambda p: film(p / "a.mkv", wide(face(5), 16), speaking(), "mjpeg", "yuvj420p", 4), "av",
        ("the video has little motion: 5 different frames in 1.25 s",), times(16)),
    Row("64 x 48: too small for a face",
        lambda p: film(p / "a.mkv", [cv2.resize(f, (64, 48)) for f in face()], speaking(), "ffv1"),
        "audio", (NO_FACE,)),
    Row("HDR (PQ), 10 bit",
        lambda p: film(p / "a.mkv", face(), speaking(), "libx265", "yuv420p10le", transfer=16,
                       preset="ultrafast", **{"x265-params": "log-level=none:transfer=16"}), "av",
        ("HDR (PQ)",), same),
    Row("with an alpha channel",
        lambda p: film(p / "a.mov", [np.dstack([f, f, f, np.full_like(f, 255)]) for f in face()],
                       speaking(), "png", "rgba"), "av", box=same),
    Row("grey", lambda p: film(p / "a.mkv", face(), speaking(), "ffv1", "gray"), "av", box=same),
    Row("full-range luma",
        lambda p: film(p / "a.mkv", face(), speaking(), "mjpeg", "yuvj420p"), "av", box=same),
    Row("the frame size changes", lambda p: changing_size(p / "a.ts"), MediaError,
        ("the frames of a.ts change their size: [(180, 240), (360, 480)]",)),
    Row("no face", lambda p: film(p / "a.mp4", noise_frames(40), speaking()), "audio", (NO_FACE,)),
    Row("two faces: the larger, more central one",
        lambda p: film(p / "a.mp4", two_faces(), speaking()), "av", box=same),
    Row("the face leaves after a third",
        lambda p: film(p / "a.mp4", leaving(0.35), speaking()), "av",
        ("a face was found in only 7 of 20 frames",), same),
    Row("the face leaves at once", lambda p: film(p / "a.mp4", leaving(0.15), speaking()), "audio",
        (NO_FACE,)),
    Row("a single frame", lambda p: film(p / "a.mp4", face(1), speaking()), MediaError,
        ("a.mp4 holds a single frame: an image, not a video",)),
    Row("JPEG", lambda p: image(p / "a.jpg"), MediaError,
        ("a.jpg holds a single frame: an image, not a video",)),
    Row("PNG", lambda p: image(p / "a.png"), MediaError, ("an image, not a video",)),
    Row("a frozen video", lambda p: film(p / "a.mp4", [face()[0]] * 40, speaking(), qp="0"),
        MediaError, ("a.mp4 moves for only 0.00 of 1.60 s (1 of 20 sampled frames differ), but at "
                     "least 0.1 s are needed: it is an image, or a frozen or truncated video",)),
    Row("two videos, the second is the default",
        lambda p: write_videos(p / "a.mkv", [noise_frames(40), face()],
                               [Disposition(0), Disposition.default]), "video",
        (NO_TRACK.format("a.mkv"), "of 2 video streams, number 2, the default one, is used"), same),
]  # fmt: skip

TIMES = [
    Row("2 frames", lambda p: film(p / "a.mp4", face(2), speaking()), MediaError,
        ("a.mp4 moves for only 0.08 of 0.08 s",)),
    Row("3 frames", lambda p: film(p / "a.mp4", face(3), speaking()), "av",
        ("the video has little motion: 3 different frames in 0.12 s",
         "the video lasts only 0.1 of the 1.6 s of audio"), same),
    Row("the video stands still after 0.6 s",
        lambda p: film(p / "a.mkv", [*face(15), *[face()[14]] * 25], speaking(), "ffv1"), "av",
        ("the video stands still or repeats for 1.0 of 1.6 s: 8 of 20 sampled frames differ",),
        same),
    Row("60 frames a second", lambda p: film(p / "a.mp4", face(), [Track(voice(0.8))], rate=60),
        "av", box=same),
    Row("5 frames a second", lambda p: film(p / "a.mp4", face(), speaking(), rate=5), "av",
        box=same),
    Row("variable frame rate", lambda p: uneven(p / "a.mkv"), "av", box=same),
    Row("variable frame rate, frozen for a while", lambda p: halting(p / "a.mkv"), "video",
        (NO_TRACK.format("a.mkv"), "the video stands still or repeats for"), same),
    Row("12 s",
        lambda p: film(p / "a.mp4", [*face(), *face(32)], [Track(voice(12.0))], rate=6), "av",
        ("the clip lasts 12.0 s, much longer than training clips: the prediction is the mean of "
         "11 windows of 2.5 s",), same),
    Row("8 s of sound, 2 s of video",
        lambda p: film(p / "a.mkv", face(), [Track(voice(8.0))], rate=20), "av",
        ("the audio lasts 8.0 s; the prediction uses its middle 5 s",
         "the video lasts only 2.0 of the 8.0 s of audio"), same),
    Row("8 s of sound", lambda p: make_wav(p / "a.wav", speech_like(8)), "audio",
        ("the audio lasts 8.0 s; the prediction uses its middle 5 s",)),
    Row("40 s of sound", lambda p: make_wav(p / "a.wav", speech_like(40)), "audio",
        ("the clip lasts 40.0 s",)),
    Row("0.04 s of sound", lambda p: make_wav(p / "a.wav", speech_like(0.04)),
        MissingModalityError, ("lasts 0.040 s, at least 0.1 s",)),
]  # fmt: skip

SOUNDS = [
    Row("no audio track", lambda p: film(p / "a.mp4", face()), "video",
        (NO_TRACK.format("a.mp4"),), same),
    Row("a silent track", lambda p: film(p / "a.mkv", face(), [Track(silence(), codec="flac")]),
        "video", ("answered from video alone: the audio track of a.mkv is silent",), same),
    Row("5.1: the voice in the centre", lambda p: surround(p / "a.mkv"), "av",
        ("of 6 audio channels, the front centre one is used",), same),
    Row("5.1: the centre is silent",
        lambda p: film(p / "a.mkv", face(), [Track(placed(6, 0, 1), "5.1", "ac3", 48_000)]), "av",
        ("of 6 audio channels, the mean of the others is used: the front centre one is silent",),
        same),
    Row("7.1: the voice in the centre",
        lambda p: film(p / "a.mkv", face(), [Track(placed(8, 2), "7.1", "aac", 48_000)]), "av",
        ("of 8 audio channels, the front centre one is used",), same),
    Row("16 channels, the voice in all",
        lambda p: film(p / "a.mkv", face(), [Track(placed(16, *range(16)), "16 channels",
                                                   "pcm_s16le")]), "av", box=same),
    Row("left and right in opposite phase",
        lambda p: film(p / "a.mkv", face(), [Track(np.stack([voice(), -voice()]), "stereo",
                                                   "flac")]), "av",
        ("of 2 audio channels, number 1, the loudest, is used: the mean would cancel it out",),
        same),
    Row("samples that are no numbers", lambda p: film(p / "a.mkv", face(), [
            Track(np.where(np.arange(25_600) == 9_000, np.nan, voice()), codec="pcm_f32le")]),
        MediaError, ("the sound of a.mkv holds samples that are infinite or no numbers (NaN)",)),
    Row("two tracks, the first, the default, is silent",
        lambda p: film(p / "a.mkv", face(), [Track(silence(), codec="ac3", rate=48_000,
                                                   default=True), Track(voice(), default=False)]),
        "av", ("of 2 audio tracks, number 2, the first with sound, is used",), same),
    Row("two tracks, the second is the default",
        lambda p: film(p / "a.mkv", face(), [Track(voice(), default=False, language="fre"),
                                             Track(voice(1.6, 7), default=True, language="eng")]),
        "av", ("of 2 audio tracks, number 2 (eng), the default one, is used",), same),
    Row("two tracks, none the default, the first silent",
        lambda p: film(p / "a.mkv", face(), [Track(silence(), codec="flac", default=False),
                                             Track(voice(), default=False)]),
        "av", ("of 2 audio tracks, number 2, the first with sound, is used",), same),
    Row("telephone sound, 8 kHz",
        lambda p: film(p / "a.mov", face(), [Track(voice(), codec="pcm_mulaw", rate=8_000)]),
        "av", box=same),
    Row("96 kHz, 24 bit, stereo",
        lambda p: film(p / "a.mkv", face(), [Track(np.stack([voice(), voice()]), "stereo",
                                                   "pcm_s24le", 96_000)]), "av", box=same),
    Row("no face, no sound", lambda p: film(p / "a.mp4", noise_frames(40)), MissingModalityError,
        ("no face found in the 20 frames sampled; a.mp4 has no audio track",)),
]  # fmt: skip

SOURCES = [
    Row("`bytes`", mp4, "av", box=same),
    Row("`io.BytesIO`", lambda p: io.BytesIO(mp4(p)), "av", box=same),
    Row("an open file", lambda p: film(p / "a.mp4", face(), speaking()).open("rb"), "av", box=same),
    Row("a pipe", lambda p: piped(mp4(p)), "av", box=same),
    Row("`DecodedClip`, RGB and stereo floats", lambda p: decoded(), "av", box=same),
    Row("`DecodedClip`, grey frames alone",
        lambda p: DecodedClip(frames=face(), frame_rate=25.0, name="camera"), "video",
        ("answered from video alone: camera has no waveform",), same),
    Row("`DecodedClip`, int16 sound alone",
        lambda p: DecodedClip(waveform=speech_like(1.6), sample_rate=RATE), "audio"),
    Row("a file opened as text", lambda p: text(p / "a.txt", "words").open(), UsageError,
        ("a.txt is a file opened in text mode, but must be opened in binary mode ('rb')",)),
    Row("a bare array", lambda p: face(), UsageError, ("a clip is given as ndarray",)),
    Row("empty `bytes`", lambda p: b"", MediaError, ("clip given as bytes is empty (0 bytes)",)),
]  # fmt: skip

FILES = [
    Row("a name with blanks, dashes, a per cent sign",
        lambda p: film(p / "ein Clip, ähnlich — 1%.mp4", face(), speaking()), "av", box=same),
    Row("no such file", lambda p: p / "nowhere.mp4", MediaError, ("no such file",)),
    Row("a folder", lambda p: p, MediaError, ("is a folder. Give the files in it",)),
    Row("an empty file", lambda p: text(p / "a.mp4", ""), MediaError,
        ("a.mp4 is empty (0 bytes)",)),
    Row("a Git LFS pointer", lambda p: write_pointer(p / "a.flv"), MediaError,
        ("a.flv is a Git LFS pointer, not media: run `git lfs pull`",)),
    Row("text", lambda p: text(p / "a.mp4", "not a film\n" * 500), MediaError,
        ("a.mp4 cannot be decoded: not a video, sound or picture file, or damaged",)),
    Row("an MP4 cut short", lambda p: cut(p / "a.mp4"), MediaError, ("a.mp4 is truncated",)),
    Row("a playlist that names other files, as `bytes`",
        lambda p: f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{cut(p / 'a.ts')}\n".encode(),
        MediaError, ("clip given as bytes cannot be decoded",)),
]  # fmt: skip

SECTIONS = {
    "Containers and codecs": CONTAINERS,
    "Video": FRAMES,
    "Time": TIMES,
    "Audio": SOUNDS,
    "Sources": SOURCES,
    "Files": FILES,
}

MODALITIES = {"av": "face and voice", "video": "face alone", "audio": "voice alone"}


def page() -> str:
    """Return the table as Markdown."""
    lines = [
        "# Awkward clips, and what `classify_clip` returns",
        "",
        "Written by `python tests/awkward_inputs.py`; the tests make each of these inputs and",
        "check its row. The model is AR5, trained with modality dropout; avemotion-1 answers",
        "pictures and videos that stand still, too, and hears the first 3 s of a sound.",
        "",
        "How far real clips in some 220 containers, codecs, channels, sample rates and",
        "orientations are from their originals: [table](../benchmarks/results/media_matrix.md).",
    ]
    for title, rows in SECTIONS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| input | modality used, or error | message |",
            "|---|---|---|",
        ]
        for row in rows:
            result = row.result if isinstance(row.result, str) else f"`{row.result.__name__}`"
            messages = "; ".join(f'"{message}"' for message in row.messages)
            lines.append(f"| {row.what} | {MODALITIES.get(result, result)} | {messages} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
