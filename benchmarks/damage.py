"""Ways to damage a media file, as a table of functions from whole bytes to damaged ones."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

Damage = Callable[[bytes, bytes, np.random.Generator], bytes]
"""From a file, another one, and random numbers to a damaged file."""

HEAD_BYTES = 512
_ABSURD = (0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF0, 0xFFFF_FFFF)
_MP4_BOXES = rb"ftyp|moov|mvhd|trak|tkhd|mdia|mdhd|minf|stbl|stsd|stts|stsc|stsz|stco|ctts|mdat"
_MP4_TABLES = rb"stsd|stts|stsc|stsz|stco|ctts"


def _flip(data: bytes, positions: np.ndarray, rng: np.random.Generator) -> bytes:
    corrupted = np.frombuffer(data, np.uint8).copy()
    corrupted[positions] ^= (1 << rng.integers(0, 8, len(positions))).astype(np.uint8)
    return corrupted.tobytes()


def few_bits(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return _flip(data, rng.integers(0, len(data), rng.integers(1, 21)), rng)


def many_bits(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return _flip(data, rng.integers(0, len(data), 1 + len(data) // 100), rng)


def head_bits(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return _flip(data, rng.integers(0, HEAD_BYTES, rng.integers(1, 17)), rng)


def body_bits(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return _flip(data, rng.integers(HEAD_BYTES, len(data), rng.integers(1, 201)), rng)


def cut(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(1, len(data))]


def cut_and_padded(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(1, len(data))].ljust(len(data), b"\0")


def hole(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start, stop = np.sort(rng.integers(0, len(data), 2))
    return data[:start] + bytes(stop - start) + data[stop:]


def swapped(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    a, b, c, d = np.sort(rng.integers(0, len(data), 4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def removed(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start, stop = np.sort(rng.integers(0, len(data), 2))
    return data[:start] + data[stop:]


def repeated(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start, stop = np.sort(rng.integers(0, len(data), 2))
    return data[:stop] + data[start:]


def spliced(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(1, len(data))] + other[rng.integers(0, len(other) - 1) :]


def noise_after_head(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(4, HEAD_BYTES))
    return data[:start] + rng.bytes(len(data) - start)


def absurd_sizes(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Give tags, chunks, boxes or elements lengths and counts that cannot be."""
    corrupted = bytearray(data)
    positions, width, order = _size_fields(data)
    for position in rng.choice(positions, rng.integers(1, 4)):
        value = int(rng.choice(_ABSURD)) & (256**width - 1)
        corrupted[position : position + width] = value.to_bytes(width, order)  # type: ignore[arg-type]
    return bytes(corrupted[: len(data)])


def _size_fields(data: bytes) -> tuple[list[int], int, str]:
    """Return the positions of lengths and counts, their width in bytes, and their byte order."""
    if data[:3] == b"FLV":
        positions, position = [], 13
        while position + 11 < len(data):
            positions.append(position + 1)
            position += 15 + int.from_bytes(data[position + 1 : position + 4], "big")
        return positions[:5] + positions[5::10], 3, "big"
    if data[:4] == b"RIFF":
        names = rb"RIFF|LIST|fmt |data|hdrl|strl|avih|strh|strf|movi|idx1"
        return [m.end() for m in re.finditer(names, data[:4096])], 4, "little"
    if data[4:8] == b"ftyp":
        lengths = [m.start() - 4 for m in re.finditer(_MP4_BOXES, data)]
        return lengths + [m.end() + 4 for m in re.finditer(_MP4_TABLES, data)], 4, "big"
    return list(range(4, HEAD_BYTES)), 8, "big"  # Matroska


def absurd_sound(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Claim an absurd format, number of channels, sampling rate or width of samples (WAV)."""
    position = data.index(b"fmt ") + 8
    offset, width = [(0, 2), (2, 2), (4, 4), (8, 4), (12, 2), (14, 2)][rng.integers(6)]
    value = int(rng.choice([0, 1, 7, 255, 0x7FFF, 0xFFFF, 100_003, 0x7FFF_FFFF, 0xFFFF_FFFF]))
    value &= 256**width - 1
    start = position + offset
    return data[:start] + value.to_bytes(width, "little") + data[start + width :]


def huge_frame(data: bytes, _: bytes, rng: np.random.Generator) -> bytes:
    """Claim a frame of 100,000 x 100,000 pixels, or as many as the format allows."""
    corrupted = bytearray(data)

    def put(name: bytes, offset: int, value: bytes) -> None:
        for match in re.finditer(name, data[:200_000] + data[-100_000:]):
            position = match.end() + offset
            if match.end() <= 200_000 and position + len(value) <= len(corrupted):
                corrupted[position : position + len(value)] = value

    if data[:3] == b"FLV":
        position = 13
        while position + 20 < len(data):  # rows and columns of VP6's key frames, in blocks of 16
            if data[position] == 9 and data[position + 11] >> 4 == 1:
                corrupted[position + 15 : position + 21] = rng.choice(
                    [b"\xff" * 6, b"\0" * 2 + b"\xff" * 4]
                )
            position += 15 + int.from_bytes(data[position + 1 : position + 4], "big")
    elif data[:4] == b"RIFF":
        side = (100_000).to_bytes(4, "little")
        put(rb"avih", 4 + 32, side * 2)
        put(rb"strf....\x28\0\0\0", 0, side * 2)
    elif data[4:8] == b"ftyp":
        for position in (m.end() + 24 for m in re.finditer(rb"avc1|mp4v", data)):
            if position + 4 <= len(corrupted):
                corrupted[position : position + 4] = b"\xff" * 4
    else:
        put(rb"\xb0\x82", 0, b"\xff\xff")
        put(rb"\xba\x82", 0, b"\xff\xff")
    return bytes(corrupted)


DAMAGES: dict[str, Damage] = {
    "cut at a random place": cut,
    "cut, the rest zeros": cut_and_padded,
    "1 to 20 bits flipped": few_bits,
    "1 % of the bytes with a bit flipped": many_bits,
    "bits flipped in the first 512 bytes": head_bits,
    "1 to 200 bits flipped after these": body_bits,
    "a hole of zeros": hole,
    "two regions swapped": swapped,
    "a region left out": removed,
    "a region twice": repeated,
    "the start of one file, the end of another": spliced,
    "noise after the head": noise_after_head,
    "absurd lengths of tags, chunks, boxes": absurd_sizes,
    "100,000 x 100,000 pixels claimed": huge_frame,
}
"""What is done to videos, by name."""

SOUND_DAMAGES: dict[str, Damage] = {
    name: damage for name, damage in DAMAGES.items() if damage is not huge_frame
} | {"absurd sampling rate, channels, format": absurd_sound}
"""What is done to WAVs."""

CONTAINERS = {
    "mp4": ("mp4", "libx264", "aac"),
    "mkv": ("matroska", "mpeg4", "libmp3lame"),
    "avi": ("avi", "mjpeg", "pcm_s16le"),
    "webm": ("webm", "libvpx", "libopus"),
}
"""Container, video and audio codec that an FLV is encoded again with."""


def encode_again(source: Path, container: str) -> bytes:
    """Encode a clip in another container, half as wide and high."""
    kind, video_codec, audio_codec = CONTAINERS[container]
    written = io.BytesIO()
    with av.open(str(source)) as media, av.open(written, "w", format=kind) as copy:
        video = copy.add_stream(video_codec, rate=30)
        video.width, video.height = 240, 180
        video.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
        video.bit_rate = 400_000
        rate = 48_000 if audio_codec == "libopus" else 44_100
        audio = copy.add_stream(audio_codec, rate=rate, layout="mono")
        resampler = av.AudioResampler(audio.format, "mono", rate, audio.codec_context.frame_size)
        images = 0
        for frame in media.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                smaller = frame.reformat(video.width, video.height, video.pix_fmt)
                smaller.pts, smaller.time_base, images = images, Fraction(1, 30), images + 1
                copy.mux(video.encode(smaller))
            else:
                frame.pts = None
                for block in resampler.resample(frame):
                    copy.mux(audio.encode(block))
        copy.mux(video.encode(None))
        copy.mux(audio.encode(None))
    return written.getvalue()


def sound_of(clip: Path) -> bytes:
    """Return the sound of a clip as a WAV."""
    written = io.BytesIO()
    with av.open(str(clip)) as media, av.open(written, "w", format="wav") as copy:
        stream = copy.add_stream("pcm_s16le", rate=16_000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 16_000)
        for frame in media.decode(audio=0):
            for block in resampler.resample(frame):
                copy.mux(stream.encode(block))
        copy.mux(stream.encode(None))
    return written.getvalue()
