"""RAVDESS: the Ryerson Audio-Visual Database of Emotional Speech and Song; its speech.

1,440 takes of 24 actors (12 male, 12 female) saying two sentences in eight emotions, each twice
and, but for neutral, at two intensities.

Citation: `CITATION`. https://doi.org/10.5281/zenodo.1188976

Licence: Creative Commons BY-NC-SA 4.0.

Names: ``01-01-05-01-02-01-12`` is modality (01 face and voice, 02 face, 03 voice), channel (01
speech, 02 song), emotion, intensity, sentence, repetition and actor (odd male, even female). A take
is in up to three files, which differ in the first field; its clip has the first one's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from avemotion.data.types import Clip, Corpus
from avemotion.errors import UsageError

NAME = "ravdess"
TITLE = "RAVDESS"

CITATION = """\
@article{livingstone2018ravdess,
  author  = {Livingstone, Steven R. and Russo, Frank A.},
  title   = {The {Ryerson} Audio-Visual Database of Emotional Speech and Song ({RAVDESS})},
  journal = {PLoS ONE},
  volume  = {13},
  number  = {5},
  pages   = {e0196391},
  year    = {2018},
  doi     = {10.1371/journal.pone.0196391}
}"""
"""The publication that describes the corpus, as BibTeX."""

EMOTION_BY_CODE: dict[str, str] = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
"""Third field of a name -> the emotion."""

LABELS: tuple[str, ...] = tuple(EMOTION_BY_CODE.values())
"""The eight emotions in the order of a network's outputs."""

LEVELS: dict[str, str] = {"01": "normal", "02": "strong"}
"""Fourth field -> intended intensity."""

SENTENCES: dict[str, str] = {
    "01": "Kids are talking by the door.",
    "02": "Dogs are sitting by the door.",
}
"""Fifth field -> the sentence spoken."""

ACTORS: tuple[str, ...] = tuple(f"{i:02}" for i in range(1, 25))

CLIPS = 1_440
"""Takes of speech: 60 an actor."""

FOLDS: tuple[tuple[str, ...], ...] = (
    ("02", "05", "14", "15", "16"),
    ("03", "06", "07", "13", "18"),
    ("10", "11", "12", "19", "20"),
    ("08", "17", "21", "23", "24"),
    ("01", "04", "09", "22"),
)
"""Test actors of the five folds of Luna-Jimenez et al. (Sensors 21(22), 7665, 2021)."""

SUFFIXES: dict[str, str] = {"01": ".mp4", "02": ".mp4", "03": ".wav"}
"""First field of a name, the modality -> how the file's name ends."""

_DEPTH = 2  # Video_Speech_Actor_01/Actor_01/01-01-01-01-01-01-01.mp4
_NAME = re.compile(
    r"0[123]-01-(?P<emotion>0[1-8])-(?P<level>0[12])-(?P<sentence>0[12])-0[12]-(?P<actor>\d\d)"
)
_SONG = re.compile(r"0[123]-02(-[0-9]{2}){5}")


def parse_name(stem: str) -> tuple[str, str, str, str] | None:
    """Take a take's name apart, whatever the modality in its first field.

    Returns:
        Actor, code of the sentence, emotion's name and level; None where the name is not that of
        a take of RAVDESS' speech.

    >>> parse_name("03-01-05-02-01-01-12")
    ('12', '01', 'anger', 'strong')
    """
    match = _NAME.fullmatch(stem)
    if match is None or match["actor"] not in ACTORS:
        return None
    emotion = EMOTION_BY_CODE[match["emotion"]]
    return match["actor"], match["sentence"], emotion, LEVELS[match["level"]]


def clip_name(stem: str) -> str:
    """Return the name of a take's clip, whatever the modality in the first field.

    >>> clip_name("03-01-05-02-01-01-12")
    '01-01-05-02-01-01-12'
    """
    return f"01{stem[2:]}"


def read_corpus(directory: Path) -> Corpus:
    """List the takes of speech in the official archives' files, unpacked; all or some of them.

    A take's face comes from its file of face and voice, else from that of the face alone; its
    voice from the WAV where there is one, else from the video.

    Args:
        directory: The folder that holds ``Actor_01`` and so on, or ``Video_Speech_Actor_01`` and so
            on with these inside, or the files themselves.

    Raises:
        UsageError: The folder is missing, holds no take, or two different files of one.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder. Give the folder of RAVDESS' files.")
    files: dict[str, Path] = {}
    unrecognised_files: list[Path] = []
    songs = copies = 0
    for path in _media(directory, _DEPTH):
        if path.suffix.lower() != SUFFIXES.get(path.stem[:2]):
            unrecognised_files.append(path)
        elif _SONG.fullmatch(path.stem):
            songs += 1
        elif parse_name(path.stem) is None:
            unrecognised_files.append(path)
        elif files.setdefault(path.stem, path) != path:
            _check_same(files[path.stem], path)
            copies += 1
    clips = [_clip(name, files) for name in sorted({clip_name(stem) for stem in files})]
    if not clips:
        raise UsageError(
            f"{directory} holds no take of RAVDESS' speech: expected Actor_01/01-01-05-01-02-01-01"
            f".mp4 or Actor_01/03-01-05-01-02-01-01.wav and the like, but found {songs} takes of "
            f"song and {len(unrecognised_files)} other media files."
        )
    notes = {
        f"Files of song, left out since only speech is read: {songs}.": songs,
        f"Files that are there again, of which one was read: {copies}.": copies,
    }
    return Corpus(
        name=NAME,
        directory=directory,
        labels=LABELS,
        clips=tuple(clips),
        unrecognised_files=tuple(unrecognised_files),
        demographics=demographics(),
        notes=tuple(note for note, count in notes.items() if count),
    )


def _media(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the files that end as RAVDESS' do, in order; links are followed, but not for ever."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if depth:
                yield from _media(path, depth - 1)
        elif path.suffix.lower() in SUFFIXES.values():
            yield path


def _check_same(first: Path, second: Path) -> None:
    """Refuse two files of one name; copies, as some redistributions hold, are of the same size."""
    if first.is_file() and second.is_file() and first.stat().st_size == second.stat().st_size:
        return
    raise UsageError(
        f"{first} and {second} have the same name, but are not the same. Remove one of them."
    )


def _clip(name: str, files: dict[str, Path]) -> Clip:
    parts = parse_name(name)
    assert parts is not None  # `files` holds no other name
    video = files.get(name) or files.get(f"02{name[2:]}")
    return Clip(name, *parts, video=video, audio=files.get(f"03{name[2:]}"))


def demographics() -> dict[str, dict[str, str]]:
    """Return each actor's sex, which the number encodes; RAVDESS publishes no more by actor."""
    return {actor: {"Sex": "Male" if int(actor) % 2 else "Female"} for actor in ACTORS}
