"""Which part of a corpus an evaluation tests, and what leans on few actors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from avemotion.data.corpora import whole_corpus

BUSIEST = 3
"""Actors with most clips that are named."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which part of a corpus is tested."""

    partial: bool
    """Whether the store was made from fewer clips than the corpus has."""
    whole: int | None
    """Clips of the whole corpus; None where its size is not known."""
    busiest: tuple[tuple[str, int], ...]
    """The actors with most clips, and how many each has."""
    of_one_actor: dict[str, str]
    """Emotion -> actor, for emotions that one actor alone shows."""

    @property
    def partly(self) -> str:
        """What is added to the corpus' name in a caption; empty where it is whole."""
        return f" (a partial corpus: it has {self.whole:,} clips)" if self.partial else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before the figures."""
        notes = []
        if self.partial:
            most = ", ".join(f"{actor} ({clips})" for actor, clips in self.busiest)
            notes.append(
                f"the corpus is partial: it has {self.whole:,} clips as a whole. Actors with most "
                f"clips here: {most}"
            )
        for emotion, actor in self.of_one_actor.items():
            notes.append(
                f"all clips of {emotion} are of actor {actor}: its recall says nothing of others"
            )
        return tuple(notes)


def coverage(
    corpus: str | None, clips_of_store: int, tested: Iterable[tuple[str, str]]
) -> Coverage:
    """Describe the tested part of a corpus.

    Args:
        corpus: Its name; None for a synthetic one, which is as large as it was made.
        clips_of_store: Clips of the corpus' folder that the store was made from.
        tested: Actor and target of each tested clip.
    """
    found = list(tested)
    whole = whole_corpus(corpus) if corpus else None
    actors: dict[str, set[str]] = {}
    for actor, target in found:
        actors.setdefault(target, set()).add(actor)
    several = len({actor for actor, _ in found}) > 1
    return Coverage(
        partial=whole is not None and clips_of_store < whole,
        whole=whole,
        busiest=tuple(Counter(actor for actor, _ in found).most_common(BUSIEST)),
        of_one_actor={
            target: next(iter(who)) for target, who in actors.items() if several and len(who) == 1
        },
    )
