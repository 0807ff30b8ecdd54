"""Splits into training, validation and test: whole actors, or the parts that a corpus comes with.

Pure functions from the manifest. Every protocol gives folds of test actors; the validation actors
are then taken from each fold's training side.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avemotion.config import TrainingSettings
from avemotion.data.corpora import ravdess
from avemotion.data.store import ManifestRow
from avemotion.data.types import UNKNOWN_ACTOR, Split
from avemotion.errors import UsageError, are, counted

FOLDS = 5
"""Folds over actors of a protocol that does not say how many."""
SENTENCE_GROUPS = 3
"""Groups of sentences, each held out in turn."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One test of a protocol."""

    name: str
    """Names the fold's files: ``1001``, or ``fold-1``."""
    test: tuple[str, ...]
    """The actors that it is tested on; for ``official``, the part."""
    official: bool = False
    """Whether it is the corpus' official test."""
    sentences: tuple[str, ...] = ()
    """The sentences that it is tested on, which nobody says in training; empty for all."""

    def tested(self, rows: Sequence[ManifestRow]) -> list[ManifestRow]:
        """Return the clips that it is tested on, in order."""
        split = Split((), (), self.test, "part" if self.official else "actor")
        found = part_of(rows, split, "test")
        return [row for row in found if row.sentence in self.sentences or not self.sentences]

    def split(self, rows: Sequence[ManifestRow], settings: TrainingSettings) -> Split:
        """Return the split of its training.

        Args:
            rows: The clips that the model can use.
            settings: See `split_for`.
        """
        found = split_for(rows, self.test, settings)
        return replace(found, held_out_sentences=self.sentences)


def leave_one_actor_out(rows: Sequence[ManifestRow]) -> list[Fold]:
    """Test on each actor in turn, trained on all others: the thesis' protocol."""
    return [Fold(actor, (actor,)) for actor in actors_of(rows)]


def five_folds(rows: Sequence[ManifestRow]) -> list[Fold]:
    """Cut the sorted actors into five runs of neighbours, as the HiCMAE line of papers does."""
    return _runs_of_neighbours(rows, FOLDS)


def ten_folds(rows: Sequence[ManifestRow]) -> list[Fold]:
    """Cut the sorted actors into ten runs of neighbours: nine in ten of them train."""
    return _runs_of_neighbours(rows, 10)


def _runs_of_neighbours(rows: Sequence[ManifestRow], folds: int) -> list[Fold]:
    parts = np.array_split(np.array(actors_of(rows)), folds)
    width = len(str(folds))
    return [Fold(f"fold-{i:0{width}}", tuple(map(str, part))) for i, part in enumerate(parts, 1)]


def stratified_folds(rows: Sequence[ManifestRow]) -> list[Fold]:
    """Deal the actors to five folds with about the same emotions, for an unbalanced corpus.

    Actors with the most emotions come first, one to a fold in turn, so that each fold tests and
    each training has every emotion where that is possible; scikit-learn's StratifiedGroupKFold
    deals the others.
    """
    emotions = {a: {r.emotion for r in of_actors(rows, [a])} for a in actors_of(rows)}
    most = max(map(len, emotions.values()))
    whole = [actor for actor, found in emotions.items() if len(found) == most]
    parts: list[list[str]] = [whole[i::FOLDS] for i in range(FOLDS)]
    rest = [row for row in rows if row.actor not in set(whole)]
    if len(actors_of(rest)) >= FOLDS and _commonest(rest) >= FOLDS:
        dealt = _stratified(rest, FOLDS, seed=None)
    else:  # too few to balance
        dealt = [actors_of(rest)[i::FOLDS] for i in range(FOLDS)][::-1]
    for part, actors in zip(parts, dealt, strict=True):
        part += actors
    return [Fold(f"fold-{i}", tuple(sorted(part))) for i, part in enumerate(parts, 1)]


def luna_jimenez_folds(rows: Sequence[ManifestRow]) -> list[Fold]:
    """Take RAVDESS' five folds of Luna-Jimenez et al. (Sensors 21(22), 7665, 2021).

    Raises:
        UsageError: There are other actors than RAVDESS', or a fold has none.
    """
    others = sorted(set(actors_of(rows)) - set(ravdess.ACTORS))
    folds = [tuple(a for a in fold if of_actors(rows, [a])) for fold in ravdess.FOLDS]
    if others or not all(folds):
        problem = f"has the actors {', '.join(others[:5])}" if others else "lacks a fold's actors"
        raise UsageError(
            f"--protocol luna-jimenez is made for RAVDESS' actors 01 to 24, but the store "
            f"{problem}. Choose another --protocol."
        )
    return [Fold(f"fold-{i}", fold) for i, fold in enumerate(folds, 1)]


def sentence_folds(rows: Sequence[ManifestRow]) -> list[Fold]:
    """Hold out actors and sentences at once: who is tested, and what is said, are both new.

    The actors are those of `stratified_folds`, the sentences are dealt to three groups in turn;
    each clip is tested once.

    Raises:
        UsageError: There are fewer than two sentences.
    """
    if unknown := sum(not row.sentence for row in rows):
        raise UsageError(
            f"--protocol sentences needs the sentence of each clip; {unknown} have none. Choose "
            "another --protocol."
        )
    spoken = sorted({row.sentence for row in rows})
    if len(spoken) < 2:
        raise UsageError(
            f"--protocol sentences needs clips of two sentences or more; the store has "
            f"{' '.join(spoken) or 'none'!r} alone. Choose another --protocol."
        )
    groups = [tuple(spoken[i::SENTENCE_GROUPS]) for i in range(min(SENTENCE_GROUPS, len(spoken)))]
    return [
        Fold(f"{fold.name}-sentences-{number}", fold.test, sentences=group)
        for fold in stratified_folds(rows)
        for number, group in enumerate(groups, 1)
        if any(row.sentence in group for row in fold.tested(rows))
    ]


def official_fold(rows: Sequence[ManifestRow]) -> list[Fold]:
    """Test on the test part of the corpus' official split."""
    return [Fold("official", ("test",), official=True)]


PROTOCOLS: dict[str, Callable[[Sequence[ManifestRow]], list[Fold]]] = {
    "10fold": ten_folds,
    "5fold": five_folds,
    "loso": leave_one_actor_out,
    "luna-jimenez": luna_jimenez_folds,
    "official": official_fold,
    "sentences": sentence_folds,
    "stratified": stratified_folds,
}
"""Protocols that train, by name: from the manifest's usable clips to the folds."""

MIN_ACTORS = {
    "10fold": 10, "5fold": 5, "loso": 3, "luna-jimenez": 5, "official": 1, "sentences": 5,
    "stratified": 5,
}  # fmt: skip
"""Fewest actors that a protocol makes sense with: one trains, one chooses, one is tested."""


def part_of(rows: Sequence[ManifestRow], split: Split, part: str) -> list[ManifestRow]:
    """Return the clips of a part of a split, in order.

    Args:
        rows: Clips.
        split: Of actors, or a corpus' official one.
        part: ``train``, ``validation`` or ``test``.
    """
    names, silent = set(getattr(split, part)), set(split.held_out_sentences)
    return [
        row
        for row in rows
        if (row.actor if split.unit == "actor" else row.part) in names
        and (part == "test" or row.sentence not in silent)
    ]


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
    folds = min(max(2, round(len(actors) / wanted)), len(actors), max(2, _commonest(rows)))
    if _commonest(rows) < folds:  # nothing to balance
        return (actors[seed % len(actors)],)
    return _stratified(rows, folds, seed)[0]


def _commonest(rows: Sequence[ManifestRow]) -> int:
    """Return the number of clips of the most frequent emotion."""
    return max(Counter(row.emotion for row in rows).values())


def _stratified(rows: Sequence[ManifestRow], folds: int, seed: int | None) -> list[tuple[str, ...]]:
    """Deal actors to folds with scikit-learn; a seed shuffles actors that are alike."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=seed is not None, random_state=seed)
    emotions, groups = [row.emotion for row in rows], [row.actor for row in rows]
    with warnings.catch_warnings():  # rare emotions cannot be in every fold, and need not be
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = [chosen for _, chosen in splitter.split(rows, emotions, groups)]
    return [actors_of([rows[i] for i in chosen]) for chosen in parts]


def official_split(rows: Sequence[ManifestRow], settings: TrainingSettings) -> Split:
    """Return the split that a corpus comes with.

    Raises:
        UsageError: It has none, or no validation part, and the settings need one.
    """
    found = {row.part for row in rows}
    if not {"train", "test"} <= found:
        raise UsageError(
            "The corpus has no official split with a training and a test part. Split by actors: "
            "leave --training.split out, or choose another --protocol."
        )
    validation = ("validation",) if "validation" in found else ()
    if settings.validation and not validation:
        raise UsageError(
            "The corpus' official split has no validation part. Train a fixed number of epochs: "
            "--training.validation 0 --training.early_stopping false."
        )
    return Split(("train",), validation if settings.validation else (), ("test",), "part")


def split_for(
    rows: Sequence[ManifestRow], test: Sequence[str], settings: TrainingSettings
) -> Split:
    """Return the split of a training: by actors, or the official one.

    Args:
        rows: The clips that the model can use.
        test: The actors that are tested on; of no account for an official split.
        settings: Name the kind of split, the share of validation actors, and the seed.
    """
    if settings.split == "official":
        return official_split(rows, settings)
    return split_actors(rows, test, settings)


def split_actors(
    rows: Sequence[ManifestRow], test: Sequence[str], settings: TrainingSettings
) -> Split:
    """Take the validation actors from all who are not tested on."""
    rest = [row for row in rows if row.actor not in set(test)]
    validation: tuple[str, ...] = ()
    if settings.validation:
        # Even a small corpus has at least one validation actor.
        share = max(settings.validation, 1 / max(2, len(actors_of(rest))))
        validation = take_actors(rest, share, settings.seed)
    train = tuple(a for a in actors_of(rest) if a not in set(validation))
    return Split(train, validation, tuple(sorted(test)))


def check_known(rows: Sequence[ManifestRow]) -> None:
    """Refuse clips whose actor is unknown.

    Raises:
        UsageError: There are such clips; the message says how to name their actors.
    """
    unknown = sum(row.actor == UNKNOWN_ACTOR for row in rows)
    if unknown:
        raise UsageError(
            f"{counted(unknown, 'clip')} without an actor cannot be split by actor. Put a table "
            "clips.csv beside the emotions' folders with the columns file,actor and a row for each "
            "clip (happy/1.mp4,Anna), then run the same `avemotion preprocess` again."
        )


def check_trainable(
    rows: Sequence[ManifestRow],
    labels: Sequence[str],
    modality: str,
    least_actors: int = 2,
    official: bool = False,
) -> None:
    """Refuse clips that no classifier can learn from.

    Args:
        rows: The clips.
        labels: The emotions.
        modality: What the model reads.
        least_actors: Fewest actors.
        official: The split is the corpus' own: actors may then be unknown, and in several parts.

    Raises:
        UsageError: Actors are unknown or fewer than `least_actors`, there are fewer than two clips,
            or an emotion has none.
    """
    if official:
        least_actors = min(least_actors, 1)
    else:
        check_known(rows)
    actors = actors_of(rows)
    if least_actors == 1 and len(rows) < 2:
        raise UsageError(
            f"Training needs at least 2 clips; without the actors for validation and testing, "
            f"{counted(len(rows), 'clip')} of {counted(len(actors), 'actor')} {are(len(rows))} "
            "left. Add clips, or hold out fewer actors: --training.holdout 0."
        )
    if len(actors) < least_actors or len(rows) < 2:
        raise UsageError(
            f"--modality {modality} needs at least 2 actors (1 for training, 1 for validation); "
            f"the store has {len(actors)} ({counted(len(rows), 'clip')}). Preprocess more of the "
            "corpus, or choose another --modality."
        )
    missing = [label for label in labels if label not in {row.emotion for row in rows}]
    if missing:
        raise UsageError(
            f"The store has no clip of {', '.join(missing)} for --modality {modality}, and every "
            "emotion needs at least one. Preprocess a corpus that has all emotions."
        )
