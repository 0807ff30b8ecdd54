"""Tasks in processes that may crash, hang or take all memory: that costs one task, never the run.

Each process has a pipe of its own. Where processes share a queue, one that is killed while it holds
the queue's lock stops all others, and a crash cannot always be told from its neighbour's.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import current_process
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeVar

from avemotion.errors import UsageError
from avemotion.parallel.isolated_worker import (
    OutOfMemory,
    PartialResult,
    TaskFailure,
    send_task,
    serve,
)
from avemotion.parallel.processes import SPAWN

CLIP_TIMEOUT_SECONDS = 120
"""Time limit for one clip: a real one takes well under a second, one at this limit has hung."""

MEMORY_MEBIBYTES = 4096
"""Most memory of a process: 4K video takes 2,000 MiB, a CREMA-D clip 220."""

_AHEAD = 8  # tasks a worker has waiting, so that neither workers nor memory run out
_STARTS = 3  # tries to have a process begin a task
_START_SECONDS = 300  # imports, on a busy machine
Task = TypeVar("Task")
Result = TypeVar("Result")
_STARTING = threading.Lock()  # starting a process touches what all threads share


def map_isolated(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    timeout_seconds: float,
    memory_mebibytes: int = MEMORY_MEBIBYTES,
    prepare: Callable[[], None] | None = None,
) -> Generator[Result | TaskFailure, None, None]:
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

    Raises:
        UsageError: This process is one that may not start others.
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
        """Return what the function makes of a task, or a `TaskFailure`.

        Args:
            task: What the function is called with.
            timeout_seconds: See `map_isolated`.
            tell: For a function that yields: receives each value as it comes; None is returned.

        Raises:
            UsageError: This process is one that may not start others.
        """
        for _ in range(_STARTS):
            try:
                pipe = self._begin(task)
            except (EOFError, OSError):  # it died idle or starting: no task is to blame
                self.end()
                continue
            return self._result(pipe, timeout_seconds, tell)
        return TaskFailure("no process could be started for it: perhaps memory is short")

    def _begin(self, task: object) -> Any:
        with _Deadline(_START_SECONDS, self.kill):
            pipe = self._pipe or self._start()
            send_task(pipe, task)
            pipe.recv()  # it has begun: what happens from here on is the task's doing
        return pipe

    def _start(self) -> Connection:
        if current_process().daemon:
            raise UsageError(
                "this process is daemonic, as workers of multiprocessing.Pool are, and such a "
                "process may not start others. Call `Classifier.classify` in it, without "
                "isolated=True, or use a concurrent.futures.ProcessPoolExecutor."
            )
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=serve, args=(theirs, *self._work), daemon=True)
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
                while isinstance(outcome := pipe.recv(), PartialResult):
                    if tell:
                        tell(outcome.value)
            except (EOFError, OSError):
                code = self.end()
                if self._closed:
                    return TaskFailure("it was given up: the program ends")
                if not deadline.passed:
                    return TaskFailure(f"the decoder crashed ({_cause(code)})")
                outcome = None
        if deadline.passed:
            self.end()
            return TaskFailure(f"took longer than {timeout_seconds:g} s")
        if isinstance(outcome, OutOfMemory):
            self.end()  # what is left of its memory may be in pieces
            return TaskFailure(f"needed more memory than {self._mebibytes:,} MiB")
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


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == getattr(signal, "SIGKILL", None):
        name += ": perhaps the machine ran short of memory"
    return name
