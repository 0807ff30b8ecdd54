"""Pictures with a table of one's own: who is in each, the emotion, and action units.

Provenance, citation (`CITATION` is empty), licence: those of the pictures.

Names: a table ``pictures.csv`` in the folder names each file, the person in it, and its labels:

    image,person,emotion,AU1,AU12
    anna/01.png,Anna,happiness,0,1
    boris/07.png,Boris,surprise,1,0

Columns of action units are 0 or 1; there may be none. A column ``part`` (``train``, ``validation``,
``test``) gives the corpus a split; the person may then be empty.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from avemotion.config import PreprocessSettings
from avemotion.data.types import PARTS, UNKNOWN_ACTOR, Clip, Corpus
from avemotion.errors import UsageError
from avemotion.files import read_csv

NAME = "pictures"
TITLE = "pictures with a table"

CITATION = ""

TABLE_NAME = "pictures.csv"
"""The table of labels."""

SETTINGS = PreprocessSettings(views=1, features=("image",))
"""How it is preprocessed by default: the face of each picture."""

_UNIT = re.compile(r"AU[1-9]\d?")
_REMEDY = (
    "Correct it: the columns are image, person and emotion, then action units (AU1, AU12) and part "
    "if there are any, separated by commas."
)


@dataclass(slots=True)
class _Table:
    """What the rows hold."""

    directory: Path
    units: list[str] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)
    units_of: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def add(self, row: dict[str, str]) -> None:
        """Take a row.

        Raises:
            ValueError: The row is wrong.
        """
        name, person, part = row["image"], row["person"], row.get("part", "")
        path = self.directory / name
        if not name or not path.resolve().is_relative_to(self.directory.resolve()):
            raise ValueError(f"the image is {name!r}, but must be a path in the folder")
        if not path.is_file():
            raise ValueError(f"there is no file {name!r}")
        if name in self.units_of:
            raise ValueError(f"{name!r} has a row before")
        if part not in ("", *PARTS):
            raise ValueError(f"the part of {name!r} is {part!r}, but must be {' or '.join(PARTS)}")
        if person in ("", UNKNOWN_ACTOR) and not part:
            raise ValueError(
                f"the person of {name!r} is {person!r}: name who is in it, or give its part"
            )
        unclear = [unit for unit in self.units if row[unit] not in ("0", "1")]
        if unclear:
            raise ValueError(f"{unclear[0]} of {name!r} is {row[unclear[0]]!r}, but must be 0 or 1")
        if not row["emotion"]:
            raise ValueError(f"{name!r} has no emotion")
        self.units_of[name] = tuple(float(row[unit]) for unit in self.units)
        self.clips.append(
            Clip(
                name=name,
                actor=person or UNKNOWN_ACTOR,
                sentence="",
                emotion=row["emotion"],
                level="",
                video=path,
                audio=None,
                part=part,
            )
        )


def read_corpus(directory: Path) -> Corpus:
    """List the pictures of a table.

    Raises:
        UsageError: There is no table, it is damaged, or names a file that is not there.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder. Give the one with the pictures.")
    path = directory / TABLE_NAME
    if not path.is_file():
        raise UsageError(
            f"{directory} has no {TABLE_NAME}. Write one with the columns image,person,emotion, "
            "and perhaps action units (AU1, AU12): 1.png,Anna,happiness."
        )
    units = [name for name in _columns(path) if _UNIT.fullmatch(name)]
    table = _Table(directory, units)
    read_csv(path, ("image", "person", "emotion", *units), table.add, _REMEDY, optional=("part",))
    if not table.clips:
        raise UsageError(f"{path} has no row. {_REMEDY}")
    clips = sorted(table.clips, key=lambda clip: clip.name)
    if len({clip.emotion for clip in clips}) < 2:
        raise UsageError(
            f"All pictures of {path} have the emotion {clips[0].emotion}, but two are needed. "
            + _REMEDY
        )
    try:
        return Corpus(
            name=NAME,
            directory=directory,
            labels=tuple(sorted({clip.emotion for clip in clips})),
            clips=tuple(clips),
            unrecognised_files=_others(directory, {clip.video for clip in clips}),
            units=tuple(units),
            units_of={clip.name: table.units_of[clip.name] for clip in clips if units},
        )
    except ValueError as error:
        raise UsageError(f"{path} cannot be used: {error}. {_REMEDY}") from error


def _others(directory: Path, named: Collection[Path | None]) -> tuple[Path, ...]:
    """Return files that no row names; hidden ones are ignored."""
    files = (p for p in directory.rglob("*") if p.is_file() and not p.name.startswith("."))
    return tuple(sorted(p for p in files if p not in named and p.name != TABLE_NAME))


def _columns(path: Path) -> list[str]:
    """Return the heads of a table; what is wrong with it is said when its rows are read."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return next(csv.reader(file), [])
