"""Long tasks side by side, each in a process of its own; one that dies is tried again."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from avemotion.errors import AvemotionError

TRIES = 3
"""How often a task is started whose process dies."""

Task = TypeVar("Task")


class _FreshProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 (multiprocessing's name)
        """Start it without the caller's script, which it would run from the top."""
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _FreshContext(SpawnContext):
    Process = _FreshProcess


FRESH = _FreshContext()
"""Starts processes afresh, since forking one that runs threads can deadlock.

A script that calls this package needs no ``if __name__ == "__main__"``: what the processes run is
all in this package.
"""


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(function: Callable[[Task], object], tasks: Sequence[Task], jobs: int) -> Iterator[Task]:
    """Call a function on each task, `jobs` at a time, and yield each task when it is done.

    Args:
        function: Importable by name; its result is ignored, so it writes what it finds to files.
        tasks: What it is called with; picklable.
        jobs: Processes; each has one thread, so that the number of jobs changes no result.

    Raises:
        AvemotionError: A task failed, or its process died `TRIES` times; the others are done first.
    """
    if not tasks:
        return
    pool = ProcessPool(max_workers=min(jobs, len(tasks)), context=FRESH, initializer=_settle)
    failures: list[BaseException] = []
    try:
        waiting: dict[Future[Any], tuple[Task, int]] = {
            pool.schedule(function, args=(task,)): (task, 1) for task in tasks
        }
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                task, tried = waiting.pop(future)
                error = future.exception()
                if isinstance(error, ProcessExpired) and tried < TRIES:
                    waiting[pool.schedule(function, args=(task,))] = (task, tried + 1)
                elif error is not None:
                    failures.append(_explained(error, tried))
                else:
                    yield task
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()
    if failures:
        raise failures[0]


def _explained(error: BaseException, tried: int) -> BaseException:
    if isinstance(error, ProcessExpired):
        return AvemotionError(
            f"A worker process died {tried} times (exit code {error.exitcode}); perhaps the memory "
            "is too small. Try again with fewer --jobs: what is finished is kept."
        )
    return error


def _settle() -> None:
    """Prepare a worker: one thread, and no life without its parent."""
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone: nobody else would, and it would go on writing."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
