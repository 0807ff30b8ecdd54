"""Fine-tuning: training begins with the weights of a checkpoint.

All of them are taken over, statistics of the clips that it learned from included; the layers that
answer are made anew where the store has other labels. Who trained the checkpoint is kept, since
such people are not unseen in a later test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avemotion.config import ExperimentSettings, Modality, differences
from avemotion.data.checksums import sha256_of
from avemotion.data.corpora import folder, people_of, pictures
from avemotion.data.splits import actors_of, part_of
from avemotion.data.store import FeatureStore
from avemotion.data.task import Task
from avemotion.data.types import UNKNOWN_ACTOR
from avemotion.errors import UsageError, counted
from avemotion.features.table import reads_frames
from avemotion.models.header import checkpoint_at, read_header
from avemotion.models.inputs import Input, names_of, preprocessed_otherwise
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata, Origin
from avemotion.models.registry import create, model_class, settings_of, with_settings

if TYPE_CHECKING:
    from torch import Tensor

    from avemotion.models.base import EmotionModel

_NAMED_AT_MOST = 10  # actors in a sentence
_SHORT_SHA256 = 12
_ANYBODY = {folder.NAME, pictures.NAME}  # corpora that may hold people of any other


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """A checkpoint that a training is to begin with; reading it needs no torch."""

    path: Path
    """The file."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""
    metadata: CheckpointMetadata
    """Its metadata."""

    @classmethod
    def of(cls, init: Path) -> InitialWeights:
        """Read what a checkpoint says of itself.

        Args:
            init: The checkpoint, the folder of its run, or ``avemotion-1``.

        Raises:
            UsageError: There is no checkpoint, or this version cannot read it.
        """
        path = checkpoint_at(init)
        metadata = read_header(path)
        return cls(path, sha256_of(path), metadata)

    @property
    def settings(self) -> Any:
        """The model's own settings, an instance of its `Settings`."""
        experiment = self.metadata.experiment
        return settings_of(experiment.model, experiment.settings)

    def check_asked(self, model: str | None, modality: Modality | None, out: Path | None) -> None:
        """Refuse another model or modality than the checkpoint's, and its own folder.

        Of a model for face and voice the part for one of them may be asked for.

        Raises:
            UsageError: The message says which.
        """
        experiment = self.metadata.experiment
        if experiment.modality == "av":
            modality = None
        for name, asked, found in (
            ("model", model, experiment.model),
            ("modality", modality, experiment.modality),
        ):
            if asked not in (None, found):
                raise UsageError(
                    f"--{name} is {asked}, but --init {self.path} is a checkpoint of "
                    f"{experiment.system}. Leave --{name} out, or give --init another checkpoint."
                )
        run = out or Path("runs", experiment.system)
        if run.resolve() == self.path.resolve().parent:
            raise UsageError(
                f"--init is the checkpoint in {run}, the folder that the new run would be written "
                f"to. Give another --out: {Path('tuned', experiment.system)}."
            )

    def check_fits(self, task: Task, experiment: ExperimentSettings) -> None:
        """Refuse weights that the model of an experiment cannot begin with.

        Raises:
            UsageError: It is fitted once, or its settings give it other inputs or other shapes.
        """
        if not model_class(experiment.model).learns_in_epochs:
            raise UsageError(
                f"--init gives weights to begin with, but {experiment.model} is fitted once, to "
                "all training clips, and begins with none. Leave --init out, or choose a network."
            )
        self.take_over(create(task, experiment))

    def check_reads(self, store: FeatureStore, inputs: Sequence[Input]) -> None:
        """Refuse a store whose faces are cut otherwise than those that the weights learned.

        A face that is found and a whole picture that is one may differ: the one is cut as the other
        is framed, by the same margin.

        Args:
            store: Features to learn from.
            inputs: What the model reads of them.

        Raises:
            UsageError: Size or margin of the crops, their histograms or the frames are others.
        """
        theirs = replace(
            self.metadata.preprocessing, face=store.settings.face, reader=store.settings.reader
        )
        if not reads_frames(names_of(inputs)):
            theirs = replace(theirs, grid=store.settings.grid)
        changed = preprocessed_otherwise(inputs, theirs, store.settings)
        if not changed:
            return
        values = asdict(theirs)
        asked = [f"--{n} {str(values[n]).lower()}" for n in (one.split(":")[0] for one in changed)]
        raise UsageError(
            f"The weights of {self.path} learned faces that are cut otherwise than those in "
            f"{store.directory} (theirs -> the store's):\n  "
            + "\n  ".join(changed)
            + f"\nPreprocess the clips into another folder with {' '.join(asked)}, or leave --init "
            "out."
        )

    def take_over(self, network: EmotionModel) -> tuple[Origin, ...]:
        """Give a network the weights.

        Args:
            network: The same model; it may have other labels and units.

        Returns:
            Where they come from: the checkpoint, and what that had begun with.

        Raises:
            UsageError: The checkpoint is damaged, changed since it was first read, or does not fit.
        """
        from avemotion.models.checkpoint import load_checkpoint

        given, theirs = load_checkpoint(self.path)
        if sha256_of(self.path) != self.sha256:
            raise UsageError(
                f"{self.path} changed while it was read: it is being trained. Give --init a run "
                "that is finished."
            )
        weights = given.state_dict()
        network.make_room(weights)
        own = network.state_dict()
        if network.modality != given.modality:  # the part for face or voice of a model for both
            weights = {name: values for name, values in weights.items() if name in own}
        orders = _orders(network, theirs.task)
        taken: dict[str, Tensor] = {}
        misfits = sorted(weights.keys() - own.keys())
        for name, values in own.items():
            found, order = weights.get(name), orders.get(name, {})
            if found is not None and found.shape == values.shape and None not in order.values():
                taken[name] = _reordered(found, order)
            elif not order:
                misfits.append(name)
        if misfits or not set(network.inputs) <= set(given.inputs):
            raise self._misfit(network, misfits)
        network.load_state_dict(taken, strict=False)
        origin = Origin(
            name=_name_of(self.path, theirs),
            sha256=self.sha256,
            corpus=theirs.corpus,
            corpus_clips=theirs.corpus_clips,
            synthetic=theirs.synthetic is not None,
            split=theirs.split,
            made_anew=tuple(name for name in own if name not in taken),
        )
        return (origin, *theirs.initialised_from)

    def _misfit(self, network: EmotionModel, names: Sequence[str]) -> UsageError:
        """Return the error of weights that have other shapes, or read something else."""
        theirs = self.metadata.experiment
        model, ours = theirs.model, with_settings(theirs, network.settings)
        changed = differences(theirs.settings, ours.settings)
        what = f"the shape of {names[0]}" if names else "what the model reads"
        settings = "\n  ".join(f"--{model}.{line}" for line in changed) or "none"
        return UsageError(
            f"The weights of {self.path} do not fit: {what} is another here. Settings of {model} "
            f"that differ (the checkpoint's -> yours):\n  {settings}\n"
            "Leave out those that change the network: the others are then the checkpoint's own."
        )


_Orders = Mapping[str, Mapping[int, list[int] | None]]


def _orders(network: EmotionModel, theirs: Task) -> _Orders:
    """Return how the weights that answer follow from those of the same network for another task.

    Which do is tried out: they have another shape where there is one label or unit more.

    Returns:
        Name of a weight -> dimension -> for each label or unit its index in the other task; None
        where the two have others. Empty for the same labels and units in the same order.
    """
    ours = network.task
    if (ours.labels, ours.units) == (theirs.labels, theirs.units):
        return {}
    labels, units = _order(ours.labels, theirs.labels), _order(ours.units, theirs.units)
    both = None
    if labels is not None and units is not None:
        both = labels + [len(theirs.labels) + index for index in units]
    new = max(ours.outputs, key=len) + "+"  # a name that no label has
    kinds = [(replace(ours, labels=(*ours.labels, new)), ours.labels, labels)]
    if ours.units:
        kinds.append((replace(ours, units=(*ours.units, new)), ours.units, units))
    found: dict[str, dict[int, list[int] | None]] = {}
    for task, names, order in kinds:
        larger = type(network)(task, network.modality, network.settings).state_dict()
        for name, values in network.state_dict().items():
            for dimension, (size, grown) in enumerate(
                zip(values.shape, larger[name].shape, strict=True)
            ):
                if size != grown:
                    known = {len(ours.outputs): both, len(names): order}  # the last one counts
                    found.setdefault(name, {})[dimension] = known.get(size)
    return found


def _order(ours: Sequence[str], theirs: Sequence[str]) -> list[int] | None:
    """Return where each of our names stands in theirs; None where these are other names."""
    return [theirs.index(name) for name in ours] if set(ours) == set(theirs) else None


def _reordered(values: Tensor, order: Mapping[int, list[int] | None]) -> Tensor:
    for dimension, indices in order.items():
        values = values.index_select(dimension, values.new_tensor(indices).long())
    return values


def _name_of(path: Path, metadata: CheckpointMetadata) -> str:
    """Return the run or the file without the folders that hold it: the same on each machine."""
    path, system = path.resolve(), metadata.experiment.system
    if path.name != CHECKPOINT_NAME:
        return path.name
    return system if path.parent.parts[-2:] == tuple(system.split("/")) else path.parent.name


def seen_before(store: FeatureStore, metadata: CheckpointMetadata) -> set[str]:
    """Return the clips of a store that are not unseen, since the initial weights learned from them.

    Where the split is of actors, all clips of an actor count who trained these weights or chose
    their epoch, by the names of corpus and actor; of an official split, the clips alone.

    Args:
        store: Features that the model learned from, or another store of that corpus.
        metadata: Of the model that began with those weights.
    """
    seen: set[str] = set()
    for origin in metadata.initialised_from:
        if not same_people(origin, store):
            continue
        parts = ("train", "validation")
        learned = [row for part in parts for row in part_of(store.rows, origin.split, part)]
        seen |= {row.clip for row in learned}
        if metadata.split.unit == "actor":
            people = {row.actor for row in learned} - {UNKNOWN_ACTOR}
            seen |= {row.clip for row in store.rows if row.actor in people}
    return seen


def same_people(learned: Origin, store: FeatureStore) -> bool:
    """Tell whether a checkpoint learned from the people of a store's corpus, or from some."""
    alike = learned.synthetic == (store.synthetic is not None)
    return alike and people_of(learned.corpus) == people_of(store.info["corpus"])


def initial_notes(store: FeatureStore, metadata: CheckpointMetadata) -> tuple[str, ...]:
    """Say what a training began with, and which of its people are not unseen; a sentence each.

    Args:
        store: Features that it learned from.
        metadata: Of its checkpoint.

    Returns:
        Nothing for a training that began with weights of its own.
    """
    if not metadata.initialised_from:
        return ()
    first, *before = map(_in_words, metadata.initialised_from)
    if model_class(metadata.experiment.model).composed:
        notes = [
            f"Among what members began with are the weights of {each}." for each in (first, *before)
        ]
        origins = metadata.initialised_from
    else:
        notes = [f"Training began with the weights of {first}."]
        notes += [f"Those had begun with the weights of {each}." for each in before]
        origins = metadata.initialised_from[:1]
    if made_anew := dict.fromkeys(name for origin in origins for name in origin.made_anew):
        notes.append(
            "Its labels or action units are others, so the weights that depend on them were made "
            f"anew: {', '.join(made_anew)}."
        )
    if any(same_people(origin, store) for origin in metadata.initialised_from):
        notes += _notes_on_people(store, metadata)
    elif _ANYBODY & {store.info["corpus"], *(o.corpus for o in metadata.initialised_from)}:
        notes.append(
            "Whether the same people are in both corpora is not known: held-out actors who trained "
            "the initial weights would not be unseen."
        )
    return tuple(notes)


def _in_words(origin: Origin) -> str:
    learned = f"learned from {origin.corpus_in_words}"
    return f"{origin.name} (SHA-256 {origin.sha256[:_SHORT_SHA256]}), which {learned}"


def _notes_on_people(store: FeatureStore, metadata: CheckpointMetadata) -> list[str]:
    """Say how many held-out and validation actors, or clips, the initial weights learned from."""
    seen, usable = seen_before(store, metadata), store.usable(metadata.experiment.modality)
    notes = []
    for part, kind, meaning in (
        ("test", "held-out", "not unseen, and `avemotion evaluate` does not test on them"),
        ("validation", "validation", "not unseen, and the scores on them are too good"),
    ):
        rows = part_of(usable, metadata.split, part)
        known = [row for row in rows if row.clip in seen]
        if metadata.split.unit == "actor":
            people, everyone = actors_of(known), counted(len(actors_of(rows)), f"{kind} actor")
            named = ", ".join(people[:_NAMED_AT_MOST])
            named += ", ..." if len(people) > _NAMED_AT_MOST else ""
            how_many = f"{len(people)} of {everyone} ({named})"
        else:
            how_many = f"{len(known):,} of {counted(len(rows), f'{kind} clip')}"
        if known:
            notes.append(
                f"By their names, {how_many} trained the initial weights or chose their epoch: "
                f"they are {meaning}."
            )
        elif rows:
            unit = "actors" if metadata.split.unit == "actor" else "clips"
            notes.append(
                f"By their names, the initial weights learned from none of the {kind} {unit}."
            )
    return notes
