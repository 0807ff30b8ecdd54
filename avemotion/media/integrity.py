"""Checks of a media file before any decoder sees it: Git LFS pointer, format, length."""

from __future__ import annotations

import os
import wave
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from avemotion.errors import MediaError
from avemotion.media.pictures import check_picture

LFS_POINTER = b"version https://git-lfs"
"""First bytes of a file that Git LFS has not replaced by its content yet."""

_FOLLOWED_IN_MEMORY = 4 * 2**20  # bytes
_FLV_TAGS = (8, 9, 18)  # audio, video, script
_FLV_HAS_VIDEO = 1  # bit of the fifth byte
_BEYOND_ANY_FILE = 2**62  # bytes; nothing can be sought much further

_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"uuid", b"sidx"}


def is_lfs_pointer(path: Path) -> bool:
    """Tell whether a file is a Git LFS pointer instead of its content.

    What cannot be read is none; a pipe is not even opened, since that would wait for its writer.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False


def check_file(path: Path) -> None:
    """Refuse a path that cannot be a media file, before any decoder sees it.

    Raises:
        MediaError: The file is missing, no regular file, empty, a Git LFS pointer, or shorter than
            it announces.
    """
    try:
        path.stat()
        if path.is_file():
            path.open("rb").close()
    except FileNotFoundError:
        raise MediaError(f"no such file: {path.name}") from None
    except OSError as error:  # no permission, a name too long, a loop of links
        raise MediaError(f"{path.name} cannot be opened: {error.strerror}") from error
    except ValueError as error:  # a zero byte in its name
        raise MediaError(f"{path.name!r} cannot be opened: {error}") from error
    if path.is_dir():
        name = path.name or path
        raise MediaError(f"not a regular file: {name} is a folder. Give the files in it")
    if not path.is_file():
        raise MediaError(f"not a regular file: {path.name}")
    with path.open("rb") as file:
        check_content(path.name, file)


def check_content(name: str, file: BinaryIO) -> None:
    """Refuse content that cannot be a media file.

    Args:
        name: What messages call it.
        file: Its content, seekable.

    Raises:
        MediaError: It is empty, a Git LFS pointer, shorter than it announces, or a picture that is
            cut off or too large.
    """
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise MediaError(f"{name} is empty (0 bytes)")
    file.seek(0)
    if file.read(len(LFS_POINTER)) == LFS_POINTER:
        raise MediaError(
            f"{name} is a Git LFS pointer, not media: run `git lfs pull` in the corpus"
        )
    file.seek(0)
    check_picture(name, file)
    file.seek(0)
    # A chain of many parts is followed faster in memory.
    announced = announced_bytes(BytesIO(file.read()) if size <= _FOLLOWED_IN_MEMORY else file)
    if announced > size:
        raise MediaError(
            f"{name} is truncated: at least {announced:,} bytes are expected, but it has {size:,}. "
            "Fetch it again"
        )


def is_plainly_whole(path: Path, is_video: bool) -> bool:
    """Tell an FLV with video, or a PCM WAV with samples, of just the length that it announces.

    No decoder is opened for it, which makes it some six times quicker. It sees lost ends and parts
    overwritten with zeros, but not single bytes that changed.

    Args:
        path: A regular file.
        is_video: Whether video is wanted, or sound.

    Returns:
        False where only a decoder can tell: of another format, or damaged.
    """
    with path.open("rb") as file:
        # An FLV ends with four bytes more, the size of its last tag.
        if announced_bytes(file) != os.fstat(file.fileno()).st_size - (4 if is_video else 0):
            return False
        file.seek(0)
        if is_video:
            head = file.read(5)
            return len(head) == 5 and head[:3] == b"FLV" and bool(head[4] & _FLV_HAS_VIDEO)
        try:
            with wave.open(file) as sound:
                return bool(sound.getnframes())
        except (wave.Error, EOFError, RuntimeError):  # the last from lengths that contradict
            return False


def announced_bytes(file: BinaryIO) -> int:
    """Return the length that a file announces; decoders read a truncated one silently.

    FLV is a chain of tags, MP4 one of boxes, RIFF (WAV, AVI) one chunk, each with its length.

    Returns:
        Where the last part begun should end, in bytes from the file's start; 0 for other formats.
    """
    file.seek(0)
    head = file.read(12)
    if head[:3] == b"FLV":
        return _flv_end(file, int.from_bytes(head[5:9], "big"))
    if head[4:8] == b"ftyp":
        return _mp4_end(file)
    if head[:4] == b"RIFF":
        length = int.from_bytes(head[4:8], "little")
        # Written to a pipe, it holds a placeholder; an odd length may lack its padding.
        return 0 if length >= 0x7FFF_F000 else length + 8 - length % 2
    return 0


def _flv_end(file: BinaryIO, start: int) -> int:
    """Follow the tags: type, length (3 bytes), 7 more bytes, content, size of the tag (4 bytes)."""
    end = start
    while True:
        file.seek(end + 4)
        header = file.read(4)
        if len(header) < 4 or header[0] not in _FLV_TAGS:
            return end
        end += 4 + 11 + int.from_bytes(header[1:], "big")


def _mp4_end(file: BinaryIO) -> int:
    """Follow the boxes: length (4 bytes; 1: 8 bytes after the type; 0: to the end), type."""
    end = 0
    while True:
        file.seek(end)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if header[4:8] not in _MP4_BOXES or length == 0:  # what follows is no box
            return end
        end += max(8, int.from_bytes(header[8:], "big") if length == 1 else length)
        if end > _BEYOND_ANY_FILE:
            return end
