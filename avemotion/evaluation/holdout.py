"""The checkpoints of `fit`, tested on its held-out actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avemotion.data.splits import actors_of, part_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError, are, counted
from avemotion.evaluation.checkpoints import Trained
from avemotion.training.initial_weights import seen_before
from avemotion.training.same_store import check_same_store


def check_same_data(trained: Mapping[str, Trained], store: FeatureStore) -> None:
    """Refuse checkpoints that were trained on other data than a store holds.

    Raises:
        UsageError: One was: actors may have other names there, and who was seen cannot be told.
    """
    for one in trained.values():
        check_same_store(store, one.path, one.metadata, one.run)


def unseen(
    store: FeatureStore, trained: Mapping[str, Trained], rows: Sequence[ManifestRow]
) -> list[ManifestRow]:
    """Return the clips of actors that no checkpoint saw, nor the weights that it began with.

    Args:
        store: Features.
        trained: The checkpoints, by system.
        rows: The clips that every system can use.

    Raises:
        UsageError: Together they saw every actor.
    """
    seen: set[str] = set()
    for one in trained.values():
        split = one.metadata.split
        for part in ("train", "validation"):
            seen |= {row.clip for row in part_of(store.rows, split, part)}
        seen |= seen_before(store, one.metadata)
        if split.unit == "part":  # what is in no part, or in an unused one, is no test
            rows = part_of(rows, split, "test")
    tested = [row for row in rows if row.clip not in seen]
    if not tested:
        raise UsageError(
            f"The checkpoints {', '.join(str(one.path) for one in trained.values())} together saw "
            f"every actor of {store.directory}. Fit with --training.holdout above 0 and the same "
            "--training.seed for each system, or use --protocol 5fold. The weights that a training "
            "began with (--init) count, too."
        )
    return tested


def notes_on_initial_weights(store: FeatureStore, trained: Mapping[str, Trained]) -> list[str]:
    """Say for the report what trainings began with, and whom that leaves untested."""
    notes = []
    for system, one in trained.items():
        for origin in one.metadata.initialised_from:
            notes.append(
                f"training of {system} began with weights that had learned from "
                f"{origin.corpus_in_words} ({origin.name})"
            )
        known = seen_before(store, one.metadata)
        rows = [row for row in part_of(store.rows, one.metadata.split, "test") if row.clip in known]
        if rows:
            people = counted(len(actors_of(rows)), "actor")
            notes.append(
                f"{counted(len(rows), 'held-out clip')} of {people} {are(len(rows))} not tested: "
                f"the weights that {system} began with learned from them"
            )
    return notes
