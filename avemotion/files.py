"""Files that are never half-written: written under a temporary name, then renamed."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, TypeVar

from avemotion.errors import AvemotionError, UsageError

PARTIAL = ".*.partial"
"""Pattern of the temporary names; a killed run may leave such files."""

Row = TypeVar("Row")

_REMEDIES = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some space",
    errno.EFBIG: "Allow larger files there (`ulimit -f unlimited`)",
    errno.EACCES: "Allow writing there",
    errno.EPERM: "Allow writing there",
    errno.EROFS: "Allow writing there",
}


def partial_name(path: Path, writer: str = "") -> Path:
    """Return a file's temporary name; `writer` keeps those of several writers apart."""
    return path.with_name(f".{path.name}{writer}.partial")


def write_atomically(path: Path, write: Callable[[Path], object], writer: str = "") -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    Files reach the disk in the order of these calls, so that a power cut loses no file that a later
    one needs.

    Args:
        path: The final path.
        write: Writes the file at the path that it is called with.
        writer: Part of the temporary name, if several processes may write the same file.

    Raises:
        AvemotionError: The disk is full, or writing there is not allowed.
    """
    temporary = partial_name(path, writer)
    with writing(path):
        try:
            write(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        _sync_names(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` while a file or folder is written into advice for the user.

    Raises:
        AvemotionError: The disk is full, or writing there is not allowed.
    """
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "Make that possible")
        raise AvemotionError(
            f"{path} cannot be written: {error.strerror or error}. {remedy}, then run the same "
            "command again: finished work is kept."
        ) from error


def _sync_names(folder: Path) -> None:
    """Make a folder's new names survive a power cut, where folders can be synchronised."""
    with suppress(OSError):  # Windows and some network drives cannot
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Create a folder and lock it against other runs.

    Raises:
        UsageError: Another run is writing there, or it cannot be a folder.
        AvemotionError: The disk is full, or writing there is not allowed.
    """
    from filelock import FileLock, Timeout  # imported late: `classify` needs no lock

    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"--out is {folder}, which is a file. It must be a folder, or not exist yet."
        )
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    with writing(folder / ".lock"):
        try:
            lock.acquire()
        except Timeout:
            raise UsageError(
                f"{folder} is being written by another run. Wait for it to end."
            ) from None
    try:
        yield
    finally:
        lock.release()


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        remedy: What the user should do if it is damaged.

    Raises:
        UsageError: The file is missing, or holds no JSON object.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). {remedy}") from error
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


def read_csv(
    path: Path,
    columns: Collection[str],
    parse: Callable[[dict[str, str]], Row],
    remedy: str,
    *,
    optional: Collection[str] | None = (),
) -> list[Row]:
    """Read a table in UTF-8 with a header and commas.

    Args:
        path: The file.
        columns: Columns that it must have, in any order.
        parse: Makes the result of a row from its cells by column. Its ValueError or KeyError means
            that the row is wrong.
        remedy: What the user should do where the table is wrong.
        optional: Further columns that it may have; None allows any.

    Returns:
        The result of each row.

    Raises:
        UsageError: The file is missing or no such table, or a row is wrong.
    """
    rows: list[Row] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, strict=True)
            if problem := _wrong_columns(table.fieldnames or (), columns, optional):
                raise UsageError(f"{path} {problem}. {remedy}")
            for cells in table:
                if None in cells or None in cells.values():
                    raise ValueError("it does not have one value for each column")
                rows.append(parse(cells))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). {remedy}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{path} is not a table in UTF-8 with commas ({error}). {remedy}"
        ) from error
    except (ValueError, KeyError) as error:
        raise UsageError(f"row {len(rows) + 1} of {path} is wrong ({error}). {remedy}") from error
    return rows


def _wrong_columns(
    found: Sequence[str], columns: Collection[str], optional: Collection[str] | None
) -> str:
    """Say what is wrong with a table's columns; nothing where all is well."""
    known = found if optional is None else [*columns, *optional]
    problems = {
        "lacks the columns": set(columns) - set(found),
        "has the unknown columns": set(found) - set(known),
        "has more than once the columns": {name for name in found if found.count(name) > 1},
    }
    return " and ".join(
        f"{what} {', '.join(map(repr, sorted(names)))}" for what, names in problems.items() if names
    )


def csv_rows(file: TextIO) -> Callable[[Sequence[object]], None]:
    """Return a function that writes a row of CSV into a file opened with ``newline=""``."""
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write_row(row: Sequence[object]) -> None:
        # Before Python 3.13 a carriage return is not quoted, so it reads as the end of a line.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if has_return else plain).writerow(row)

    return write_row
