"""What runs inside an isolated process: it receives tasks and answers each."""

from __future__ import annotations

import errno
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

from avemotion.errors import AvemotionError
from avemotion.parallel.processes import exit_with_parent

_PIECE_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """Stands in place of a result that never came."""

    reason: str
    """How the task ended, for the user."""


@dataclass(frozen=True, slots=True)
class PartialResult:
    """One of several values that a task yields."""

    value: Any
    """As it was yielded."""


class OutOfMemory:
    """What a process answers that could not allocate what a task needs."""


def send_task(pipe: Connection, task: object) -> None:
    """Send a task, in pieces: a process that lacks the memory for it can still take them in."""
    pickled = ForkingPickler.dumps(task)
    pipe.send(len(pickled))
    for start in range(0, len(pickled), _PIECE_BYTES):
        pipe.send_bytes(pickled[start : start + _PIECE_BYTES])


def _receive_task(pipe: Connection) -> tuple[Any, OutOfMemory | TaskFailure | None]:
    """Return the next task, or what to answer in its place.

    Raises:
        EOFError, ConnectionError: The parent is gone.
    """
    size = pipe.recv()
    try:
        pickled = bytearray(size)
    except MemoryError:
        pickled = None
    for start in range(0, size, _PIECE_BYTES):
        piece = pipe.recv_bytes()
        if pickled is not None:
            pickled[start : start + len(piece)] = piece
    pipe.send("begun")
    if pickled is None:
        return None, OutOfMemory()
    try:
        return pickle.loads(pickled), None
    except Exception as error:  # whatever the classes of its parts raise
        if _is_out_of_memory(error):
            return None, OutOfMemory()
        reason = f"{type(error).__name__}: {error}"
        return None, TaskFailure(f"another process cannot read what it was sent ({reason})")


def serve(
    pipe: Connection,
    function: Callable[[Any], Any],
    prepare: Callable[[], None] | None,
    mebibytes: int,
) -> None:
    """Run in the process: do tasks until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends us
    exit_with_parent()
    if prepare is not None:
        prepare()
    _limit_memory(mebibytes)
    with suppress(EOFError, ConnectionError):  # the parent is gone
        pipe.send("ready")
        while True:
            task, unreadable = _receive_task(pipe)
            try:
                pipe.send(unreadable or _answer(function, task, pipe))
            except MemoryError:  # pickling it
                pipe.send(OutOfMemory())


def _answer(function: Callable[[Any], Any], task: object, pipe: Connection) -> object:
    try:
        result = function(task)
        if not isinstance(result, Iterator):
            return result
        for value in result:
            pipe.send(PartialResult(value))
        return None
    except Exception as error:  # OpenCV's and others': no single task may end the run
        if _is_out_of_memory(error):
            return OutOfMemory()
        if isinstance(error, AvemotionError):
            return TaskFailure(str(error))
        return TaskFailure(f"failed in a way that nobody foresaw ({type(error).__name__}: {error})")


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Tell an allocation that failed, in Python, FFmpeg or OpenCV, also as a cause."""
    while error is not None:
        if (
            isinstance(error, MemoryError)
            or getattr(error, "errno", None) == errno.ENOMEM
            or "Insufficient memory" in str(error)  # cv2.error
        ):
            return True
        error = error.__cause__
    return False


def _limit_memory(mebibytes: int) -> None:
    """Have allocations fail beyond a limit; code and files mapped for reading do not count."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = mebibytes * 2**20
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
