"""Tasks in processes that may crash, hang or run out of memory: each costs one task, not the run.

Each process has its own pipe. The process pools of the standard library and of pebble share a queue
among their processes: one that is killed while it holds the queue's lock stops all the others. Of
300 tasks with results of 30 MB, pebble lost 297 after two kills; this one 67 after 77 kills, all of
them running when their process was killed.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import current_process
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeVar

from avemotion.errors import UsageError
from avemotion.parallel.isolated_worker import (
    OutOfMemory,
    PartialResult,
    ProcessFailure,
    TaskFailure,
    send_task,
    serve,
)
from avemotion.parallel.processes import SPAWN

CLIP_TIMEOUT_SECONDS = 120
"""Time limit for one clip: a real one takes well under a second, one at this limit has hung."""

MEMORY_MEBIBYTES = 4096
"""Memory limit of a process that reads clips: 4K video takes 2,000 MiB, a CREMA-D clip 220."""

_AHEAD = 8  # tasks queued for each worker: enough to keep it busy, few enough for the memory
_STARTS = 3  # attempts to start a process for a task
_START_SECONDS = 300  # imports, on a busy machine
Task = TypeVar("Task")
Result = TypeVar("Result")
_STARTING = threading.Lock()  # starting a process changes what all threads share


def map_isolated(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    timeout_seconds: float | None,
    memory_mebibytes: int | None = MEMORY_MEBIBYTES,
    prepare: Callable[[], None] | None = None,
) -> Generator[Result | TaskFailure, None, None]:
    """Run tasks in worker processes; yield the result or failure of each, in their order.

    Only a few tasks run ahead of the one that is yielded next. For the arguments see
    `isolated_workers`.
    """
    if not tasks:
        return
    workers = min(workers, len(tasks))
    limits = (timeout_seconds, memory_mebibytes)
    with isolated_workers(function, workers, *limits, prepare) as submit:
        running: deque[Future[Result | TaskFailure]] = deque()
        left = iter(tasks)
        for _ in tasks:
            while len(running) < _AHEAD * workers and (task := next(left, None)) is not None:
                running.append(submit(task))
            yield running.popleft().result()


@contextmanager
def isolated_workers(
    function: Callable[[Task], Result],
    workers: int,
    timeout_seconds: float | None,
    memory_mebibytes: int | None,
    prepare: Callable[[], None] | None,
) -> Iterator[Callable[[Task], Future[Result | TaskFailure]]]:
    """Open worker processes, which are killed at the end of the block; yield what queues a task.

    Args:
        function: Importable by name; its argument and result must be picklable. The exceptions
            that it raises become `TaskFailure`; of an `AvemotionError` the message is the reason.
        workers: Number of processes.
        timeout_seconds: A process whose task takes longer is killed; None for no limit. The start
            of a process does not count.
        memory_mebibytes: A task that needs more memory fails, on systems that can limit it
            (Linux); None for no limit.
        prepare: Called first in each process.

    Raises:
        UsageError: This process is daemonic, so it cannot start others.
    """
    processes = [IsolatedProcess(function, prepare, memory_mebibytes) for _ in range(workers)]
    idle: SimpleQueue[IsolatedProcess] = SimpleQueue()
    for process in processes:
        idle.put(process)

    def run(task: Task) -> Any:
        process = idle.get()
        try:
            return process.run(task, timeout_seconds)
        finally:
            idle.put(process)

    threads = ThreadPoolExecutor(workers)  # each waits for one process
    try:
        yield lambda task: threads.submit(run, task)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.close()
        threads.shutdown()
        for process in processes:
            process.end()


class _NotPreparedError(Exception):
    """`prepare` failed in the process."""


class IsolatedProcess:
    """A process that runs one task at a time, started when needed and replaced when it died."""

    def __init__(
        self,
        function: Callable[[Any], Any],
        prepare: Callable[[], None] | None,
        memory_mebibytes: int | None = MEMORY_MEBIBYTES,
    ) -> None:
        """Keep what the process will run; see `isolated_workers`."""
        self._work = (function, prepare, memory_mebibytes)
        self._memory_mebibytes = memory_mebibytes
        self._process: Any = None
        self._pipe: Connection | None = None
        self._closed = False

    def run(
        self,
        task: object,
        timeout_seconds: float | None,
        on_partial: Callable[[Any], None] | None = None,
    ) -> Any:
        """Return the function's result for a task, or a `TaskFailure`.

        Args:
            task: The function's argument.
            timeout_seconds: See `isolated_workers`.
            on_partial: Called with each value of a function that yields, as it comes; the result
                is then None. Without it, the last value is the result, and the time limit starts
                anew with each value.

        Raises:
            UsageError: This process is daemonic, so it cannot start others.
        """
        for _ in range(_STARTS):
            try:
                pipe = self._begin(task)
            except (EOFError, OSError):  # it died idle or starting: no task is to blame
                self.end()
                continue
            except _NotPreparedError as error:
                self.end()
                return TaskFailure(str(error))
            return self._result(pipe, timeout_seconds, on_partial)
        return ProcessFailure("no worker process could be started: perhaps memory is short")

    def _begin(self, task: object) -> Any:
        with _Deadline(_START_SECONDS, self.kill):
            pipe = self._pipe or self._start()
            send_task(pipe, task)
            pipe.recv()  # it has begun: from here on the task is to blame
        return pipe

    def _start(self) -> Connection:
        if current_process().daemon:
            raise UsageError(
                "this process is daemonic, as workers of multiprocessing.Pool are, and such a "
                "process may not start others. Use a concurrent.futures.ProcessPoolExecutor. To "
                "classify, call `Classifier.classify` in it, without isolated=True."
            )
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=serve, args=(theirs, *self._work), daemon=True)
        with _STARTING:
            if self._closed:
                raise EOFError
            process.start()
            self._process, self._pipe = process, ours
        theirs.close()  # so that the pipe ends with the process
        if isinstance(answer := ours.recv(), TaskFailure):
            raise _NotPreparedError(answer.reason)
        return ours

    def _result(
        self,
        pipe: Connection,
        timeout_seconds: float | None,
        on_partial: Callable[[Any], None] | None,
    ) -> Any:
        last: Any = None
        with _Deadline(timeout_seconds, self.kill) as deadline:
            try:
                while isinstance(outcome := pipe.recv(), PartialResult):
                    if on_partial:
                        on_partial(outcome.value)
                    else:
                        last = outcome.value
                        deadline.restart()
            except (EOFError, OSError):
                code = self.end()
                if self._closed:
                    return TaskFailure("cancelled: the program is shutting down")
                if not deadline.passed:
                    return ProcessFailure(f"the process crashed ({_cause(code)})")
                outcome = None
        if deadline.passed:
            self.end()
            return TaskFailure(f"took longer than {timeout_seconds:g} s")
        if isinstance(outcome, OutOfMemory):
            self.end()  # its memory may be fragmented
            limit = self._memory_mebibytes
            most = "the machine has" if limit is None else f"{limit:,} MiB"
            return TaskFailure(f"needed more memory than {most}")
        return last if outcome is None else outcome

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> int | None:
        """Make sure that the process has ended; return its exit code."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is None or pipe is None:
            return None
        pipe.close()
        process.join(1)  # it may be dying: its own exit code says more than that of our kill
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
    """Calls a function unless the block has ended by then; never after it."""

    def __init__(self, seconds: float | None, on_passed: Callable[[], None]) -> None:
        self.passed = False
        self._over = False
        self._on_passed = on_passed
        self._lock = threading.Lock()
        self._seconds = threading.TIMEOUT_MAX if seconds is None else seconds

    def __enter__(self) -> _Deadline:
        self._start()
        return self

    def _start(self) -> None:
        self._timer = threading.Timer(self._seconds, self._pass)
        self._timer.daemon = True
        self._timer.start()

    def restart(self) -> None:
        """Count from now on."""
        self._timer.cancel()
        self._start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True

    def _pass(self) -> None:
        with self._lock:
            if not self._over:
                self.passed = True
                self._on_passed()


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == getattr(signal, "SIGKILL", None):
        name += ": perhaps the machine ran short of memory"
    return name
