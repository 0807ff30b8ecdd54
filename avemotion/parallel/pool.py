"""Long tasks side by side, each in a process of its own; one that dies is tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from avemotion.errors import AvemotionError
from avemotion.parallel.processes import SPAWN, exit_with_parent, one_thread

TRIES = 3
"""How often a task is started whose process dies."""

Task = TypeVar("Task")


@contextmanager
def worker_pool(workers: int, prepare: Callable[[], None] | None = None) -> Iterator[ProcessPool]:
    """Open a pool of fresh processes that ends with the block: at once where that fails.

    Args:
        workers: Processes.
        prepare: Called in each of them first.
    """
    pool = ProcessPool(max_workers=workers, context=SPAWN, initializer=prepare)
    try:
        yield pool
        pool.close()  # lets idle workers end by themselves: killed while starting, they complain
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


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
    with worker_pool(min(jobs, len(tasks)), init_training_worker) as pool:
        waiting: dict[Future[Any], str] = {}
        for name, task in tasks.items():
            try:
                waiting[pool.schedule(function, args=(task,))] = name
            except RuntimeError as error:  # all workers died meanwhile
                yield name, BrokenProcessPool(str(error))
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.exception()


def init_training_worker() -> None:
    """Prepare a process that trains: one thread, and no life without its parent."""
    import torch

    one_thread()
    torch.set_num_threads(1)
    exit_with_parent()
