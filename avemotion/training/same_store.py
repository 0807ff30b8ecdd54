"""Whether a checkpoint was trained on a feature store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avemotion.data.store import FeatureStore
from avemotion.errors import UsageError
from avemotion.models.inputs import names_of
from avemotion.models.metadata import CheckpointMetadata


def check_same_store(
    store: FeatureStore, path: Path, metadata: CheckpointMetadata, run: Mapping[str, Any] | None
) -> None:
    """Refuse a checkpoint that was trained on other data than a store holds.

    Args:
        store: The store.
        path: The checkpoint.
        metadata: Its metadata.
        run: Content of ``run.json`` beside it; None where there is none, so that the SHA-256 of
            its data is not known.

    Raises:
        UsageError: It was: actors may have other names there, and who was seen cannot be told.
    """
    if run is not None and run.get("data") != (data := store.content_hash()):
        raise UsageError(
            f"{path} was trained on other data than {store.directory} holds, so which of "
            f"these actors it saw is unknown:\n  SHA-256 in run.json: {run.get('data')}\n"
            f"  of the store:        {data}\n"
            "Give the store that it was trained on with --data, or remove "
            f"{path.parent} and fit again on this one. The clips of another corpus are "
            "scored with --protocol other-corpus."
        )
    for name, theirs, ours in (
        ("labels", metadata.labels, store.labels),
        ("preprocessing settings", metadata.preprocessing, store.settings),
        ("encoders", metadata.encoders, store.encoders_of(names_of(metadata.inputs))),
        ("origin (recorded or synthetic)", metadata.synthetic, store.synthetic),
    ):
        if theirs != ours:
            raise UsageError(
                f"{path} was trained on a store with other {name} than {store.directory}:\n"
                f"  checkpoint: {theirs}\n  store:      {ours}\nGive the store that it belongs to."
            )
