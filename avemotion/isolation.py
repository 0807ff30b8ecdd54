"""Tasks in processes that may crash, hang or take all memory: that costs one task, never the run.

Each process has a pipe of its own. Where processes share a queue, one that is killed while it holds
the queue's lock stops all others, and a crash cannot always be told from its neighbour's.
"""

from __future__ import annotations

import errno
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeVar

from avemotion.errors import AvemotionError
from avemotion.processes import FRESH, end_with_parent

MEMORY_MEBIBYTES = 4096
"""Most memory of a process: 4K video takes 2,000 MiB, a CREMA-D clip 220."""

_AHEAD = 8  # tasks a worker has waiting, so that neither workers nor memory run out
_STARTS = 3  # tries to have a process begin a task
_START_SECONDS = 300  # imports, on a busy machine

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands in place of a result that never came."""

    reason: str
    """How the task ended, for the user."""


def map_isolated(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    timeout_seconds: float,
    memory_mebibytes: int = MEMORY_MEBIBYTES,
    prepare: Callable[[], None] | None = None,
) -> Generator[Result | Lost, None, None]:
    """Do tasks in worker processes and yield each result, or how it was lost, in their order.

    Args:
        function: Importable by name; takes and returns what can be pickled. The message of an
            `AvemotionError` is the reason of a loss; other exceptions are named.
        tasks: What it is called with.
        workers: Processes.
        timeout_seconds: A task that takes longer has hung: its process is killed. The start of a
            process does not count.
        memory_mebibytes: A task that needs more is lost, where the system can limit it (Linux).
        prepare: Called in each process first.
    """
    if not tasks:
        return
    workers = min(workers, len(tasks))
    processes = [IsolatedProcess(function, prepare, memory_mebibytes) for _ in range(workers)]
    idle: SimpleQueue[IsolatedProcess] = SimpleQueue()
    for process in processes:
        idle.put(process)

    def do(task: Task) -> Any:
        process = idle.get()
        try:
            return process.do(task, timeout_seconds)
        finally:
            idle.put(process)

    threads = ThreadPoolExecutor(workers)  # each waits for one process
    try:
        running: deque[Future[Any]] = deque()
        left = iter(tasks)
        for _ in tasks:
            while len(running) < _AHEAD * workers and (task := next(left, None)) is not None:
                running.append(threads.submit(do, task))
            yield running.popleft().result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.close()
        threads.shutdown()
        for process in processes:
            process.end()


class IsolatedProcess:
    """A process that does a task at a time, started when needed and replaced when gone."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        prepare: Callable[[], None] | None,
        mebibytes: int = MEMORY_MEBIBYTES,
    ) -> None:
        """Keep what the process will do; see `map_isolated`."""
        self._work = (function, prepare, mebibytes)
        self._mebibytes = mebibytes
        self._process: Any = None
        self._pipe: Connection | None = None
        self._closed = False

    def do(
        self, task: object, timeout_seconds: float, tell: Callable[[Any], None] | None = None
    ) -> Any:
        """Return what the function makes of a task, or a `Lost`.

        Args:
            task: What the function is called with.
            timeout_seconds: See `map_isolated`.
            tell: For a function that yields: receives each value as it comes; None is returned.
        """
        for _ in range(_STARTS):
            try:
                pipe = self._begin(task)
            except (EOFError, OSError):  # it died idle or starting: no task is to blame
                self.end()
                continue
            return self._result(pipe, timeout_seconds, tell)
        return Lost("no process could be started for it: perhaps memory is short")

    def _begin(self, task: object) -> Any:
        with _Deadline(_START_SECONDS, self.kill):
            pipe = self._pipe or self._start()
            pipe.send(task)
            pipe.recv()  # it has begun: what happens from here on is the task's doing
        return pipe

    def _start(self) -> Connection:
        ours, theirs = FRESH.Pipe()
        process = FRESH.Process(target=_serve, args=(theirs, *self._work), daemon=True)
        with _STARTING:
            if self._closed:
                raise EOFError
            process.start()
            self._process, self._pipe = process, ours
        theirs.close()  # so that the pipe ends with the process
        ours.recv()  # it is ready
        return ours

    def _result(
        self, pipe: Connection, timeout_seconds: float, tell: Callable[[Any], None] | None
    ) -> Any:
        with _Deadline(timeout_seconds, self.kill) as deadline:
            try:
                while isinstance(outcome := pipe.recv(), _Part):
                    if tell:
                        tell(outcome.value)
            except (EOFError, OSError):
                code = self.end()
                if not deadline.passed:
                    return Lost(f"the decoder crashed ({_cause(code)})")
                outcome = None
        if deadline.passed:
            self.end()
            return Lost(f"took longer than {timeout_seconds:g} s")
        if isinstance(outcome, _OutOfMemory):
            self.end()  # what is left of its memory may be in pieces
            return Lost(f"needed more memory than {self._mebibytes:,} MiB")
        return outcome

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> int | None:
        """Make sure that the process is gone; return its exit code."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is None or pipe is None:
            return None
        pipe.close()
        process.join(1)  # it may be dying: its own exit code says more than ours
        process.kill()
        process.join()
        code: int | None = process.exitcode
        return code

    def close(self) -> None:
        """Kill the process and start no other."""
        with _STARTING:
            self._closed = True
            self.kill()


_STARTING = threading.Lock()  # starting a process touches what all threads share


class _Deadline:
    """Strikes unless the block has ended by then; never after it."""

    def __init__(self, seconds: float, strike: Callable[[], None]) -> None:
        self.passed = False
        self._over = False
        self._strike = strike
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True

    def _pass(self) -> None:
        with self._lock:
            if not self._over:
                self.passed = True
                self._strike()


@dataclass(frozen=True, slots=True)
class _Part:
    """One of several values that a task yields."""

    value: Any


class _OutOfMemory:
    """What a process answers that could not allocate what a task needs."""


def _serve(
    pipe: Connection,
    function: Callable[[Any], Any],
    prepare: Callable[[], None] | None,
    mebibytes: int,
) -> None:
    """Run in the process: do tasks until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and ends us
    end_with_parent()
    if prepare is not None:
        prepare()
    _limit_memory(mebibytes)
    with suppress(EOFError, ConnectionError):  # the parent is gone
        pipe.send("ready")
        while True:
            task = pipe.recv()
            pipe.send("begun")
            try:
                pipe.send(_answer(function, task, pipe))
            except MemoryError:  # pickling it
                pipe.send(_OutOfMemory())


def _answer(function: Callable[[Any], Any], task: object, pipe: Connection) -> object:
    try:
        result = function(task)
        if not isinstance(result, Iterator):
            return result
        for value in result:
            pipe.send(_Part(value))
        return None
    except Exception as error:  # OpenCV's and others': no single task may end the run
        if _is_out_of_memory(error):
            return _OutOfMemory()
        if isinstance(error, AvemotionError):
            return Lost(str(error))
        return Lost(f"failed in a way that nobody foresaw ({type(error).__name__}: {error})")


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


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == getattr(signal, "SIGKILL", None):
        name += ": perhaps the machine ran short of memory"
    return name
