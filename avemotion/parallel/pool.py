"""Long tasks in parallel, each in a process of its own; one whose process dies is tried again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from functools import partial
from typing import TypeVar

from avemotion.errors import AvemotionError
from avemotion.parallel.isolated_worker import ProcessFailure
from avemotion.parallel.isolation import isolated_workers
from avemotion.parallel.processes import one_thread

TRIES = 3
"""How often a task is started if its process dies."""

Task = TypeVar("Task")


def run_all(
    function: Callable[[Task], object], tasks: Mapping[str, Task], jobs: int
) -> Iterator[str]:
    """Call a function on each task, `jobs` at a time, and yield each task's name when it is done.

    Neither time nor memory of a task is limited.

    Args:
        function: Importable by name; its result is ignored, so it writes its results to files.
        tasks: Its arguments by name; they must be picklable.
        jobs: Number of processes; each has one thread, so that their number changes no result.

    Raises:
        AvemotionError: Tasks failed, or their processes died `TRIES` times; all others are done
            first.
    """
    if not tasks:
        return
    failures: dict[str, str] = {}
    tries: Counter[str] = Counter()
    attempt, workers = partial(_attempt, function), min(jobs, len(tasks))
    with isolated_workers(attempt, workers, None, None, init_training_worker) as submit:
        running = {submit(task): name for name, task in tasks.items()}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, outcome = running.pop(future), future.result()
                tries[name] += 1
                if outcome is None:
                    yield name
                elif not isinstance(outcome, ProcessFailure):
                    failures[name] = outcome.reason
                elif tries[name] < TRIES:
                    running[submit(tasks[name])] = name
                else:
                    failures[name] = (
                        f"gave up after {TRIES} tries: {outcome.reason}. Try fewer --jobs."
                    )
    raise_failures({name: failures[name] for name in tasks if name in failures})


def _attempt(function: Callable[[Task], object], task: Task) -> None:
    """Run in a worker process."""
    try:
        function(task)
    except Exception as error:
        raise AvemotionError(describe(error)) from None


def describe(error: BaseException) -> str:
    """Return the message of an `AvemotionError`; that of others after the name of their class."""
    return str(error) if isinstance(error, AvemotionError) else f"{type(error).__name__}: {error}"


def raise_failures(failures: Mapping[str, str]) -> None:
    """Report failed tasks once all others are done.

    Args:
        failures: Reasons by name; may be empty.

    Raises:
        AvemotionError: There are any.
    """
    if failures:
        name, reason = next(iter(failures.items()))
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise AvemotionError(
            f"{name}{more} failed: {reason}\n"
            "All other tasks are done. Run the same command again to try the failed ones."
        )


def init_training_worker() -> None:
    """Limit this process to one thread, in PyTorch too."""
    import torch

    one_thread()
    torch.set_num_threads(1)
