"""What a media file says of itself, before any decoder sees it: pointer, format, length."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from avemotion.errors import MediaError

LFS_POINTER = b"version https://git-lfs"
"""How a file begins that Git LFS has not replaced by its content yet."""

_FOLLOWED_IN_MEMORY = 4 * 2**20  # bytes
_HEAD_BYTES = 16_384  # CREMA-D's first picture lies within 8 kB
_FLV_TAGS = (8, 9, 18)  # audio, video, script
_FLV_CODECS = (2, 4)  # Sorenson H.263 and VP6: those of CREMA-D and of a synthetic corpus
_PCM = 1
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
            it says itself.
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
        file: Can be sought in.

    Raises:
        MediaError: It is empty, a Git LFS pointer, or shorter than it says itself.
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
    # A chain of many parts is followed faster in memory.
    announced = announced_bytes(BytesIO(file.read()) if size <= _FOLLOWED_IN_MEMORY else file)
    if announced > size:
        raise MediaError(
            f"{name} is truncated: it should be at least {announced:,} bytes long, but has "
            f"{size:,}. Fetch it again"
        )


def is_plainly_whole(path: Path, is_video: bool) -> bool:
    """Tell at a glance whether a file is an FLV with pictures, or a WAV with sound, to its end.

    No decoder is opened for it, which makes it some ten times quicker. It sees lost ends and parts
    overwritten with zeros, but not single bytes that changed.

    Args:
        path: A regular file.
        is_video: Are pictures wanted, or sound?

    Returns:
        False where only a decoder can tell: of another format, or damaged.
    """
    with path.open("rb") as file:
        head, size = file.read(_HEAD_BYTES), os.fstat(file.fileno()).st_size
        if not is_video:
            return head[:4] == b"RIFF" and head[8:12] == b"WAVE" and _holds_sound(head, size)
        start = int.from_bytes(head[5:9], "big")
        # Whole tags lead to the last four bytes: the size of the last one.
        return head[:3] == b"FLV" and _shows(head, start) and _flv_end(file, start) + 4 == size


def _shows(flv: bytes, start: int) -> bool:
    """Look for the first picture among the tags at the start of an FLV."""
    place = start + 4
    while place + 11 < len(flv) and flv[place] in _FLV_TAGS:
        if flv[place] == 9:
            return flv[place + 11] & 0x0F in _FLV_CODECS
        place += 11 + int.from_bytes(flv[place + 1 : place + 4], "big") + 4
    return False


def _holds_sound(wav: bytes, size: int) -> bool:
    """Follow the chunks at the start of a WAV: its samples must be PCM, some, and all there."""
    place, is_pcm = 12, False
    if int.from_bytes(wav[4:8], "little") + 8 > size:
        return False
    while place + 10 <= len(wav):
        name, length = wav[place : place + 4], int.from_bytes(wav[place + 4 : place + 8], "little")
        if name == b"data":
            return is_pcm and 0 < length <= size - place - 8
        is_pcm |= name == b"fmt " and int.from_bytes(wav[place + 8 : place + 10], "little") == _PCM
        place += 8 + length + length % 2
    return False


def announced_bytes(file: BinaryIO) -> int:
    """Return how long a file is by its own account; decoders read a truncated one silently.

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
