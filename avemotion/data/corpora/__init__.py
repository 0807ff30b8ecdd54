"""Corpora: from a folder to its clips, their actors and emotions. One module a corpus.

docs/corpora.md describes what such a module offers, with an example.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from avemotion.data.corpora import crema_d, folder, ravdess
from avemotion.data.types import Corpus
from avemotion.errors import UsageError

CorpusName = Literal["crema_d", "ravdess", "folder"]
"""What can be preprocessed: the keys of `READERS`."""

READERS: dict[str, Callable[[Path], Corpus]] = {
    crema_d.NAME: crema_d.read_corpus,
    ravdess.NAME: ravdess.read_corpus,
    folder.NAME: folder.read_corpus,
}
"""Name of a corpus -> what reads its folder."""

CITATIONS: dict[str, str] = {corpus.NAME: corpus.CITATION for corpus in (crema_d, ravdess, folder)}
"""Name of a corpus -> BibTeX of the publication that describes it; empty where there is none."""


_WHOLE = {crema_d.NAME: crema_d.CLIPS, ravdess.NAME: ravdess.CLIPS}


def whole_corpus(name: str) -> int | None:
    """Return how many clips a corpus has as it is published; None where that is not known."""
    return _WHOLE.get(name)


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
