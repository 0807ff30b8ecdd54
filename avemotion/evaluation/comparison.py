"""What an evaluation compares: options that fit together, and clips that all systems can use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avemotion.config import Engine, ExperimentSettings, GivenTraining
from avemotion.data.corrupted_batches import check_corruptible
from avemotion.data.splits import check_known
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.types import UNKNOWN_ACTOR, UNKNOWN_GROUPS
from avemotion.errors import UsageError, are, counted
from avemotion.evaluation.plan import WITHOUT_TRAINING
from avemotion.models.inputs import names_of
from avemotion.models.registry import inputs_of


def check_actors(store: FeatureStore) -> None:
    """Refuse a store whose actors are not known, where nothing else can split it."""
    if not any(row.part for row in store.rows):  # no official split could do without the actors
        check_known(store.rows)


def check_mapping(protocol: str, mapping: Mapping[str, str] | None) -> None:
    """Refuse a mapping that is none of texts, and a protocol that takes none."""
    if mapping is None:
        return
    if protocol != "other-corpus":
        raise UsageError(
            f"--mapping says which emotions of another corpus count as which, but --protocol "
            f"{protocol} tests on the models' own. Leave it out, or choose --protocol other-corpus."
        )
    texts: list[Any] = [*mapping, *mapping.values()] if isinstance(mapping, Mapping) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(
            f"mapping is {mapping!r}, but must be a mapping of texts: {{'calm': 'neutral'}}."
        )


def check_options(
    protocol: str,
    settings: Mapping[str, Any] | None,
    training: GivenTraining,
    seeds: int,
    jobs: int | None,
    engine: Engine,
    members: Sequence[Path] = (),
) -> None:
    """Refuse numbers out of range, and options that do not go with the protocol."""
    if settings is not None and not isinstance(settings, Mapping):
        raise UsageError(
            f"settings are {type(settings).__name__}, but must be a mapping: "
            "{'ar5': AR5Settings(...)}."
        )
    for name, value in (("--seeds", seeds), ("--jobs", jobs)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}, but must be 1 or more.")
    trains = bool(training) or (seeds, jobs, engine) != (1, None, "local")
    trains |= bool(members) or any(given != type(given)() for given in (settings or {}).values())
    if protocol in WITHOUT_TRAINING and trains:
        raise UsageError(
            f"--protocol {protocol} trains nothing, so it takes no settings of models or training "
            "(nor --config, --seeds, --jobs, --engine, --members). Give them to `avemotion fit`, "
            "or choose another --protocol."
        )


def tested_clips(
    store: FeatureStore,
    experiments: Mapping[str, ExperimentSettings],
    protocol: str,
    robustness: bool,
) -> tuple[list[ManifestRow], list[str]]:
    """Return the clips that every system can use, and notes on the others and on the people.

    Raises:
        UsageError: There are none, they cannot be split by actors, or not be corrupted.
    """
    other = protocol == "other-corpus"  # which is not split
    official = not other and any(e.training.split == "official" for e in experiments.values())
    if not (other or official):
        check_known(store.rows)
    if robustness:
        read = {name for e in experiments.values() for name in names_of(inputs_of(e))}
        check_corruptible(store, sorted(read))
    rows, notes = _common_clips(store, experiments)
    if official and store.info["parts_note"]:
        notes = (*notes, store.info["parts_note"])
    return rows, [*notes, *_notes_on_people(rows, official)]


def _notes_on_people(rows: Sequence[ManifestRow], official: bool) -> list[str]:
    notes = [_PEOPLE_SHARED] if official else []
    if unknown := sum(row.actor == UNKNOWN_ACTOR for row in rows):
        if official and unknown == len(rows):
            notes.append(
                f"nobody in {counted(unknown, 'picture')} is known: intervals and tests are over "
                f"pictures, in {UNKNOWN_GROUPS} random groups, and say nothing about other people"
            )
        else:
            notes.append(
                f"{counted(unknown, 'clip')} {are(unknown)} of people who are not known: they "
                "count as one actor, so that intervals and tests over actors say nothing about "
                "other people"
            )
    return notes


def _common_clips(
    store: FeatureStore, experiments: Mapping[str, ExperimentSettings]
) -> tuple[list[ManifestRow], tuple[str, ...]]:
    """Return the clips that every system can use, and a note on those left out."""
    usable = [{row.clip for row in store.usable(e.modality)} for e in experiments.values()]
    common = set.intersection(*usable) if usable else set()
    rows = [row for row in store.rows if row.clip in common]
    counts = Counter(row.status for row in store.rows if row.clip not in common)
    notes = tuple(
        f"{counted(n, 'clip')} of the store {are(n)} not scored: {_WHY_NOT[status]}"
        for status, n in sorted(counts.items())
    )
    if not rows:
        raise UsageError(
            f"No clip of {store.directory} can be used for all of "
            f"{', '.join(experiments)}. Choose fewer with --modalities."
        )
    return rows, notes


_PEOPLE_SHARED = (
    "the split is the one that the corpus comes with: the same people may have trained and be "
    "tested, so that figures on people never seen would be lower"
)
_WHY_NOT = {
    "audio": "they have no face",
    "video": "they have no sound",
    "excluded": "they are known to be bad",
    "failed": "they could not be read",
}
