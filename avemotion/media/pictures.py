"""Checks of a JPEG or PNG before any decoder sees it: decoders fill what is cut off with grey."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from avemotion.errors import MediaError

MAX_PIXELS = 250_000_000
"""Largest picture that is read; FFmpeg itself refuses little more."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF markers: they hold rows and columns
_SCAN = 0xDA
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length


def is_picture(content: bytes) -> bool:
    """Tell a JPEG or a PNG by its first bytes."""
    return content.startswith((_JPEG, _PNG))


def check_picture(name: str, content: bytes) -> None:
    """Refuse a JPEG or PNG that is cut off or too large.

    Args:
        name: What messages call it.
        content: The whole file, one that `is_picture` tells.

    Raises:
        MediaError: It is.
    """
    if content.startswith(_PNG):
        columns, rows = struct.unpack(">II", content[16:24].ljust(8, b"\0"))
        whole = b"IEND" in content[24:]
    else:
        rows, columns, whole = _jpeg(content)
    if not whole:
        raise MediaError(f"{name} is truncated: the end of the picture is missing. Fetch it again")
    if rows * columns > MAX_PIXELS:
        raise MediaError(
            f"{name} has {columns:,} x {rows:,} pixels, but pictures of at most "
            f"{MAX_PIXELS // 1_000_000} million are read. Make it smaller"
        )


def _jpeg(content: bytes) -> tuple[int, int, bool]:
    """Return rows and columns, and whether the scan is followed by the end of the image."""
    rows = columns = 0
    for marker, start in _segments(content):
        if marker in _SIZES:
            rows, columns = struct.unpack(">HH", content[start + 1 : start + 5].ljust(4, b"\0"))
        if marker == _SCAN:
            return rows, columns, content.find(b"\xff\xd9", start) > 0
    return rows, columns, False


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker up to the scan, and where what follows its length begins."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF or marker in _ALONE:  # filling, or a marker without content
            at += 1 if marker == 0xFF else 2
            continue
        yield marker, at + 4
        if marker == _SCAN:
            return
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
