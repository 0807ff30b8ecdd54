"""CK+: 593 sequences of 123 people who go from a neutral face to the apex of an expression.

Provenance: P. Lucey et al., "The Extended Cohn-Kanade Dataset (CK+)" (`CITATION`). Licence: an
agreement with its authors, for research alone; no picture of it is in this project.

Names: ``S005_001_00000011.png`` is person, sequence and frame. Beside the pictures lie, for each
sequence that has them, ``S005_001_00000011_emotion.txt`` (one number) and
``S005_001_00000011_facs.txt`` (an action unit and its intensity a line), named after the apex.

The last three frames of a sequence are its apex, the first is neutral. Here each picture has one of
eight emotions; `ck_plus_units` reads the same folder, with action units.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avemotion.config import PreprocessSettings
from avemotion.data.types import Clip, Corpus
from avemotion.errors import UsageError

NAME = "ck_plus"
TITLE = "CK+"

CITATION = """\
@inproceedings{lucey2010extended,
  author    = {Lucey, Patrick and Cohn, Jeffrey F. and Kanade, Takeo and Saragih, Jason and
               Ambadar, Zara and Matthews, Iain},
  title     = {The Extended {Cohn-Kanade} Dataset ({CK+}): A Complete Dataset for Action Unit and
               Emotion-Specified Expression},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)},
  pages     = {94--101},
  year      = {2010},
  doi       = {10.1109/CVPRW.2010.5543262}
}"""
"""The publication that describes the corpus, as BibTeX."""

SETTINGS = PreprocessSettings(views=1, features=("image",))
"""How it is preprocessed by default: the face of each picture, 98 x 80 as in the thesis."""

CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""Emotions by their number."""

EMOTIONS = tuple(sorted(CODES))
"""The eight labels, in the order of a network's outputs."""

APEX_FRAMES = 3
"""Frames at the end of a sequence that show the apex."""

_FRAME = re.compile(r"S\d+_\d+_\d+\.png")
_IMAGES = ("cohn-kanade-images",)
_EMOTION = ("Emotion", "Emotion_labels")
_FACS = ("FACS", "FACS_labels")


@dataclass(frozen=True, slots=True)
class CkSequence:
    """One sequence of pictures."""

    person: str
    name: str
    frames: tuple[Path, ...]
    emotion: str | None
    """None where it has no label."""
    units: frozenset[int] | None
    """Units present at the apex; None where they were not coded."""

    @property
    def is_long(self) -> bool:
        """Whether there is a neutral frame before those of the apex."""
        return len(self.frames) > APEX_FRAMES


def read_corpus(directory: Path) -> Corpus:
    """List apex and neutral pictures of the sequences that have an emotion.

    Raises:
        UsageError: The folder holds no such sequence, or a damaged label.
    """
    found = list(sequences(directory))
    used = [s for s in found if s.is_long and s.emotion]
    clips = [clip for s in used for clip in clips_of(directory, s, s.emotion or "")]
    return Corpus(
        name=NAME,
        directory=directory,
        labels=EMOTIONS,
        clips=tuple(in_order(clips, directory, "an emotion")),
        unrecognised_files=unrecognised(directory),
        notes=notes_on(len(found) - len(used), "an emotion"),
    )


def in_order(clips: list[Clip], directory: Path, what: str) -> list[Clip]:
    """Return clips sorted by name.

    Raises:
        UsageError: There is none.
    """
    if not clips:
        raise UsageError(
            f"{directory} has no sequence with {what}. Unpack the archives of CK+ there: pictures "
            f"in {_IMAGES[0]}/, labels in {_EMOTION[0]}/ and {_FACS[0]}/."
        )
    return sorted(clips, key=lambda clip: clip.name)


def notes_on(left_out: int, what: str) -> tuple[str, ...]:
    """Return a note on the sequences that are left out; nothing where there are none."""
    note = f"Sequences without {what}, or of {APEX_FRAMES} pictures or fewer, left out: {left_out}."
    return (note,) if left_out else ()


def sequences(directory: Path) -> Iterator[CkSequence]:
    """Yield the sequences in order of their names.

    Raises:
        UsageError: There are no pictures, or a label is damaged.
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is not a folder. Give the one that holds CK+.")
    images = _folder(directory, _IMAGES)
    if images is None:
        raise UsageError(
            f"{directory} has no folder {_IMAGES[0]} with a folder for each person of CK+ "
            "(S005/001). Unpack the archives of CK+ there."
        )
    emotions, facs = _folder(directory, _EMOTION), _folder(directory, _FACS)
    for folder in sorted(path for path in images.glob("S*/*") if path.is_dir()):
        frames = tuple(sorted(p for p in folder.iterdir() if _FRAME.fullmatch(p.name)))
        part = folder.relative_to(images)
        yield CkSequence(
            person=folder.parent.name,
            name=folder.name,
            frames=frames,
            emotion=_emotion(emotions and emotions / part),
            units=_units(facs and facs / part),
        )


def unrecognised(directory: Path) -> tuple[Path, ...]:
    """Return files in the folders of pictures that are no frame; hidden ones are ignored."""
    images = _folder(directory, _IMAGES)
    files = (p for p in images.rglob("*") if p.is_file()) if images else ()
    return tuple(sorted(p for p in files if not (_FRAME.fullmatch(p.name) or p.name[0] == ".")))


def _folder(directory: Path, names: tuple[str, ...]) -> Path | None:
    return next((directory / name for name in names if (directory / name).is_dir()), None)


def _label(folder: Path | None, pattern: str) -> tuple[Path, str] | None:
    """Return a sequence's label file and its text; None where it has none."""
    found = sorted(folder.glob(pattern)) if folder else []
    return (found[0], found[0].read_text(encoding="utf-8", errors="replace")) if found else None


def _emotion(folder: Path | None) -> str | None:
    if (label := _label(folder, "*_emotion.txt")) is None:
        return None
    path, text = label
    try:
        return CODES[_whole(text)]
    except (ValueError, IndexError) as error:
        raise UsageError(
            f"{path} holds {text.strip()[:40]!r}, but must hold a number from 0 to 7. Unpack it "
            "anew."
        ) from error


def _units(folder: Path | None) -> frozenset[int] | None:
    if (label := _label(folder, "*_facs.txt")) is None:
        return None
    path, text = label
    try:
        return frozenset(_whole(line.split()[0]) for line in text.splitlines() if line.strip())
    except ValueError as error:
        raise UsageError(
            f"{path} is damaged ({error}): each line must hold an action unit and its intensity. "
            "Unpack it anew."
        ) from error


def _whole(text: str) -> int:
    """Read a whole number as CK+ writes it: ``3.0000000e+00``."""
    value = float(text)
    if not value.is_integer() or value < 0:  # nor is infinity an integer
        raise ValueError(f"{text.strip()!r} is no whole number")
    return int(value)


def clips_of(directory: Path, sequence: CkSequence, emotion: str) -> Iterator[Clip]:
    """Yield the first picture as neutral, and those of the apex."""
    chosen = [(sequence.frames[0], "neutral")]
    chosen += [(path, emotion) for path in sequence.frames[-APEX_FRAMES:]]
    for path, shown in chosen:
        yield Clip(
            name=path.relative_to(directory).as_posix(),
            actor=sequence.person,
            sentence="",
            emotion=shown,
            level="",
            video=path,
            audio=None,
        )
