"""Processes that work beside this one: how they start, and how they end."""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any


class _SpawnProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 (multiprocessing's name)
        """Start it without the caller's script, which it would run from the top."""
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = main


class _SpawnContext(SpawnContext):
    Process = _SpawnProcess


SPAWN = _SpawnContext()
"""Starts processes afresh, since forking one that runs threads can deadlock.

A script that calls this package needs no ``if __name__ == "__main__"``: what the processes run is
all in this package.
"""


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    """Keep this process to one thread: the work is spread over processes."""
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    threadpool_limits(1)


def exit_with_parent() -> None:
    """Let this process end when its parent is gone: nobody else would end it, and it would go on.

    Where it was not started by this package there is no such parent, and nothing happens.
    """
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
