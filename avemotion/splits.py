"""Who trains, who chooses the epoch, who is tested: always whole actors.

Pure functions from the manifest. Every protocol gives folds of test actors; the validation actors
are then carved out of each fold's training side.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from avemotion.config import TrainingSettings
from avemotion.errors import UsageError
from avemotion.store import ManifestRow
from avemotion.types import Split


@dataclass(frozen=True, slots=True)
class Fold:
    """One test of a protocol."""

    name: str
    """Names the fold's files: ``1001``, or ``fold-1``."""
    test: tuple[str, ...]
    """The actors that it is tested on."""


def leave_one_actor_out(actors: Sequence[str]) -> list[Fold]:
    """Test on each actor in turn, trained on all others: the thesis' protocol."""
    return [Fold(actor, (actor,)) for actor in sorted(actors)]


def five_folds(actors: Sequence[str]) -> list[Fold]:
    """Cut the sorted actors into five runs of neighbours, as the HiCMAE line of papers does."""
    parts = np.array_split(np.array(sorted(actors)), 5)
    return [Fold(f"fold-{i}", tuple(map(str, part))) for i, part in enumerate(parts, 1)]


PROTOCOLS: dict[str, Callable[[Sequence[str]], list[Fold]]] = {
    "5fold": five_folds,
    "loso": leave_one_actor_out,
}
"""Protocols that train, by name; each needs more actors than it has folds' test actors."""

MIN_ACTORS = {"5fold": 5, "loso": 2}
"""Fewest actors that a protocol makes sense with."""


def actors_of(rows: Sequence[ManifestRow]) -> tuple[str, ...]:
    """Return the sorted actors of some clips."""
    return tuple(sorted({row.actor for row in rows}))


def of_actors(rows: Sequence[ManifestRow], actors: Sequence[str]) -> list[ManifestRow]:
    """Return the clips of some actors, in order."""
    wanted = set(actors)
    return [row for row in rows if row.actor in wanted]


def take_actors(rows: Sequence[ManifestRow], share: float, seed: int) -> tuple[str, ...]:
    """Choose a share of the actors whose clips have about the emotions of all.

    scikit-learn's StratifiedGroupKFold keeps the classes balanced even where some actors have few.

    Returns:
        Sorted actors: none where the share rounds to no actor, never all of them.
    """
    actors = actors_of(rows)
    wanted = round(share * len(actors))
    if wanted == 0 or len(actors) < 2:
        return ()
    emotions = [row.emotion for row in rows]
    commonest = max(emotions.count(emotion) for emotion in set(emotions))
    folds = min(max(2, round(len(actors) / wanted)), len(actors), max(2, commonest))
    if commonest < folds:  # nothing to balance
        return (actors[seed % len(actors)],)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    groups = [row.actor for row in rows]
    with warnings.catch_warnings():  # rare emotions cannot be in every fold, and need not be
        warnings.filterwarnings("ignore", message="The least populated class")
        _, chosen = next(iter(splitter.split(rows, emotions, groups)))
    return actors_of([rows[i] for i in chosen])


def split_actors(
    rows: Sequence[ManifestRow], test: Sequence[str], settings: TrainingSettings
) -> Split:
    """Carve the validation actors out of everyone who is not tested on."""
    rest = [row for row in rows if row.actor not in set(test)]
    validation: tuple[str, ...] = ()
    if settings.validation:
        # Even a small corpus has someone to watch: at least one actor.
        share = max(settings.validation, 1 / max(2, len(actors_of(rest))))
        validation = take_actors(rest, share, settings.seed)
    train = tuple(a for a in actors_of(rest) if a not in set(validation))
    return Split(train, validation, tuple(sorted(test)))


def check_trainable(
    rows: Sequence[ManifestRow], labels: Sequence[str], modality: str, least_actors: int = 2
) -> None:
    """Refuse clips that no classifier can learn from.

    Raises:
        UsageError: Fewer than two actors, or an emotion without a clip.
    """
    actors = actors_of(rows)
    if len(actors) < least_actors or len(rows) < 2:
        raise UsageError(
            f"Of actors with clips that --modality {modality} can use there are {len(actors)} "
            f"({len(rows)} clips), but at least two actors are needed: one trains, another chooses "
            "the epoch. Preprocess more of the corpus, or choose another --modality."
        )
    missing = [label for label in labels if label not in {row.emotion for row in rows}]
    if missing:
        raise UsageError(
            f"No clip of {', '.join(missing)} can be used for --modality {modality}: a class "
            "without examples cannot be learned. Preprocess a corpus that has all emotions."
        )
