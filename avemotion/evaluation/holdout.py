"""The checkpoints of `fit`, tested on its held-out actors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avemotion.data.splits import actors_of, part_of
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.errors import UsageError, are, counted
from avemotion.evaluation.checkpoints import Trained
from avemotion.models.inputs import names_of
from avemotion.training.initial_weights import seen_before


def check_same_data(trained: Mapping[str, Trained], store: FeatureStore) -> None:
    """Refuse checkpoints that were trained on other data than a store holds.

    Raises:
        UsageError: One was: actors may have other names there, and who was seen cannot be told.
    """
    data = store.content_hash()
    for one in trained.values():
        if one.run.get("data") != data:
            raise UsageError(
                f"{one.path} was trained on other data than {store.directory} holds, so which of "
                f"these actors it saw is unknown:\n  SHA-256 in run.json: {one.run.get('data')}\n"
                f"  of the store:        {data}\n"
                "Give the store that it was trained on with --data, or remove "
                f"{one.path.parent} and fit again on this one. The clips of another corpus are "
                "scored with --protocol other-corpus."
            )
        _check_fits(store, one)


def _check_fits(store: FeatureStore, one: Trained) -> None:
    for name, theirs, ours in (
        ("labels", one.metadata.labels, store.labels),
        ("preprocessing settings", one.metadata.preprocessing, store.settings),
        ("encoders", one.metadata.encoders, store.encoders_of(names_of(one.metadata.inputs))),
        ("origin (recorded or synthetic)", one.metadata.synthetic, store.synthetic),
    ):
        if theirs != ours:
            raise UsageError(
                f"{one.path} was trained on a store with other {name} than {store.directory}:\n"
                f"  checkpoint: {theirs}\n  store:      {ours}\nGive the store that it belongs to."
            )


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
