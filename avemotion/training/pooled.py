"""How members are pooled: temperatures and weights from people that no member learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avemotion.config import ExperimentSettings
from avemotion.data.dataset import ClipDataset, batches
from avemotion.data.splits import part_of
from avemotion.data.store import FeatureStore
from avemotion.data.types import Split
from avemotion.errors import UsageError
from avemotion.models.checkpoint import load_checkpoint
from avemotion.models.header import read_header
from avemotion.models.inputs import names_of
from avemotion.models.late import Late
from avemotion.models.metadata import CHECKPOINT_NAME, CheckpointMetadata, Origin
from avemotion.models.registry import create, model_class, settings_of, with_settings
from avemotion.training.precision import with_precision
from avemotion.training.recorder import RunRecorder, finished, initial_metadata, logits_of
from avemotion.training.resumption import forget_state
from avemotion.training.trainer import train

MEMBERS = "members"
"""Folder in an evaluation's run with the trainings of the members."""


def train_system(
    store: FeatureStore, split: Split, experiment: ExperimentSettings, out: Path
) -> CheckpointMetadata:
    """Train a model on a split; of `late` each member, before they are pooled.

    Members have their own settings of training, but all have this split. Their seeds are as far
    apart as those that they were fitted with. Arguments and errors are those of `train`.
    """
    if not model_class(experiment.model).composed:
        return train(store, split, experiment, out, progress=False)
    done = out / CHECKPOINT_NAME
    members = settings_of(experiment.model, experiment.settings).experiments
    runs = [out / MEMBERS / f"{n}-{m.model}-{m.modality}" for n, m in enumerate(members, 1)]
    if done.exists() and (metadata := read_header(done)).temperature is not None:
        _forget(runs)
        return metadata
    lowest = min(one.training.seed for one in members)
    for one, run in zip(members, runs, strict=True):
        seed = experiment.training.seed + one.training.seed - lowest
        own = replace(one, training=replace(one.training, seed=seed))
        train(store, split, own, run, progress=False)
    metadata = pool(store, split, experiment, [run / CHECKPOINT_NAME for run in runs], out)
    _forget(runs)
    return metadata


def _forget(runs: Sequence[Path]) -> None:
    """Remove what the members' trainings would resume from: it is needed no more."""
    for run in runs:
        forget_state(run)


def pool(
    store: FeatureStore,
    split: Split,
    experiment: ExperimentSettings,
    members: Sequence[Path],
    out: Path,
    origins: tuple[Origin, ...] = (),
) -> CheckpointMetadata:
    """Fit temperatures and weights of trained members, and write the checkpoint of all.

    Args:
        store: Features of the clips.
        split: Who trained a member, and who is left to fit them.
        experiment: Of `late`, with the members in its settings.
        members: Their checkpoints, in that order.
        out: Folder of the run; made if need be.
        origins: What the members' trainings began with.

    Returns:
        Metadata of the finished checkpoint.

    Raises:
        UsageError: Nobody is left, or a checkpoint is damaged.
        AvemotionError: A member gives no probabilities.
    """
    experiment = with_precision(with_settings(experiment))
    rows = part_of(store.usable(experiment.modality), split, "validation")
    if not rows:
        raise UsageError(
            f"The validation {split.unit}s have no clip that {experiment.system} can use, so that "
            "no temperature and no weight can be fitted. Preprocess more clips of them, or choose "
            "others: another --training.seed for all members."
        )
    network = create(store.task, experiment)
    assert isinstance(network, Late)
    network.take_over([load_checkpoint(path)[0] for path in members])
    dataset = ClipDataset(store, rows, names_of(network.inputs))
    validation = batches(dataset, 64)
    network.fit_pooling(validation)
    metadata = initial_metadata(store, split, experiment, network)
    out.mkdir(parents=True, exist_ok=True)
    recorder = RunRecorder(out, replace(metadata, initialised_from=origins))
    logits, _, wanted = logits_of(network, validation)
    scores = network.task.scores(logits, wanted)
    recorder.record(network, 1, {f"val_{name}": float(value) for name, value in scores.items()})
    return finished(out, dataset, validation, experiment.training)
