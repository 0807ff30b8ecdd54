"""Used by kills.py instead of `extract`: a worker that dies or hangs if the file says so."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from avemotion.config import PreprocessSettings
from avemotion.features.extraction import Extraction, extract

KILLED, EXITS, HANGS = b"be killed", b"exit", b"hang"
"""Contents of files that make the worker do so."""


def extract_or_fail(
    task: tuple[str, Path | None, Path | None, PreprocessSettings],
) -> Extraction:
    content = task[2].read_bytes()[:20] if task[2] else b""
    if content == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if content == EXITS:
        os._exit(3)
    if content == HANGS:
        time.sleep(3600)
    return extract(*task)
