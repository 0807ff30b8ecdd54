"""Files that are worse than damaged: pipes, loops of links, an hour of video, huge frames."""

from __future__ import annotations

import os
import struct
import wave
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

_LOOP_SECONDS = 10


def _png(side: int, seed: int) -> bytes:
    """Return a grey PNG of side x side pixels in a few hundred kilobytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    packer = zlib.compressobj(1)
    row = b"\0" + bytes([seed]) * side
    pixels = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def huge_png(path: Path, _: float) -> None:
    path.write_bytes(_png(100_000, 0)[:2_000_000])


def large_png(path: Path, _: float) -> None:
    path.write_bytes(_png(8_000, 0))


def large_frames(path: Path, _: float) -> None:
    """A video of 24 frames, 16,000 x 16,000 pixels each."""
    images = [_png(16_000, seed) for seed in range(3)]
    with av.open(str(path), "w", format="mov") as container:
        stream = container.add_stream("png", rate=25)
        stream.width = stream.height = 16_000
        stream.pix_fmt = "gray"
        for number in range(24):
            packet = av.Packet(images[number % 3])
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            container.mux(packet)


def long_video(path: Path, hours: float) -> None:
    """A small video of that many hours: the same seconds over and over."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        packets = []
        for _ in range(25 * _LOOP_SECONDS):
            coarse = rng.integers(0, 255, (8, 10), np.uint8).repeat(15, 0)[:120].repeat(16, 1)
            packets += stream.encode(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(coarse), "gray")
            )
        packets += stream.encode(None)
        content = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for number in range(round(hours * 3600 * 25)):
            data, is_key = content[number % len(content)]
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = is_key
            container.mux(packet)


def long_sound(path: Path, hours: float) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        minute = np.random.default_rng(0).integers(-3000, 3000, 44_100 * 60).astype("<i2")
        for _ in range(max(1, round(hours * 60))):
            file.writeframesraw(minute.tobytes())


def unreadable(path: Path, _: float) -> None:
    path.write_bytes(b"FLV\x01\x05\0\0\0\x09")
    path.chmod(0)


def link_loop(path: Path, _: float) -> None:
    path.symlink_to(path.name)


def dangling_link(path: Path, _: float) -> None:
    path.symlink_to("nowhere.flv")


def sparse(path: Path, _: float) -> None:
    """An FLV's head, then 8 GiB of nothing that take no room on the disk."""
    path.write_bytes(b"FLV\x01\x05\0\0\0\x09\0\0\0\0")
    os.truncate(path, 8 * 2**30)


def pointer(path: Path, _: float) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


ODD_VIDEOS: dict[str, Callable[[Path, float], object]] = {
    "zeros": lambda path, _: path.write_bytes(bytes(300_000)),
    "nothing": lambda path, _: path.touch(),
    "one byte": lambda path, _: path.write_bytes(b"F"),
    "text": lambda path, _: path.write_text("no media at all\n" * 1000),
    "a Git LFS pointer": pointer,
    "a folder": lambda path, _: path.mkdir(),
    "a named pipe": lambda path, _: os.mkfifo(path),
    "a loop of links": link_loop,
    "a link to nowhere": dangling_link,
    "no permission to read": unreadable,
    "8 GiB, sparse": sparse,
    "a PNG of 8,000 x 8,000": large_png,
    "a PNG of 100,000 x 100,000": huge_png,
    "24 frames of 16,000 x 16,000": large_frames,
    "long video": long_video,
}
"""Functions that write a file in place of a video, by what it is."""

ODD_SOUNDS = {
    name: make
    for name, make in ODD_VIDEOS.items()
    if name in ("zeros", "nothing", "a folder", "a named pipe", "a loop of links", "long video")
} | {"long sound": long_sound}
"""The same in place of a WAV."""

HEAVY = {
    "a PNG of 8,000 x 8,000",
    "a PNG of 100,000 x 100,000",
    "24 frames of 16,000 x 16,000",
    "long video",
    "long sound",
}
"""Names of those that take long to make."""

UNRECOGNISED_NAMES = (
    b"1001_DFA_ANG_XX\n.flv",
    b"a\nb.flv",
    "1001_DFA_ÄRGER_XX.flv".encode(),
    b"1001_DFA_ANG_XX.fl\xff",
    b"\xff\xfe\xfd.flv",
    b"1001_DFA_ANG_XX (copy).flv",
    b"x" * 240 + b".flv",
)
"""File names that are not of the corpus, one of them not even UTF-8."""
