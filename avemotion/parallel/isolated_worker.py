"""The child's side of an isolated process: it receives tasks and sends back their results."""

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

_CHUNK_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """Takes the place of a task's result if there is none."""

    reason: str
    """What went wrong, for the user."""


@dataclass(frozen=True, slots=True)
class ProcessFailure(TaskFailure):
    """The process died, or never started: the same task may succeed in another one."""


@dataclass(frozen=True, slots=True)
class PartialResult:
    """One of several values that a task yields."""

    value: Any
    """The value as it was yielded."""


class OutOfMemory:
    """Sent instead of a result if a task needs more memory than there is."""


def send_task(pipe: Connection, task: object) -> None:
    """Send a task in chunks: a process without the memory for all of it can still read them."""
    pickled = ForkingPickler.dumps(task)
    pipe.send(len(pickled))
    for start in range(0, len(pickled), _CHUNK_BYTES):
        pipe.send_bytes(pickled[start : start + _CHUNK_BYTES])


def _receive_task(pipe: Connection) -> tuple[Any, OutOfMemory | TaskFailure | None]:
    """Return the next task, or what to send back instead of its result.

    Raises:
        EOFError, ConnectionError: The parent has ended.
    """
    size = pipe.recv()
    try:
        pickled = bytearray(size)
    except MemoryError:
        pickled = None
    for start in range(0, size, _CHUNK_BYTES):
        chunk = pipe.recv_bytes()
        if pickled is not None:
            pickled[start : start + len(chunk)] = chunk
    pipe.send("begun")
    if pickled is None:
        return None, OutOfMemory()
    try:
        return pickle.loads(pickled), None
    except Exception as error:  # whatever the classes of its parts raise
        if _is_out_of_memory(error):
            return None, OutOfMemory()
        reason = f"could not be sent to a worker process ({type(error).__name__}: {error})"
        return None, TaskFailure(reason)


def serve(
    pipe: Connection,
    function: Callable[[Any], Any],
    prepare: Callable[[], None] | None,
    memory_mebibytes: int | None,
) -> None:
    """Run tasks until the pipe is closed; the main function of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and kills us
    exit_with_parent()
    with suppress(EOFError, ConnectionError):  # the parent has ended
        try:
            if prepare is not None:
                prepare()
        except Exception as error:  # a package that cannot be loaded, say
            pipe.send(TaskFailure(f"a process cannot start ({type(error).__name__}: {error})"))
            return
        if memory_mebibytes is not None:
            _limit_memory(memory_mebibytes)
        pipe.send("ready")
        while True:
            task, unreadable = _receive_task(pipe)
            try:
                pipe.send(unreadable or _result(function, task, pipe))
            except MemoryError:  # while pickling it
                pipe.send(OutOfMemory())


def _result(function: Callable[[Any], Any], task: object, pipe: Connection) -> object:
    try:
        result = function(task)
        if not isinstance(result, Iterator):
            return result
        for value in result:
            pipe.send(PartialResult(value))
        return None
    except Exception as error:  # OpenCV's and others': one task must not end the run
        if _is_out_of_memory(error):
            return OutOfMemory()
        if isinstance(error, AvemotionError):
            return TaskFailure(str(error))
        return TaskFailure(f"unexpected error: {type(error).__name__}: {error}")


def _is_out_of_memory(error: BaseException | None) -> bool:
    """Detect a failed allocation of Python, FFmpeg or OpenCV, also as the cause of an error."""
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
    """Make allocations beyond a limit fail; code and files mapped for reading do not count."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = mebibytes * 2**20
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
