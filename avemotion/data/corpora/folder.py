"""A folder of clips: a corpus of one's own, with a folder for each emotion.

Provenance, citation (`CITATION` is empty), licence: those of the clips.

Names: ``happy/take 1.mp4`` is a clip of the emotion ``happy``; the clip has that very name. A video
and a sound of one name but for the suffix, alone with it in their folder, are one clip, named after
the video. A table ``clips.csv`` beside the emotions' folders names the actor of each file:

    file,actor
    happy/take 1.mp4,Anna
    sad/take 2.mp4,Boris

It may also have the columns ``level``, ``sentence`` and ``part``. Without the table every clip's
actor is `UNKNOWN_ACTOR`, and no model can be trained on some of the clips and tested on others: the
same person may be in both. With ``part`` (``train``, ``validation``, ``test``) the corpus has an
official split, and an actor may be left empty: people may then be in several parts, and every
report says so.

A picture is a clip of one frame, for models that read one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avemotion.data.types import PARTS, UNKNOWN_ACTOR, Clip, Corpus, is_utf8
from avemotion.errors import UsageError, counted
from avemotion.files import read_csv
from avemotion.media.kinds import SOUND_SUFFIXES

NAME = "folder"
TITLE = "a folder of clips"

CITATION = ""

TABLE_NAME = "clips.csv"
"""The table of the actor of each file."""

COLUMNS, FURTHER_COLUMNS = ("file", "actor"), ("level", "sentence", "part")
"""Columns that the table must have, and those that it may have."""

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv".split()
)
"""How videos end, in small letters."""

PICTURE_SUFFIXES = frozenset(".avif .bmp .heic .heif .jpeg .jpg .png .webp".split())
"""How pictures end. One beside a video or a sound of the same name is its thumbnail, no clip."""

NO_TABLE = (
    f"There is no {TABLE_NAME} with the actor of each file, so `fit` and `evaluate` will refuse "
    "these clips (all but --protocol other-corpus). Write it beside the emotions' folders, with "
    f"the columns {','.join(COLUMNS)} and a row for each clip (happy/1.mp4,Anna), then preprocess "
    "them anew."
)
"""Note on clips of nobody who is known."""
_REMEDY = (
    f"Correct it: the columns are {' and '.join(COLUMNS)}, optionally "
    f"{' and '.join(FURTHER_COLUMNS)}, separated by commas."
)
_SHOWN = 3  # examples in a message


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of the table."""

    number: int
    """From 1, for messages."""
    actor: str
    level: str
    sentence: str
    part: str


def read_corpus(directory: Path) -> Corpus:
    """List the clips of a folder that holds a folder for each emotion.

    Args:
        directory: The folder.

    Raises:
        UsageError: The folder is missing, has no two emotions with clips, or names that cannot be
            used; or its table is damaged or does not fit the files.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder. Give one with a folder for each emotion.")
    folders: list[Path] = []
    unrecognised_files: list[Path] = []
    for path in sorted(directory.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            folders.append(path)
        elif path.name != TABLE_NAME:
            unrecognised_files.append(path)
    if len(folders) < 2:
        raise UsageError(
            f"{directory} has {len(folders)} folders, but must have one for each emotion, at least "
            "two, with the clips in them: happy/1.mp4, sad/2.mp4."
        )
    found: list[tuple[Path | None, Path | None]] = []
    for folder in folders:
        media, others = _media(folder)
        unrecognised_files += others
        found += _joined(media)
    table = _read_table(directory / TABLE_NAME)
    try:
        return Corpus(
            name=NAME,
            directory=directory,
            labels=tuple(folder.name for folder in folders),
            clips=tuple(_clips(directory, found, table)),
            unrecognised_files=tuple(unrecognised_files),
            notes=() if table is not None else (NO_TABLE,),
        )
    except ValueError as error:
        raise UsageError(
            f"{directory} cannot be used: {error}. Change that name and try again."
        ) from error


def _media(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return an emotion's media, and what else is in its folder.

    Raises:
        UsageError: There are no media.
    """
    media: list[Path] = []
    others: list[Path] = []
    paths = sorted(folder.iterdir())
    moving = {p.stem for p in paths if p.suffix.lower() in VIDEO_SUFFIXES | SOUND_SUFFIXES}
    for path in paths:
        known = path.suffix.lower() in VIDEO_SUFFIXES | SOUND_SUFFIXES
        known |= path.suffix.lower() in PICTURE_SUFFIXES and path.stem not in moving
        usable = known and not path.name.startswith(".") and not path.is_dir()
        (media if usable and is_utf8(path.name) else others).append(path)
    if not media:
        raise UsageError(
            f"{folder} holds no video, picture or sound file, but every folder in {folder.parent} "
            "stands for an emotion and has its clips directly in it. Move clips there, or the "
            "folder away."
        )
    return media, others


def _joined(media: Sequence[Path]) -> Iterator[tuple[Path | None, Path | None]]:
    """Yield video and sound of each clip: both where there is one of each with the same stem."""
    by_stem: dict[str, list[Path]] = {}
    for path in media:
        by_stem.setdefault(path.stem, []).append(path)
    for files in by_stem.values():
        videos = [path for path in files if path.suffix.lower() not in SOUND_SUFFIXES]
        sounds = [path for path in files if path.suffix.lower() in SOUND_SUFFIXES]
        if len(videos) == len(sounds) == 1:
            yield videos[0], sounds[0]
        else:  # which belongs to which cannot be known
            yield from ((path, None) for path in videos)
            yield from ((None, path) for path in sounds)


def _clips(
    directory: Path,
    found: Sequence[tuple[Path | None, Path | None]],
    table: dict[str, _Entry] | None,
) -> list[Clip]:
    """Return the clips sorted by name, with the actor, level and sentence of the table.

    Raises:
        UsageError: A file is not in the table, a row names no file, or the rows of one clip differ.
    """
    left = dict(table or {})
    clips: list[Clip] = []
    missing: list[str] = []
    for video, sound in found:
        names = [p.relative_to(directory).as_posix() for p in (video, sound) if p]
        entries = [left.pop(name) for name in names if name in left]
        if len({(e.actor, e.level, e.sentence, e.part) for e in entries}) > 1:
            raise UsageError(
                f"{directory / TABLE_NAME} differs on {' and '.join(names)}, which "
                f"are one clip (rows {entries[0].number} and {entries[1].number}). "
                "Give both the same actor, level, sentence and part."
            )
        if entries:
            entry = entries[0]
        else:
            entry = _Entry(0, UNKNOWN_ACTOR, "", "", "")
            missing.append(names[0])
        clips.append(
            Clip(
                name=names[0],
                actor=entry.actor,
                sentence=entry.sentence,
                emotion=names[0].split("/")[0],
                level=entry.level,
                video=video,
                audio=sound,
                part=entry.part,
            )
        )
    if table is not None and (missing or left):
        rows = [f"{name!r} (row {entry.number})" for name, entry in left.items()]
        files = list(map(repr, missing))
        raise UsageError(
            f"{directory / TABLE_NAME} does not fit the files: {counted(len(left), 'row')} "
            f"without a video, picture or sound file{_examples(rows)}, and "
            f"{counted(len(files), 'file')} without a row{_examples(files)}. Names are written as "
            "in happy/take 1.mp4."
        )
    return sorted(clips, key=lambda clip: clip.name)


def _examples(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > _SHOWN else ""
    return f": {', '.join(names[:_SHOWN])}{more}" if names else ""


def _read_table(path: Path) -> dict[str, _Entry] | None:
    """Read ``clips.csv``.

    Returns:
        File -> its row; None where there is no table.

    Raises:
        UsageError: The table is damaged, lacks a column or has an unknown one, or a row is not
            whole, or names a file again.
    """
    if not path.exists() and not path.is_symlink():
        return None
    entries: dict[str, _Entry] = {}

    def parse(row: dict[str, str]) -> None:
        file = row["file"]
        # One name may be typed in two ways that look alike: e with an accent, or e and accent.
        actor = unicodedata.normalize("NFC", row["actor"])
        part = row.get("part", "")
        if part not in ("", *PARTS):
            raise ValueError(f"the part of {file!r} is {part!r}, but must be {' or '.join(PARTS)}")
        if actor == "" and part:
            actor = UNKNOWN_ACTOR
        elif actor in ("", UNKNOWN_ACTOR):
            raise ValueError(
                f"the actor of {file!r} is {actor!r}: name the person, or take that file out of "
                "the folder, since no clip of an unknown person can be tested fairly"
            )
        if file in entries:
            raise ValueError(f"{file!r} has a row before")
        number = len(entries) + 1
        level, sentence = row.get("level", ""), row.get("sentence", "")
        entries[file] = _Entry(number, actor, level, sentence, part)

    read_csv(path, COLUMNS, parse, _REMEDY, optional=FURTHER_COLUMNS)
    return entries
