"""Checks of a JPEG or PNG before any decoder sees it: decoders fill what is cut off with grey."""

from __future__ import annotations

import struct
from typing import BinaryIO

from avemotion.errors import MediaError

MAX_PIXELS = 250_000_000
"""Largest picture that is read; FFmpeg itself refuses little more."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF markers: they hold rows and columns
_SCAN = 0xDA
_ALONE = {0x01, *range(0xD0, 0xD8)}  # markers without a length
_MOST_MARKERS = 5_000  # in front of the scan; files have a few dozen
_BLOCK = 2**20


def check_picture(name: str, file: BinaryIO) -> None:
    """Refuse a JPEG or PNG that is cut off or too large; anything else passes.

    Little of the file is in memory at once, and of a chain of JPEGs (raw MJPEG) only the first is
    looked at.

    Args:
        name: What messages call it.
        file: The content, seekable; it is left anywhere.

    Raises:
        MediaError: It is.
    """
    file.seek(0)
    head = file.read(24)
    if head.startswith(_PNG):
        columns, rows = struct.unpack(">II", head[16:24].ljust(8, b"\0"))
        whole = _holds(file, b"IEND")
    elif head.startswith(_JPEG):
        rows, columns, whole = _jpeg(file)
    else:
        return
    if not whole:
        raise MediaError(f"{name} is truncated: the end of the picture is missing. Fetch it again")
    check_size(name, columns, rows)


def check_size(name: str, columns: int, rows: int) -> None:
    """Refuse a picture that is too large, before it is decoded.

    Raises:
        MediaError: It has more than `MAX_PIXELS`.
    """
    if rows * columns > MAX_PIXELS:
        raise MediaError(
            f"{name} has {columns:,} x {rows:,} pixels, but pictures of at most "
            f"{MAX_PIXELS // 1_000_000} million are read. Make it smaller"
        )


def _jpeg(file: BinaryIO) -> tuple[int, int, bool]:
    """Return rows and columns, and whether the scan is followed by the end of the image."""
    rows = columns = 0
    at = 2
    for _ in range(_MOST_MARKERS):
        file.seek(at)
        head = file.read(9)
        if len(head) < 4 or head[0] != 0xFF:
            return rows, columns, False
        marker = head[1]
        if marker == 0xFF or marker in _ALONE:  # filling, or a marker without content
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            return rows, columns, _holds(file, b"\xff\xd9")
        if marker in _SIZES:
            rows, columns = struct.unpack(">HH", head[5:9].ljust(4, b"\0"))
        at += 2 + int.from_bytes(head[2:4], "big")
    return rows, columns, True  # a strange file: the decoder tells


def _holds(file: BinaryIO, mark: bytes) -> bool:
    """Tell whether the rest of a file holds some bytes."""
    before = b""
    while block := file.read(_BLOCK):
        if mark in before + block:
            return True
        before = block[-len(mark) :]
    return False
