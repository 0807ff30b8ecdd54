"""A file of results that grows row by row, and goes on where an interrupted run stopped.

The rows are written into ``.NAME.partial``, flushed one by one, so that they can be followed. The
file is renamed after the last one: a file called NAME is always complete. What was asked for is
kept beside the rows (``.NAME.asked.json``), so that rows of different runs never mix.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from avemotion.errors import AvemotionError, UsageError
from avemotion.files import csv_rows, partial_name, read_json, write_atomically, write_json, writing

TABLE_SUFFIXES = (".csv", ".jsonl")
"""CSV, or one JSON object per line."""


def check_output(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse an output file that cannot be written, before the work starts.

    Raises:
        UsageError: Its suffix is wrong, its folder does not exist, or it is a folder.
    """
    if path is None:
        return
    if path.suffix not in suffixes:
        raise UsageError(f"{option} is {path}, but must end in {' or '.join(suffixes)}.")
    if not path.parent.is_dir():
        raise UsageError(
            f"{option} is {path}, but there is no folder {path.parent}. Create it first."
        )
    if path.is_dir():
        raise UsageError(f"{option} is {path}, a folder. Give the name of a file.")


def identity(path: Path) -> str:
    """Return what tells a model from others: the first half of its file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


class ResultFile:
    """The rows of a file that is being written."""

    def __init__(self, path: Path, columns: Sequence[str], unit: str) -> None:
        """Read what an interrupted run left; see `result_file`."""
        self._path, self._columns = path, columns
        self._file: TextIO | None = None
        self.is_csv = path.suffix == ".csv"
        """Whether it is a CSV table; else it has JSON lines."""
        self.earlier = self._kept(unit)
        """Rows of the interrupted run, as read: of CSV every value is a text."""
        self.count = len(self.earlier)
        """Rows in the file."""

    def write(self, rows: Sequence[tuple[Sequence[object], Mapping[str, Any]]]) -> None:
        """Add the rows of a unit, such as all faces of a clip: cells for CSV, values for JSON."""
        file = self._opened()
        write_cells = csv_rows(file)
        for cells, values in rows:
            if self.is_csv:
                write_cells([writable(cell) for cell in cells])
            else:
                file.write(json.dumps(values, allow_nan=False) + "\n")
        file.flush()
        self.count += len(rows)

    def finish(self) -> None:
        """Rename the file: all rows are in it."""
        self._opened()
        self.close()
        partial_name(self._path).replace(self._path)

    def close(self) -> None:
        """Write to the disk what was added."""
        if self._file and not self._file.closed:
            with self._file as file:
                file.flush()
                os.fsync(file.fileno())

    def _opened(self) -> TextIO:
        """Return the file with the rows of the interrupted run; until now it was left as it was."""
        if self._file is None:
            partial = partial_name(self._path)
            with writing(self._path):
                write_atomically(partial, self._write_earlier)
                self._file = partial.open("a", newline="", encoding="utf-8")
        return self._file

    def _write_earlier(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            write_cells = csv_rows(file)
            if self.is_csv:
                write_cells(self._columns)
            for row in self.earlier:
                if self.is_csv:
                    write_cells([row[column] for column in self._columns])
                else:
                    file.write(json.dumps(row, allow_nan=False) + "\n")

    def _kept(self, unit: str) -> list[dict[str, Any]]:
        """Return the rows before those of the last unit, of which rows may be missing."""
        partial = partial_name(self._path)
        try:
            text = partial.read_bytes().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        whole = text[: text.rfind("\n") + 1]  # the last line may be torn
        try:
            rows: list[dict[str, Any]] = (
                [*csv.DictReader(StringIO(whole, newline=""))]
                if self.is_csv
                else [json.loads(line) for line in whole.split("\n")[:-1]]
            )
            return [row for row in rows if row[unit] != rows[-1][unit]]
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise UsageError(f"{partial} is damaged ({error}). Delete it to start anew.") from error


@contextmanager
def result_file(
    path: Path, columns: Sequence[str], unit: str, asked: Mapping[str, Any]
) -> Iterator[ResultFile]:
    """Open a file of results, and rename it after the last row.

    Args:
        path: The file, .csv or .jsonl.
        columns: Columns of the table.
        unit: The column of what is answered at once: of the last one of an interrupted run rows may
            be missing, so it is done again.
        asked: What the rows depend on, ready for JSON. An interrupted run goes on only where it is
            the same.

    Raises:
        UsageError: The rows of an interrupted run are those of something else, or another run is
            writing the file.
        AvemotionError: The disk is full, or writing there is not allowed. Such an error, and an
            interruption, says where the rows are.
    """
    partial, note = partial_name(path), path.with_name(f".{path.name}.asked.json")
    with _locked(path):
        _check_asked(partial, note, dict(asked))
        write_json(note, dict(asked))
        results = ResultFile(path, columns, unit)
        try:
            try:
                yield results
            finally:
                results.close()
        except BaseException as error:
            if not results.count:
                partial.unlink(missing_ok=True)
                note.unlink(missing_ok=True)
            elif isinstance(error, AvemotionError) and not isinstance(error, UsageError):
                reason = str(error).removesuffix(".")
                raise type(error)(f"{reason}. The rows before it are in {partial}.") from error
            elif isinstance(error, KeyboardInterrupt):
                kept = f"The rows before it are in {partial}; the same command goes on after them."
                raise KeyboardInterrupt(kept) from None
            raise
        results.finish()
        note.unlink(missing_ok=True)


def _check_asked(partial: Path, note: Path, asked: dict[str, Any]) -> None:
    """Refuse to go on with the rows of something else."""
    remedy = f"Delete {partial} to start anew, or give another --out."
    if not partial.exists():
        return
    if not note.exists():
        raise UsageError(f"{partial} has the rows of a run of which nothing is known. {remedy}")
    before, now = read_json(note, remedy), json.loads(json.dumps(asked))
    other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if other:
        differences = "; ".join(f"{key} {before.get(key)!r}, now {now.get(key)!r}" for key in other)
        raise UsageError(
            f"{partial} has the rows of an interrupted run with {differences}. {remedy}"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other runs from the file.

    Raises:
        UsageError: Another run is writing it.
    """
    from filelock import FileLock, Timeout  # imported late: answers that are printed need no lock

    name = path.with_name(f".{path.name}.lock")
    lock = FileLock(name)
    with writing(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"{path} is being written by another run. Wait for it to end, or give another "
                "--out."
            ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            name.unlink(missing_ok=True)
        lock.release()


def writable(cell: object) -> object:
    """Return a cell as it can be written: a file's name may hold what is no UTF-8."""
    if not isinstance(cell, str):
        return cell
    return cell.encode("utf-8", "backslashreplace").decode("utf-8")
