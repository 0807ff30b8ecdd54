"""CREMA-D: the Crowd-sourced Emotional Multimodal Actors Dataset.

7,442 clips of 91 actors (1001-1091; 48 male, 43 female) saying 12 sentences in six emotions, with
some 219,000 ratings by ear, by eye and by both.

Citation: `CITATION`. https://github.com/CheyneyComputerScience/CREMA-D

Licence: Open Database License 1.0 (database), Database Contents License 1.0 (contents).

Names: ``1001_IEO_ANG_HI`` is actor, sentence, intended emotion, level (LO MD HI, XX unspecified).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from avemotion.data.types import Clip, Corpus, Rating
from avemotion.errors import UsageError, counted
from avemotion.files import read_csv, read_json

NAME = "crema_d"
TITLE = "CREMA-D"

CITATION = """\
@article{cao2014cremad,
  author  = {Cao, Houwei and Cooper, David G. and Keutmann, Michael K. and Gur, Ruben C. and
             Nenkova, Ani and Verma, Ragini},
  title   = {{CREMA-D}: Crowd-sourced Emotional Multimodal Actors Dataset},
  journal = {IEEE Transactions on Affective Computing},
  volume  = {5},
  number  = {4},
  pages   = {377--390},
  year    = {2014},
  doi     = {10.1109/TAFFC.2014.2336244}
}"""
"""The publication that describes the corpus, as BibTeX."""

EMOTION_BY_CODE: dict[str, str] = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
"""Code in a CREMA-D file name -> name of the emotion, in the order of the labels."""

EMOTIONS: tuple[str, ...] = tuple(EMOTION_BY_CODE.values())
"""The six labels in their fixed order; a network's output ``i`` is ``EMOTIONS[i]``."""

CODE_BY_EMOTION: dict[str, str] = {name: code for code, name in EMOTION_BY_CODE.items()}
"""Name of the emotion -> code in a CREMA-D file name."""

VOTE_LETTERS: tuple[str, ...] = tuple(code[0] for code in EMOTION_BY_CODE)
"""Columns of ``tabulatedVotes.csv`` in the order of the labels: A D F H N S."""

CLIPS_BY_EMOTION: dict[str, int] = {
    emotion: 1_087 if emotion == "neutral" else 1_271 for emotion in EMOTIONS
}
"""Clips in the whole corpus; neutral has no levels to act."""

CLIPS = sum(CLIPS_BY_EMOTION.values())
"""7,442."""

PEOPLE_REPORTED: dict[str, float] = {"audio": 0.409, "video": 0.582, "av": 0.636}
"""Share of single answers that name the intended emotion, by what raters were given, as Cao et al.
(2014) report it; `avemotion ratings` computes it from the votes."""

SENTENCES: dict[str, str] = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
"""Code in a file name -> the sentence spoken."""

LEVELS: tuple[str, ...] = ("LO", "MD", "HI", "XX")
"""Intended intensities; only the sentence IEO has other levels than XX."""

KNOWN_BAD: dict[str, str] = {
    "1076_MTI_NEU_XX": "known bad in CREMA-D: the video is very short and has no sound",
    "1076_MTI_SAD_XX": "known bad in CREMA-D: an error image without sound",
    "1064_TIE_SAD_XX": "known bad in CREMA-D: the video has no duration",
    "1064_IEO_DIS_MD": "known bad in CREMA-D: one minute long, with all six emotions",
}
"""Clips that every user of the corpus should leave out."""

VIDEO_FOLDER, VIDEO_SUFFIX = "VideoFlash", ".flv"
AUDIO_FOLDER, AUDIO_SUFFIX = "AudioWAV", ".wav"
VOTES_FILE = Path("processedResults", "tabulatedVotes.csv")
DEMOGRAPHICS_FILE = Path("VideoDemographics.csv")
NAMES_FILE = Path("SentenceFilenames.csv")
SYNTHETIC_FILE = Path("synthetic.json")

CHANNELS: dict[str, str] = {"1": "audio", "2": "video", "3": "av"}
"""First digit of a row's id in the vote table -> what the raters were given."""

Row = TypeVar("Row")

_REMEDY = (
    "If it is a Git LFS pointer, run `git lfs pull` in the corpus; else restore it with "
    "`git checkout` there, or clone the corpus again."
)

# `1040_ITH_SAD_X.wav` has been seen, with one X.
_NAME = re.compile(
    rf"(?P<actor>1\d{{3}})_(?P<sentence>{'|'.join(SENTENCES)})"
    rf"_(?P<emotion>{'|'.join(EMOTION_BY_CODE)})_(?P<level>LO|MD|HI|XX?)"
)


def parse_name(stem: str) -> tuple[str, str, str, str] | None:
    """Take a file's stem apart.

    Returns:
        Actor, sentence code, emotion's name and level; None where the name is not CREMA-D's.

    >>> parse_name("1001_IEO_ANG_HI")
    ('1001', 'IEO', 'anger', 'HI')
    """
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    level = "XX" if match["level"] == "X" else match["level"]
    return match["actor"], match["sentence"], EMOTION_BY_CODE[match["emotion"]], level


def read_corpus(directory: Path, *, ratings: bool = True) -> Corpus:
    """List the clips of a CREMA-D checkout, whole or partial, by their names alone.

    Args:
        directory: The checkout.
        ratings: Read the crowd's votes too.

    Raises:
        UsageError: The folder is missing or holds no clip.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder. Give the folder of a CREMA-D checkout.")
    videos, unrecognised_videos = _media(directory / VIDEO_FOLDER, VIDEO_SUFFIX)
    sounds, unrecognised_sounds = _media(directory / AUDIO_FOLDER, AUDIO_SUFFIX)
    clips = []
    for name in sorted(videos.keys() | sounds.keys()):
        parts = parse_name(name)
        assert parts is not None  # _media keeps no other name
        clips.append(Clip(name, *parts, video=videos.get(name), audio=sounds.get(name)))
    if not clips:
        others = len(unrecognised_videos + unrecognised_sounds)
        hint = (
            f" It has {counted(others, 'file')} with other names than CREMA-D's." if others else ""
        )
        raise UsageError(
            f"{directory} holds no CREMA-D clip: expected {VIDEO_FOLDER}/1001_DFA_ANG_XX"
            f"{VIDEO_SUFFIX} or {AUDIO_FOLDER}/1001_DFA_ANG_XX{AUDIO_SUFFIX} and the like.{hint}"
        )
    synthetic = read_synthetic(directory)
    names = {clip.name for clip in clips}
    return Corpus(
        name=NAME,
        directory=directory,
        labels=EMOTIONS,
        clips=tuple(clips),
        excluded={} if synthetic else {n: why for n, why in KNOWN_BAD.items() if n in names},
        unrecognised_files=unrecognised_videos + unrecognised_sounds,
        ratings=tuple(r for r in read_ratings(directory) if r.clip in names) if ratings else (),
        demographics=read_demographics(directory),
        synthetic=synthetic,
        remedy="Run `git lfs install && git lfs pull` in that folder, then try again.",
    )


def _media(folder: Path, suffix: str) -> tuple[dict[str, Path], tuple[Path, ...]]:
    """Return a folder's media by the clip's full name, and the files named otherwise."""
    found: dict[str, Path] = {}
    unrecognised_files: list[Path] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        parts = parse_name(path.stem) if path.suffix.lower() == suffix else None
        if parts is None:
            unrecognised_files.append(path)
            continue
        full_name = path.stem + "X" if path.stem.endswith("_X") else path.stem
        found[full_name] = path
    return found, tuple(unrecognised_files)


def read_ratings(directory: Path) -> list[Rating]:
    """Read ``processedResults/tabulatedVotes.csv``: three rows a clip, one for each channel.

    Returns:
        The ratings in the file's order; none where there is no such file.

    Raises:
        UsageError: The table is a Git LFS pointer, lacks a column or is damaged.
    """
    return _read_table(directory / VOTES_FILE, {"", "fileName", *VOTE_LETTERS}, _rating)


def _rating(row: dict[str, str]) -> Rating:
    channel = CHANNELS.get(row[""][:1])
    if channel is None:
        raise ValueError(f"its id is {row['']!r}, but must begin with 1, 2 or 3")
    votes = [row[letter] for letter in VOTE_LETTERS]
    if not all(map(str.isdecimal, votes)):
        raise ValueError(f"its votes are {votes}, but must be whole numbers")
    return Rating(clip=row["fileName"], channel=channel, votes=tuple(map(int, votes)))


def read_names(directory: Path) -> list[str]:
    """Read ``SentenceFilenames.csv``: the official list of all clips.

    Returns:
        The names in the file's order; none where there is no such file.

    Raises:
        UsageError: The list is a Git LFS pointer or lacks a column.
    """
    return _read_table(directory / NAMES_FILE, {"Filename"}, lambda row: row["Filename"])


def read_demographics(directory: Path) -> dict[str, dict[str, str]]:
    """Read ``VideoDemographics.csv``.

    Returns:
        By actor: ``Age``, ``Sex``, ``Race`` and ``Ethnicity`` as they stand; none where there is no
        such file.

    Raises:
        UsageError: The table is a Git LFS pointer or lacks a column.
    """
    columns = ("Age", "Sex", "Race", "Ethnicity")

    def parse(row: dict[str, str]) -> tuple[str, dict[str, str]]:
        return row["ActorID"], {column: row[column] for column in columns}

    return dict(_read_table(directory / DEMOGRAPHICS_FILE, {"ActorID", *columns}, parse))


def _read_table(path: Path, columns: set[str], parse: Callable[[dict[str, str]], Row]) -> list[Row]:
    """Return what `parse` makes of a table's rows; nothing where there is no such file."""
    return read_csv(path, columns, parse, _REMEDY, optional=None) if path.is_file() else []


def read_synthetic(directory: Path) -> dict[str, object] | None:
    """Return the settings that a synthetic corpus was made with, or None for a recorded one.

    Raises:
        UsageError: Its description is damaged.
    """
    path = directory / SYNTHETIC_FILE
    if not path.is_file():
        return None
    return read_json(path, "Run `avemotion synth` anew.")
