"""How far long work is, on standard error: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30.0
"""Where no terminal shows a bar; work that takes no longer leaves no line."""

_LINE = "{desc} {n_fmt} of {total_fmt} {unit}s, {elapsed} elapsed, {remaining} left"
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f]")


class _Lines(tqdm):  # type: ignore[type-arg]
    """A bar whose description alone draws no line."""

    def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
        self.set_description_str(desc, refresh=False)


class _LineFile:
    """A file for tqdm that writes what it draws as lines, without control characters."""

    def write(self, text: str) -> None:
        if line := _CONTROL.sub("", text).strip():
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def on_terminal() -> bool:
    """Tell whether standard error can redraw a line: a terminal, or a notebook."""
    return (sys.stderr is not None and sys.stderr.isatty()) or "ipykernel" in sys.modules


def progress_bar(steps: Iterable[Any] | None = None, **options: Any) -> Any:
    """Return a bar of tqdm, or what takes its place in a file.

    Args:
        steps: What is iterated over, as tqdm takes it.
        options: As tqdm takes them.
    """
    if on_terminal():
        return tqdm(steps, **options)
    plain = {
        "file": _LineFile(),
        "bar_format": _LINE,
        "ascii": True,
        "delay": SECONDS_BETWEEN_LINES,
        "mininterval": SECONDS_BETWEEN_LINES,
        "maxinterval": 2 * SECONDS_BETWEEN_LINES,
    }
    return _Lines(steps, **options | plain)
