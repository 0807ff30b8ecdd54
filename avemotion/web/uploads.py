"""Receives uploads: each into a folder of its own, under a safe name, within the size limit."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from starlette.requests import Request

_SUFFIXES = frozenset(
    "3g2 3gp aac aif aiff amr asf avi caf dv f4v flac flv gif h264 jpeg jpg m2ts m4a m4v mka mkv "
    "mov mp2 mp3 mp4 mpeg mpg mts oga ogg ogv opus png ts vob wav webm webp wma wmv".split()
)  # of media files; others could make FFmpeg choose another reader
_FOLDER = "avemotion-app-"
_NEW_SECONDS = 60.0
_NAME_BYTES = 200  # file systems take 255
_STALLED_SECONDS = 30.0
_BEGIN_SECONDS, _LEAST_RATE = 60.0, 100_000  # bytes a second: slower uploads only block others


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an upload."""

    upload_bytes: int
    """Largest file."""
    length_seconds: float
    """Longest video or audio."""
    answer_seconds: float
    """Time limit of the worker process; a decoder that hangs is killed then."""


class RefusedUpload(Exception):
    """An upload that is refused; the message is for the user."""

    def __init__(self, status: int, reason: str) -> None:
        """Store the HTTP status and the reason."""
        super().__init__(reason)
        self.status = status


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a temporary folder for uploads, and remove the folders of killed servers.

    A running server holds a lock on its folder; the system releases it however the server ends.
    """
    with ExitStack() as locks:
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER))
        lock(folder, locks)
        for other in folder.parent.glob(f"{_FOLDER}*"):
            with suppress(OSError), ExitStack() as its_locks:
                # A new folder may be about to be locked.
                is_old = time.time() - other.stat().st_mtime > _NEW_SECONDS
                if other != folder and is_old and lock(other, its_locks):
                    shutil.rmtree(other, ignore_errors=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def lock(folder: Path, until: ExitStack) -> bool:
    """Lock a folder and return whether it was free; always False on Windows, which cannot.

    Raises:
        OSError: The folder is gone, or belongs to another user.
    """
    try:
        import fcntl
    except ImportError:
        return False
    handle = os.open(folder, os.O_RDONLY)
    until.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def safe_name(name: str) -> str:
    r"""Return a file name without folders, special characters and unknown suffixes.

    Ordinary names stay as they are, since a clip's name seeds the noise in its spectrogram.

    >>> safe_name("1001_DFA_ANG_XX.flv"), safe_name("../../etc/passwd"), safe_name("a<b>.m3u8")
    ('1001_DFA_ANG_XX.flv', 'passwd', 'a_b_.bin')
    """
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w .()+-]", "_", last).strip(" .")
    stem, dot, suffix = plain.rpartition(".")
    kept = suffix if suffix.lower() in _SUFFIXES else "bin"
    short = f"{stem.encode()[:_NAME_BYTES].decode(errors='ignore')}{dot}{kept}"
    return short if stem else plain[:50] or "clip"


def upload_name(request: Request) -> str:
    """Return the name of the user's file, percent-encoded in the header ``X-File-Name``.

    A custom header, because browsers let foreign pages send one only after a CORS preflight.

    Raises:
        RefusedUpload: The header is missing.
    """
    name = unquote(request.headers.get("x-file-name", ""))
    if not name:
        raise RefusedUpload(400, "The header X-File-Name must hold the file's name.")
    return name


@asynccontextmanager
async def received(request: Request, folder: Path, limits: Limits) -> AsyncIterator[Path]:
    """Write the body of a request to a file that is removed when the block ends.

    Args:
        request: The body is the file, the header ``X-File-Name`` its name.
        folder: Parent of the temporary folder of the file.
        limits: Gives the largest file.

    Raises:
        RefusedUpload: It has no name, is empty, too large, or stalls.
        ClientDisconnect: The client has disconnected.
    """
    name = upload_name(request)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.upload_bytes:
        raise _too_large(limits)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        path = Path(own, safe_name(name))
        size = 0
        with path.open("wb") as file:
            async for chunk in _chunks(request, limits):
                size += file.write(chunk)
        if not size:
            raise RefusedUpload(422, f"{name} is empty (0 bytes).")
        yield path


async def drained(request: Request, limits: Limits) -> None:
    """Read the body of a refused request: browsers read no response before they have sent it.

    Raises:
        RefusedUpload: It is too large, or stalls.
        ClientDisconnect: The client has disconnected.
    """
    async for _ in _chunks(request, limits):
        pass


async def _chunks(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    chunks = request.stream()
    size, start = 0, time.monotonic()
    while True:
        left = start + _BEGIN_SECONDS + size / _LEAST_RATE - time.monotonic()
        try:
            chunk = await asyncio.wait_for(anext(chunks, None), min(left, _STALLED_SECONDS))
        except TimeoutError:
            raise RefusedUpload(408, "The upload stalled, or is too slow.") from None
        if chunk is None:
            return
        size += len(chunk)
        if size > limits.upload_bytes:
            raise _too_large(limits)
        yield chunk


def _too_large(limits: Limits) -> RefusedUpload:
    return RefusedUpload(
        413,
        f"The file is larger than {limits.upload_bytes / 2**20:g} MiB. Upload a shorter clip, or "
        "start the page with a larger --upload-mebibytes.",
    )
