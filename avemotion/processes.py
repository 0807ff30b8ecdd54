"""Long tasks side by side, each in a process of its own; one that dies is tried again."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
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


@contextmanager
def worker_pool(workers: int, prepare: Callable[[], None] | None = None) -> Iterator[ProcessPool]:
    """Open a pool of fresh processes that ends with the block: at once where that fails.

    Args:
        workers: Processes.
        prepare: Called in each of them first.
    """
    pool = ProcessPool(max_workers=workers, context=FRESH, initializer=prepare)
    try:
        yield pool
        pool.close()  # lets idle workers end by themselves: killed while starting, they complain
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    function: Callable[[Task], object], tasks: Mapping[str, Task], jobs: int
) -> Iterator[str]:
    """Call a function on each task, `jobs` at a time, and yield each task's name when it is done.

    Args:
        function: Importable by name; its result is ignored, so it writes what it finds to files.
        tasks: What it is called with, by name; picklable.
        jobs: Processes; each has one thread, so that the number of jobs changes no result.

    Raises:
        AvemotionError: Tasks failed, or their processes died `TRIES` times; the others are done
            first.
    """
    failures: dict[str, str] = {}
    left = list(tasks)
    for _ in range(TRIES):
        lost = {}
        for name, error in _run_once(function, {name: tasks[name] for name in left}, jobs):
            if error is None:
                yield name
            elif isinstance(error, ProcessExpired | BrokenProcessPool):
                lost[name] = str(error)
            else:
                failures[name] = f"{type(error).__name__}: {error}"
        left = list(lost)
    failures |= {
        name: f"its process died {TRIES} times ({why}); perhaps memory is short: try fewer --jobs"
        for name, why in lost.items()
    }
    name_failures({name: failures[name] for name in tasks if name in failures})


def name_failures(failures: Mapping[str, str]) -> None:
    """Say which tasks failed, once the others are done.

    Args:
        failures: Why, by name.

    Raises:
        AvemotionError: There are any.
    """
    if failures:
        name, why = next(iter(failures.items()))
        others = f" (and {len(failures) - 1} others)" if len(failures) > 1 else ""
        raise AvemotionError(
            f"{name}{others} failed: {why}\nAll else is done and kept: the same command goes on."
        )


def _run_once(
    function: Callable[[Task], object], tasks: Mapping[str, Task], jobs: int
) -> Iterator[tuple[str, BaseException | None]]:
    """Try each task once in a pool of its own; yield its name and what went wrong, if anything."""
    if not tasks:
        return
    with worker_pool(min(jobs, len(tasks)), settle) as pool:
        waiting: dict[Future[Any], str] = {}
        for name, task in tasks.items():
            try:
                waiting[pool.schedule(function, args=(task,))] = name
            except RuntimeError as error:  # all workers died meanwhile
                yield name, BrokenProcessPool(str(error))
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.exception()


def one_thread() -> None:
    """Keep this process to one thread: the work is spread over processes."""
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    threadpool_limits(1)


def settle() -> None:
    """Prepare a process that trains: one thread, and no life without its parent."""
    import torch

    one_thread()
    torch.set_num_threads(1)
    end_with_parent()


def end_with_parent() -> None:
    """Let this process end when its parent is gone: nobody else would end it, and it would go on.

    Where it was not started by this package there is no such parent, and nothing happens.
    """
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
