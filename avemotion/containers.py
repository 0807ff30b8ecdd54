"""What a media file says of itself, before any decoder sees it: pointer, format, length."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from avemotion.errors import MediaError

LFS_POINTER = b"version https://git-lfs"
"""How a file begins that Git LFS has not replaced by its content yet."""

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
    if not path.is_file():
        raise MediaError(f"not a regular file: {path.name}")
    if path.stat().st_size == 0:
        raise MediaError(f"{path.name} is empty (0 bytes)")
    if is_lfs_pointer(path):
        raise MediaError(
            f"{path.name} is a Git LFS pointer, not media: run `git lfs pull` in the corpus"
        )
    announced, size = announced_bytes(path), path.stat().st_size
    if announced > size:
        raise MediaError(
            f"{path.name} is truncated: it should be at least {announced:,} bytes long, but has "
            f"{size:,}. Fetch it again"
        )


def announced_bytes(path: Path) -> int:
    """Return how long a file is by its own account; decoders read a truncated one silently.

    FLV is a chain of tags, MP4 one of boxes, RIFF (WAV, AVI) one chunk, each with its length.

    Returns:
        Where the last part begun should end, in bytes from the file's start; 0 for other formats.
    """
    with path.open("rb") as file:
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
        if len(header) < 4 or header[0] not in (8, 9, 18):  # audio, video, script; else no tag
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
