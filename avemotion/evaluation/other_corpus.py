"""The checkpoints of `fit`, tested on another corpus than the one that they learned from.

Each label of that corpus counts as one of the models', or its clips are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from avemotion.data.corpora import TITLES, folder, people_of
from avemotion.data.relabelled import RelabelledStore
from avemotion.data.splits import actors_of
from avemotion.data.store import USABLE, FeatureStore
from avemotion.data.types import Split
from avemotion.errors import UsageError, are, counted
from avemotion.evaluation.checkpoints import Trained
from avemotion.features.table import is_table
from avemotion.models.inputs import names_of, preprocessed_otherwise

DEFAULT_MAPPING: Mapping[str, str] = {"calm": "neutral"}
"""Labels of other names that count as a model's, where store and model have them."""


def open_other(
    store: FeatureStore, trained: Mapping[str, Trained], mapping: Mapping[str, str] | None
) -> tuple[RelabelledStore, list[str]]:
    """Return a store of another corpus with the labels of the models, and notes for the report.

    Args:
        store: Features of the other corpus.
        trained: The checkpoints, by system.
        mapping: Label of the store -> the models' that it counts as, beside those of the same
            name; None is `DEFAULT_MAPPING`.

    Raises:
        UsageError: A model learned from this corpus, or perhaps did, or reads what the store does
            not hold; models have other labels than one another; or the mapping does not fit.
    """
    labels = _shared_labels(trained)
    for one in trained.values():
        for learned in _learned(one):
            _check_other(learned, store)
        _check_readable(one, store)
    partners = partners_of(store, labels, mapping)
    other = RelabelledStore(store.directory, labels, partners)
    if not other.rows:
        raise UsageError(
            f"No clip of {store.directory} has an emotion that the models know: its own are "
            f"{', '.join(store.labels)}, theirs {', '.join(labels)}. Say which count as which with "
            f"--mapping {store.labels[0]}={labels[0]}."
        )
    return other, [*_notes_on_labels(other), *_notes_on_corpora(other, trained)]


def unnamed(trained: Mapping[str, Trained]) -> dict[str, Trained]:
    """Return the checkpoints with splits of nobody, since other corpora name other people.

    An actor ``01`` of one is not the ``01`` of another; `predict` would take them for the same.
    """
    return {
        system: replace(one, metadata=replace(one.metadata, split=Split((), (), ())))
        for system, one in trained.items()
    }


def partners_of(
    store: FeatureStore, labels: Sequence[str], mapping: Mapping[str, str] | None
) -> dict[str, str]:
    """Return which of a model's labels each of a store's counts as; some count as none.

    Raises:
        UsageError: The mapping names a label that the store or the model lacks.
    """
    for theirs, ours in (mapping or {}).items():
        for side, name, known in (
            (store.directory, theirs, store.labels),
            ("the models", ours, labels),
        ):
            if name not in known:
                raise UsageError(
                    f"--mapping has {theirs}={ours}, but {name!r} is no emotion of {side}: choose "
                    f"from {', '.join(known)}."
                )
    same = {label: label for label in store.labels if label in labels}
    if mapping is not None:
        stated = {**same, **mapping}
    else:
        default = {a: b for a, b in DEFAULT_MAPPING.items() if a in store.labels and b in labels}
        stated = {**default, **same}
    return {label: stated[label] for label in store.labels if label in stated}


def _shared_labels(trained: Mapping[str, Trained]) -> tuple[str, ...]:
    """Return the labels of all models, in their order.

    Raises:
        UsageError: They differ.
    """
    first, *others = trained
    labels = trained[first].metadata.labels
    for system in others:
        if (theirs := trained[system].metadata.labels) != labels:
            raise UsageError(
                f"The models have other labels than one another, so that they cannot be compared:\n"
                f"  {first}: {', '.join(labels)}\n  {system}: {', '.join(theirs)}\n"
                "Fit them on one store, or choose fewer with --models or --modalities."
            )
    return labels


def _learned(one: Trained) -> list[Trained]:
    """Return a checkpoint as it is, and as it would be had it learned what its weights had."""
    before = [
        replace(one.metadata, corpus=o.corpus, split=o.split, synthetic={} if o.synthetic else None)
        for o in one.metadata.initialised_from
    ]
    return [one, *(replace(one, metadata=metadata) for metadata in before)]


def _check_other(one: Trained, store: FeatureStore) -> None:
    """Refuse a checkpoint that learned from this corpus.

    Raises:
        UsageError: It did.
    """
    if one.run.get("data") == store.content_hash():
        raise UsageError(
            f"{one.path} was trained on {store.directory} itself, which is no other corpus. Test "
            "it on the actors that it did not see: --protocol holdout."
        )
    corpus = one.metadata.corpus
    alike = (one.metadata.synthetic is None) == (store.synthetic is None)
    if corpus == folder.NAME == store.info["corpus"]:
        _check_other_people(one, store)
    elif alike and people_of(corpus) == people_of(store.info["corpus"]):
        raise UsageError(
            f"{one.path} learned from {corpus}, and {store.directory} is of "
            f"{store.info['corpus']}: the same people would be tested. Give a store of another "
            "corpus with --data, or use --protocol holdout on the store that it was trained on."
        )


def _check_other_people(one: Trained, store: FeatureStore) -> None:
    """Refuse folders of clips whose actors have the same names: perhaps it is the same folder.

    Raises:
        UsageError: There are such names.
    """
    if both := sorted(_seen_by(one) & {*actors_of(store.rows)}):
        raise UsageError(
            f"{one.path} learned from a folder of clips that has the actors {', '.join(both[:5])}, "
            f"too, as {store.directory} does: people who trained may be tested. If they are other "
            "people, give them other names in clips.csv and preprocess anew."
        )


def _seen_by(one: Trained) -> set[str]:
    """Return the names of the actors who trained or chose the epoch; none of an official split."""
    split = one.metadata.split
    return {*split.train, *split.validation} if split.unit == "actor" else set()


def _check_readable(one: Trained, store: FeatureStore) -> None:
    """Refuse a store whose features are not what the model learned to read.

    Raises:
        UsageError: They were made with other settings, or one is missing.
    """
    names = names_of(one.metadata.inputs)
    store.check_has(names, one.metadata.experiment.model)
    if tables := [name for name in names if is_table(name)]:
        raise UsageError(
            f"{one.path} reads {' and '.join(tables)}, a table of features, which belongs to one "
            "corpus: it cannot be tested on another."
        )
    if one.metadata.encoders != (found := store.encoders_of(names)):
        raise UsageError(
            f"{one.path} reads embeddings that other weights made than those in "
            f"{store.directory}:\n  model: {one.metadata.encoders}\n  store: {found}\n"
            "Make the store's anew with the encoder of the model."
        )
    theirs = one.metadata.preprocessing
    if changed := preprocessed_otherwise(one.metadata.inputs, theirs, store.settings):
        raise UsageError(
            f"{one.path} learned from features that were made with other settings than those in "
            f"{store.directory} (its own -> the store's):\n  "
            + "\n  ".join(changed)
            + "\nPreprocess the corpus into another folder with the settings of the model."
        )


def _notes_on_labels(store: RelabelledStore) -> list[str]:
    notes = [f"{a} counts as {b}" for a, b in store.partners.items() if a != b]
    notes += [
        f"{counted(clips, 'clip')} of {label} {are(clips)} left out: the models have no such "
        "emotion"
        for label, clips in store.left_out.items()
    ]
    there = {row.emotion for row in store.rows if row.status in USABLE}
    if missing := [label for label in store.labels if label not in there]:
        notes.append(
            f"no clip is of {' or '.join(missing)}: the models may answer so all the same, which "
            "is then wrong"
        )
    if store.has_votes and not store.votes_fit:
        notes.append(
            "people are not compared: the raters chose among other emotions than the models do"
        )
    return notes


def _notes_on_corpora(store: RelabelledStore, trained: Mapping[str, Trained]) -> list[str]:
    learned = {system: one.metadata.corpus for system, one in trained.items()}
    tested = str(store.info["corpus"])
    if len({(learned[s], one.run.get("data")) for s, one in trained.items()}) == 1:
        source, target = (TITLES.get(c, c) for c in (next(iter(learned.values())), tested))
        notes = [f"the models learned from {source}, not from {target}"]
    else:
        each = ", ".join(f"{system} from {corpus}" for system, corpus in learned.items())
        notes = [f"the models learned from stores that differ, which differences show too: {each}"]
    if folder.NAME in (tested, *learned.values()):
        notes.append(_PERHAPS_SAME_PEOPLE + _same_names(store, trained))
    drawn = [s for s, one in trained.items() if one.metadata.synthetic and not store.synthetic]
    if drawn:
        notes.append(f"{', '.join(drawn)} learned from SYNTHETIC DATA alone")
    return notes


def _same_names(store: RelabelledStore, trained: Mapping[str, Trained]) -> str:
    """Say how many of a store's actors have names that trained; nothing where none does."""
    seen = set[str]().union(*map(_seen_by, trained.values()))
    same = seen & {*actors_of(store.rows)}
    return f"; the same names in both: {counted(len(same), 'actor')}" if same else ""


_PERHAPS_SAME_PEOPLE = (
    "a folder of clips does not say who is in other corpora: were people of these clips among "
    "those that the models learned from, figures on people never seen would be lower"
)
