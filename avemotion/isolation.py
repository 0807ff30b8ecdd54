"""Open strangers' media in worker processes that may die or hang: that costs one file, not the run.

The outcomes come in the order of the tasks, however many workers there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import TimeoutError as TaskTimeoutError
from dataclasses import dataclass
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessFuture

from avemotion.processes import worker_pool

_AHEAD = 8  # tasks a worker has waiting, so that neither workers nor memory run out

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
    prepare: Callable[[], None] | None = None,
) -> Generator[Result | Lost, None, None]:
    """Do tasks in worker processes and yield each result, or how it was lost, in their order.

    Args:
        function: Importable by name; takes and returns what can be pickled.
        tasks: What it is called with.
        workers: Processes.
        timeout_seconds: A task that takes longer has hung: its process is ended.
        prepare: Called in each process first.
    """
    if not tasks:
        return
    with worker_pool(min(workers, len(tasks)), prepare) as pool:
        running: deque[ProcessFuture[Any]] = deque()
        left = iter(tasks)
        for _ in tasks:
            while len(running) < _AHEAD * workers and (todo := next(left, None)) is not None:
                running.append(pool.schedule(function, args=(todo,), timeout=timeout_seconds))
            yield _outcome(running.popleft(), timeout_seconds)


def _outcome(future: ProcessFuture[Any], timeout_seconds: float) -> Any:
    try:
        return future.result()
    except TaskTimeoutError:
        return Lost(f"took longer than {timeout_seconds:g} s to decode")
    except ProcessExpired as error:
        return Lost(f"the decoder crashed (exit code {error.exitcode})")
    except Exception as error:  # OpenCV's and others': no single file may end the run
        return Lost(f"{type(error).__name__}: {error}")
