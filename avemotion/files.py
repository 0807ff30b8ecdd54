"""Files that are never half-written: filled under a temporary name, then renamed."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from avemotion.errors import UsageError


def partial_name(path: Path) -> Path:
    """Return what a file is called until it is whole."""
    return path.with_name(f".{path.name}.partial")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: never half a file."""
    temporary = partial_name(path)
    write(temporary)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs out of it while this one writes.

    Raises:
        UsageError: Another run is writing there, or it cannot be a folder.
    """
    from filelock import FileLock, Timeout  # not for those who only read, such as `classify`

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(
            f"--out is {folder}, a file, but must be a folder or not exist yet."
        ) from None
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"{folder} is being written by another run. Wait for it to end.") from None
    try:
        yield
    finally:
        lock.release()


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        remedy: What the user should do where it is damaged.

    Raises:
        UsageError: The file holds no JSON object.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}). {remedy}") from error


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            write_row = csv_rows(file)
            for row in chain([columns], rows):
                write_row(row)

    write_atomically(path, write)


def csv_rows(file: TextIO) -> Callable[[Sequence[object]], None]:
    """Return what writes the rows of a table into a file opened with ``newline=""``."""
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write_row(row: Sequence[object]) -> None:
        # Until Python 3.13 a carriage return is not quoted, and then read as a line's end.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if has_return else plain).writerow(row)

    return write_row
