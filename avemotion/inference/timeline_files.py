"""Rows of a timeline into a table or JSON lines, as they come."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from avemotion.errors import MediaError, UsageError
from avemotion.files import csv_rows, partial_name, writing
from avemotion.inference.timeline_rows import TimelineRow, table_columns, table_row

TABLE_SUFFIXES = (".csv", ".jsonl")
"""A table with one line a row, or one JSON object a line."""


def check_output(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written in the end.

    Raises:
        UsageError: Its suffix is another one, its folder does not exist, or it is a folder itself.
    """
    if path is None:
        return
    if path.suffix not in suffixes:
        raise UsageError(f"{option} is {path}, but must end in {' or '.join(suffixes)}.")
    if not path.parent.is_dir():
        raise UsageError(
            f"{option} is {path}, but there is no folder {path.parent}. Make it first."
        )
    if path.is_dir():
        raise UsageError(f"{option} is {path}, a folder. Give the name of a file.")


@contextmanager
def row_file(path: Path, labels: Sequence[str]) -> Iterator[Callable[[TimelineRow], None]]:
    """Give what writes a row; the file bears its name once the last row is in it.

    Each row is flushed, so that the file can be followed under its temporary name
    (``.NAME.partial``). There it stays with the rows so far where reading fails or is interrupted:
    a file called `path` is always whole, and an hour's work is never lost.
    """
    temporary = partial_name(path)
    kept, rows = f"The rows until then are in {temporary}.", 0
    try:
        with writing(path):
            opened = temporary.open("w", newline="", encoding="utf-8")
        with opened as file:
            write_cells = csv_rows(file)

            def write(row: TimelineRow) -> None:
                nonlocal rows
                rows += 1
                if path.suffix == ".csv":
                    write_cells(table_row(row, labels))
                else:
                    file.write(json.dumps(row.to_dict(), allow_nan=False) + "\n")
                file.flush()

            if path.suffix == ".csv":
                write_cells(table_columns(labels))
            yield write
            os.fsync(file.fileno())
    except BaseException as error:
        if not rows:
            temporary.unlink(missing_ok=True)
        elif isinstance(error, MediaError):
            raise MediaError(f"{error}. {kept}") from error
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(kept) from None
        raise
    temporary.replace(path)
