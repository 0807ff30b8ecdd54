"""Tables about people: how the crowd voted, and who the actors are.

A feature store and an evaluation each keep their own copy, so that either can be read alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avemotion.config import MODALITIES
from avemotion.data.types import Rating
from avemotion.files import read_csv, write_csv

RATINGS_NAME, DEMOGRAPHICS_NAME, UNITS_NAME = "ratings.csv", "demographics.csv", "units.csv"
"""The tables in a feature store."""

_REMEDY = "Run the command that wrote it again."


def write_ratings(path: Path, labels: Sequence[str], ratings: Iterable[Rating]) -> None:
    """Write votes as CSV: clip, channel, a count for each label, and one for all other answers."""
    rows = ([r.clip, r.channel, *r.votes, r.other_votes] for r in ratings)
    write_csv(path, ["clip", "channel", *labels, "other_votes"], rows)


def read_ratings(path: Path, labels: Sequence[str]) -> list[Rating]:
    """Read votes back; none where there is no such file.

    Raises:
        UsageError: The table is damaged.
    """

    def rating(cells: dict[str, str]) -> Rating:
        if not cells["clip"] or cells["channel"] not in MODALITIES:
            raise ValueError(f"clip {cells['clip']!r}, channel {cells['channel']!r}")
        votes, other = tuple(int(cells[label]) for label in labels), int(cells["other_votes"])
        if min(*votes, other) < 0:
            raise ValueError(f"votes of {cells['clip']}: {votes}, {other} for others")
        return Rating(cells["clip"], cells["channel"], votes, other)

    if not path.is_file():
        return []
    return read_csv(path, ["clip", "channel", *labels, "other_votes"], rating, _REMEDY)


def crowd_channel(ratings: Iterable[Rating]) -> str:
    """Return the channel whose votes are the crowd's verdict: ``av`` where there is one."""
    channels = {rating.channel for rating in ratings if any(rating.votes)}
    return next((channel for channel in MODALITIES if channel in channels), "av")


def write_units(path: Path, units: Sequence[str], units_of: Mapping[str, Sequence[float]]) -> None:
    """Write which action units each clip has as CSV: clip, and 0 or 1 for each unit."""
    rows = ([clip, *map(int, values)] for clip, values in units_of.items())
    write_csv(path, ["clip", *units], rows)


def read_units(path: Path, units: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Read which action units each clip has, 0 or 1 for each; empty where there are none.

    Raises:
        UsageError: The table is missing or damaged.
    """

    def values(cells: dict[str, str]) -> tuple[str, tuple[float, ...]]:
        found = [cells[unit] for unit in units]
        if not {*found} <= {"0", "1"}:
            raise ValueError(f"units of {cells['clip']}: {found}")
        return cells["clip"], tuple(map(float, found))

    return dict(read_csv(path, ["clip", *units], values, _REMEDY)) if units else {}


def write_demographics(path: Path, demographics: Mapping[str, Mapping[str, str]]) -> None:
    """Write what is known of each actor as CSV."""
    attributes = sorted({name for known in demographics.values() for name in known})
    rows = (
        [actor, *(known.get(name, "") for name in attributes)]
        for actor, known in demographics.items()
    )
    write_csv(path, ["actor", *attributes], rows)


def read_demographics(path: Path) -> dict[str, dict[str, str]]:
    """Read what is known of each actor; nothing where there is no such file.

    Raises:
        UsageError: The table is damaged.
    """
    if not path.is_file():
        return {}
    rows = read_csv(path, ["actor"], dict, _REMEDY, optional=None)
    return {cells.pop("actor"): cells for cells in rows}
