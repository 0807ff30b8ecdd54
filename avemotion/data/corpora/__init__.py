"""Corpora: from a folder to its clips, their actors and emotions. One module a corpus.

docs/corpora.md describes what such a module offers, with an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from avemotion.config import PreprocessSettings
from avemotion.data.corpora import (
    ck_plus,
    ck_plus_units,
    crema_d,
    fer2013,
    folder,
    pictures,
    ravdess,
)
from avemotion.data.types import Corpus
from avemotion.errors import UsageError

CorpusName = Literal[
    "crema_d", "ravdess", "fer2013", "ck_plus", "ck_plus_units", "pictures", "folder"
]
"""What can be preprocessed: the keys of `READERS`."""

_OF_PICTURES = (fer2013, ck_plus, ck_plus_units, pictures)
_ALL = (crema_d, ravdess, *_OF_PICTURES, folder)

READERS: dict[str, Callable[[Path], Corpus]] = {corpus.NAME: corpus.read_corpus for corpus in _ALL}
"""Name of a corpus -> what reads its folder."""

PICTURES = frozenset(corpus.NAME for corpus in _OF_PICTURES)
"""Corpora of pictures: their labels say what a picture shows, not what somebody was to act."""

TITLES: dict[str, str] = {
    **{corpus.NAME: corpus.TITLE for corpus in _ALL},
    "ravdess_landmarks": "RAVDESS, landmark video (drawn faces)",  # data_prep/ravdess.py
}
"""Name of a corpus -> how texts call it; another one is called by its name."""

CITATIONS: dict[str, str] = {corpus.NAME: corpus.CITATION for corpus in _ALL}
"""Name of a corpus -> BibTeX of the publication that describes it; empty where there is none."""

_SAME_PEOPLE = {
    "ravdess_landmarks": ravdess.NAME,  # data_prep/ravdess.py: drawn faces, real voices
    ck_plus_units.NAME: ck_plus.NAME,
}

_SETTINGS: dict[str, PreprocessSettings] = {c.NAME: c.SETTINGS for c in _OF_PICTURES}

_WHOLE = {crema_d.NAME: crema_d.CLIPS, ravdess.NAME: ravdess.CLIPS, fer2013.NAME: fer2013.CLIPS}


_LABELS: dict[str, tuple[str, ...]] = {
    crema_d.NAME: crema_d.EMOTIONS,
    ravdess.NAME: ravdess.LABELS,
    "ravdess_landmarks": ravdess.LABELS,
    fer2013.NAME: fer2013.EMOTIONS,
    ck_plus.NAME: ck_plus.EMOTIONS,
    ck_plus_units.NAME: ck_plus_units.EMOTIONS,
}


def has_all_labels(name: str, labels: Sequence[str]) -> bool:
    """Return whether labels are all that a corpus has: published figures are on these."""
    return set(_LABELS.get(name, labels)) == set(labels)


def whole_corpus(name: str) -> int | None:
    """Return how many clips a corpus has as it is published; None where that is not known."""
    return _WHOLE.get(name)


def settings_for(name: str) -> PreprocessSettings:
    """Return how a corpus is preprocessed by default."""
    return _SETTINGS.get(name, PreprocessSettings())


def corpus_text(name: str, clips: int) -> str:
    """Name a corpus in a sentence, and say so where a part of it is meant.

    Args:
        name: Its name; that of a synthetic corpus, which is as large as it was made, is no name.
        clips: Clips of it that there are.

    >>> corpus_text("crema_d", 1311)
    "1,311 of CREMA-D's 7,442 clips (a partial corpus)"
    """
    title, whole = TITLES.get(name, name), whole_corpus(name)
    if whole is None or clips >= whole:
        return title
    return f"{clips:,} of {title}'s {whole:,} clips (a partial corpus)"


def people_of(name: str) -> str:
    """Return the corpus whose people are in a corpus: by default itself."""
    return _SAME_PEOPLE.get(name, name)


def people_reported(name: str) -> dict[str, float]:
    """Return the published share of people's right answers on a corpus, by what they were given."""
    return crema_d.PEOPLE_REPORTED if name == crema_d.NAME else {}


def read_corpus(name: str, directory: Path) -> Corpus:
    """List the clips in a corpus' folder; no media is opened.

    Args:
        name: A key of `READERS`.
        directory: The corpus' folder.

    Raises:
        UsageError: There is no such corpus, or the folder does not hold it.
    """
    if name not in READERS:
        raise UsageError(f"--corpus is {name!r}, but must be one of {', '.join(READERS)}.")
    return READERS[name](directory)
