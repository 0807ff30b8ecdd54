"""Worker processes: how they start, how many threads they have, and how they end."""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType


class _SpawnProcess(SpawnProcess):
    def start(self) -> None:
        """Start without the caller's script, which the new process would run from the top."""
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = script


class _SpawnContext(SpawnContext):
    Process = _SpawnProcess


SPAWN = _SpawnContext()
"""Starts new processes instead of forking, because forking a process with threads can deadlock.

A script that calls this package needs no ``if __name__ == "__main__"``: all that the processes run
is in this package.
"""


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread() -> None:
    """Limit OpenCV and BLAS to one thread in this process: the work is spread over processes."""
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    threadpool_limits(1)


def exit_with_parent() -> None:
    """Exit this process when its parent ends, even if the parent is killed.

    Does nothing in a process that multiprocessing did not start.
    """
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
