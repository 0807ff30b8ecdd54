"""Look at the heads of many media files: is each one readable, and does it hold what it should?

Media come from strangers, so they are opened in worker processes that may die or hang: that file is
named with the reason, and the others are read all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import TimeoutError as HeadTimeoutError
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessFuture

from avemotion.errors import MediaError
from avemotion.media import read_streams
from avemotion.processes import worker_pool

_WORKERS = 2  # reading heads is over in seconds
_CHUNK = 32  # files a worker is given at a time
_HEAD_BYTES = 16_384  # CREMA-D's first picture and first sound lie within 6 kB
_TIMEOUT_SECONDS = 30


def read_heads(files: list[tuple[Path, bool]]) -> Iterator[str]:
    """Read the heads of media files in worker processes.

    Args:
        files: Each path, and whether a video is expected in it (else sound).

    Yields:
        For each file, in this order, what is wrong with it; "" for nothing.
    """
    if not files:
        return
    chunks = [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]
    with worker_pool(min(_WORKERS, len(chunks))) as pool:

        def schedule(part: list[tuple[Path, bool]]) -> ProcessFuture[Any]:
            return pool.schedule(_complaints, args=(part,), timeout=_TIMEOUT_SECONDS)

        for chunk, future in [(chunk, schedule(chunk)) for chunk in chunks]:
            try:
                yield from future.result()
            except (ProcessExpired, HeadTimeoutError):  # one of them: find out which
                for file in chunk:
                    yield _alone(schedule([file]))


def _alone(future: ProcessFuture[Any]) -> str:
    try:
        return str(future.result()[0])
    except HeadTimeoutError:
        return f"its head takes longer than {_TIMEOUT_SECONDS} s to read"
    except ProcessExpired as error:
        return f"the decoder crashed (exit code {error.exitcode})"


def _complaints(files: list[tuple[Path, bool]]) -> list[str]:
    """Run in a worker: say what is wrong with each file, "" for nothing."""
    return [_complaint(path, is_video) for path, is_video in files]


def _complaint(path: Path, is_video: bool) -> str:
    wanted = 0 if is_video else 1
    try:
        if not (read_streams(path, _HEAD_BYTES)[wanted] or read_streams(path)[wanted]):
            return "it holds no " + ("video" if is_video else "sound")
    except (MediaError, OSError) as error:
        return str(error)
    return ""
