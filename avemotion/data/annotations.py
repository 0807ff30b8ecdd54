"""Tables about people: how the crowd voted, and who the actors are.

A feature store and an evaluation each keep their own copy, so that either can be read alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avemotion.data.types import Rating
from avemotion.errors import UsageError
from avemotion.files import write_csv


def write_ratings(path: Path, labels: Sequence[str], ratings: Iterable[Rating]) -> None:
    """Write votes as CSV: clip, channel, a count for each label."""
    rows = ([r.clip, r.channel, *r.votes] for r in ratings)
    write_csv(path, ["clip", "channel", *labels], rows)


def read_ratings(path: Path, labels: Sequence[str]) -> list[Rating]:
    """Read votes back; none where there is no such file.

    Raises:
        UsageError: The table is damaged.
    """
    header, rows = _read(path)
    if not header:
        return []
    try:
        if header != ["clip", "channel", *labels]:
            raise ValueError("its columns are not the labels")
        return [
            Rating(clip, channel, tuple(int(n) for _, n in zip(labels, votes, strict=True)))
            for clip, channel, *votes in rows
        ]
    except ValueError as error:
        raise _damaged(path, error) from error


def write_demographics(path: Path, demographics: Mapping[str, Mapping[str, str]]) -> None:
    """Write the facts known of each actor as CSV."""
    metadata = sorted({fact for known in demographics.values() for fact in known})
    rows = ([a, *(known.get(fact, "") for fact in metadata)] for a, known in demographics.items())
    write_csv(path, ["actor", *metadata], rows)


def read_demographics(path: Path) -> dict[str, dict[str, str]]:
    """Read the facts back, by actor; none where there is no such file.

    Raises:
        UsageError: The table is damaged.
    """
    header, rows = _read(path)
    try:
        return {actor: dict(zip(header[1:], metadata, strict=True)) for actor, *metadata in rows}
    except ValueError as error:
        raise _damaged(path, error) from error


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        return [], []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except (ValueError, csv.Error) as error:
        raise _damaged(path, error) from error
    return header, rows


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path} is damaged ({error}). Run the command that wrote it again.")
