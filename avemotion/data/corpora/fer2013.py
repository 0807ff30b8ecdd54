"""FER2013: 35,887 grey faces of 48 x 48 pixels from the web, each with one of seven emotions.

Provenance: I. J. Goodfellow et al., "Challenges in Representation Learning" (`CITATION`); its
pictures come from web searches; the vote of FER+ names the label of 64 % of its test pictures.
Licence: that of each picture; the set was released for a contest. Nobody is named, so that the same
person may be in several parts, and some pictures are in two of them (`avemotion verify` counts
them).

Two layouts are read: ``fer2013.csv`` (columns ``emotion``, ``pixels``, ``Usage``), or folders
``train/angry/Training_10118481.jpg``, where the beginning of the name says the part: a folder
``test`` holds both PublicTest and PrivateTest. Training is the part that trains, PublicTest
validates, PrivateTest tests. A table ``parts.csv`` (``file``, ``part``) beside them gives other
parts: `data_prep/fer2013.py` writes one.

The crowd's votes of FER+ (E. Barsoum et al., ICMI 2016, MIT licence) are read from
``fer2013_votes.csv`` (a picture and ten counts) or, beside ``fer2013.csv``, from Microsoft's
``fer2013new.csv``, whose rows are in the same order. Votes for contempt, for "unknown" and for "no
face" count as votes for none of the seven labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from avemotion.config import PreprocessSettings
from avemotion.data.types import PARTS, UNKNOWN_ACTOR, Clip, Corpus, Rating
from avemotion.errors import UsageError, counted
from avemotion.files import read_csv

NAME = "fer2013"
TITLE = "FER2013"
CLIPS = 35_887

CITATION = """\
@inproceedings{goodfellow2013challenges,
  author    = {Goodfellow, Ian J. and Erhan, Dumitru and Carrier, Pierre Luc and others},
  title     = {Challenges in Representation Learning: A Report on Three Machine Learning Contests},
  booktitle = {Neural Information Processing (ICONIP)},
  pages     = {117--124},
  year      = {2013},
  doi       = {10.1007/978-3-642-42051-1_16}
}

@inproceedings{barsoum2016training,
  author    = {Barsoum, Emad and Zhang, Cha and Canton Ferrer, Cristian and Zhang, Zhengyou},
  title     = {Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
               Distribution},
  booktitle = {International Conference on Multimodal Interaction (ICMI)},
  pages     = {279--283},
  year      = {2016},
  doi       = {10.1145/2993148.2993165},
  note      = {FER+: the votes}
}"""
"""The publications that describe the corpus and the votes of FER+, as BibTeX."""

SIDE = 48
"""Rows and columns of a picture."""

SETTINGS = PreprocessSettings(
    views=1,
    face="whole",
    crop_rows=SIDE,
    crop_columns=SIDE,
    crop_margin=-0.05,
    features=("image",),
)
"""How it is preprocessed by default: each picture is a face, and kept as it is. With this margin a
face that is found in a photograph is cut as these pictures are: the boxes that are found in them
are 1.10 times as high as they are (median of 297)."""

EMOTIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
"""The seven labels in the order of a network's outputs."""

FOLDERS = dict(
    zip(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), EMOTIONS, strict=True)
)
"""Folder -> label."""

CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""Labels by their number in ``fer2013.csv``."""

USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
"""Official part, as ``Usage`` or the name of a file has it -> part of the split."""

PICTURES_BY_USAGE = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
"""Pictures of each part as published."""

TABLE = "fer2013.csv"
PARTS_TABLE = "parts.csv"
VOTE_TABLES = ("fer2013_votes.csv", "fer2013new.csv")
"""Names of the tables beside the pictures."""

NO_FACE = "NF"
"""The answer of FER+'s raters that a picture shows no face."""

_OTHER_VOTES = ("contempt", "unknown", NO_FACE)
_ANSWERS = (*EMOTIONS, *_OTHER_VOTES)
_GREYS = frozenset(map(str, range(256)))
_GET = "Get it anew: see data_prep/README.md."


def read_corpus(directory: Path, *, official_parts: bool = False) -> Corpus:
    """List the pictures of a folder with FER2013, and read the votes of FER+ where they are there.

    Args:
        directory: Holds ``fer2013.csv``, or the folders ``train`` and ``test``.
        official_parts: Take no notice of ``parts.csv``.

    Raises:
        UsageError: Neither is there, a table is damaged, or only one emotion has pictures.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder. Give the one that holds FER2013.")
    in_table = (directory / TABLE).is_file()
    unrecognised: list[Path] = []
    if in_table:
        clips = list(_from_table(directory / TABLE))
    elif (directory / "train").is_dir():
        clips = sorted(_from_folders(directory, unrecognised), key=lambda clip: clip.name)
    else:
        raise UsageError(
            f"{directory} holds neither {TABLE} nor a folder train/ with a folder for each "
            "emotion. Unpack fer2013.zip there, or give the folder that has one of them."
        )
    emotions = {clip.emotion for clip in clips}
    if len(emotions) < 2:
        found = f"only {next(iter(emotions))}" if emotions else "none"
        raise UsageError(f"{directory} has pictures of {found} of the seven emotions. {_GET}")
    note = ""
    if (table := directory / PARTS_TABLE).is_file() and not official_parts:
        clips, note = _with_parts(clips, table)
    return Corpus(
        name=NAME,
        directory=directory,
        labels=EMOTIONS,
        clips=tuple(clips),
        unrecognised_files=tuple(unrecognised),
        ratings=tuple(_fitting(read_ratings(directory), clips, directory)),
        notes=(note,) if note else (),
        parts_note=note,
    )


def _from_table(path: Path) -> Iterator[Clip]:
    """Yield the pictures of ``fer2013.csv``, named after their row as FER+ does."""
    number = 0

    def picture(row: dict[str, str]) -> Clip:
        nonlocal number
        code, usage = row["emotion"], row["Usage"]
        if code not in map(str, range(len(CODES))):
            raise ValueError(f"the emotion is {code!r}, but must be from 0 to {len(CODES) - 1}")
        if usage not in USAGES:
            raise ValueError(f"the usage is {usage!r}, but must be {', '.join(USAGES)}")
        words = row["pixels"].split()
        if len(words) != SIDE**2 or not _GREYS.issuperset(words):
            raise ValueError(f"{len(words)} pixels, but there must be {SIDE**2} from 0 to 255")
        pixels = np.array(words, np.int64)
        number += 1
        return Clip(
            name=_name(number - 1),
            actor=UNKNOWN_ACTOR,
            sentence="",
            emotion=CODES[int(code)],
            level="",
            video=path,
            audio=None,
            part=USAGES[usage],
            image=pixels.astype(np.uint8).reshape(SIDE, SIDE),
        )

    yield from read_csv(path, ("emotion", "pixels", "Usage"), picture, _GET)


def _name(number: int) -> str:
    return f"fer{number:07d}"


def _from_folders(directory: Path, unrecognised: list[Path]) -> Iterator[Clip]:
    """Yield the pictures of the folders; what is none is added to a list."""
    for part in ("train", "test"):
        folders = sorted((directory / part).iterdir()) if (directory / part).is_dir() else []
        for folder in folders:
            emotion = FOLDERS.get(folder.name.lower()) if folder.is_dir() else None
            if emotion is None:
                unrecognised.append(folder)
                continue
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
                    unrecognised.append(path)
                    continue
                yield Clip(
                    name=path.relative_to(directory).as_posix(),
                    actor=UNKNOWN_ACTOR,
                    sentence="",
                    emotion=emotion,
                    level="",
                    video=path,
                    audio=None,
                    part=USAGES.get(path.name.split("_")[0], part),
                )


def _with_parts(clips: list[Clip], table: Path) -> tuple[list[Clip], str]:
    """Give the clips the parts of a table; say so in a note.

    Raises:
        UsageError: The table is damaged, or a picture has no row.
    """

    def entry(row: dict[str, str]) -> tuple[str, str]:
        if row["part"] not in PARTS:
            raise ValueError(f"the part is {row['part']!r}, but must be {', '.join(PARTS)}")
        return row["file"], row["part"]

    remedy = f"Write it anew with data_prep/fer2013.py, or remove it: {TITLE} has parts of its own."
    parts = dict(read_csv(table, ("file", "part"), entry, remedy))
    if missing := [clip.name for clip in clips if clip.name not in parts]:
        raise UsageError(
            f"{table} lacks {counted(len(missing), 'picture')}, the first is {missing[0]}. {remedy}"
        )
    note = f"The parts are those of {table.name}, not the official ones."
    return [replace(clip, part=parts[clip.name]) for clip in clips], note


def read_ratings(directory: Path) -> list[Rating]:
    """Read the votes of FER+ as ratings; none where there is no table.

    Raises:
        UsageError: The table is damaged.
    """
    return [
        Rating(
            clip=name,
            channel="video",
            votes=tuple(counts[label] for label in EMOTIONS),
            other_votes=sum(counts[other] for other in _OTHER_VOTES),
        )
        for name, counts in read_votes(directory)
    ]


def read_votes(directory: Path) -> list[tuple[str, dict[str, int]]]:
    """Read the votes of FER+: names of pictures, and the votes for each of its ten answers.

    Pictures without votes are left out; where there is no table, all are.

    Raises:
        UsageError: The table is damaged.
    """
    ours, theirs = (directory / name for name in VOTE_TABLES)
    if ours.is_file():
        found = read_csv(ours, ("jpg", *_ANSWERS), _votes, _GET, optional=("usage",))
        return [(row["jpg"], counts) for row, counts in found if counts]
    if theirs.is_file():
        found = read_csv(theirs, ("Usage", "Image name", *_ANSWERS), _votes, _GET)
        for number, (row, _) in enumerate(found):
            # Pictures that FER+ left out have no name.
            if row["Image name"] not in ("", f"{_name(number)}.png"):
                raise UsageError(
                    f"row {number + 1} of {theirs} is of {row['Image name']}, but must be of "
                    f"{_name(number)}.png: its rows are those of {TABLE}, in order. {_GET}"
                )
        return [(_name(number), counts) for number, (_, counts) in enumerate(found) if counts]
    return []


def _fitting(ratings: list[Rating], clips: list[Clip], directory: Path) -> list[Rating]:
    """Return the ratings of these pictures.

    Raises:
        UsageError: There are ratings, but none is of one of them.
    """
    names = {clip.name for clip in clips}
    fitting = [rating for rating in ratings if rating.clip in names]
    if ratings and not fitting:
        raise UsageError(
            f"The votes in {directory} are of other pictures: the first is of {ratings[0].clip}, "
            f"but pictures are called like {clips[0].name}. {VOTE_TABLES[1]} belongs to {TABLE}, "
            f"{VOTE_TABLES[0]} names the files in the folders. Put the right one there."
        )
    return fitting


def _votes(row: dict[str, str]) -> tuple[dict[str, str], dict[str, int]]:
    """Return a row with its counts; none for a picture without votes."""
    if not any(row[answer] for answer in _ANSWERS):
        return row, {}
    counts = {answer: int(row[answer]) for answer in _ANSWERS}
    if min(counts.values()) < 0:
        raise ValueError(f"it has {min(counts.values())} votes")
    return row, counts
