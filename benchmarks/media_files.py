"""A clip written in many containers, codecs, channels, sample rates and orientations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soxr
from numpy.typing import NDArray

_LOSSLESS_RGB = {"png": "rgb24", "qtrle": "rgb24", "flashsv": "bgr24", "zmbv": "bgr0"}
_PIXELS = {
    "mjpeg": "yuvj420p", "huffyuv": "yuv422p", "prores_ks": "yuv422p10le", "dnxhd": "yuv422p",
    "svq1": "yuv410p", "jpeg2000": "rgb24", **_LOSSLESS_RGB,
}  # fmt: skip
_FINE = {"qmin": "1", "qmax": "3"}
_OPTIONS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "18"},
    "libx265": {"preset": "ultrafast", "crf": "18", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12", "crf": "25"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "2000000"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2000000"},
    "dnxhd": {"profile": "dnxhr_sq"},
    **dict.fromkeys(("mpeg4", "mpeg2video", "mpeg1video", "flv", "msmpeg4v2", "wmv1"), _FINE),
    **dict.fromkeys(("wmv2", "mjpeg", "svq1"), _FINE),
    "vorbis": {"strict": "-2"},
}

VIDEOS = {
    "mp4": "libx264/aac libx265/aac libsvtav1/libopus libvpx-vp9/libopus mpeg4/libmp3lame "
    "mpeg2video/mp2 mjpeg/aac libx264/ac3 libx264/eac3 libx264/flac libx264/alac",
    "mov": "libx264/pcm_s16le libx265/aac prores_ks/pcm_s24le dnxhd/pcm_s16le mjpeg/pcm_mulaw "
    "png/pcm_s16be qtrle/pcm_f32le svq1/adpcm_ima_qt mpeg4/alac rawvideo/pcm_alaw",
    "mkv": "libx264/aac libx265/eac3 libsvtav1/libopus libvpx/vorbis libvpx-vp9/flac ffv1/flac "
    "mpeg4/ac3 mpeg2video/mp2 mjpeg/pcm_f32le mpeg4/pcm_s32le ffv1/tta libx264/wavpack "
    "libvpx/pcm_s24le jpeg2000/pcm_u8",
    "webm": "libvpx/vorbis libvpx-vp9/libopus libsvtav1/libopus",
    "avi": "mpeg4/libmp3lame mjpeg/pcm_s16le huffyuv/pcm_u8 ffv1/flac msmpeg4v2/mp2 libx264/ac3 "
    "utvideo/adpcm_ima_wav wmv2/adpcm_ms rawvideo/pcm_s16le zmbv/pcm_alaw",
    "flv": "flv/libmp3lame libx264/aac flashsv/pcm_s16le",
    "ts": "mpeg2video/mp2 libx264/aac libx265/ac3 mpeg4/libmp3lame libx264/eac3",
    "mpg": "mpeg1video/mp2 mpeg2video/mp2",
    "vob": "mpeg2video/ac3",
    "3gp": "libx264/aac mpeg4/libopencore_amrnb",
    "wmv": "wmv1/wmav1 wmv2/wmav2",
    "nut": "ffv1/pcm_s16le",
    "mxf": "mpeg2video/pcm_s16le",
}
"""Codecs of video and sound by container."""

SOUNDS = {
    "wav": "pcm_u8 pcm_s16le pcm_s24le pcm_s32le pcm_f32le pcm_f64le pcm_alaw pcm_mulaw adpcm_ms "
    "adpcm_ima_wav adpcm_yamaha libmp3lame",
    "w64": "pcm_s16le", "aiff": "pcm_s16be", "au": "pcm_s16be", "caf": "pcm_s16le alac",
    "flac": "flac", "ogg": "libopus vorbis flac", "mp3": "libmp3lame", "m4a": "aac alac",
    "aac": "aac", "ac3": "ac3", "eac3": "eac3", "mp2": "mp2", "wma": "wmav1 wmav2", "tta": "tta",
    "wv": "wavpack", "amr": "libopencore_amrnb", "mka": "libopus",
}  # fmt: skip
"""Codecs of sound alone by container."""

_NAMED = "mono stereo 3.0 4.0 5.0 5.1 6.1 7.1"
LAYOUTS = {
    "wav pcm_s16le": f"{_NAMED} 9 12 16",
    "mkv flac": _NAMED,
    "ogg libopus": "mono stereo 3.0 quad 5.0 5.1 6.1 7.1",
    "m4a aac": "mono stereo 3.0 4.0 5.0 5.1 7.1",
    "mkv ac3": "mono stereo 3.0 4.0 5.0 5.1",
    "mkv eac3": "stereo 5.1",
}
"""Layouts of channels, or their number, by container and codec."""

RATES = {
    "wav pcm_s16le": "8000 11025 16000 22050 24000 32000 44100 48000 88200 96000 192000",
    "flac flac": "8000 16000 22050 44100 96000 192000",
    "m4a aac": "8000 11025 16000 22050 32000 44100 48000 96000",
    "mp3 libmp3lame": "8000 11025 16000 22050 24000 32000 44100 48000",
    "ogg libopus": "8000 12000 16000 24000 48000",
}
"""Sample rates in Hz by container and codec."""

ORIENTATIONS = {
    "upright": (1, 0, 0, 1), "turned 90": (0, 1, -1, 0), "turned 180": (-1, 0, 0, -1),
    "turned 270": (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1), "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0), "transverse": (0, -1, -1, 0),
}  # fmt: skip
"""a, b, c, d of the display matrix: column x and row y are shown at (a x + c y, b x + d y)."""

_ONLY_RATES = {"libopus": 48_000, "libopencore_amrnb": 8_000}
_BIT_RATES = {"libopencore_amrnb": 12_200, "wmav1": 128_000, "wmav2": 128_000}
_SAMPLES = {"tta": "s16", "wavpack": "s16p"}  # else 8 bits
_NTSC = Fraction(30_000, 1001)  # MPEG-1 and MPEG-2 know few rates, and write this one exactly
_SILENT = ("silent centre", "antiphase", "left alone")


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to write a clip."""

    axis: str
    """What is varied: codecs, channels, sample rates or orientations."""
    container: str
    """Suffix of the file."""
    video: str = ""
    """Codec of the video; empty without one."""
    sound: str = "aac"
    """Codec of the sound."""
    layout: str = "mono"
    """Layout of its channels, or their number; or which of them hold the voice."""
    rate: int = 44_100
    """Sample rate in Hz."""
    orientation: str = "upright"
    """A key of `ORIENTATIONS`."""


def variants() -> Iterator[Variant]:
    """Yield all variants."""
    for container, pairs in VIDEOS.items():
        for video, sound in (pair.split("/") for pair in pairs.split()):
            rate = 48_000 if container == "mxf" else _ONLY_RATES.get(sound, 44_100)
            layout = "stereo" if sound == "vorbis" else "mono"
            yield Variant("codecs", container, video, sound, layout, rate)
    for container, codecs in SOUNDS.items():
        for sound in codecs.split():
            layout = "stereo" if sound == "vorbis" else "mono"
            rate = _ONLY_RATES.get(sound, 44_100)
            yield Variant("sound alone", container, "", sound, layout, rate)
    for key, layouts in LAYOUTS.items():
        container, sound = key.split()
        several = _SILENT if "5.1" in layouts else ()
        for layout in (*layouts.split(), *several):
            yield Variant("channels", container, "", sound, layout, 48_000)
    for key, rates in RATES.items():
        container, sound = key.split()
        for rate in rates.split():
            yield Variant("sample rates", container, "", sound, "mono", int(rate))
    for container, video in (("mp4", "libx264"), ("mov", "mpeg4"), ("mkv", "libx264")):
        for orientation in ORIENTATIONS:
            yield Variant("orientations", container, video, "aac", orientation=orientation)


@dataclass(frozen=True, slots=True)
class Original:
    """A clip that is written anew."""

    frames: list[NDArray[np.uint8]]
    """uint8 (height, width, 3), RGB."""
    frame_rate: Fraction
    """In Hz."""
    sound: NDArray[np.float32]
    """float32 (sample,)."""
    sound_rate: int
    """In Hz."""


def read_original(path: Path) -> Original:
    """Decode a clip with PyAV alone; its sound is mono."""
    with av.open(str(path)) as container:
        frames, blocks = [], []
        rate, sound_rate = container.streams.video[0].average_rate, container.streams.audio[0].rate
        for frame in container.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                frames.append(frame.to_ndarray(format="rgb24"))
            else:
                blocks.append(frame.to_ndarray()[0])
    assert rate is not None
    return Original(frames, rate, np.concatenate(blocks), sound_rate)


def write(path: Path, original: Original, variant: Variant) -> None:
    """Write a clip.

    Raises:
        av.error.FFmpegError, ValueError: FFmpeg does not write this combination.
    """
    with av.open(str(path), "w") as out:
        video = _video_stream(out, original, variant) if variant.video else None
        channels, layout = _channels(original, variant)
        audio = out.add_stream(variant.sound, rate=variant.rate, layout=layout)
        audio.options = _OPTIONS.get(variant.sound, {})
        if variant.sound in _SAMPLES:
            audio.format = _SAMPLES[variant.sound]
        if variant.sound in _BIT_RATES:
            audio.bit_rate = _BIT_RATES[variant.sound]
        if "channels" in layout and variant.sound == "libopus":
            audio.options = {"mapping_family": "255"}
        out.start_encoding()
        if video:
            for image in original.frames:
                out.mux(video.encode(_frame(image, variant)))
            out.mux(video.encode(None))
        packed = np.ascontiguousarray(channels.T)
        for start in range(0, len(packed), 1024):
            block = packed[start : start + 1024].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = (
                variant.rate, start, Fraction(1, variant.rate),
            )  # fmt: skip
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))


def _video_stream(
    out: av.container.OutputContainer, original: Original, variant: Variant
) -> av.VideoStream:
    rate = _NTSC if abs(original.frame_rate - _NTSC) < 0.01 else original.frame_rate
    stream = out.add_stream(variant.video, rate=rate)
    a, b, c, d = ORIENTATIONS[variant.orientation]
    height, width = original.frames[0].shape[:2]
    stream.height, stream.width = (height, width) if a else (width, height)
    stream.pix_fmt = _PIXELS.get(variant.video, "yuv420p")
    stream.options = dict(_OPTIONS.get(variant.video, {}))
    if variant.orientation != "upright":
        words = [a, b, 0, c, d, 0]
        stream.set_display_matrix([word << 16 for word in words] + [0, 0, 1 << 30])
    return stream


def _frame(image: NDArray[np.uint8], variant: Variant) -> av.VideoFrame:
    """Return a frame as it is stored for its orientation."""
    a, b, c, d = ORIENTATIONS[variant.orientation]
    across, down = (a, d) if a else (c, b)
    if not a:
        # Stored column x is shown in row b x, stored row y in column c y.
        image = image[::down, ::across].transpose(1, 0, 2)
    else:
        image = image[::down, ::across]
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")


def _channels(original: Original, variant: Variant) -> tuple[NDArray[np.float32], str]:
    """Return the sound, float32 (channel, sample), at the rate wanted, and its layout."""
    voice = original.sound
    if variant.rate != original.sound_rate:
        voice = soxr.resample(voice, original.sound_rate, variant.rate, "VHQ")
    gains: Mapping[str, tuple[str, list[float]]] = {
        "silent centre": ("5.1", [1, 1, 0, 0, 1, 1]),
        "antiphase": ("stereo", [1, -1]),
        "left alone": ("stereo", [1, 0]),
    }
    layout, gain = gains.get(variant.layout, (variant.layout, []))
    if layout.isdigit():
        layout = f"{layout} channels"
    count = av.AudioLayout(layout).nb_channels
    weights = np.array(gain or [1.0] * count, np.float32)
    return weights[:, None] * voice.astype(np.float32), layout
