"""What a clip may be given as: a path, bytes, an open file, or arrays that are decoded already."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from io import BytesIO, UnsupportedOperation
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from avemotion.config import SAMPLE_RATES
from avemotion.errors import MediaError, UsageError
from avemotion.media.types import ShapeRepr

PIPE_LIMIT_BYTES = 2**30
"""What is not seekable (a pipe, a socket) is read whole, up to this many bytes."""


@dataclass(frozen=True, slots=True, repr=False)
class DecodedClip(ShapeRepr):
    """A clip that is already decoded: its frames, its sound, or both.

    Examples:
        >>> import numpy as np
        >>> from avemotion import DecodedClip, classify_clip
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
        >>> classify_clip(DecodedClip(waveform=noise, sample_rate=16_000)).modality
        'audio'
    """

    frames: NDArray[np.uint8] | None = None
    """All frames, upright, at a constant rate: uint8 (frame, height, width) grey, or (frame,
    height, width, 3) RGB."""
    frame_rate: float | None = None
    """Frame rate of `frames`, in Hz."""
    waveform: NDArray[Any] | None = None
    """(sample,) or (channel, sample): int16, or floating point with full scale 1."""
    sample_rate: int | None = None
    """Sample rate of `waveform`, in Hz."""
    name: str = "decoded clip"
    """Name of the clip in messages and in the prediction."""

    def __post_init__(self) -> None:
        """Check the arrays and their rates.

        Raises:
            UsageError: An array has another dtype or shape, or lacks its rate.
        """
        if self.frames is None and self.waveform is None:
            raise UsageError("a DecodedClip needs frames or a waveform, but got neither.")
        if self.frames is not None:
            _check_frames(self.frames)
            _check_rate("frame_rate", self.frame_rate, "a clip with frames")
        if self.waveform is not None:
            _check_waveform(self.waveform)
            _check_rate("sample_rate", self.sample_rate, "a clip with a waveform")


def _check_frames(frames: NDArray[np.uint8]) -> None:
    _check_array("frames", frames)
    grey_or_rgb = frames.ndim == 3 or (frames.ndim == 4 and frames.shape[3] == 3)
    if frames.dtype != np.uint8 or not grey_or_rgb or 0 in frames.shape:
        raise UsageError(
            f"frames are {frames.dtype} of shape {frames.shape}, but must be uint8 of shape (frame,"
            " height, width) or, for RGB, (frame, height, width, 3), with at least one frame."
        )


def _check_array(name: str, given: object) -> None:
    if not isinstance(given, np.ndarray):
        raise UsageError(
            f"{name} is a {type(given).__name__}, but must be a NumPy array "
            "(np.asarray(...); of a tensor, .numpy())."
        )


def _check_waveform(waveform: NDArray[Any]) -> None:
    _check_array("waveform", waveform)
    kinds = waveform.dtype == np.int16 or waveform.dtype.kind == "f"
    # More channels than samples are samples and channels the other way round.
    if not kinds or waveform.ndim not in (1, 2) or waveform.shape[0] > waveform.shape[-1]:
        raise UsageError(
            f"the waveform is {waveform.dtype} of shape {waveform.shape}, but must be int16 or "
            "floating point of shape (sample,) or (channel, sample)."
        )
    if waveform.dtype.kind == "f" and waveform.size:
        peak = float(np.abs(waveform).max())
        if not peak <= 2:  # nor is NaN; mixing may overshoot full scale a little
            raise UsageError(
                f"the waveform's largest value is {peak}, but floating point samples must be "
                "finite, with full scale 1. Divide integers by their full scale, or pass int16."
            )


def _check_rate(name: str, rate: float | None, of: str) -> None:
    is_number = isinstance(rate, int | float | np.number)
    if rate is None or not (is_number and math.isfinite(rate) and rate > 0):
        raise UsageError(f"{name} is {rate!r}, but {of} needs one above 0 Hz.")
    if name == "sample_rate" and (rate != int(rate) or int(rate) not in SAMPLE_RATES):
        raise UsageError(
            f"sample_rate is {rate!r}, but must be whole, {SAMPLE_RATES[0]:,} to "
            f"{SAMPLE_RATES[-1]:,} Hz."
        )


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A media file without a path: bytes, or an open file."""

    name: str
    """What messages call it."""
    handle: BinaryIO
    """Seekable; read from its beginning, wherever it stands."""

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem


MediaFile = Path | MemoryFile
"""What the decoder reads."""

Source = Path | str | bytes | BinaryIO | DecodedClip | MemoryFile
"""What the caller gives: a file's path, its content, an open binary file, or arrays."""


def as_media(source: Source) -> MediaFile | DecodedClip:
    """Return what can be read of what was given.

    Raises:
        UsageError: It is none of the types of `Source`.
        MediaError: It is a pipe, and holds too much, or cannot be read.
    """
    if isinstance(source, DecodedClip | MemoryFile):
        return source
    if isinstance(source, str | os.PathLike):
        return Path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return MemoryFile("clip given as bytes", BytesIO(bytes(source)))
    if callable(getattr(source, "read", None)):
        return _opened_file(source)
    raise UsageError(
        f"a clip is given as {type(source).__name__}, but must be a path, bytes, a file opened in "
        "binary mode ('rb'), or a DecodedClip of arrays."
    )


class _View:
    """An open file with a position of its own, so that several readers can take turns."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle, self._position = handle, 0

    def read(self, size: int = -1) -> bytes:
        self._handle.seek(self._position)
        content = self._handle.read(size)
        self._position = self._handle.tell()
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._handle.seek(self._position)
        self._position = self._handle.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position


def views_of(file: MediaFile, number: int) -> list[MediaFile]:
    """Return a file several times, to be read by several readers that take turns."""
    if isinstance(file, Path):
        return [file] * number
    return [MemoryFile(file.name, cast(BinaryIO, _View(file.handle))) for _ in range(number)]


def as_portable(source: Source) -> MediaFile | DecodedClip:
    """Return what can be sent to another process: the content of open files is read.

    Raises:
        UsageError, MediaError: As `as_media`.
    """
    media = as_media(source)
    # A class derived from BytesIO may be one of a script, which other processes do not know.
    if not isinstance(media, MemoryFile) or type(media.handle) is BytesIO:
        return media
    media.handle.seek(0)
    return MemoryFile(media.name, BytesIO(_read_whole(media.name, media.handle)))


def source_name(source: Source) -> str:
    """Return what the prediction calls a clip: a path as it was given, another one's name."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, DecodedClip | MemoryFile):
        return source.name
    if isinstance(source, bytes | bytearray | memoryview):
        return "clip given as bytes"
    return _file_name(source)


def _file_name(file: Any) -> str:
    name = getattr(file, "name", None)  # a number for an unnamed file's descriptor
    return Path(name).name if isinstance(name, str) and name else "open file"


def _opened_file(file: Any) -> MemoryFile:
    name = _file_name(file)
    try:
        if not isinstance(file.read(0), bytes):
            raise UsageError(
                f"{name} is a file opened in text mode, but must be opened in binary mode ('rb')."
            )
        seekable = file.seekable() if hasattr(file, "seekable") else False
        return MemoryFile(name, file if seekable else BytesIO(_read_whole(name, file)))
    except (UnsupportedOperation, ValueError) as error:  # write-only, or closed
        raise UsageError(f"{name} cannot be read: {error}. Open it with 'rb'.") from error
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error}") from error


def _read_whole(name: str, file: BinaryIO) -> bytes:
    """Read what is left of a file, in pieces: a socket gives what it has.

    Raises:
        MediaError: It is more than `PIPE_LIMIT_BYTES`.
    """
    pieces, size = [], 0
    while piece := file.read(min(2**20, PIPE_LIMIT_BYTES + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if size > PIPE_LIMIT_BYTES:
            raise MediaError(
                f"{name} holds more than {PIPE_LIMIT_BYTES // 2**20:,} MiB, too much to keep in "
                "memory. Save it as a file and give its path"
            )
    return b"".join(pieces)
